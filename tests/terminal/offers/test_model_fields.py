"""Two bad values for every field of the model, each refused at its own path with a sentence that says what is right.

Longer than most files here, for it is one table that is held against the model: a field without two bad values fails.
"""

from __future__ import annotations

import copy
import json
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from terminal.offers.catalogue import OPTIONS_MAX, SITES_MAX
from terminal.offers.counts import LIMIT_MAX
from terminal.offers.findings import Finding, Location, findings_of
from terminal.offers.model import BLACKOUT_DAYS_MAX, MERCHANTS_MAX, OFFERS_MAX, PARTS_MAX, Book
from terminal.offers.values import AMOUNT_FEN_MAX, WORDING_CHARS_MAX

GONE = object()  # the field is left out
NAME = {"zh": "名", "en": "name"}


def offer(price: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "one",
        "name": dict(NAME),
        "campaign": "winter",
        "who": {"classes": ["ordinary"], "genuine_chip": True},
        "where": {"merchants": ["m"], "sites": ["m/s"]},
        "what": {"categories": ["c"], "any": {"a": ["x"]}, "none": {"a": ["y"]}, "asks": ["n"], "min_spend_fen": 5000},
        "when": {
            "first_day": "2012-12-25",
            "last_day": "2013-02-20",
            "windows": [{"weekdays": ["mon"], "start": "08:30", "end": "16:30:00"}],
            "blackout": ["2013-01-01"],
            "days": ["workday"],
            "since": {"event": "redeemed", "offer": "one", "months": 6},
        },
        "price": price,
        "saving_max_fen": 10_000,
        "opens": {"visits": 3},
        "takes": {"offer": "one"},
        "fees": [{"id": "f", "name": dict(NAME), "amount_fen": 300, "unless_proof": "seen"}],
        "limits": [{"id": "l", "max": 1, "count": "units", "per": ["card"], "window": "ever", "offline": "local"}],
        "proof": [
            {"kind": "seen", "name": "seen", "label": dict(NAME), "optional": True},
            {"kind": "number", "name": "number", "label": dict(NAME), "optional": False},
            {
                "kind": "voucher",
                "name": "voucher",
                "label": dict(NAME),
                "last_day": "2013-02-20",
                "registered": True,
                "optional": False,
            },
        ],
        "combines": {"group": "g"},
    }


WHOLE: dict[str, Any] = {
    "schema": 1,
    "revision": 1,
    "tz": "Asia/Shanghai",
    "categories": {"c": {"name": dict(NAME), "unit": dict(NAME), "list_fen": 100}},
    "attributes": {
        "a": {"kind": "choice", "label": dict(NAME), "options": {"x": dict(NAME), "y": dict(NAME)}},
        "t": {"kind": "text", "label": dict(NAME)},
        "m": {"kind": "money", "label": dict(NAME)},
        "n": {"kind": "number", "label": dict(NAME), "min": 1, "max": 9},
        "d": {"kind": "date", "label": dict(NAME)},
    },
    "merchants": [
        {
            "id": "m",
            "name": dict(NAME),
            "agreement": {
                "first_day": "2012-01-01",
                "last_day": "2013-12-31",
                "renewal": {"notice_days": 30, "objected_on": "2013-06-01"},
            },
            "sites": [{"id": "s", "name": dict(NAME)}],
        }
    ],
    "offers": [
        offer({"kind": "fixed_unit", "unit_fen": 1000}),
        offer({"kind": "flat_up_to", "pay_fen": 1000, "covers_fen": 3000}),
        offer({"kind": "pay_percent", "pay_bp": 7500}),
        offer({"kind": "free"}),
        offer({"kind": "lowest_listed", "attribute": "m"}),
        offer({"kind": "by_category", "rates": {"c": {"kind": "free"}}}),
        offer({"kind": "tiers", "by": "units", "steps": [{"from": 2, "pay_bp": 9000}]}),
        offer({"kind": "nth_free", "every": 10, "over": "person"}),
    ],
}

OF: Location = ("offers", 0)
AGREEMENT: Location = ("merchants", 0, "agreement")
BAD_ID = [("Big Letters", "is not written right"), (7, "must be text"), ("x" * 65, "at most 64 characters")]
BAD_NAME = [("一", "must be a table"), (GONE, "is missing"), ({"zh": "一"}, "is missing")]
BAD_TEXT = [("", "is not written right"), (" ", "is not written right"), ("半价{name}", "is not written right"),
            (5, "must be text"), (GONE, "is missing"),
            ("字" * (WORDING_CHARS_MAX + 1), "at most 200 characters")]  # fmt: skip
BAD_DAY = [("2013-02-30", "no day of the calendar"), ("0", "must be a day"), (20130220, "must be a day")]
BAD_TIME = [
    ("25:00", "no time of the day"),
    ("8:30", "must be a time"),
    ("08:30Z", "must be a time"),
    (510, "must be a time"),
]
BAD_FEN = [(10.0, "whole number"), (True, "whole number"), (-1, "at least 0"), (AMOUNT_FEN_MAX + 1, "at most")]
BAD_FLAG = [("true", "true or false"), (1, "true or false")]


def too_many(one: Any, most: int) -> tuple[Any, str]:
    return [one] * (most + 1), f"at most {most} entries"


# (where the part stands, field): (bad value, what is said)
BAD: dict[tuple[Location, str], list[tuple[Any, str]]] = {
    ((), "schema"): [(2, "must be 1"), ("1", "must be 1"), (GONE, "is missing")],
    ((), "revision"): [(0, "at least 1"), (2**31, "at most"), (1.5, "whole number")],
    ((), "tz"): [("Asia/Peking", "no known time zone"), ("../zone", "no known time zone"), (8, "must be text")],
    ((), "categories"): [
        ([], "must be a table"),
        (GONE, "is missing"),
        ({"C C": WHOLE["categories"]["c"]}, "not written"),
        ({f"c{i}": WHOLE["categories"]["c"] for i in range(OFFERS_MAX + 1)}, "at most 1000"),
    ],
    ((), "attributes"): [
        ([], "must be a table"),
        ({"a": {"kind": "chioce", "label": NAME}}, "has no kind"),
        ({f"a{i}": {"kind": "text", "label": NAME} for i in range(OFFERS_MAX + 1)}, "at most 1000"),
    ],
    ((), "merchants"): [({}, "must be a list"), (GONE, "is missing"), too_many(WHOLE["merchants"][0], MERCHANTS_MAX)],
    ((), "offers"): [({}, "must be a list"), (GONE, "is missing"), too_many(WHOLE["offers"][3], OFFERS_MAX)],
    (("categories", "c"), "name"): BAD_NAME,
    (("categories", "c", "name"), "zh"): BAD_TEXT,
    (("categories", "c", "name"), "en"): BAD_TEXT,
    (("categories", "c"), "unit"): BAD_NAME,
    (("categories", "c"), "list_fen"): BAD_FEN,
    (("attributes", "a"), "kind"): [("pick", "has no kind"), (GONE, "lacks its kind")],
    (("attributes", "t"), "kind"): [("txt", "has no kind"), (GONE, "lacks its kind")],
    (("attributes", "m"), "kind"): [("fen", "has no kind"), (GONE, "lacks its kind")],
    (("attributes", "a"), "label"): BAD_NAME,
    (("attributes", "t"), "label"): BAD_NAME,
    (("attributes", "m"), "label"): BAD_NAME,
    (("attributes", "a"), "options"): [
        (["x"], "must be a table"),
        ({}, "at least 1 entry"),
        ({f"o{i}": NAME for i in range(OPTIONS_MAX + 1)}, "at most 50 entries"),
    ],
    (("merchants", 0), "id"): BAD_ID,
    (("merchants", 0), "name"): BAD_NAME,
    (("merchants", 0), "agreement"): [("2013", "must be a table"), (GONE, "is missing")],
    (("merchants", 0, "agreement"), "first_day"): [*BAD_DAY, (GONE, "is missing")],
    (("merchants", 0, "agreement"), "last_day"): [*BAD_DAY, (GONE, "is missing")],
    ((*AGREEMENT,), "renewal"): [("yearly", "must be a table"), (30, "must be a table")],
    ((*AGREEMENT, "renewal"), "notice_days"): [(-1, "at least 0"), (367, "at most"), (GONE, "is missing")],
    ((*AGREEMENT, "renewal"), "objected_on"): BAD_DAY,
    (("attributes", "n"), "kind"): [("integer", "has no kind"), (GONE, "lacks its kind")],
    (("attributes", "n"), "label"): BAD_NAME,
    (("attributes", "n"), "min"): BAD_FEN,
    (("attributes", "n"), "max"): BAD_FEN,
    (("attributes", "d"), "kind"): [("day", "has no kind"), (GONE, "lacks its kind")],
    (("attributes", "d"), "label"): BAD_NAME,
    (("merchants", 0), "sites"): [
        ([], "at least 1 entry"),
        (GONE, "is missing"),
        too_many({"id": "s", "name": NAME}, SITES_MAX),
    ],
    (("merchants", 0, "sites", 0), "id"): BAD_ID,
    (("merchants", 0, "sites", 0), "name"): BAD_NAME,
    (OF, "id"): BAD_ID,
    (OF, "name"): BAD_NAME,
    (OF, "campaign"): BAD_ID,
    (OF, "who"): [([], "must be a table"), ("member", "must be a table")],
    ((*OF, "who"), "classes"): [
        (["ordinry"], "must be 'ordinary'"),
        ("ordinary", "must be a list"),
        too_many("ordinary", PARTS_MAX),
    ],
    ((*OF, "who"), "genuine_chip"): BAD_FLAG,
    (OF, "where"): [(GONE, "is missing"), ("here", "must be a table")],
    ((*OF, "where"), "merchants"): [
        ("m", "must be a list"),
        (["M"], "not written right"),
        too_many("m", MERCHANTS_MAX),
    ],
    ((*OF, "where"), "sites"): [
        (["s"], "not written right"),
        (["m/s/t"], "not written right"),
        too_many("m/s", SITES_MAX),
    ],
    (OF, "what"): [(GONE, "is missing"), ("film", "must be a table")],
    ((*OF, "what"), "categories"): [([], "at least 1 entry"), ("c", "must be a list"), too_many("c", PARTS_MAX)],
    ((*OF, "what"), "any"): [
        ({"a": []}, "at least 1 entry"),
        ({"a": "x"}, "must be a list"),
        ({"a": ["x"] * 51}, "at most 50"),
    ],
    ((*OF, "what"), "none"): [
        ({"a": [3]}, "must be text"),
        (["a"], "must be a table"),
        ({"A A": ["x"]}, "not written right"),
    ],
    ((*OF, "what"), "asks"): [("a", "must be a list"), (["A A"], "not written right"), too_many("a", PARTS_MAX)],
    (OF, "when"): [("always", "must be a table"), ([], "must be a table")],
    ((*OF, "when"), "first_day"): BAD_DAY,
    ((*OF, "when"), "last_day"): BAD_DAY,
    ((*OF, "when"), "windows"): [({}, "must be a list"), too_many({"start": "08:00", "end": "09:00"}, PARTS_MAX)],
    ((*OF, "when"), "blackout"): [
        (["2013-13-01"], "no day"),
        ("2013-01-01", "must be a list"),
        too_many("2013-01-01", BLACKOUT_DAYS_MAX),
    ],
    ((*OF, "when", "windows", 0), "weekdays"): [
        (["Monday"], "must be 'mon'"),
        ([1], "must be 'mon'"),
        too_many("mon", 7),
    ],
    ((*OF, "when", "windows", 0), "start"): [
        *BAD_TIME,
        ("16:30", "never be open"),
    ],
    ((*OF, "when", "windows", 0), "end"): [*BAD_TIME, ("08:30", "never be open")],
    ((*OF, "when"), "days"): [
        (["holiday"], "must be 'workday'"),
        ("workday", "must be a list"),
        too_many("workday", 3),
    ],
    ((*OF, "when"), "since"): [("issue", "must be a table"), ([], "must be a table")],
    ((*OF, "when", "since"), "event"): [
        ("issued", "must be 'card-issued'"),
        ("card-issued", "with the event redeemed"),
        (GONE, "is missing"),
    ],
    ((*OF, "when", "since"), "offer"): [("One", "not written right"), (GONE, "with the event redeemed")],
    ((*OF, "when", "since"), "months"): [(0, "at least 1"), (3661, "at most"), (GONE, "either months or days")],
    ((*OF, "when", "since"), "days"): [(0, "at least 1"), (3661, "at most"), (30, "either months or days")],
    ((*OF, "what"), "min_spend_fen"): BAD_FEN,
    (OF, "price"): [(1000, "must be a table"), (GONE, "is missing"), ({"kind": "free", "unit_fen": 0}, "no known key")],
    ((*OF, "price"), "kind"): [("fixed_unti", "has no kind"), (GONE, "lacks its kind")],
    ((*OF, "price"), "unit_fen"): [*BAD_FEN, (GONE, "is missing")],
    (("offers", 1, "price"), "kind"): [("flat", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 1, "price"), "pay_fen"): [*BAD_FEN, (GONE, "is missing")],
    (("offers", 1, "price"), "covers_fen"): [*BAD_FEN, (GONE, "is missing")],
    (("offers", 2, "price"), "kind"): [("percent", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 2, "price"), "pay_bp"): [
        (0, "more than 0"),
        (10_000, "less than 10000"),
        (75.0, "whole number"),
        (GONE, "is missing"),
    ],
    (("offers", 3, "price"), "kind"): [("gratis", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 4, "price"), "kind"): [("lowest", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 4, "price"), "attribute"): [*BAD_ID, (GONE, "is missing")],
    (("offers", 5, "price"), "kind"): [("per_category", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 5, "price"), "rates"): [
        ({}, "at least 1 entry"),
        ({"c": {"kind": "tiers"}}, "has no kind"),
        ({f"c{i}": {"kind": "free"} for i in range(17)}, "at most 16 entries"),
        (GONE, "is missing"),
    ],
    (("offers", 6, "price"), "kind"): [("tier", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 6, "price"), "by"): [("fen", "must be 'units'"), (GONE, "is missing")],
    (("offers", 6, "price"), "steps"): [
        ([], "at least 1 entry"),
        ([{"from": 2, "pay_bp": 9000}] * 2, "above the one before"),
        too_many({"from": 2, "pay_bp": 9000}, 16),
        (GONE, "is missing"),
    ],
    (("offers", 6, "price", "steps", 0), "from"): [
        (0, "at least 1"),
        (2.5, "whole number"),
        (AMOUNT_FEN_MAX + 1, "at most"),
        (GONE, "is missing"),
    ],
    (("offers", 6, "price", "steps", 0), "pay_bp"): [(0, "more than 0"), (10_000, "less than 10000")],
    (("offers", 7, "price"), "kind"): [("nth", "has no kind"), (GONE, "lacks its kind")],
    (("offers", 7, "price"), "every"): [(1, "at least 2"), (1001, "at most"), (GONE, "is missing")],
    (("offers", 7, "price"), "over"): [("card", "must be 'sale'"), (GONE, "is missing")],
    (OF, "saving_max_fen"): [*BAD_FEN[:2], (0, "at least 1"), (AMOUNT_FEN_MAX + 1, "at most")],
    (OF, "opens"): [(3, "must be a table"), ([], "must be a table")],
    ((*OF, "opens"), "visits"): [(0, "at least 1"), (1001, "at most"), (GONE, "is missing")],
    (OF, "takes"): [("one", "must be a table"), ([], "must be a table")],
    ((*OF, "takes"), "offer"): [*BAD_ID, (GONE, "is missing")],
    (OF, "fees"): [({}, "must be a list"), too_many(WHOLE["offers"][0]["fees"][0], PARTS_MAX)],
    ((*OF, "fees", 0), "id"): BAD_ID,
    ((*OF, "fees", 0), "name"): BAD_NAME,
    ((*OF, "fees", 0), "amount_fen"): [*BAD_FEN, (GONE, "is missing")],
    ((*OF, "fees", 0), "unless_proof"): BAD_ID,
    (OF, "limits"): [({}, "must be a list"), too_many(WHOLE["offers"][0]["limits"][0], PARTS_MAX)],
    ((*OF, "limits", 0), "id"): BAD_ID,
    ((*OF, "limits", 0), "max"): [
        (0, "at least 1"),
        (LIMIT_MAX + 1, "at most"),
        ("2", "whole number"),
        (GONE, "is missing"),
    ],
    ((*OF, "limits", 0), "count"): [("unit", "must be 'units'"), (1, "must be 'units'"), (GONE, "is missing")],
    ((*OF, "limits", 0), "per"): [
        ([], "at least 1 entry"),
        (["crad"], "must be 'card'"),
        ("card", "must be a list"),
        too_many("card", 9),
    ],
    ((*OF, "limits", 0), "window"): [("always", "must be 'sale'"), (GONE, "is missing")],
    ((*OF, "limits", 0), "offline"): [("leases", "must be 'local'"), (GONE, "is missing")],
    (OF, "proof"): [
        ({}, "must be a list"),
        ([{"kind": "photo"}], "has no kind"),
        too_many(WHOLE["offers"][0]["proof"][0], PARTS_MAX),
    ],
    ((*OF, "proof", 0), "kind"): [("see", "has no kind"), (GONE, "lacks its kind")],
    ((*OF, "proof", 0), "name"): BAD_ID,
    ((*OF, "proof", 0), "label"): BAD_NAME,
    ((*OF, "proof", 0), "optional"): BAD_FLAG,
    ((*OF, "proof", 1), "kind"): [("numbers", "has no kind"), (GONE, "lacks its kind")],
    ((*OF, "proof", 1), "name"): BAD_ID,
    ((*OF, "proof", 1), "label"): BAD_NAME,
    ((*OF, "proof", 1), "optional"): BAD_FLAG,
    ((*OF, "proof", 2), "kind"): [("coupon", "has no kind"), (GONE, "lacks its kind")],
    ((*OF, "proof", 2), "name"): BAD_ID,
    ((*OF, "proof", 2), "label"): BAD_NAME,
    ((*OF, "proof", 2), "last_day"): BAD_DAY,
    ((*OF, "proof", 2), "registered"): BAD_FLAG,
    ((*OF, "proof", 2), "optional"): [(True, "must be False"), ("no", "must be False")],
    (OF, "combines"): [("all", "must be a table"), ([], "must be a table")],
    ((*OF, "combines"), "group"): BAD_ID,
}
CASES = [(place, field, value, said) for (place, field), values in BAD.items() for value, said in values]


def findings(plain: dict[str, Any]) -> tuple[Finding, ...]:
    with pytest.raises(ValidationError) as caught:
        Book.model_validate_json(json.dumps(plain))
    return findings_of(caught.value, Book)


def at(plain: Any, place: Location) -> Any:
    for step in place:
        plain = plain[step]
    return plain


def test_the_good_document_is_good() -> None:
    assert Book.model_validate_json(json.dumps(WHOLE)).offers[4].limits[0].max == 1


@pytest.mark.parametrize(
    ("place", "field", "value", "said"),
    CASES,
    ids=[f"{'.'.join(map(str, place))}.{field}-{i}" for i, (place, field, _, _) in enumerate(CASES)],
)
def test_bad_value_is_refused_at_its_path(place: Location, field: str, value: Any, said: str) -> None:
    plain = copy.deepcopy(WHOLE)
    part = at(plain, place)
    if value is GONE:
        del part[field]
    else:
        part[field] = value
    found = findings(plain)
    fitting = [one for one in found if said in one.text("en")]
    assert fitting, [one.text("en") for one in found]
    # a missing kind or a window that ends too soon concerns the whole part
    assert any(one.location[: len(place)] == place for one in fitting)
    assert all(any("\u4e00" <= char <= "\u9fff" for char in one.text("zh")) for one in found)


def parts_of(annotation: Any) -> set[type[BaseModel]]:
    """Every model reachable from a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = {part for field in annotation.model_fields.values() for part in parts_of(field.annotation)}
        return {annotation, *inner}
    if get_origin(annotation) is Annotated:
        return parts_of(get_args(annotation)[0])
    return {part for argument in get_args(annotation) for part in parts_of(argument)}


def part_at(place: Location) -> type[BaseModel]:
    part: Any = Book.model_validate_json(json.dumps(WHOLE))
    for step in place:
        part = part[step] if isinstance(part, tuple | dict) else getattr(part, str(step))
    return type(part)


def test_every_field_of_the_model_has_two_bad_values() -> None:
    fields = {(part, info.alias or name) for part in parts_of(Book) for name, info in part.model_fields.items()}
    covered = {(part_at(place), field) for (place, field), values in BAD.items() if len(values) >= 2}
    assert covered == fields


@pytest.mark.parametrize(
    ("place", "wrong", "nearest"),
    [
        ((), "revison", "revision"),
        ((), "offer", "offers"),
        (("categories", "c"), "list_fenn", "list_fen"),
        (("attributes", "a"), "option", "options"),
        (("merchants", 0, "agreement"), "lastday", "last_day"),
        (("merchants", 0, "sites", 0), "nmae", "name"),
        (OF, "limit", "limits"),
        (OF, "rpice", "price"),
        ((*OF, "price"), "unit", "unit_fen"),
        ((*OF, "when", "windows", 0), "stat", "start"),
        ((*OF, "limits", 0), "ofline", "offline"),
        ((*OF, "proof", 2), "lastday", "last_day"),
        (OF, "zzzzzz", None),
    ],
)
def test_unknown_key_names_the_nearest_known_one_of_its_own_part(
    place: Location, wrong: str, nearest: str | None
) -> None:
    plain = copy.deepcopy(WHOLE)
    at(plain, place)[wrong] = 1
    (found,) = findings(plain)
    assert (found.location, found.nearest) == ((*place, wrong), nearest)


@pytest.mark.parametrize(
    ("place", "field", "value", "nearest"),
    [
        ((*OF, "price"), "kind", "fixed_unti", "fixed_unit"),
        ((*OF, "limits", 0), "offline", "leased", "lease"),
        ((*OF, "who"), "classes", ["model_worker"], "model-worker"),
    ],
)
def test_unknown_word_names_the_nearest_known_one(place: Location, field: str, value: Any, nearest: str) -> None:
    plain = copy.deepcopy(WHOLE)
    at(plain, place)[field] = value
    assert nearest in {one.nearest for one in findings(plain)}


def test_book_is_frozen() -> None:
    book = Book.model_validate_json(json.dumps(WHOLE))
    with pytest.raises(ValidationError):
        book.revision = 2  # type: ignore[misc]

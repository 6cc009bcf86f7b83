"""Small random worlds: a book that its own checks accept, members, vouchers, grants, moments and bills for them.

Everything lies close together (few days, few persons, low limits), so that the edges are met often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from stdnum.iso7064 import mod_37_36

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, canonical_json, parse_book
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.voucher import VoucherRecord

Table = dict[str, Any]

EPOCHS = tuple(  # ends of months and years, leap days, holidays, make-up workdays, the calendar library's own edges
    map(
        date.fromisoformat,
        [
            "2012-12-30",
            "2013-02-27",
            "2015-12-31",
            "2016-02-28",
            "2020-01-22",
            "2023-09-28",
            "2024-02-08",
            "2026-12-30",
        ],
    )
)
NEAR_DAYS = (0, 0, -1, 1, 2, -2, 7, -7, 30, 31, -31, -364, -365, -366, 365, 366, 396, 402, -730, -1461)
TIMES = ("00:00", "00:30", "02:00", "08:30", "12:00", "16:30", "22:00", "23:59")
ZONES = ("Asia/Shanghai", "UTC", "America/New_York")
CATEGORIES = ("tea", "film", "drug")
OPTIONS = ("2d", "3d", "imax")
NAME = {"zh": "甲", "en": "a"}
CODES = tuple(stem + mod_37_36.calc_check_digit(stem) for stem in ("AB123", "AB124", "LF20130X"))
PLAIN_CODES = ("LF-0001", "lf-0002")
AMOUNTS = (0, 1, 50, 99, 1000, 1001, 3333, 8000, 20_000, 100_000_000)
TOKENS = tuple(f"v1:{digit * 64}" for digit in "0123456789ab")
PLACES = (Place("north", "a", "t1"), Place("north", "b", "t2"), Place("south", "a", "t3"))


@dataclass(frozen=True, slots=True)
class World:
    """What stands still while sales come and go."""

    book: LoadedBook
    epoch: date
    members: tuple[Member, ...]
    register: Mapping[str, VoucherRecord] | None
    grants: Mapping[str, int]

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """The book as JSON: a failing example must be readable."""
        printer.text(f"{canonical_json(self.book.book)}\n{self.members}\n{self.register}\n{self.grants}")


# What a world's offers may ask for; each world takes to a few of these, else every sale would be refused for something.
FEATURES = (
    "who", "places", "answers", "spend", "dates", "kinds", "hours", "since", "proof", "agreement", "cap", "fees",
    "visits", "standing", "hours", "since", "proof", "visits",
)  # fmt: skip
FEATURES_MAX = 4  # of one world


@dataclass(frozen=True, slots=True)
class Taste:
    """Draws what belongs to a feature that this world has taken to, and None else."""

    draw: st.DrawFn
    features: frozenset[str]

    def __call__(self, feature: str, strategy: st.SearchStrategy[Any], odds: int = 2) -> Any:
        """A value once in `odds`."""
        if feature not in self.features or self.draw(st.integers(1, odds)) < odds:
            return None
        return self.draw(strategy)


@cache
def some(options: tuple[Any, ...], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(options), min_size=1, max_size=min(most, len(options)), unique=True)


@cache
def near(epoch: date) -> st.SearchStrategy[date]:
    return st.sampled_from(NEAR_DAYS).map(lambda ahead: epoch + timedelta(days=ahead))


def present(table: Table) -> Table:
    """A table without the keys that were not drawn."""
    return {name: value for name, value in table.items() if value is not None}


# Books --------------------------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    epoch = draw(st.sampled_from(EPOCHS))
    taste = Taste(draw, frozenset(draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=FEATURES_MAX))))
    offers: list[Table] = []
    for number in range(draw(st.integers(2, 5))):
        offers.append(_offer(taste, f"o{number}", epoch, offers))
    north, south = ({"id": site, "name": NAME} for site in ("a", "b")), ({"id": "a", "name": NAME},)
    table = {
        "schema": 1,
        "revision": 1,
        "tz": draw(st.sampled_from(ZONES)),
        "categories": {name: {"name": NAME, "unit": NAME} for name in CATEGORIES},
        "attributes": {
            "format": {"kind": "choice", "label": NAME, "options": dict.fromkeys(OPTIONS, NAME)},
            "room": {"kind": "choice", "label": NAME, "options": {"big": NAME, "small": NAME}},
            "showing": {"kind": "text", "label": NAME},
            "lowest": {"kind": "money", "label": NAME},
            "guests": {"kind": "number", "label": NAME, "min": 1, "max": 9},
            "born": {"kind": "date", "label": NAME},
        },
        "merchants": [
            {"id": "north", "name": NAME, "agreement": _agreement(taste, epoch), "sites": list(north)},
            {"id": "south", "name": NAME, "agreement": _agreement(taste, epoch), "sites": list(south)},
        ],
        "offers": draw(st.permutations(offers)),
    }
    book = LoadedBook.of(parse_book(json.dumps(table, default=str), "json"))
    limits = [f"{offer['id']}/{limit['id']}" for offer in offers for limit in offer["limits"]]
    return World(
        book,
        epoch,
        _members(taste, epoch),
        _register(taste, epoch, [offer["id"] for offer in offers]),
        {name: draw(st.sampled_from((5, 2, 1000, 0))) for name in limits if draw(st.integers(0, 5))},
    )


def _agreement(taste: Taste, epoch: date) -> Table:
    first = epoch - timedelta(days=taste("agreement", st.sampled_from((500, 1, 0, -1)), 1) or 3000)
    last = first + timedelta(days=taste("agreement", st.sampled_from((800, 365, 2, 0)), 1) or 9000)
    renewal = taste(
        "agreement",
        st.builds(
            lambda notice_days, objected_on: present({"notice_days": notice_days, "objected_on": objected_on}),
            st.sampled_from((0, 30, 366)),
            st.none() | near(epoch),
        ),
    )
    return present({"first_day": first, "last_day": last, "renewal": renewal})


def _offer(taste: Taste, offer_id: str, epoch: date, earlier: list[Table]) -> Table:
    draw = taste.draw
    categories = draw(some(CATEGORIES))
    proofs = _proofs(taste, epoch)
    packs = [offer["id"] for offer in earlier if "opens" in offer]
    what = {
        "categories": categories,
        "any": taste("answers", st.fixed_dictionaries({"format": some(OPTIONS, most=2)})),
        "none": taste("answers", st.just({"room": ["small"]})),
        "asks": taste("answers", some(("guests", "born", "format"), most=2)),
        "min_spend_fen": taste("spend", st.sampled_from((1, 1000, 3333, 20_000))),
    }
    fee = st.builds(
        lambda amount, proof: [present({"id": "f", "name": NAME, "amount_fen": amount, "unless_proof": proof})],
        st.sampled_from((0, 300)),
        st.sampled_from([None, *(proof["name"] for proof in proofs)]),
    )
    who = {
        "classes": taste("who", some(tuple(map(str, MemberClass)), most=2)),
        "genuine_chip": taste("who", st.just(True), 4),
    }
    return present(
        {
            "id": offer_id,
            "name": NAME,
            "campaign": draw(st.sampled_from(("spring", "summer"))),
            "who": present(who),
            "where": taste("places", st.sampled_from(({"merchants": ["north"]}, {"sites": ["north/b", "south/a"]})))
            or {},
            "what": present(what),
            "when": _when(taste, epoch, [offer["id"] for offer in earlier]),
            "price": _price(draw, categories),
            "saving_max_fen": taste("cap", st.sampled_from((1, 777, 2000, 10_000))),
            "fees": taste("fees", fee),
            "limits": _limits(draw, voucher=any(proof["kind"] == "voucher" for proof in proofs)),
            "opens": taste("visits", st.sampled_from(({"visits": 1}, {"visits": 3}, {"visits": 10}))),
            "takes": taste("visits", st.sampled_from(packs).map(lambda pack: {"offer": pack})) if packs else None,
            "proof": proofs,
            "combines": {"group": "g"} if draw(st.booleans()) else None,
        }
    )


def _when(taste: Taste, epoch: date, earlier: list[str]) -> Table:
    first = taste("dates", near(epoch))
    last = taste("dates", st.sampled_from((0, 1, 2, 31, 365)))
    events = [{"event": "card-issued"}, *({"event": "redeemed", "offer": offer} for offer in earlier)]
    return present(
        {
            "first_day": first,
            "last_day": None if last is None else (first or epoch) + timedelta(days=last),
            "days": taste("kinds", some(("workday", "day-off", "public-holiday"), most=2), 1),
            "windows": taste("hours", st.lists(WINDOWS, min_size=1, max_size=3), 1),
            "blackout": taste("dates", st.lists(near(epoch), max_size=3)),
            "since": taste("since", st.builds(lambda event, span: event | span, st.sampled_from(events), SPANS)),
        }
    )


WINDOWS = st.fixed_dictionaries(
    {},
    optional={
        "weekdays": some(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), most=5),
        "start": st.sampled_from(TIMES),
        "end": st.sampled_from(TIMES),
    },
).filter(lambda part: part.get("start", "00:00") != part.get("end", ""))
SPANS = st.sampled_from(({"months": 1}, {"months": 6}, {"months": 12}, {"days": 1}, {"days": 2}, {"days": 45}))


RATES = st.one_of(
    st.sampled_from((0, 1000, 3000)).map(lambda fen: {"kind": "fixed_unit", "unit_fen": fen}),
    st.sampled_from((1, 3333, 7500, 9999)).map(lambda pay_bp: {"kind": "pay_percent", "pay_bp": pay_bp}),
    st.just({"kind": "free"}),
    st.sampled_from(((1000, 3000), (0, 7), (2999, 20_000))).map(
        lambda pair: {"kind": "flat_up_to", "pay_fen": pair[0], "covers_fen": pair[1]}
    ),
)
STEPS = ({"from": 2, "pay_bp": 9000}, {"from": 3, "pay_bp": 7777}, {"from": 2000, "pay_bp": 5000})
PRICES: st.SearchStrategy[Table] = RATES | st.one_of(
    st.just({"kind": "lowest_listed", "attribute": "lowest"}),
    st.fixed_dictionaries(dict.fromkeys(CATEGORIES, RATES)).map(
        lambda by_category: {"kind": "by_category", "rates": by_category}
    ),
    st.builds(
        lambda by, first: {"kind": "tiers", "by": by, "steps": STEPS[first:]},
        st.sampled_from(("units", "list_fen")),
        st.integers(0, 2),
    ),
    st.builds(
        lambda every, over: {"kind": "nth_free", "every": every, "over": over},
        st.sampled_from((2, 3, 5)),
        st.sampled_from(("sale", "person")),
    ),
)


def _price(draw: st.DrawFn, categories: list[str]) -> Table:
    price = draw(PRICES)
    if "rates" in price:
        return {**price, "rates": {name: price["rates"][name] for name in categories}}
    return price


def _proofs(taste: Taste, epoch: date) -> list[Table]:
    voucher = st.builds(
        lambda registered, last: present(
            {"kind": "voucher", "name": "voucher", "registered": registered, "last_day": last}
        ),
        st.booleans(),
        st.none() | near(epoch),
    )
    proofs: list[Table | None] = [
        taste("proof", st.booleans().map(lambda extra: {"kind": "seen", "name": "photo", "optional": extra})),
        taste("proof", st.booleans().map(lambda extra: {"kind": "number", "name": "id-card", "optional": extra})),
        taste("proof", voucher, 1),
    ]
    return [{**proof, "label": NAME} for proof in proofs if proof]


SCOPES = ("card", "person", "showing", "site", "merchant", "terminal", "campaign", "sale")
COUNTS = ("units", "uses", "fen")
LIMIT_WINDOWS = ("day", "week", "month", "year", "campaign", "ever", "sale")
OFFLINE = ("local", "flag", "local", "lease", "refuse")


def _limits(draw: st.DrawFn, *, voucher: bool) -> list[Table]:
    limits = []
    for number in range(draw(st.integers(0, 3))):
        count = draw(st.sampled_from(COUNTS))
        limits.append(
            {
                "id": f"l{number}",
                "max": draw(st.sampled_from((500, 3000, 20_000) if count == "fen" else (2, 1, 3, 5, 8))),
                "count": count,
                "per": draw(some(("voucher", *SCOPES) if voucher else SCOPES)),
                "window": draw(st.sampled_from(LIMIT_WINDOWS)),
                "offline": draw(st.sampled_from(OFFLINE)),
            }
        )
    return limits


# Members, vouchers, moments -----------------------------------------------------------------------------------------


def _members(taste: Taste, epoch: date) -> tuple[Member, ...]:
    """Two persons, the first with a card and its replacement; now and then a standing that is not active."""
    draw, found = taste.draw, []
    for token, person in zip(TOKENS, (TOKENS[0], TOKENS[0], TOKENS[2]), strict=False):
        standing = taste("standing", st.sampled_from(Standing)) or Standing.ACTIVE
        issued = taste("since", near(epoch), 1) if draw(st.integers(0, 4)) else None
        genuine = draw(st.booleans())
        found.append(Member(token, person, standing, draw(st.sampled_from(MemberClass)), issued, genuine))
    return tuple(found)


def _register(taste: Taste, epoch: date, offers: list[str]) -> dict[str, VoucherRecord] | None:
    if taste.draw(st.sampled_from((*[False] * 5, True))):
        return None
    if "proof" not in taste.features:
        return {}
    records = st.builds(
        VoucherRecord,
        st.sampled_from(offers),
        st.sampled_from((None, None, *TOKENS[:3])),
        st.none() | near(epoch),
        st.sampled_from((frozenset[str](), frozenset[str](), frozenset({"north"}))),
        st.sampled_from((False, False, False, True)),
    )
    return {code: taste.draw(records) for code in CODES[:2]}


@cache
def moments(epoch: date) -> st.SearchStrategy[datetime]:
    """Clock readings at and beside the edges of days and windows, in the book's zone, Beijing's or none."""
    edges = [time.fromisoformat(text) for text in TIMES]
    beside = [timedelta(0), timedelta(microseconds=-1), timedelta(minutes=1)]
    zones = [None, ZoneInfo("Asia/Shanghai"), UTC]
    return st.builds(
        lambda day, edge, by, zone: (datetime.combine(day, edge) + by).replace(tzinfo=zone),
        near(epoch) | st.integers(-3, 9).map(lambda ahead: epoch + timedelta(days=ahead)),
        st.sampled_from(edges),
        st.sampled_from(beside),
        st.sampled_from(zones),
    )


# Bills --------------------------------------------------------------------------------------------------------------


@st.composite
def sales(draw: st.DrawFn, world: World) -> Sale:
    """A bill that fits one of the offers, mostly; a wrong answer or category now and then."""
    offer = draw(st.sampled_from(world.book.book.offers))
    named = draw(st.sampled_from((*[offer.id] * 8, *[None] * 5, "nobody")))
    slip = draw(st.sampled_from((*[False] * 11, True)))
    lines = [_line(draw, offer.what.categories, slip=slip) for _ in range(draw(st.integers(1, 3)))]
    voucher = draw(st.sampled_from((*CODES, *PLAIN_CODES, "ab 123-" + CODES[0][-1].lower())))
    proofs: dict[str, str | bool] = {"photo": True, "id-card": "11010519491231002X", "voucher": voucher}
    if draw(st.sampled_from((*[False] * 7, True))):
        wrong: st.SearchStrategy[str | bool] = st.sampled_from((False, True, "", "AB12345"))
        proofs.update(draw(st.dictionaries(st.sampled_from(tuple(proofs)), wrong, max_size=2)))
    return Sale(draw(st.sampled_from(PLACES)), named, tuple(lines), proofs)


ANSWERS = st.fixed_dictionaries(
    {
        "format": st.sampled_from(("2d", "2d", "3d")),
        "room": st.just("big"),
        "showing": st.sampled_from(("18:00", " 18:00 ", "厅2/20:00|x=1")),
        "lowest": st.sampled_from(("900", "0", "5000")),
        "guests": st.sampled_from(("1", "9", "03")),
        "born": st.sampled_from(("1970-05-01", "2012-02-29")),
    }
)
QUANTITIES = st.sampled_from((1, 1, 2, 3, 5))
LIST_FEN = st.sampled_from((1000, *AMOUNTS))
SLIPS: st.SearchStrategy[Table] = st.fixed_dictionaries(
    {"answers": st.dictionaries(st.sampled_from(("format", "room", "showing", "lowest", "guests", "born")),
                                st.sampled_from(("", " ", "4d", "6210947000000021", "-1", "0", "10", "2013-02-29",
                                                 "1970-5-1")), max_size=2)},
    optional={"quantity": st.sampled_from((0, 999, 1000, -1)), "fen": st.sampled_from((-1, 100_000_001)),
              "category": st.sampled_from(CATEGORIES)},
)  # fmt: skip


def _line(draw: st.DrawFn, categories: tuple[str, ...], *, slip: bool) -> SaleLine:
    wrong: Table = draw(SLIPS) if slip else {"answers": {}}
    return SaleLine(
        wrong.get("category", draw(st.sampled_from(categories))),
        wrong.get("quantity", draw(QUANTITIES)),
        wrong.get("fen", draw(LIST_FEN)),
        draw(ANSWERS) | wrong["answers"],
    )

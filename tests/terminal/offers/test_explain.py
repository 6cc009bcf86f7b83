"""An offer as a paragraph says every field of the model, in both languages."""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from terminal.offers.book import load_book, parse_book
from terminal.offers.catalogue import Agreement
from terminal.offers.explain import agreement_words, explain
from terminal.offers.model import Offer
from terminal.offers.values import Wording

BOOKS = Path(__file__).parents[3] / "config" / "books"
PUBLISHED = sorted(BOOKS.glob("*.toml"))


def name(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


LIMIT = {"id": "l", "max": 2, "count": "uses", "per": ["site"], "window": "day", "offline": "local"}
BASE: dict[str, Any] = {
    "schema": 1,
    "revision": 1,
    "tz": "Asia/Shanghai",
    "categories": {
        "film": {"name": name("电影票", "film tickets"), "unit": name("张", "ticket(s)")},
        "snack": {"name": name("小食", "snacks"), "unit": name("份", "portion(s)")},
    },
    "attributes": {
        "format": {
            "kind": "choice",
            "label": name("制式", "format"),
            "options": {"2d": name("二维", "2D"), "3d": name("三维", "3D")},
        },
        "lowest": {"kind": "money", "label": name("最低价", "lowest price")},
        "least": {"kind": "money", "label": name("起价", "starting price")},
    },
    "merchants": [
        {
            "id": one,
            "name": name(zh, en),
            "agreement": {"first_day": "2012-01-01", "last_day": "2013-12-31"},
            "sites": [
                {"id": "a", "name": name(f"{zh}一店", f"{en}, first")},
                {"id": "b", "name": name("二店", "second")},
            ],
        }
        for one, zh, en in (("dongsi", "东四", "Dongsi"), ("xidan", "西单", "Xidan"))
    ],
    "offers": [
        {
            "id": "one",
            "name": name("优惠一", "offer one"),
            "campaign": "winter",
            "where": {},
            "what": {"categories": ["film"]},
            "price": {"kind": "fixed_unit", "unit_fen": 1000},
            "limits": [LIMIT],
        },
        {
            "id": "other",
            "name": name("优惠二", "offer two"),
            "campaign": "winter",
            "where": {},
            "what": {"categories": ["snack"]},
            "price": {"kind": "free"},
            "opens": {"visits": 3},
        },
    ],
}
Change = Callable[[dict[str, Any]], object]


def limit(**fields: Any) -> Change:
    return lambda offer: offer["limits"][0].update(fields)


def price(**fields: Any) -> dict[str, Any]:
    return {"price": fields}


def tiers(begin: int = 2, pay_bp: int = 9000, by: str = "units") -> dict[str, Any]:
    return price(kind="tiers", by=by, steps=[{"from": begin, "pay_bp": pay_bp}])


def proof(kind: str, **fields: Any) -> dict[str, Any]:
    return {"proof": [{"kind": kind, "name": "p", "label": name("证", "paper"), **fields}]}


def fee(**fields: Any) -> dict[str, Any]:
    whole = {"id": "f", "name": name("工本费", "card fee"), "amount_fen": 300, **fields}
    return {"fees": [whole], **proof("seen", optional=True)}


def since(**fields: Any) -> dict[str, Any]:
    return {"when": {"since": {"event": "card-issued", "months": 6, **fields}}}


def window(**fields: Any) -> dict[str, Any]:
    return {"when": {"windows": [{"start": "08:30", **fields}]}}


# By field: what stands there before (as changes of the base), and after. None: the base as it is.
SAID: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | Change]] = {
    "id": (None, {"id": "two"}),
    "name": (None, {"name": name("新名", "new name")}),
    "campaign": (None, {"campaign": "spring"}),
    "who.classes": (None, {"who": {"classes": ["hardship"]}}),
    "who.genuine_chip": (None, {"who": {"genuine_chip": True}}),
    "where.merchants": (None, {"where": {"merchants": ["dongsi"]}}),
    "where.sites": (None, {"where": {"sites": ["xidan/a"]}}),
    "what.categories": (None, {"what": {"categories": ["film", "snack"]}}),
    "what.any": (None, {"what": {"categories": ["film"], "any": {"format": ["2d"]}}}),
    "what.none": (None, {"what": {"categories": ["film"], "none": {"format": ["3d"]}}}),
    "what.asks": (None, {"what": {"categories": ["film"], "asks": ["format"]}}),
    "what.min_spend_fen": (None, {"what": {"categories": ["film"], "min_spend_fen": 5000}}),
    "when.first_day": (None, {"when": {"first_day": "2013-01-01"}}),
    "when.last_day": (None, {"when": {"last_day": "2013-01-01"}}),
    "when.days": (None, {"when": {"days": ["workday"]}}),
    "when.blackout": (None, {"when": {"blackout": ["2013-01-01"]}}),
    "when.windows.weekdays": (window(), window(weekdays=["mon"])),
    "when.windows.start": (window(), window(start="09:00")),
    "when.windows.end": (window(), window(end="07:00")),
    "when.since.event": (since(), since(event="redeemed", offer="other")),
    "when.since.offer": (since(event="redeemed", offer="one"), since(event="redeemed", offer="other")),
    "when.since.months": (since(), since(months=7)),
    "when.since.days": (since(), since(months=None, days=6)),
    "price.fixed_unit.unit_fen": (None, price(kind="fixed_unit", unit_fen=1001)),
    "price.flat_up_to.pay_fen": (
        price(kind="flat_up_to", pay_fen=1000, covers_fen=3000),
        price(kind="flat_up_to", pay_fen=1100, covers_fen=3000),
    ),
    "price.flat_up_to.covers_fen": (
        price(kind="flat_up_to", pay_fen=1000, covers_fen=3000),
        price(kind="flat_up_to", pay_fen=1000, covers_fen=3001),
    ),
    "price.pay_percent.pay_bp": (price(kind="pay_percent", pay_bp=7500), price(kind="pay_percent", pay_bp=7505)),
    "price.free": (None, price(kind="free")),
    "price.lowest_listed.attribute": (
        price(kind="lowest_listed", attribute="lowest"),
        price(kind="lowest_listed", attribute="least"),
    ),
    "price.by_category.rates": (
        price(kind="by_category", rates={"film": {"kind": "free"}}),
        price(kind="by_category", rates={"film": {"kind": "pay_percent", "pay_bp": 5000}}),
    ),
    "price.tiers.by": (tiers(), tiers(by="list_fen")),
    "price.tiers.steps.from": (tiers(), tiers(begin=3)),
    "price.tiers.steps.pay_bp": (tiers(), tiers(pay_bp=8000)),
    "price.nth_free.every": (
        price(kind="nth_free", every=3, over="sale"),
        price(kind="nth_free", every=4, over="sale"),
    ),
    "price.nth_free.over": (
        price(kind="nth_free", every=3, over="sale"),
        price(kind="nth_free", every=3, over="person"),
    ),
    "saving_max_fen": (None, {"saving_max_fen": 500}),
    "fees.name": (fee(), fee(name=name("押金", "deposit"))),
    "fees.amount_fen": (fee(), fee(amount_fen=400)),
    "fees.unless_proof": (fee(), fee(unless_proof="p")),
    "limits.max": (None, limit(max=3)),
    "limits.count": (None, limit(count="units")),
    "limits.per": (None, limit(per=["site", "card"])),
    "limits.window": (None, limit(window="week")),
    "limits.offline": (None, limit(offline="flag")),
    "opens.visits": ({"opens": {"visits": 3}}, {"opens": {"visits": 4}}),
    "takes.offer": (None, {"takes": {"offer": "other"}}),
    "proof.seen.label": (proof("seen"), proof("seen", label=name("照片", "photo"))),
    "proof.seen.optional": (proof("seen"), proof("seen", optional=True)),
    "proof.number.label": (proof("number"), proof("number", label=name("身份证", "ID card"))),
    "proof.number.optional": (proof("number"), proof("number", optional=True)),
    "proof.voucher.label": (proof("voucher"), proof("voucher", label=name("券", "voucher"))),
    "proof.voucher.last_day": (proof("voucher"), proof("voucher", last_day="2013-01-01")),
    "proof.voucher.registered": (proof("voucher"), proof("voucher", registered=True)),
    "combines.group": (None, {"combines": {"group": "snack"}}),
}
# Names within the book that nobody outside it reads, and what can have one value only.
UNSAID = {"limits.id", "fees.id", *(f"proof.{kind}.name" for kind in ("seen", "number", "voucher")),
          "proof.voucher.optional"}  # fmt: skip


def said(changes: dict[str, Any] | Change | None) -> tuple[str, str]:
    plain = copy.deepcopy(BASE)
    if callable(changes):
        changes(plain["offers"][0])
    else:
        plain["offers"][0].update(changes or {})
    book = parse_book(json.dumps(plain), "json")
    words = explain(book, book.offers[0])
    return words.zh, words.en


@pytest.mark.parametrize("path", SAID)
def test_field_is_said_in_both_languages(path: str) -> None:
    before, after = (said(changes) for changes in SAID[path])
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_kinds_of_price_and_proof_are_told_apart() -> None:
    proofs = {said(proof(kind)) for kind in ("seen", "number", "voucher")}
    assert len(proofs) == 3


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts within an annotation, whatever it is wrapped in."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from models_in(get_args(annotation)[0])
    elif origin in {Union, types.UnionType} or origin is not None:
        for inner in get_args(annotation):
            yield from models_in(inner)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def fields_of(part: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for key, field in part.model_fields.items():
        path = f"{prefix}{field.alias or key}"
        inner = [one for one in models_in(field.annotation) if one is not Wording]
        if path == "price.by_category.rates" or not inner:
            if key != "kind":
                yield path
            continue
        for one in inner:
            kind = one.model_fields.get("kind")
            tag = f"{path}.{get_args(kind.annotation)[0]}" if kind else path
            leaves = list(fields_of(one, f"{tag}."))
            yield from leaves or [tag]


def test_every_field_of_the_model_is_covered() -> None:
    assert set(fields_of(Offer)) - UNSAID == set(SAID)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_offers_read_well(path: Path) -> None:
    book = load_book(path).book
    for offer in book.offers:
        words = explain(book, offer)
        assert not set("{}") & set(words.zh + words.en)
        assert words.zh.endswith("。")
        assert words.en.endswith(".")
        assert not set(";:?!") & set(
            words.zh.replace("00:", "00").replace("30:", "30").replace(":00", "").replace(":30", "")
        )
        assert "；；" not in words.zh
        assert "  " not in words.en
        assert "None" not in words.zh + words.en
        assert not any("\u4e00" <= character <= "\u9fff" for character in words.en)


def test_the_winter_film_as_a_clerk_reads_it() -> None:
    book = load_book(BOOKS / "winter-2012.toml").book
    film = book.offer("winter-film")
    assert film is not None
    words = explain(book, film)
    for part in ("2012-12-25 至 2013-02-20", "共 8 处", "制式不含3D", "每张 10 元", "最多 20000 张"):
        assert part in words.zh, words.zh
    for part in ("from 2012-12-25 to 2013-02-20", "8 shop(s)", "format: not 3D", "10 yuan each", "at most 20000"):
        assert part in words.en, words.en


def test_a_limit_speaks_of_every_day_and_shop_not_of_today_and_here() -> None:
    zh, en = said(limit(per=["site"], window="day"))
    assert "每店每天最多 2 次" in zh
    assert "per shop each day: at most 2 time(s)" in en


@pytest.mark.parametrize(
    ("renewal", "zh", "en"),
    [
        (None, "到期终止", "ending then"),
        ({"notice_days": 30}, "提前 30 天书面提出异议", "objects in writing 30 days before"),
        ({"notice_days": 30, "objected_on": "2014-11-30"}, "2014-12-31 终止", "ends it on 2014-12-31"),
    ],
)
def test_agreement_says_how_it_goes_on(renewal: dict[str, Any] | None, zh: str, en: str) -> None:
    plain = {"first_day": "2012-01-01", "last_day": "2013-12-31"} | ({"renewal": renewal} if renewal else {})
    words = agreement_words(Agreement.model_validate_json(json.dumps(plain)))
    assert zh in words.zh
    assert en in words.en

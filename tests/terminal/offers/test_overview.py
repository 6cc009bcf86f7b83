"""What a card just presented may have, and the form that follows from the book alone."""

from __future__ import annotations

import json

import pytest

from terminal.membership.standing import Standing
from terminal.offers.book import LoadedBook, canonical_json, parse_book
from terminal.offers.overview import OfferView, overview
from terminal.offers.quote import quote
from terminal.offers.sale import Place, Sale, SaleLine
from tests.fakes.offers import BOOK, FakeUsage, beijing, member

CINEMA = Place("gongren-julebu", "main", "t1")
PARK = Place("parks", "tiantan", "t1")
BARBER = Place("manrui", "main", "t1")


def view(place: Place, at: str = "2013-01-01 12:00", usage: FakeUsage | None = None, **who: Standing) -> OfferView:
    (only,) = overview(place, member(**who), BOOK, usage or FakeUsage(), beijing(at))
    return only


def test_cinema_sees_its_own_offer_only() -> None:
    film = view(CINEMA)
    assert (film.offer, film.eligible, film.remaining, film.categories) == ("winter-film", True, 2, ("film-ticket",))
    assert film.name.zh == "十元电影票"
    assert overview(Place("nobody", "main", "t1"), member(), BOOK, FakeUsage(), beijing("2013-01-01 12:00")) == ()


def test_film_form_follows_from_the_book() -> None:
    quantity, price, film_format = (ask.as_dict() for ask in view(CINEMA).asks)
    assert quantity == {
        "name": "quantity",
        "part": "line",
        "kind": "integer",
        "label": {"zh": "数量", "en": "quantity"},
        "required": True,
        "min": 1,
        "max": 2,
        "default": 1,
    }
    assert (price["name"], price["kind"], "default" in price) == ("list_price", "money", False)
    assert (film_format["name"], film_format["part"], film_format["kind"]) == ("format", "attributes", "choice")
    assert film_format["options"] == [
        {"value": "2d", "label": {"zh": "2D", "en": "2D"}},
        {"value": "3d", "label": {"zh": "3D", "en": "3D"}},
    ]


def test_film_form_asks_what_the_book_asks_besides() -> None:
    plain = json.loads(canonical_json(BOOK.book))
    plain["attributes"] |= {
        "row": {"kind": "number", "label": {"zh": "排", "en": "row"}, "min": 1, "max": 30},
        "day": {"kind": "date", "label": {"zh": "日期", "en": "day"}},
    }
    plain["offers"][0]["what"]["asks"] = ["row", "format", "day"]
    book = LoadedBook.of(parse_book(json.dumps(plain), "json"))
    (film,) = overview(CINEMA, member(), book, FakeUsage(), beijing("2013-01-01 12:00"))
    asks = [ask.as_dict() for ask in film.asks if ask.part == "attributes"]
    assert [(ask["name"], ask["kind"], ask.get("min"), ask.get("max")) for ask in asks] == [
        ("format", "choice", None, None),
        ("row", "integer", 1, 30),
        ("day", "date", None, None),
    ]


def test_pass_form_asks_for_its_proofs_and_knows_the_list_price() -> None:
    asks = {ask.name: ask.as_dict() for ask in view(PARK).asks}
    assert list(asks) == ["quantity", "list_price", "purchase", "id-card", "photo", "transit-card"]
    assert asks["list_price"]["default"] == 20000
    assert asks["quantity"]["max"] == 1
    assert [(asks[name]["kind"], asks[name]["required"]) for name in ("id-card", "photo", "transit-card")] == [
        ("text", True),
        ("confirm", True),
        ("confirm", False),
    ]
    assert {asks[name]["part"] for name in ("id-card", "photo", "transit-card")} == {"proofs"}


def test_voucher_is_asked_for_and_bounds_the_quantity() -> None:
    haircut = view(BARBER)
    asks = {ask.name: ask for ask in haircut.asks}
    assert (asks["voucher"].kind, asks["quantity"].maximum) == ("text", 1)
    assert (haircut.eligible, haircut.remaining) == (True, 1)


def test_forms_are_json() -> None:
    for place in (CINEMA, PARK, BARBER):
        assert json.dumps([ask.as_dict() for ask in view(place).asks])


@pytest.mark.parametrize(
    ("at", "standing", "refused"),
    [
        ("2013-01-01 12:00", Standing.SUSPENDED, ["not-a-member"]),
        ("2013-02-21 00:00", Standing.ACTIVE, ["ended"]),
        ("2012-11-30 00:00", Standing.WITHDRAWN, ["not-a-member", "no-agreement", "not-started"]),
    ],
)
def test_refused_offer_is_shown_with_its_reasons(at: str, standing: Standing, refused: list[str]) -> None:
    film = view(CINEMA, at, standing=standing)
    assert not film.eligible
    assert [str(refusal.code) for refusal in film.refusals] == refused


@pytest.mark.parametrize(("bought", "spent"), [(1, ["purchase"]), (2, ["tickets", "purchase"])])
def test_spent_card_has_nothing_left_and_says_why(bought: int, spent: list[str]) -> None:
    usage = FakeUsage()
    sale = Sale(CINEMA, "winter-film", (SaleLine("film-ticket", bought, 8000, {"format": "2d"}),), {})
    usage.commit(quote(sale, member(), BOOK, usage, beijing("2013-01-01 12:00")).claims)
    film = view(CINEMA, usage=usage)
    assert (film.eligible, film.remaining) == (False, 0)
    assert [refusal.numbers["limit"] for refusal in film.refusals] == spent
    assert film.asks[0].maximum == 1  # a form never offers less than one


def test_offer_without_a_granted_slice_needs_headquarters() -> None:
    film = view(CINEMA, usage=FakeUsage(slices={}))
    assert ([str(refusal.code) for refusal in film.refusals], film.remaining) == (["needs-hq"], 0)

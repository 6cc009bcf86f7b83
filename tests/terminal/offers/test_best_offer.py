"""A sale that names no offer gets the best for the member, and what lost says why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from terminal.membership.standing import Standing
from terminal.offers.book import LoadedBook, canonical_json, parse_book
from terminal.offers.overview import overview
from terminal.offers.sale import Place, SaleLine
from tests.fakes.offers import BOOK, FakeUsage, Till, beijing, codes, member

CINEMA = Place("gongren-julebu", "main", "t1")


def everyday(**changes: Any) -> dict[str, Any]:
    """A standing offer of every merchant: what is left of the book when it is on nobody's list."""
    offer: dict[str, Any] = {
        "id": "everyday-film",
        "name": {"zh": "平日电影票", "en": "everyday film"},
        "campaign": "everyday",
        "where": {},
        "what": {"categories": ["film-ticket"]},
        "price": {"kind": "pay_percent", "pay_bp": 5000},
    }
    return offer | changes


def with_offers(*offers: dict[str, Any]) -> LoadedBook:
    plain = json.loads(canonical_json(BOOK.book))
    plain["offers"] += offers
    return LoadedBook.of(parse_book(json.dumps(plain), "json"))


def ticket(list_fen: int) -> SaleLine:
    return SaleLine("film-ticket", 1, list_fen, {"format": "2d"})


def test_cheapest_offer_wins_and_the_loser_says_what_beat_it() -> None:
    till = Till(CINEMA, with_offers(everyday()))
    dear, cheap = till.quote(None, ticket(8000)), till.quote(None, ticket(1500))
    assert (dear.offer, dear.pay_fen) == ("winter-film", 1000)
    assert (cheap.offer, cheap.pay_fen) == ("everyday-film", 750)
    (loser,) = dear.passed_over
    assert (loser.offer, str(loser.refusals[0].code)) == ("everyday-film", "beaten-by")
    assert loser.refusals[0].text("zh") == "“十元电影票”更划算，已改用"


def test_tie_keeps_the_once_only_right_for_later() -> None:
    for order in ((everyday(id="z-film"),), (everyday(id="a-film"),)):
        answer = Till(CINEMA, with_offers(*order)).quote(None, ticket(2000))
        assert (answer.offer, answer.pay_fen, answer.claims) == (order[0]["id"], 1000, ())


def test_offers_of_different_groups_do_not_beat_each_other() -> None:
    till = Till(CINEMA, with_offers(everyday(combines={"group": "snacks"})))
    assert till.quote(None, ticket(8000)).passed_over[0].refusals == ()


def test_impossible_offers_step_back_with_their_own_reasons() -> None:
    till = Till(CINEMA, with_offers(everyday()))
    answer = till.quote(None, ticket(8000), at="2013-03-01 12:00")
    assert (answer.offer, codes(answer)) == ("everyday-film", [])
    assert [str(refusal.code) for refusal in answer.passed_over[0].refusals] == ["ended"]


def test_when_none_is_possible_the_nearest_miss_answers() -> None:
    till = Till(CINEMA, with_offers(everyday()))
    answer = till.quote(None, ticket(8000), at="2013-03-01 12:00", who=member(standing=Standing.LOST))
    assert (answer.offer, codes(answer), len(answer.passed_over)) == ("everyday-film", ["not-a-member"], 1)


def test_nothing_here_for_these_lines_is_an_answer_too() -> None:
    assert codes(Till(CINEMA).quote(None, SaleLine("laundry", 1, 3000, {}))) == ["unknown-offer"]
    assert codes(Till(CINEMA).quote(None)) == ["unknown-offer"]


def test_class_that_the_offer_does_not_name_is_refused() -> None:
    till = Till(CINEMA, with_offers(everyday(who={"classes": ["model-worker", "hardship"]})))
    answer = till.quote("everyday-film", ticket(8000))
    assert codes(answer) == ["wrong-class"]
    assert answer.refusals[0].text("zh") == "本优惠只限劳模、困难职工"


def test_an_offer_may_ask_for_a_chip_that_has_proved_itself() -> None:
    till = Till(CINEMA, with_offers(everyday(who={"genuine_chip": True})))
    copied, genuine = member(), replace(member(), genuine=True)
    answer = till.quote("everyday-film", ticket(8000), who=copied)
    assert codes(answer) == ["genuine-chip-required"]
    assert "芯片" in answer.refusals[0].text("zh")
    assert codes(till.quote("everyday-film", ticket(8000), who=genuine)) == []
    assert codes(till.quote("winter-film", ticket(8000), who=copied)) == [], "only where the offer says so"


def test_an_offer_that_asks_for_a_genuine_chip_is_shown_as_not_possible_without_one() -> None:
    book = with_offers(everyday(who={"genuine_chip": True}))
    for genuine in (False, True):
        shown = overview(CINEMA, replace(member(), genuine=genuine), book, FakeUsage(), beijing("2013-01-01 12:00"))
        (everyday_film,) = [view for view in shown if view.offer == "everyday-film"]
        assert everyday_film.eligible is genuine


def test_a_book_without_the_wish_for_a_genuine_chip_keeps_its_hash() -> None:
    assert with_offers(everyday(who={"genuine_chip": False})).hash == with_offers(everyday()).hash


def test_blackout_days_and_weekdays_close_an_offer() -> None:
    when = {
        "blackout": ["2013-01-01"],
        "windows": [
            {"weekdays": ["mon", "tue"], "start": "09:00", "end": "12:00"},
            {"weekdays": ["sat"], "start": "10:00", "end": "18:00"},
        ],
    }
    till = Till(CINEMA, with_offers(everyday(when=when)))

    def at(moment: str) -> list[str]:
        return codes(till.quote("everyday-film", ticket(8000), at=moment))

    assert at("2013-01-01 10:00") == ["blackout"]  # a Tuesday
    assert at("2013-01-01 12:00") == ["blackout", "outside-hours"]
    assert at("2013-01-07 09:00") == []  # a Monday
    assert at("2013-01-05 09:30") == ["outside-hours"]  # a Saturday
    assert at("2013-01-05 17:59") == []
    assert at("2013-01-06 11:00") == ["outside-hours"]  # a Sunday


def test_limit_per_showing_counts_each_showing_apart() -> None:
    plain = json.loads(canonical_json(BOOK.book))
    plain["attributes"]["showing"] = {"kind": "text", "label": {"zh": "场次", "en": "showing"}}
    plain["attributes"]["lowest"] = {"kind": "money", "label": {"zh": "本场最低价", "en": "lowest price"}}
    limit = {"id": "two", "max": 2, "count": "units", "per": ["card", "showing"], "window": "ever", "offline": "flag"}
    price = {"kind": "lowest_listed", "attribute": "lowest"}
    plain["offers"].append(everyday(limits=[limit], price=price))
    till = Till(CINEMA, LoadedBook.of(parse_book(json.dumps(plain), "json")))

    def seats(quantity: int, showing: str, lowest: str = "3500") -> SaleLine:
        return SaleLine("film-ticket", quantity, 8000, {"showing": showing, "lowest": lowest})

    both = till.sell("everyday-film", seats(2, "19:30 hall 1"), seats(1, "21:45 hall 1"))
    assert (codes(both), both.pay_fen) == ([], 10500)
    assert [claim.amount for claim in both.claims] == [2, 1]
    again = till.quote("everyday-film", seats(1, " 19:30 hall 1 "), seats(1, "21:45 hall 1"))
    assert [(refusal.numbers["used"], refusal.numbers["asked"]) for refusal in again.refusals] == [(2, 1)]
    assert codes(till.quote("everyday-film", seats(1, ""))) == ["attribute-missing"]
    assert codes(till.quote("everyday-film", seats(1, "6210947000000021"))) == ["attribute-invalid"]
    assert codes(till.quote("everyday-film", seats(1, "x" * 65))) == ["attribute-invalid"]
    assert codes(till.quote("everyday-film", seats(1, "19:30", "35.00"))) == ["attribute-invalid"]

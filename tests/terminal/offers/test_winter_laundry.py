"""Laundry: 10 yuan for service worth up to 30, the excess at list price, once per card in the campaign."""

from __future__ import annotations

import pytest

from terminal.offers.sale import Place, SaleLine
from tests.fakes.offers import Till, codes, member

LAUNDRY = Place("sample-laundry", "main", "t1")


def service(list_fen: int, quantity: int = 1) -> SaleLine:
    return SaleLine("laundry", quantity, list_fen, {})


@pytest.mark.parametrize(
    ("lines", "pays"),
    [
        ([service(1001)], [1000]),
        ([service(2000)], [1000]),
        ([service(2999)], [1000]),
        ([service(3000)], [1000]),
        ([service(3001)], [1001]),
        ([service(4500)], [2500]),  # 10 + 15
        ([service(10000)], [8000]),
        ([service(1500, 3)], [2500]),  # three shirts at 15 are one bill of 45
        ([service(1000), service(2000)], [333, 667]),  # 10 yuan over 10 and 20: 333.3 and 666.7
        ([service(2000), service(2500)], [667, 1833]),  # 30 cover 20 and 10 of the second; 333 + 15 beyond
        ([service(1500), service(1500)], [500, 500]),
        ([service(3000), service(500)], [1000, 500]),  # nothing left to cover the second
        ([service(0), service(3000)], [0, 1000]),
    ],
)
def test_laundry_bill_is_ten_yuan_up_to_thirty_and_list_price_beyond(lines: list[SaleLine], pays: list[int]) -> None:
    answer = Till(LAUNDRY).quote("winter-laundry", *lines)
    assert codes(answer) == []
    assert [line.pay_fen for line in answer.lines] == pays
    assert answer.pay_fen == sum(pays)
    assert [claim.amount for claim in answer.claims] == [1]
    assert answer.granted == "flag"


@pytest.mark.parametrize("list_fen", [0, 1, 999, 1000])
def test_laundry_bill_of_ten_yuan_or_less_has_no_benefit(list_fen: int) -> None:
    answer = Till(LAUNDRY).quote("winter-laundry", service(list_fen))
    assert codes(answer) == ["no-benefit"]
    assert (answer.pay_fen, answer.claims) == (list_fen, ())


def test_laundry_is_once_per_card() -> None:
    till = Till(LAUNDRY)
    till.sell("winter-laundry", service(3000), at="2012-12-25 00:00")
    again = till.quote("winter-laundry", service(3000), at="2013-02-20 23:59")
    assert codes(again) == ["limit-reached"]
    assert again.refusals[0].text("en") == "per card in this campaign: at most 1 time(s): 1 used, 0 left, 1 asked for"
    assert codes(till.quote("winter-laundry", service(3000), who=member("b"))) == []


@pytest.mark.parametrize(
    ("at", "refused"),
    [
        ("2012-12-24 23:59", ["not-started"]),
        ("2012-12-25 00:00", []),
        ("2013-02-20 23:59", []),
        ("2013-02-21 00:00", ["ended"]),
    ],
)
def test_laundry_campaign_includes_both_of_its_days(at: str, refused: list[str]) -> None:
    assert codes(Till(LAUNDRY).quote("winter-laundry", service(3000), at=at)) == refused


def test_laundry_is_for_named_laundries_and_for_laundry() -> None:
    assert codes(Till(Place("dongsi", "main", "t1")).quote("winter-laundry", service(3000))) == ["wrong-store"]
    film = SaleLine("film-ticket", 1, 3000, {})
    assert codes(Till(LAUNDRY).quote("winter-laundry", service(3000), film)) == ["wrong-category"]


def test_empty_and_endless_bills_are_refused() -> None:
    assert codes(Till(LAUNDRY).quote("winter-laundry")) == ["lines-invalid"]
    assert codes(Till(LAUNDRY).quote("winter-laundry", *[service(100)] * 50)) == []
    longer = Till(LAUNDRY).quote("winter-laundry", *[service(100)] * 51)
    assert codes(longer) == ["lines-invalid"]
    assert longer.refusals[0].numbers == {"lines": 51, "max": 50}

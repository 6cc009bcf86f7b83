"""Park annual pass: half of 200 yuan, one per person and season, 15 Dec to 15 Jan, 08:30-16:30, ID card and photo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from terminal.offers.sale import Place, SaleLine
from tests.fakes.offers import FakeUsage, Till, codes, member

PARK = Place("parks", "tiantan", "t1")
PAPERS: dict[str, str | bool] = {"id-card": "11010519491231002X", "photo": True}
WITH_TRANSIT_CARD = {**PAPERS, "transit-card": True}


def annual_pass(quantity: int = 1, list_fen: int = 20000, purchase: str = "new") -> SaleLine:
    return SaleLine("park-annual-pass", quantity, list_fen, {"purchase": purchase})


@pytest.mark.parametrize("purchase", ["new", "renewal"])
@pytest.mark.parametrize(
    ("proofs", "pay_fen", "fees"),
    [(PAPERS, 10300, [300]), (WITH_TRANSIT_CARD, 10000, []), ({**PAPERS, "transit-card": False}, 10300, [300])],
)
def test_pass_costs_half_and_the_base_card_three_yuan(
    purchase: str, proofs: dict[str, str | bool], pay_fen: int, fees: list[int]
) -> None:
    answer = Till(PARK).quote("park-pass", annual_pass(purchase=purchase), proofs=proofs)
    assert codes(answer) == []
    assert (answer.list_fen, answer.pay_fen, answer.saving_fen) == (20000, pay_fen, 10000)
    assert [fee.amount_fen for fee in answer.fees] == fees
    assert answer.granted == "local"  # sold without any grant of headquarters


def test_pass_keeps_the_id_number_as_a_keyed_hash_only() -> None:
    answer = Till(PARK).quote("park-pass", annual_pass(), proofs=WITH_TRANSIT_CARD)
    assert answer.proofs_kept == {"id-card": "keyed-hash", "photo": "seen", "transit-card": "seen"}
    assert "11010519491231002X" not in repr(answer)


@pytest.mark.parametrize(
    ("proofs", "refused"),
    [
        ({}, ["proof-missing", "proof-missing"]),
        ({"photo": True}, ["proof-missing"]),
        ({"id-card": "110105194912310021", "photo": False}, ["proof-missing"]),
        ({"id-card": True, "photo": True}, ["proof-missing"]),  # the number is wanted, not a tick
        ({"id-card": "110105194912310021", "photo": "yes"}, ["proof-missing"]),
        ({"id-card": "1" * 65, "photo": True}, ["proof-invalid"]),
        ({"id-card": "1" * 64, "photo": True}, []),
    ],
)
def test_pass_needs_id_card_and_photo(proofs: dict[str, str | bool], refused: list[str]) -> None:
    assert codes(Till(PARK).quote("park-pass", annual_pass(), proofs=proofs)) == refused


@pytest.mark.parametrize(
    ("at", "refused"),
    [
        ("2012-12-14 12:00", ["not-started"]),
        ("2012-12-15 08:29:59", ["outside-hours"]),
        ("2012-12-15 08:30:00", []),  # a Saturday
        ("2012-12-16 16:29:59", []),  # a Sunday
        ("2012-12-16 16:30:00", ["outside-hours"]),
        ("2013-01-15 16:29:59", []),
        ("2013-01-15 16:30:00", ["outside-hours"]),
        ("2013-01-16 12:00", ["ended"]),
        ("2013-01-16 17:00", ["ended", "outside-hours"]),
    ],
)
def test_pass_is_sold_in_the_season_and_in_its_hours(at: str, refused: list[str]) -> None:
    assert codes(Till(PARK).quote("park-pass", annual_pass(), proofs=PAPERS, at=at)) == refused


def test_pass_says_when_the_counter_is_open() -> None:
    answer = Till(PARK).quote("park-pass", annual_pass(), proofs=PAPERS, at="2012-12-20 17:05")
    assert answer.refusals[0].text("zh") == "现在 17:05，不在办理时间内；办理时间：每天 08:30-16:30"
    assert answer.refusals[0].text("en") == "it is 17:05 now; the offer is open daily 08:30-16:30"


def test_pass_is_one_per_person_and_season_whatever_the_card_or_the_kind() -> None:
    till = Till(PARK, usage=FakeUsage(slices={}))
    assert codes(till.sell("park-pass", annual_pass(), proofs=PAPERS)) == []
    new_card = replace(member(), token="v1:" + "c" * 64)
    again = till.quote("park-pass", annual_pass(purchase="renewal"), proofs=PAPERS, who=new_card, at="2013-01-10 10:00")
    assert codes(again) == ["limit-reached"]
    assert codes(till.sell("park-pass", annual_pass(), proofs=PAPERS, who=member("b"))) == []
    assert codes(till.quote("park-pass", annual_pass(2), proofs=PAPERS, who=member("c"))) == ["limit-reached"]


@pytest.mark.parametrize(("list_fen", "pay_fen"), [(1, 1), (3, 2), (20001, 10001), (19999, 10000)])
def test_pass_price_rounds_half_up_to_the_fen(list_fen: int, pay_fen: int) -> None:
    answer = Till(PARK).quote("park-pass", annual_pass(list_fen=list_fen), proofs=WITH_TRANSIT_CARD)
    assert answer.pay_fen == pay_fen
    assert codes(answer) == (["no-benefit"] if list_fen == 1 else [])  # half of one fen rounds to one fen


@pytest.mark.parametrize("site", ["yiheyuan", "tiantan", "zhongshan", "beihai", "jingshan", "taoranting", "dongwuyuan",
                                  "xiangshan", "zhiwuyuan", "yuyuantan", "zizhuyuan"])  # fmt: skip
def test_pass_is_sold_at_each_of_the_eleven_parks(site: str) -> None:
    assert codes(Till(Place("parks", site, "t1")).quote("park-pass", annual_pass(), proofs=PAPERS)) == []


def test_pass_is_not_sold_at_another_gate_or_trade() -> None:
    assert codes(Till(Place("parks", "yuanmingyuan", "t1")).quote("park-pass", annual_pass(), proofs=PAPERS)) == [
        "wrong-store"
    ]
    day_ticket = SaleLine("day-ticket", 1, 1000, {})
    assert codes(Till(PARK).quote("park-pass", day_ticket, proofs=PAPERS)) == ["wrong-category"]

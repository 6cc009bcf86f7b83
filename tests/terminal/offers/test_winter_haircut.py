"""Haircut: 10 yuan for one ordinary haircut, one voucher, one person, once; void after the voucher's last day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from terminal.offers.sale import Place, SaleLine
from tests.fakes.offers import FakeUsage, Till, codes, member

BARBER = Place("manrui", "main", "t1")
PAN = "6210947000000021"


def haircut(quantity: int = 1, list_fen: int = 4000, service: str = "ordinary") -> SaleLine:
    return SaleLine("haircut", quantity, list_fen, {"service": service})


def test_haircut_with_a_voucher_costs_ten_yuan() -> None:
    answer = Till(BARBER).quote("winter-haircut", haircut(), proofs={"voucher": "LF-000123"})
    assert codes(answer) == []
    assert (answer.pay_fen, answer.saving_fen, answer.proofs_kept) == (1000, 3000, {"voucher": "code"})
    keys = {claim.limit: claim.key for claim in answer.claims}
    assert keys["voucher"] == "winter-haircut|voucher|voucher=LF-000123|ever=all"
    assert keys["person"] == f"winter-haircut|person|person=v1:{'A' * 64}|campaign=winter-2012"


@pytest.mark.parametrize(
    ("proofs", "refused"),
    [
        ({}, ["proof-missing"]),
        ({"voucher": ""}, ["proof-missing"]),
        ({"voucher": "   "}, ["proof-missing"]),
        ({"voucher": True}, ["proof-missing"]),  # seen is not enough: its number counts
        ({"voucher": False}, ["proof-missing"]),
        ({"voucher": "LF1"}, ["voucher-unknown"]),
        ({"voucher": "LF_000123"}, ["voucher-unknown"]),
        ({"voucher": "券000123"}, ["voucher-unknown"]),
        ({"voucher": "L" * 25}, ["voucher-unknown"]),
        ({"voucher": PAN}, ["voucher-unknown"]),  # a card number is never taken for a voucher, so never kept
        ({"voucher": "6210-9470-0000-0021"}, ["voucher-unknown"]),
        ({"voucher": "LF1234"}, []),
        ({"voucher": "L" * 24}, []),
    ],
)
def test_haircut_needs_a_well_formed_voucher(proofs: dict[str, str | bool], refused: list[str]) -> None:
    answer = Till(BARBER).quote("winter-haircut", haircut(), proofs=proofs)
    assert codes(answer) == refused
    assert PAN not in repr(answer)


@pytest.mark.parametrize(
    ("at", "refused"),
    [
        ("2012-12-24 12:00", ["not-started"]),
        ("2012-12-25 00:00", []),
        ("2013-02-20 23:59:59", []),
        ("2013-02-21 00:00", ["voucher-expired"]),
    ],
)
def test_haircut_voucher_is_void_after_its_last_day(at: str, refused: list[str]) -> None:
    answer = Till(BARBER).quote("winter-haircut", haircut(), proofs={"voucher": "LF-000123"}, at=at)
    assert codes(answer) == refused


def test_haircut_voucher_works_once_however_it_is_typed() -> None:
    till = Till(BARBER)
    till.sell("winter-haircut", haircut(), proofs={"voucher": "LF-000123"})
    again = till.quote("winter-haircut", haircut(), proofs={"voucher": " lf-000 123 "}, who=member("b"))
    assert codes(again) == ["voucher-used"]
    assert (again.refusals[0].numbers["used"], again.refusals[0].numbers["max"]) == (1, 1)


def test_haircut_is_once_per_person_with_a_second_voucher_and_a_new_card() -> None:
    till = Till(BARBER)
    till.sell("winter-haircut", haircut(), proofs={"voucher": "LF-000123"})
    new_card = replace(member(), token="v1:" + "c" * 64)
    again = till.quote("winter-haircut", haircut(), proofs={"voucher": "LF-000124"}, who=new_card)
    assert [refusal.numbers["limit"] for refusal in again.refusals] == ["person"]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (haircut(2), ["limit-reached", "limit-reached"]),  # one per voucher, one per person
        (haircut(service="other"), ["excluded"]),
        (haircut(service="perm"), ["attribute-invalid"]),
        (haircut(list_fen=1000), ["no-benefit"]),
    ],
)
def test_haircut_is_one_ordinary_haircut(line: SaleLine, refused: list[str]) -> None:
    assert codes(Till(BARBER).quote("winter-haircut", line, proofs={"voucher": "LF-000123"})) == refused


def test_haircut_pool_is_only_what_was_granted() -> None:
    till = Till(BARBER, usage=FakeUsage(slices={"winter-haircut/pool": 1}))
    assert codes(till.sell("winter-haircut", haircut(), proofs={"voucher": "LF-1001"})) == []
    refused = till.quote("winter-haircut", haircut(), proofs={"voucher": "LF-1002"}, who=member("b"))
    assert codes(refused) == ["quota-gone"]


def test_haircut_is_for_the_named_barbers() -> None:
    other = Till(Place("parks", "beihai", "t1"))
    assert codes(other.quote("winter-haircut", haircut(), proofs={"voucher": "LF-1001"})) == ["wrong-store"]

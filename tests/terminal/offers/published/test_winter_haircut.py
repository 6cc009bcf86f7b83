"""Haircut: 10 yuan for one ordinary haircut, one voucher, one person, once; void after the voucher's last day."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from terminal.offers.sale import Place, SaleLine
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published
from tests.fakes.offers import FakeUsage, Till, codes

BOOK = published("winter-2012")
OWN, SECOND = "LF-000123", "LF-000124"


def haircut(
    voucher: str | None = OWN,
    *,
    count: int = 1,
    list_fen: int = 4000,
    service: str | None = "ordinary",
    who: Member = ORDINARY,
    merchant: str = "manrui",
    at: str = "2013-01-01 12:00",
) -> Sold:
    answers = {} if service is None else {"service": service}
    proofs = {} if voucher is None else {"voucher": voucher}
    return Sold("winter-haircut", (("haircut", count, list_fen, answers),), proofs, who, merchant, at=at)


CASES = [
    Case("with the voucher", haircut(), 1000),
    Case("one fen above the offer", haircut(list_fen=1001), 1000),
    Case("the offer's own price", haircut(list_fen=1000), refused=("no-benefit",)),
    Case("at the second barber", haircut(merchant="mingjian"), 1000),
    Case("at the third", haircut(merchant="xinfenghuang"), 1000),
    Case("in a park", haircut(merchant="parks"), refused=("wrong-store",)),
    Case("no voucher", haircut(None), refused=("proof-missing",)),
    Case("an empty voucher", haircut(" "), refused=("proof-missing",)),
    Case("a voucher too short to be one", haircut("LF1"), refused=("voucher-unknown",)),
    Case("a card number for a voucher", haircut("6210947000000021"), refused=("voucher-unknown",)),
    Case("two haircuts with one voucher", haircut(count=2), refused=("limit-reached", "limit-reached")),
    Case("the same voucher again, by another", haircut(who=holder("b")), refused=("voucher-used",),
         before=(haircut(),)),
    Case("the same voucher again, by the same", haircut(), refused=("voucher-used", "limit-reached"),
         before=(haircut(),)),
    Case("a second voucher", haircut(SECOND), refused=("limit-reached",), before=(haircut(),)),
    Case("a second voucher and a replaced card", haircut(SECOND, who=holder(replaced=True)),
         refused=("limit-reached",), before=(haircut(),)),
    Case("another member's own voucher", haircut(SECOND, who=holder("b")), 1000, before=(haircut(),)),
    Case("a perm", haircut(service="other"), refused=("excluded",)),
    Case("no word about the service", haircut(service=None), refused=("attribute-missing",)),
    Case("a service that nobody knows", haircut(service="beard"), refused=("attribute-invalid",)),
    Case("the minute before the campaign", haircut(at="2012-12-24 23:59"), refused=("not-started",)),
    Case("its first minute", haircut(at="2012-12-25 00:00"), 1000),
    Case("the voucher's last minute", haircut(at="2013-02-20 23:59"), 1000),
    Case("void after it", haircut(at="2013-02-21 00:00"), refused=("voucher-expired",)),
    Case("after the agreement", haircut(at="2013-12-01 12:00"), refused=("no-agreement", "voucher-expired")),
    Case("something else", Sold("winter-haircut", (("laundry", 1, 4000, {}),), {"voucher": OWN},
         at="2013-01-01 12:00"), refused=("wrong-category",)),
    Case("a lost card", haircut(who=holder(standing=Standing.LOST)), refused=("not-a-member",)),
    Case("another bank's card", haircut(who=holder(standing=Standing.OTHER_ISSUER)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_winter_haircut(case: Case) -> None:
    check(case, BOOK, "manrui")


@pytest.mark.parametrize(("granted", "refused"), [(None, ["needs-hq"]), (0, ["quota-gone"]), (1, [])])
def test_haircut_needs_a_share_of_the_citys_20_000(granted: int | None, refused: list[str]) -> None:
    usage = FakeUsage(slices={} if granted is None else {"winter-haircut/pool": granted})
    line = SaleLine("haircut", 1, 4000, {"service": "ordinary"})
    answer = Till(Place("manrui", "main", "t1"), BOOK, usage).quote("winter-haircut", line, proofs={"voucher": OWN})
    assert codes(answer) == refused

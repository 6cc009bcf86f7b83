"""Laundry: 10 yuan for service worth up to 30, the excess at list price, once per card in the campaign."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published

BOOK = published("winter-2012")


def wash(
    *list_fen: int,
    count: int = 1,
    who: Member = ORDINARY,
    merchant: str = "sample-laundry",
    at: str = "2013-01-01 12:00",
) -> Sold:
    lines = tuple(("laundry", count, fen, {}) for fen in list_fen)
    return Sold("winter-laundry", lines, {}, who, merchant, at=at)


CASES = [
    Case("worth 30", wash(3000), 1000),
    Case("worth 29.99", wash(2999), 1000),
    Case("worth 30.01", wash(3001), 1001),
    Case("worth 45: 10 and the 15 beyond", wash(4500), 2500),
    Case("worth 10.01", wash(1001), 1000),
    Case("worth 10", wash(1000), refused=("no-benefit",)),
    Case("worth 9", wash(900), refused=("no-benefit",)),
    Case("three shirts at 15", wash(1500, count=3), 2500),
    Case("a coat and a shirt", wash(2000, 1500), 1500),  # 35 in all: 10 and the 5 beyond
    Case("ten lines", wash(*[500] * 10), 3000),  # 50 in all: 10 and 20
    Case("the second time", wash(3000), refused=("limit-reached",), before=(wash(3000),)),
    Case("the second time, weeks later", wash(3000, at="2013-02-20 23:59"), refused=("limit-reached",),
         before=(wash(3000, at="2012-12-25 00:00"),)),
    Case("the second time, card replaced", wash(3000, who=holder(replaced=True)), refused=("limit-reached",),
         before=(wash(3000),)),
    Case("another member", wash(3000, who=holder("b")), 1000, before=(wash(3000),)),
    Case("the minute before the campaign", wash(3000, at="2012-12-24 23:59"), refused=("not-started",)),
    Case("its first minute", wash(3000, at="2012-12-25 00:00"), 1000),
    Case("its last minute", wash(3000, at="2013-02-20 23:59"), 1000),
    Case("the minute after it", wash(3000, at="2013-02-21 00:00"), refused=("ended",)),
    Case("before the agreement", wash(3000, at="2012-11-30 12:00"), refused=("no-agreement", "not-started")),
    Case("after the agreement", wash(3000, at="2013-12-01 12:00"), refused=("no-agreement", "ended")),
    Case("at a barber's", wash(3000, merchant="manrui"), refused=("wrong-store",)),
    Case("a film ticket among it", Sold("winter-laundry", (("laundry", 1, 3000, {}), ("film-ticket", 1, 8000, {})),
         at="2013-01-01 12:00"), refused=("wrong-category",)),
    Case("nothing washed", wash(), refused=("lines-invalid",)),
    Case("less than nothing", wash(-1), refused=("price-invalid",)),
    Case("a thousand shirts", wash(1500, count=1000), refused=("quantity-invalid",)),
    Case("the holder left the union", wash(3000, who=holder(standing=Standing.WITHDRAWN)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_winter_laundry(case: Case) -> None:
    check(case, BOOK, "sample-laundry")

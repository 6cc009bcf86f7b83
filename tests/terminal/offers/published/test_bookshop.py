"""Bookshop: bind the card in its first six months, then books at 97 percent for one year from that day."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from tests.fakes.cases import Case, Sold, check, holder, published

BOOK = published("everyday")
MEMBER = holder(issued="2012-08-13")


def bind(at: str = "2013-01-10 10:00", *, who: Member = MEMBER, merchant: str = "bookshop", count: int = 1) -> Sold:
    return Sold("bookshop-binding", (("bookshop-binding", count, 0, {}),), who=who, merchant=merchant, at=at)


def books(
    list_fen: int = 10_000, at: str = "2013-01-10 10:05", *, who: Member = MEMBER, merchant: str = "bookshop"
) -> Sold:
    return Sold("bookshop", (("books", 1, list_fen, {}),), who=who, merchant=merchant, at=at)


BINDING = [
    Case("within six months", bind(), 0),
    Case("on the day of issue", bind("2012-08-13 00:00"), 0),
    Case("the day before the issue", bind("2012-08-12 23:59"), refused=("not-started",)),
    Case("the last day", bind("2013-02-12 23:59"), 0),
    Case("the day after", bind("2013-02-13 00:00"), refused=("period-over",)),
    Case("no issue date on the roll", bind(who=holder()), refused=("issue-date-unknown",)),
    Case("twice", bind("2013-01-11 10:00"), refused=("limit-reached",), before=(bind(),)),
    Case("twice with a replaced card", bind("2013-01-11 10:00", who=holder(issued="2012-12-01", replaced=True)),
         refused=("limit-reached",), before=(bind(),)),
    Case("two at once", bind(count=2), refused=("limit-reached",)),
    Case("another member", bind(who=holder("b", issued="2013-01-01")), 0, before=(bind(),)),
    Case("elsewhere", bind(merchant="aquarium"), refused=("wrong-store",)),
    Case("suspended", bind(who=holder(standing=Standing.SUSPENDED, issued="2012-08-13")), refused=("not-a-member",)),
    Case("issued on the 31st: six months end on 27 February", bind("2013-02-27 23:59", who=holder(issued="2012-08-31")),
         0),
    Case("and not on the 28th", bind("2013-02-28 00:00", who=holder(issued="2012-08-31")), refused=("period-over",)),
]  # fmt: skip

BOOKS = [
    Case("97 percent after binding", books(), 9700, before=(bind(),)),
    Case("without binding", books(), refused=("needs-first",)),
    Case("to the fen", books(1234), 1197, before=(bind(),)),  # 1196.98
    Case("half up", books(50), 49, before=(bind(),)),  # 48.5
    Case("nothing to save", books(10), refused=("no-benefit",), before=(bind(),)),  # 9.7 rounds up
    Case("the last day of the year", books(at="2014-01-09 23:59"), 9700, before=(bind(),)),
    Case("the day after", books(at="2014-01-10 00:00"), refused=("period-over",), before=(bind(),)),
    Case("after the card's six months, still within the year", books(at="2013-12-01 12:00"), 9700, before=(bind(),)),
    Case("again and again", books(), 9700, before=(bind(), books(), books())),
    Case("somebody else's binding", books(who=holder("b", issued="2012-08-13")), refused=("needs-first",),
         before=(bind(),)),
    Case("with a replaced card", books(who=holder(issued="2012-12-01", replaced=True)), 9700, before=(bind(),)),
    Case("elsewhere", books(merchant="aquarium"), refused=("wrong-store",), before=(bind(),)),
    Case("withdrawn since", books(who=holder(standing=Standing.WITHDRAWN, issued="2012-08-13")),
         refused=("not-a-member",), before=(bind(),)),
]  # fmt: skip


@pytest.mark.parametrize("case", [*BINDING, *BOOKS], ids=lambda case: f"{case.sale.offer}: {case.name}")
def test_bookshop(case: Case) -> None:
    check(case, BOOK, "bookshop")

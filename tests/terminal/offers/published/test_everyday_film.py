"""Everyday film: the lowest price of the showing, at most two tickets per card and showing."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published

BOOK = published("everyday")
EVENING = "2013-03-01 19:30 hall 2"


def film(
    tickets: int = 2,
    list_fen: int = 8000,
    *,
    lowest: str | None = "3500",
    showing: str | None = EVENING,
    who: Member = ORDINARY,
    merchant: str = "dongsi",
    at: str = "2013-03-01 12:00",
) -> Sold:
    answers = {name: value for name, value in (("lowest", lowest), ("showing", showing)) if value is not None}
    return Sold("everyday-film", (("film-ticket", tickets, list_fen, answers),), who=who, merchant=merchant, at=at)


def two_showings(tickets: int) -> Sold:
    early = {"lowest": "3000", "showing": "early"}
    late = {"lowest": "4000", "showing": "late"}
    lines = (("film-ticket", tickets, 8000, early), ("film-ticket", tickets, 8000, late))
    return Sold("everyday-film", lines, merchant="dongsi")


CASES = [
    Case("two tickets", film(), 7000),
    Case("one ticket", film(1), 3500),
    Case("three of one showing", film(3), refused=("limit-reached",)),
    Case("the second of two", film(1), 3500, before=(film(1),)),
    Case("the third", film(1), refused=("limit-reached",), before=(film(2),)),
    Case("two more after one", film(2), refused=("limit-reached",), before=(film(1),)),
    Case("another showing", film(2, showing="other"), 7000, before=(film(2),)),
    Case("the third, days later", film(1, at="2013-03-09 12:00"), refused=("limit-reached",), before=(film(2),)),
    Case("at another cinema it is another showing", film(2, merchant="xicheng"), 7000, before=(film(2),)),
    Case("two of each of two showings in one bill", two_showings(2), 2 * 3000 + 2 * 4000),
    Case("three of each", two_showings(3), refused=("limit-reached", "limit-reached")),
    Case("another member", film(2, who=holder("b")), 7000, before=(film(2),)),
    Case("a replaced card is the same member", film(1, who=holder(replaced=True)), refused=("limit-reached",),
         before=(film(2),)),
    Case("lowest is the list price", film(lowest="8000"), refused=("no-benefit",)),
    Case("lowest is above the list price", film(lowest="9000"), refused=("no-benefit",)),
    Case("lowest not asked", film(lowest=None), refused=("attribute-missing",)),
    Case("lowest unreadable", film(lowest="35.00"), refused=("attribute-invalid",)),
    Case("showing not asked", film(showing=None), refused=("attribute-missing",)),
    Case("a cinema that takes no part", film(merchant="aquarium"), refused=("wrong-store",)),
    Case("years later, by renewal", film(at="2030-06-01 23:59"), 7000),
    Case("the day before the agreement", film(at="2011-12-31 23:59"), refused=("no-agreement",)),
    Case("its first minute", film(at="2012-01-01 00:00"), 7000),
    Case("a suspended card", film(who=holder(standing=Standing.SUSPENDED)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_everyday_film(case: Case) -> None:
    check(case, BOOK, "dongsi")

"""Winter film: 10 yuan a ticket, two at most in one purchase, once per card, a citywide pool, no 3D."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.sale import Place, SaleLine
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published
from tests.fakes.offers import FakeUsage, Till, codes

BOOK = published("winter-2012")


def film(
    tickets: int = 2,
    list_fen: int = 8000,
    *,
    form: str | None = "2d",
    who: Member = ORDINARY,
    merchant: str = "gongren-julebu",
    site: str = "main",
    at: str = "2013-01-01 12:00",
) -> Sold:
    answers = {} if form is None else {"format": form}
    return Sold("winter-film", (("film-ticket", tickets, list_fen, answers),), {}, who, merchant, site, at)


def two_lines(first: int, second: int) -> Sold:
    lines = (("film-ticket", first, 8000, {"format": "2d"}), ("film-ticket", second, 6000, {"format": "2d"}))
    return Sold("winter-film", lines, at="2013-01-01 12:00")


CASES = [
    Case("one ticket", film(1), 1000),
    Case("two tickets", film(), 2000),
    Case("three tickets", film(3), refused=("limit-reached",)),
    Case("one fen above the offer", film(2, 1001), 2000),
    Case("the offer's own price", film(2, 1000), refused=("no-benefit",)),
    Case("below it", film(2, 900), refused=("no-benefit",)),
    Case("two lines of one each", two_lines(1, 1), 2000),
    Case("two lines of three in all", two_lines(2, 1), refused=("limit-reached",)),
    Case("one today, one tomorrow: once is once", film(1, at="2013-01-02 12:00"), refused=("limit-reached",),
         before=(film(1),)),
    Case("after two", film(1), refused=("limit-reached", "limit-reached"), before=(film(),)),
    Case("after two, at another cinema", film(1, merchant="miyun"), refused=("limit-reached", "limit-reached"),
         before=(film(),)),
    Case("after two, with a replaced card", film(1, who=holder(replaced=True)),
         refused=("limit-reached", "limit-reached"), before=(film(),)),
    Case("another member", film(who=holder("b")), 2000, before=(film(),)),
    Case("a model worker like everybody", film(who=holder(member_class=MemberClass.MODEL_WORKER)), 2000),
    Case("the minute before the campaign", film(at="2012-12-24 23:59"), refused=("not-started",)),
    Case("its first minute", film(at="2012-12-25 00:00"), 2000),
    Case("its last minute", film(at="2013-02-20 23:59"), 2000),
    Case("the minute after it", film(at="2013-02-21 00:00"), refused=("ended",)),
    Case("before the agreement", film(at="2012-11-30 12:00"), refused=("no-agreement", "not-started")),
    Case("after the agreement", film(at="2013-12-01 12:00"), refused=("no-agreement", "ended")),
    Case("3D", film(form="3d"), refused=("excluded",)),
    Case("no word about 3D", film(form=None), refused=("attribute-missing",)),
    Case("a format that nobody knows", film(form="imax"), refused=("attribute-invalid",)),
    Case("the last of the eight cinemas", film(merchant="liangxiang"), 2000),
    Case("a laundry", film(merchant="sample-laundry"), refused=("wrong-store",)),
    Case("a second hall that nobody named", film(site="second"), refused=("wrong-store",)),
    Case("not a ticket", Sold("winter-film", (("laundry", 1, 3000, {}),), at="2013-01-01 12:00"),
         refused=("wrong-category",)),
    Case("no ticket at all", film(0), refused=("quantity-invalid",)),
    Case("a price beyond any", film(2, 100_000_001), refused=("price-invalid",)),
    Case("card reported lost", film(who=holder(standing=Standing.SUSPENDED)), refused=("not-a-member",)),
    Case("not activated yet", film(who=holder(standing=Standing.INACTIVE)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_winter_film(case: Case) -> None:
    check(case, BOOK, "gongren-julebu")


@pytest.mark.parametrize(("granted", "refused"), [(None, ["needs-hq"]), (1, ["quota-gone"]), (2, [])])
def test_film_needs_a_share_of_the_citys_20_000(granted: int | None, refused: list[str]) -> None:
    usage = FakeUsage(slices={} if granted is None else {"winter-film/pool": granted})
    line = SaleLine("film-ticket", 2, 8000, {"format": "2d"})
    assert codes(Till(Place("gongren-julebu", "main", "t1"), BOOK, usage).quote("winter-film", line)) == refused

"""Mistakes that the comparison with the reference brought to light, each by its own name."""

from __future__ import annotations

from datetime import date

import pytest

from terminal.offers.catalogue import Category
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.limits import claim_on, room_of, scope_values
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Place, SaleLine
from terminal.offers.values import Wording
from tests.fakes.cases import published
from tests.fakes.offers import BOOK, FakeUsage, Till, codes, member

OFFER = BOOK.offers["winter-haircut"].offer
PLACE = Place("manrui", "main", "t1")
DAY = date(2013, 1, 31)
HAIRCUT = Category(name=Wording(zh="理发", en="haircuts"), unit=Wording(zh="次", en="haircut(s)"))


def refused(limit: Limit, usage: FakeUsage, asked: int) -> Refusal:
    room = room_of(OFFER, limit, scope_values(OFFER, member(), PLACE, "V123", None), usage, DAY)
    assert room is not None
    answer = claim_on(OFFER, room, asked, HAIRCUT, DAY)
    assert isinstance(answer, Refusal)
    return answer


def test_second_pack_at_its_own_price_does_not_slip_past_the_limit() -> None:
    gym = Till(Place("zhongtibeili", "club-1", "t1"), published("everyday"))
    dear, plain = SaleLine("gym-pack", 1, 30_000, {}), SaleLine("gym-pack", 1, 18_000, {})
    answer = gym.quote("gym-pack", dear, plain, at="2013-03-01 12:00")
    assert codes(answer) == ["limit-reached"]
    assert answer.refusals[0].numbers["asked"] == 2


@pytest.mark.parametrize(
    ("per", "window"),
    [((Scope.SALE,), Window.DAY), ((Scope.CARD, Scope.SALE), Window.YEAR), ((Scope.CARD,), Window.SALE)],
)
def test_limit_of_one_bill_promises_nothing_for_tomorrow(per: tuple[Scope, ...], window: Window) -> None:
    limit = Limit(id="some", max=2, count=Count.UNITS, per=per, window=window, offline=Offline.LOCAL)
    answer = refused(limit, FakeUsage(), 3)
    assert answer.numbers.keys().isdisjoint({"frees", "next_day"})
    assert "again" not in answer.remedy("en")


def test_voucher_without_a_grant_left_was_not_used_already() -> None:
    limit = Limit(id="some", max=1, count=Count.USES, per=(Scope.VOUCHER,), window=Window.EVER, offline=Offline.LEASE)
    nothing_granted = FakeUsage(slices={"winter-haircut/some": 0})
    assert refused(limit, nothing_granted, 1).code == "limit-reached"
    one_used = FakeUsage({"winter-haircut|some|voucher=V123|ever=all": 1}, {"winter-haircut/some": 1})
    assert refused(limit, one_used, 1).code == "voucher-used"

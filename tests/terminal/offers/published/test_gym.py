"""Gym: 75 percent of the all-access card, one free session ever, and a pack of three visits counted off one by one."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from terminal.offers.sale import Place, SaleLine
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published
from tests.fakes.offers import Till

BOOK = published("everyday")


def sold(offer: str, category: str, count: int, list_fen: int, who: Member, site: str, at: str, merchant: str) -> Sold:
    return Sold(offer, ((category, count, list_fen, {}),), who=who, merchant=merchant, site=site, at=at)


def card(
    list_fen: int = 100_000, count: int = 1, *, who: Member = ORDINARY, site: str = "club-1",
    at: str = "2013-03-01 12:00", merchant: str = "zhongtibeili"
) -> Sold:  # fmt: skip
    return sold("gym-card", "gym-card", count, list_fen, who, site, at, merchant)


def free(
    count: int = 1, *, list_fen: int = 10_000, who: Member = ORDINARY, site: str = "club-1",
    at: str = "2013-03-01 12:00", merchant: str = "zhongtibeili"
) -> Sold:  # fmt: skip
    return sold("gym-free-session", "gym-session", count, list_fen, who, site, at, merchant)


def pack(
    count: int = 1, *, list_fen: int = 30_000, who: Member = ORDINARY, site: str = "club-1",
    at: str = "2013-03-01 12:00", merchant: str = "zhongtibeili"
) -> Sold:  # fmt: skip
    return sold("gym-pack", "gym-pack", count, list_fen, who, site, at, merchant)


def visit(
    count: int = 1, *, list_fen: int = 10_000, who: Member = ORDINARY, site: str = "club-1",
    at: str = "2013-03-02 12:00", merchant: str = "zhongtibeili"
) -> Sold:  # fmt: skip
    return sold("gym-visit", "gym-session", count, list_fen, who, site, at, merchant)


CARD_CASES = [
    Case("75 percent", card(), 75_000),
    Case("to the fen", card(9999), 7499),  # 7499.25
    Case("half up", card(10), 8),  # 7.5
    Case("a saving that rounds away", card(2), refused=("no-benefit",)),  # 1.5 rounds up to the list price
    Case("two cards", card(100_000, 2), 150_000),
    Case("one fen", card(1), refused=("no-benefit",)),
    Case("nothing", card(0), refused=("no-benefit",)),
    Case("at the seventh club", card(site="club-7"), 75_000),
    Case("at an eighth", card(site="club-8"), refused=("wrong-store",)),
    Case("as often as liked", card(), 75_000, before=(card(), card())),
    Case("years later", card(at="2029-12-31 23:59"), 75_000),
    Case("before the agreement", card(at="2011-12-31 12:00"), refused=("no-agreement",)),
    Case("a stranger", card(who=holder(standing=Standing.UNKNOWN)), refused=("not-a-member",)),
    Case("nobody's quantity", card(count=0), refused=("quantity-invalid",)),
]
FREE_CASES = [
    Case("free once", free(), 0),
    Case("twice in one bill", free(2), refused=("limit-reached",)),
    Case("the second time", free(), refused=("limit-reached",), before=(free(),)),
    Case("the second time at another club", free(site="club-2"), refused=("limit-reached",), before=(free(),)),
    Case("years later, still once ever", free(at="2023-03-01 12:00"), refused=("limit-reached",), before=(free(),)),
    Case("with a replaced card", free(who=holder(replaced=True)), refused=("limit-reached",), before=(free(),)),
    Case("another member", free(who=holder("b")), 0, before=(free(),)),
    Case("a session that costs nothing anyway", free(list_fen=0), refused=("no-benefit",)),
    Case("that used nothing", free(), 0),
    Case("expired card", free(who=holder(standing=Standing.EXPIRED)), refused=("not-a-member",)),
    Case("elsewhere", free(merchant="aquarium", site="main"), refused=("wrong-store",)),
    Case("before the agreement", free(at="2011-12-31 12:00"), refused=("no-agreement",)),
]

PACK_CASES = [
    Case("three sessions at 60 yuan", pack(), 18_000),
    Case("cheaper at list", pack(list_fen=15_000), 15_000),
    Case("two packs", pack(2), refused=("limit-reached",)),
    Case("sold once", pack(), refused=("limit-reached",), before=(pack(),)),
    Case("sold once, card replaced", pack(who=holder(replaced=True)), refused=("limit-reached",), before=(pack(),)),
    Case("one fen above the offer", pack(list_fen=18_001), 18_000),
    Case("the offer's own price: nothing saved, three visits opened", pack(list_fen=18_000), 18_000),
    Case("sold once, at another club", pack(site="club-7"), refused=("limit-reached",), before=(pack(),)),
    Case("sold once, years later", pack(at="2023-03-01 12:00"), refused=("limit-reached",), before=(pack(),)),
    Case("another member's own pack", pack(who=holder("b")), 18_000, before=(pack(),)),
    Case("a pack elsewhere", pack(merchant="aquarium", site="main"), refused=("wrong-store",)),
    Case("a pack before the agreement", pack(at="2011-12-31 23:59"), refused=("no-agreement",)),
    Case("a pack on an expired card", pack(who=holder(standing=Standing.EXPIRED)), refused=("not-a-member",)),
    Case("a visit without a pack", visit(), refused=("no-visits-left",)),
    Case("the first visit", visit(), 0, before=(pack(),)),
    Case("the third visit", visit(), 0, before=(pack(), visit(), visit())),
    Case("the fourth visit", visit(), refused=("no-visits-left",), before=(pack(), visit(), visit(), visit())),
    Case("three at once", visit(3), 0, before=(pack(),)),
    Case("four at once", visit(4), refused=("no-visits-left",), before=(pack(),)),
    Case("two after two", visit(2), refused=("no-visits-left",), before=(pack(), visit(2))),
    Case("at another club", visit(site="club-5"), 0, before=(pack(), visit())),
    Case("with a replaced card", visit(who=holder(replaced=True)), 0, before=(pack(),)),
    Case("another member's pack", visit(who=holder("b")), refused=("no-visits-left",), before=(pack(),)),
    Case("a year later", visit(at="2014-03-02 12:00"), 0, before=(pack(),)),
    Case("a suspended card", visit(who=holder(standing=Standing.SUSPENDED)), refused=("not-a-member",),
         before=(pack(),)),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [*CARD_CASES, *FREE_CASES, *PACK_CASES], ids=lambda case: f"{case.sale.offer}: {case.name}"
)
def test_gym(case: Case) -> None:
    check(case, BOOK, "zhongtibeili")


def test_refusal_says_how_many_visits_there_were() -> None:
    till = Till(Place("zhongtibeili", "club-1", "t1"), BOOK)
    till.sell("gym-pack", SaleLine("gym-pack", 1, 30_000, {}))
    till.sell("gym-visit", SaleLine("gym-session", 2, 10_000, {}))
    (refusal,) = till.quote("gym-visit", SaleLine("gym-session", 2, 10_000, {})).refusals
    assert {name: refusal.numbers[name] for name in ("opened", "used", "remaining", "asked")} == {
        "opened": 3, "used": 2, "remaining": 1, "asked": 2,
    }  # fmt: skip
    assert refusal.text("zh") == "套餐共 3 次，已用 2 次，还剩 1 次，这次要 2 次"

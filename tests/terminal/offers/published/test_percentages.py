"""Health checks, canal boat, aquarium: a plain percentage at named places, without limits."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, MemberClass, Standing
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published

BOOK = published("everyday")


def sale(
    offer: str,
    category: str,
    list_fen: int,
    count: int = 1,
    *,
    who: Member = ORDINARY,
    merchant: str,
    site: str = "main",
    at: str = "2013-06-01 12:00",
) -> Sold:
    return Sold(offer, ((category, count, list_fen, {}),), who=who, merchant=merchant, site=site, at=at)


def sanatorium(list_fen: int = 60_000, count: int = 1, **where: object) -> Sold:
    at = {"merchant": "sanatorium", **where}
    return sale("checkup-sanatorium", "health-check", list_fen, count, **at)  # type: ignore[arg-type]


def vip(list_fen: int = 200_000, count: int = 1, category: str = "health-check-vip", **where: object) -> Sold:
    at = {"merchant": "sanatorium", **where}
    return sale("checkup-sanatorium-vip", category, list_fen, count, **at)  # type: ignore[arg-type]


def ciming(list_fen: int = 60_000, count: int = 1, category: str = "health-check", **where: object) -> Sold:
    at = {"merchant": "ciming", "site": "branch-1", **where}
    return sale("checkup-ciming", category, list_fen, count, **at)  # type: ignore[arg-type]


def boat(list_fen: int = 8000, count: int = 1, **where: object) -> Sold:
    at = {"merchant": "canal", **where}
    return sale("canal-boat", "boat-ticket", list_fen, count, **at)  # type: ignore[arg-type]


def aquarium(list_fen: int = 13_000, count: int = 1, **where: object) -> Sold:
    at = {"merchant": "aquarium", **where}
    return sale("aquarium", "aquarium-ticket", list_fen, count, **at)  # type: ignore[arg-type]


SANATORIUM = [
    Case("80 percent", sanatorium(), 48_000),
    Case("two packages", sanatorium(60_000, 2), 96_000),
    Case("below the half goes down", sanatorium(60_001), 48_001),  # 48000.8
    Case("half up", sanatorium(13), 10),  # 10.4
    Case("rounds to the list price", sanatorium(2), refused=("no-benefit",)),  # 1.6
    Case("free already", sanatorium(0), refused=("no-benefit",)),
    Case("not the VIP package", sale("checkup-sanatorium", "health-check-vip", 200_000, merchant="sanatorium"),
         refused=("wrong-category",)),
    Case("again and again", sanatorium(), 48_000, before=(sanatorium(), sanatorium())),
    Case("model worker the same", sanatorium(who=holder(member_class=MemberClass.MODEL_WORKER)), 48_000),
    Case("at Ciming", sanatorium(merchant="ciming", site="branch-1"), refused=("wrong-store",)),
    Case("first day of the agreement", sanatorium(at="2012-01-01 00:00"), 48_000),
    Case("the day before", sanatorium(at="2011-12-31 23:59"), refused=("no-agreement",)),
    Case("withdrawn", sanatorium(who=holder(standing=Standing.WITHDRAWN)), refused=("not-a-member",)),
    Case("VIP at 75 percent", vip(), 150_000),
    Case("VIP to the fen", vip(200_001), 150_001),  # 150000.75
    Case("VIP twice", vip(200_000, 2), 300_000),
    Case("VIP half up", vip(2002), 1502),  # 1501.5
    Case("VIP of a plain package", vip(category="health-check"), refused=("wrong-category",)),
    Case("VIP elsewhere", vip(merchant="aquarium"), refused=("wrong-store",)),
    Case("VIP years later", vip(at="2028-02-29 12:00"), 150_000),
    Case("VIP before the agreement", vip(at="2011-12-31 12:00"), refused=("no-agreement",)),
    Case("VIP with a lost card", vip(who=holder(standing=Standing.LOST)), refused=("not-a-member",)),
    Case("VIP, nothing to save", vip(1), refused=("no-benefit",)),
    Case("VIP, too many", vip(count=1000), refused=("quantity-invalid",)),
    Case("VIP, beyond any price", vip(100_000_001), refused=("price-invalid",)),
]  # fmt: skip

CIMING = [
    Case("90 percent", ciming(), 54_000),
    Case("VIP package too", ciming(200_000, category="health-check-vip"), 180_000),
    Case("two", ciming(60_000, 2), 108_000),
    Case("to the fen", ciming(60_001), 54_001),  # 54000.9
    Case("half up", ciming(15), 14),  # 13.5
    Case("rounds to the list price", ciming(5), refused=("no-benefit",)),  # 4.5 goes up to 5
    Case("the twelfth branch", ciming(site="branch-12"), 54_000),
    Case("a thirteenth", ciming(site="branch-13"), refused=("wrong-store",)),
    Case("at the sanatorium", ciming(merchant="sanatorium", site="main"), refused=("wrong-store",)),
    Case("again", ciming(), 54_000, before=(ciming(),)),
    Case("not a check-up", ciming(category="books"), refused=("wrong-category",)),
    Case("before the agreement", ciming(at="2011-12-31 12:00"), refused=("no-agreement",)),
    Case("inactive card", ciming(who=holder(standing=Standing.INACTIVE)), refused=("not-a-member",)),
]

BOAT = [
    Case("half", boat(), 4000),
    Case("half up", boat(8001), 4001),  # 4000.5
    Case("a family", boat(8000, 4), 16_000),
    Case("first day of the season", boat(at="2013-04-15 00:00"), 4000),
    Case("the day before", boat(at="2013-04-14 23:59"), refused=("not-started",)),
    Case("last day", boat(at="2013-10-15 23:59"), 4000),
    Case("the day after", boat(at="2013-10-16 00:00"), refused=("ended",)),
    Case("rounds to the list price", boat(1), refused=("no-benefit",)),
    Case("free already", boat(0), refused=("no-benefit",)),
    Case("at the aquarium", boat(merchant="aquarium"), refused=("wrong-store",)),
    Case("again", boat(), 4000, before=(boat(), boat())),
    Case("another bank's card", boat(who=holder(standing=Standing.OTHER_ISSUER)), refused=("not-a-member",)),
]

AQUARIUM = [
    Case("70 percent", aquarium(), 9100),
    Case("below the half goes down", aquarium(13_002), 9101),  # 9101.4
    Case("half up", aquarium(13_005), 9104),  # 9103.5
    Case("three", aquarium(13_000, 3), 27_300),
    Case("rounds to the list price", aquarium(1), refused=("no-benefit",)),  # 0.7 goes up to 1
    Case("two fen", aquarium(2), 1),  # 1.4
    Case("free already", aquarium(0), refused=("no-benefit",)),
    Case("on New Year's Eve", aquarium(at="2013-12-31 23:59"), 9100),
    Case("decades later", aquarium(at="2040-06-01 12:00"), 9100),
    Case("before the agreement", aquarium(at="2011-12-31 23:59"), refused=("no-agreement",)),
    Case("on the canal", aquarium(merchant="canal"), refused=("wrong-store",)),
    Case("again", aquarium(), 9100, before=(aquarium(),)),
    Case("expired card", aquarium(who=holder(standing=Standing.EXPIRED)), refused=("not-a-member",)),
]


@pytest.mark.parametrize(
    "case", [*SANATORIUM, *CIMING, *BOAT, *AQUARIUM], ids=lambda case: f"{case.sale.offer}: {case.name}"
)
def test_percentage_offer(case: Case) -> None:
    check(case, BOOK, "")

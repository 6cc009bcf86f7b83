"""Park annual pass: half of 200 yuan, one per member and sale season, in its hours, with ID card and photo."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Member, Standing
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published

BOOK = published("winter-2012")
PAPERS: dict[str, str | bool] = {"id-card": "11010519491231002X", "photo": True}
WITH_TRANSIT_CARD = {**PAPERS, "transit-card": True}


def park(
    proofs: dict[str, str | bool] = WITH_TRANSIT_CARD,
    *,
    count: int = 1,
    list_fen: int = 20_000,
    purchase: str | None = "new",
    who: Member = ORDINARY,
    merchant: str = "parks",
    site: str = "beihai",
    at: str = "2012-12-20 10:00",
) -> Sold:
    answers = {} if purchase is None else {"purchase": purchase}
    return Sold("park-pass", (("park-annual-pass", count, list_fen, answers),), proofs, who, merchant, site, at)


CASES = [
    Case("half, with the buyer's own transit card", park(), 10_000),
    Case("and 3 yuan for a base card without one", park(PAPERS), 10_300),
    Case("transit card asked for and not there", park({**PAPERS, "transit-card": False}), 10_300),
    Case("renewal likewise", park(purchase="renewal"), 10_000),
    Case("renewal without a transit card", park(PAPERS, purchase="renewal"), 10_300),
    Case("half up to the fen", park(list_fen=20_001), 10_001),
    Case("no word whether new or renewal", park(purchase=None), refused=("attribute-missing",)),
    Case("neither new nor renewal", park(purchase="gift"), refused=("attribute-invalid",)),
    Case("no ID card", park({"photo": True}), refused=("proof-missing",)),
    Case("no photo", park({"id-card": "11010519491231002X"}), refused=("proof-missing",)),
    Case("neither", park({}), refused=("proof-missing", "proof-missing")),
    Case("an endless ID number", park({**PAPERS, "id-card": "1" * 65}), refused=("proof-invalid",)),
    Case("the day before the season", park(at="2012-12-14 12:00"), refused=("not-started",)),
    Case("a minute early on the first day", park(at="2012-12-15 08:29"), refused=("outside-hours",)),
    Case("the first minute, a Saturday", park(at="2012-12-15 08:30"), 10_000),
    Case("a Sunday", park(at="2012-12-16 16:29"), 10_000),
    Case("New Year's Day", park(at="2013-01-01 09:00"), 10_000),
    Case("the last minute", park(at="2013-01-15 16:29"), 10_000),
    Case("a minute late", park(at="2013-01-15 16:30"), refused=("outside-hours",)),
    Case("the day after the season", park(at="2013-01-16 12:00"), refused=("ended",)),
    Case("a second pass", park(at="2013-01-10 10:00"), refused=("limit-reached",), before=(park(),)),
    Case("a renewal after a new one", park(purchase="renewal"), refused=("limit-reached",), before=(park(),)),
    Case("a second one in another park", park(site="xiangshan"), refused=("limit-reached",), before=(park(),)),
    Case("a second one with a replaced card", park(who=holder(replaced=True)), refused=("limit-reached",),
         before=(park(),)),
    Case("two at once", park(count=2), refused=("limit-reached",)),
    Case("another member's", park(who=holder("b")), 10_000, before=(park(),)),
    Case("free already", park(list_fen=0), refused=("no-benefit",)),
    Case("a park that sells none", park(site="yuanmingyuan"), refused=("wrong-store",)),
    Case("a cinema", park(merchant="dongsi", site="main"), refused=("wrong-store",)),
    Case("a day ticket", Sold("park-pass", (("film-ticket", 1, 1000, {}),), WITH_TRANSIT_CARD, site="beihai",
         at="2012-12-20 10:00"), refused=("wrong-category",)),
    Case("before the agreement", park(at="2012-11-30 12:00"), refused=("no-agreement", "not-started")),
    Case("expired card", park(who=holder(standing=Standing.EXPIRED)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_park_pass(case: Case) -> None:
    check(case, BOOK, "parks")

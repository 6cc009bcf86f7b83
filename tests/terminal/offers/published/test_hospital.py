"""TCM hospital: a rate for each category of the bill, or 10 percent off all with the insurance card, never both."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.sale import Place, SaleLine
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published
from tests.fakes.offers import Till

BOOK = published("everyday")
HARDSHIP = holder(member_class=MemberClass.HARDSHIP)
MODEL_WORKER = holder(member_class=MemberClass.MODEL_WORKER)
INSURED = {"insurance-card": True}
BILL = (("registration", 500), ("drugs", 20_000), ("treatment", 10_000), ("examination", 30_000))


def bill(
    offer: str | None,
    *items: tuple[str, int],
    proofs: Mapping[str, str | bool] | None = None,
    who: Member = ORDINARY,
    merchant: str = "tcm-hospital",
    at: str = "2013-03-01 09:00",
) -> Sold:
    lines = tuple((category, 1, list_fen, {}) for category, list_fen in items)
    return Sold(offer, lines, proofs or {}, who, merchant, at=at)


def insured(*items: tuple[str, int], who: Member = ORDINARY, **where: str) -> Sold:
    return bill("hospital-insured", *items, proofs=INSURED, who=who, **where)


def cared_for(*items: tuple[str, int], who: Member = MODEL_WORKER, **where: str) -> Sold:
    return bill("hospital-cared-for", *items, who=who, **where)


CASES = [
    Case("registration is free", bill("hospital", ("registration", 500)), 0),
    Case("drugs minus 15 percent", bill("hospital", ("drugs", 20_000)), 17_000),
    Case("treatment minus 30", bill("hospital", ("treatment", 10_000)), 7000),
    Case("examination at half", bill("hospital", ("examination", 30_000)), 15_000),
    Case("the whole bill", bill("hospital", *BILL), 0 + 17_000 + 7000 + 15_000),
    Case("each line rounds by itself", bill("hospital", ("drugs", 10), ("drugs", 10)), 18),  # 8.5 + 8.5, each up to 9
    Case("insured, 10 percent off all", bill("hospital-insured", *BILL, proofs=INSURED), 450 + 18_000 + 9000 + 27_000),
    Case("insured without the card", bill("hospital-insured", *BILL), refused=("proof-missing",)),
    Case("insured, card not shown", bill("hospital-insured", *BILL, proofs={"insurance-card": False}),
         refused=("proof-missing",)),
    Case("the better way is chosen", bill(None, *BILL, proofs=INSURED), 39_000),
    Case("for drugs alone the rates win too", bill(None, ("drugs", 20_000), proofs=INSURED), 17_000),
    Case("a model worker's drugs", bill("hospital-cared-for", ("drugs", 20_000), who=MODEL_WORKER), 16_000),
    Case("and chosen by itself", bill(None, *BILL, who=MODEL_WORKER, proofs=INSURED), 0 + 16_000 + 6500 + 13_500),
    Case("in hardship", bill("hospital-cared-for", ("treatment", 10_000),
         who=holder(member_class=MemberClass.HARDSHIP)), 6500),
    Case("the better rates are not for all", bill("hospital-cared-for", *BILL), refused=("wrong-class",)),
    Case("something else on the bill", bill("hospital", ("drugs", 20_000), ("books", 100)),
         refused=("wrong-category",)),
    Case("nothing to save", bill("hospital", ("drugs", 1)), refused=("no-benefit",)),
    Case("elsewhere", bill("hospital", *BILL, merchant="aquarium"), refused=("wrong-store",)),
    Case("before the agreement", bill("hospital", *BILL, at="2011-12-31 09:00"), refused=("no-agreement",)),
    Case("years later", bill("hospital", *BILL, at="2025-03-01 09:00"), 39_000),
    Case("every day anew", bill("hospital", *BILL), 39_000, before=(bill("hospital", *BILL),)),
    Case("lost card", bill("hospital", *BILL, who=holder(standing=Standing.LOST)), refused=("not-a-member",)),
]  # fmt: skip

INSURED_CASES = [
    Case("registration", insured(("registration", 500)), 450),
    Case("half up", insured(("drugs", 15)), 14),  # 13.5
    Case("each line rounds by itself", insured(("drugs", 15), ("treatment", 15)), 28),
    Case("rounds to the list price", insured(("drugs", 5)), refused=("no-benefit",)),  # 4.5 goes up to 5
    Case("one line saves, one does not", insured(("drugs", 5), ("treatment", 100)), 95),
    Case("a model worker may take this way too", insured(("drugs", 20_000), who=MODEL_WORKER), 18_000),
    Case("the card typed instead of seen", bill("hospital-insured", *BILL, proofs={"insurance-card": "110105"}),
         refused=("proof-missing",)),
    Case("another day", insured(*BILL, at="2013-03-02 09:00"), 54_450, before=(insured(*BILL),)),
    Case("its first minute", insured(*BILL, at="2012-01-01 00:00"), 54_450),
    Case("before the agreement", insured(*BILL, at="2011-12-31 23:59"), refused=("no-agreement",)),
    Case("elsewhere", insured(*BILL, merchant="aquarium"), refused=("wrong-store",)),
    Case("a book on the bill", insured(("drugs", 20_000), ("books", 100)), refused=("wrong-category",)),
    Case("no bill", insured(), refused=("lines-invalid",)),
    Case("card reported lost", insured(*BILL, who=holder(standing=Standing.SUSPENDED)), refused=("not-a-member",)),
]  # fmt: skip

CARED_FOR_CASES = [
    Case("registration is free", cared_for(("registration", 500)), 0),
    Case("examination at 45 percent", cared_for(("examination", 30_000)), 13_500),
    Case("the whole bill", cared_for(*BILL), 0 + 16_000 + 6500 + 13_500),
    Case("the whole bill, in hardship", cared_for(*BILL, who=HARDSHIP), 36_000),
    Case("below the half goes down", cared_for(("drugs", 13)), 10),  # 10.4
    Case("half up", cared_for(("treatment", 10)), 7),  # 6.5
    Case("rounds to the list price", cared_for(("drugs", 2)), refused=("no-benefit",)),  # 1.6
    Case("free registration that costs nothing", cared_for(("registration", 0)), refused=("no-benefit",)),
    Case("every day anew", cared_for(*BILL), 36_000, before=(cared_for(*BILL),)),
    Case("with a replaced card", cared_for(*BILL, who=holder(member_class=MemberClass.HARDSHIP, replaced=True)),
         36_000),
    Case("a model worker who left", cared_for(*BILL, who=holder(
        standing=Standing.WITHDRAWN, member_class=MemberClass.MODEL_WORKER)), refused=("not-a-member",)),
    Case("an ordinary member whose card expired", cared_for(*BILL, who=holder(standing=Standing.EXPIRED)),
         refused=("not-a-member", "wrong-class")),
    Case("elsewhere", cared_for(*BILL, merchant="aquarium"), refused=("wrong-store",)),
    Case("before the agreement", cared_for(*BILL, at="2011-12-31 09:00"), refused=("no-agreement",)),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", [*CASES, *INSURED_CASES, *CARED_FOR_CASES], ids=lambda case: f"{case.sale.offer}: {case.name}"
)
def test_hospital(case: Case) -> None:
    check(case, BOOK, "tcm-hospital")


def test_the_way_not_taken_is_named_with_the_reason() -> None:
    till = Till(Place("tcm-hospital", "main", "t1"), BOOK)
    answer = till.quote(None, SaleLine("drugs", 1, 20_000, {}), proofs=INSURED)
    passed = {one.offer: [str(refusal.code) for refusal in one.refusals] for one in answer.passed_over}
    assert answer.offer == "hospital"
    assert passed == {"hospital-insured": ["beaten-by"], "hospital-cared-for": ["wrong-class"]}

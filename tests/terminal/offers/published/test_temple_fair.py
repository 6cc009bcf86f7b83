"""Temple fair: free with a registered voucher, one booking per card, on the fair's days, at any of the named parks."""

from __future__ import annotations

from datetime import date

import pytest

from terminal.membership.standing import Member, Standing
from terminal.offers.voucher import VoucherRecord, check_character
from tests.fakes.cases import ORDINARY, Case, Sold, check, holder, published

BOOK = published("everyday")


def code(stem: str) -> str:
    return stem + check_character(stem)


OWN, BEARER, OTHERS, SECOND = code("MH0001"), code("MH0002"), code("MH0003"), code("MH0004")
ENDED, REVOKED, HAIRCUT, DITAN_ONLY, BY_CARD = (code(f"MH{n:04d}") for n in range(5, 10))
REGISTER = {
    OWN: VoucherRecord("temple-fair", ORDINARY.person, None),
    SECOND: VoucherRecord("temple-fair", ORDINARY.person, None),
    BEARER: VoucherRecord("temple-fair", None, None),
    OTHERS: VoucherRecord("temple-fair", holder("b").person, None),
    ENDED: VoucherRecord("temple-fair", None, date(2013, 2, 10)),
    REVOKED: VoucherRecord("temple-fair", None, None, revoked=True),
    HAIRCUT: VoucherRecord("winter-haircut", None, None),
    DITAN_ONLY: VoucherRecord("temple-fair", None, None, frozenset({"ditan"})),
    BY_CARD: VoucherRecord("temple-fair", ORDINARY.token, None),
}


def fair(
    voucher: str | None = OWN,
    tickets: int = 1,
    *,
    who: Member = ORDINARY,
    merchant: str = "ditan",
    at: str = "2013-02-10 10:00",
) -> Sold:
    proofs = {} if voucher is None else {"voucher": voucher}
    return Sold("temple-fair", (("fair-ticket", tickets, 1000, {}),), proofs, who, merchant, at=at)


CASES = [
    Case("with the voucher", fair(), 0),
    Case("at another park", fair(merchant="daguanyuan"), 0),
    Case("typed small and with blanks", fair(f" {OWN[:3].lower()} {OWN[3:].lower()}"), 0),
    Case("the first day", fair(at="2013-02-09 00:00"), 0),
    Case("the last minute", fair(at="2013-02-15 23:59"), 0),
    Case("the day before", fair(at="2013-02-08 23:59"), refused=("not-started",)),
    Case("the day after", fair(at="2013-02-16 00:00"), refused=("ended",)),
    Case("no voucher", fair(None), refused=("proof-missing",)),
    Case("a slip of the finger", fair(OWN[:-1] + ("0" if OWN[-1] != "0" else "1")), refused=("voucher-unknown",)),
    Case("a good code that nobody registered", fair(code("MH9999")), refused=("voucher-unknown",)),
    Case("revoked", fair(REVOKED), refused=("voucher-unknown",)),
    Case("another offer's voucher", fair(HAIRCUT), refused=("voucher-other-offer",)),
    Case("another member's voucher", fair(OTHERS), refused=("voucher-other-card",)),
    Case("whoever brings it", fair(BEARER, who=holder("c")), 0),
    Case("booked for the card, before it was replaced", fair(BY_CARD), 0),
    Case("a voucher for one park, there", fair(DITAN_ONLY), 0),
    Case("a voucher for one park, elsewhere", fair(DITAN_ONLY, merchant="longtan"),
         refused=("voucher-other-merchant",)),
    Case("its last day", fair(ENDED), 0),
    Case("the day after its last", fair(ENDED, at="2013-02-11 00:00"), refused=("voucher-expired",)),
    Case("used already, by another member", fair(BEARER, who=holder("c")), refused=("voucher-used",),
         before=(fair(BEARER),)),
    Case("a second booking", fair(SECOND), refused=("limit-reached",), before=(fair(),)),
    Case("two tickets with one voucher", fair(tickets=2), refused=("limit-reached",)),
    Case("a park that takes no part", fair(merchant="aquarium"), refused=("wrong-store",)),
    Case("a lost card", fair(who=holder(standing=Standing.LOST)), refused=("not-a-member",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_temple_fair(case: Case) -> None:
    check(case, BOOK, "ditan", REGISTER)


def test_terminal_without_the_register_asks_headquarters() -> None:
    check(Case("no register", fair(), refused=("needs-hq",)), BOOK, "ditan", None)

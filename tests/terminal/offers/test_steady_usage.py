"""A quote while another till sells: it is worked out from one count, and the ledger refuses it if that has moved."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from terminal.offers.quote import quote
from terminal.offers.sale import Place, Sale, SaleLine
from tests.fakes.offers import FakeUsage, beijing, member
from tests.terminal.offers.test_sixteen_tills import BOOK

TILL = Place("hall", "main", "till-1")


@dataclass
class MovingUsage(FakeUsage):
    """Another till sells one more each time that somebody has looked."""

    looked_at: list[str] = field(default_factory=list)

    def used(self, key: str) -> int:
        found = super().used(key)
        self.looked_at.append(key)
        self.counts[key] = found + 1
        return found


@pytest.mark.parametrize(("stamped", "pay_fen"), [(2, 1200), (3, 0), (4, 1200)])
def test_price_and_claim_come_from_the_same_count(stamped: int, pay_fen: int) -> None:
    holder = member()
    key = f"cake|_stamps|person={holder.person}|ever=all"
    usage = MovingUsage({key: stamped})
    answer = quote(
        Sale(TILL, "cake", (SaleLine("cake", 1, 1200, {}),), {}), holder, BOOK, usage, beijing("2013-01-01 12:00")
    )
    assert answer.pay_fen == pay_fen
    assert [(claim.key, claim.max) for claim in answer.claims] == [(key, stamped + 1)]
    assert usage.looked_at == [key], "the next look would have told of another till's sale"

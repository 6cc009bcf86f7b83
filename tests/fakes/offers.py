"""A usage ledger in a dict, and short ways to say "this sale, this member, this moment" in tests of the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, load_book
from terminal.offers.limits import LimitClaim
from terminal.offers.quote import Quote, quote
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.visits import day_of, redeemed_prefix
from terminal.offers.voucher import VoucherRecord

BOOK_PATH = Path(__file__).parents[2] / "config/books/winter-2012.toml"
BEIJING = ZoneInfo("Asia/Shanghai")
GRANTED = 500  # the slice of each pool that the fake headquarters granted
BOOK = load_book(BOOK_PATH)


@dataclass
class FakeUsage:
    """Counts in a dict; `commit` adds claims as the ledger does, never beyond a claim's own bound."""

    counts: dict[str, int] = field(default_factory=dict)
    slices: Mapping[str, int] = field(
        default_factory=lambda: {"winter-film/pool": GRANTED, "winter-haircut/pool": GRANTED}
    )

    vouchers: Mapping[str, VoucherRecord] | None = None  # by code; None: no register here

    def used(self, key: str) -> int:
        return self.counts.get(key, 0)

    def elsewhere(self, key: str) -> int:
        return 0

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        return self.slices.get(f"{offer}/{limit}")

    def last_redeemed(self, offer: str, person: str) -> date | None:
        prefix = redeemed_prefix(offer, person)
        return day_of(max((key for key, used in self.counts.items() if key.startswith(prefix) and used), default=None))

    @property
    def vouchers_known(self) -> bool:
        return self.vouchers is not None

    def voucher(self, code: str) -> VoucherRecord | None:
        return (self.vouchers or {}).get(code)

    def commit(self, claims: Iterable[LimitClaim]) -> None:
        for claim in claims:
            assert claim.amount > 0
            self.counts[claim.key] = self.counts.get(claim.key, 0) + claim.amount
            assert self.counts[claim.key] <= claim.max, claim


def beijing(text: str) -> datetime:
    """`2013-01-01 12:00` on a Beijing clock."""
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING)


def member(
    name: str = "a", standing: Standing = Standing.ACTIVE, member_class: MemberClass = MemberClass.ORDINARY
) -> Member:
    """A member whose card and person tokens are made of one character."""
    return Member("v1:" + name[0] * 64, "v1:" + name[0].upper() * 64, standing, member_class, None)


def codes(answer: Quote) -> list[str]:
    """The refusal codes, in order."""
    return [str(refusal.code) for refusal in answer.refusals]


@dataclass
class Till:
    """One counter: sells by the rules and remembers what was used."""

    place: Place
    book: LoadedBook = BOOK
    usage: FakeUsage = field(default_factory=FakeUsage)

    def quote(
        self,
        offer: str | None,
        *lines: SaleLine,
        proofs: Mapping[str, str | bool] | None = None,
        who: Member | None = None,
        at: str = "2013-01-01 12:00",
    ) -> Quote:
        sale = Sale(self.place, offer, lines, proofs or {})
        return quote(sale, who or member(), self.book, self.usage, beijing(at))

    def sell(
        self,
        offer: str | None,
        *lines: SaleLine,
        proofs: Mapping[str, str | bool] | None = None,
        who: Member | None = None,
        at: str = "2013-01-01 12:00",
    ) -> Quote:
        """Quote, and use up what an eligible quote claims."""
        answer = self.quote(offer, *lines, proofs=proofs, who=who, at=at)
        self.usage.commit(answer.claims)
        return answer

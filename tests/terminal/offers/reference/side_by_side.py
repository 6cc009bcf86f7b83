"""The rules and the reference over the same past: each sale is judged by both, sold once, and remembered by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import uuid_utils

from terminal.ledger.bodies import UsageClaim
from terminal.ledger.ledger import Ledger
from terminal.membership.standing import Member
from terminal.offers.counts import Limit, Offline, Scope
from terminal.offers.limits import LimitClaim, Usage
from terminal.offers.overview import overview
from terminal.offers.quote import Quote, quote
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Place, Sale
from terminal.offers.voucher import VoucherRecord
from terminal.usage import LedgerUsage
from tests.fakes.offers import FakeUsage
from tests.fakes.sales import sale as any_sale
from tests.terminal.offers.reference import judge
from tests.terminal.offers.reference.conditions import Reason
from tests.terminal.offers.reference.history import History, Sold, amount, scope_value, showings
from tests.terminal.offers.reference.worlds import World

# Numbers of a refusal that the text on offers defines; the others are words for the page.
NUMBERS = frozenset(
    {
        "line",
        "attribute",
        "value",
        "proof",
        "lines",
        "max",
        "max_fen",
        "min_fen",
        "have_fen",
        "missing_fen",
        "day",
        "year",
        "offer",
        "limit",
        "used",
        "remaining",
        "asked",
        "opened",
        "first_day",
        "last_day",
        "next_day",
        "next_time",
        "frees",
        "list_fen",
    }
)


class Counters(Protocol):
    """Where the rules' claims go: a dict, or a ledger on disk."""

    @property
    def usage(self) -> Usage: ...
    def authorise(self, redemption: str, answer: Quote, member: Member, sale: Sale) -> None: ...
    def cancel(self, redemption: str) -> None: ...
    def void(self, redemption: str, units: int) -> None: ...


@dataclass
class DictCounters:
    """Counters in a dict; a void gives back each claim's share of the void units, rounded down in all."""

    usage: FakeUsage
    claims: dict[str, tuple[int, Sequence[LimitClaim]]] = field(default_factory=dict)
    void_units: dict[str, int] = field(default_factory=dict)

    def authorise(self, redemption: str, answer: Quote, member: Member, sale: Sale) -> None:
        self.usage.commit(answer.claims)
        self.claims[redemption] = (sum(line.quantity for line in answer.lines), answer.claims)

    def cancel(self, redemption: str) -> None:
        for claim in self.claims[redemption][1]:
            self.usage.counts[claim.key] -= claim.amount

    def void(self, redemption: str, units: int) -> None:
        """`units` of the sale shall be void in all."""
        sold, claims = self.claims[redemption]
        before = self.void_units.get(redemption, 0)
        self.void_units[redemption] = units
        for claim in claims:
            self.usage.counts[claim.key] -= claim.amount * units // sold - claim.amount * before // sold

    def standing(self) -> dict[str, int]:
        """Counters above nothing."""
        return {key: used for key, used in self.usage.counts.items() if used}


@dataclass
class RegisteredLedgerUsage(LedgerUsage):
    """The ledger's counters, with a register of vouchers beside them."""

    def __init__(self, ledger: Ledger, world: World) -> None:
        super().__init__(ledger, world.grants)
        self._register = world.register

    @property
    def vouchers_known(self) -> bool:
        return self._register is not None

    def voucher(self, code: str) -> VoucherRecord | None:
        return (self._register or {}).get(code)


@dataclass
class LedgerCounters:
    """Counters of a real ledger on disk."""

    ledger: Ledger
    world: World

    @property
    def usage(self) -> Usage:
        return RegisteredLedgerUsage(self.ledger, self.world)

    def authorise(self, redemption: str, answer: Quote, member: Member, sale: Sale) -> None:
        asked = any_sale(
            id=redemption,
            token=member.token,
            person=member.person,
            merchant=sale.place.merchant,
            site=sale.place.site,
            offer=answer.offer,
            lines=tuple(line.as_dict() for line in answer.lines),
            fees=tuple(fee.as_dict() for fee in answer.fees),
            list_fen=answer.list_fen,
            pay_fen=answer.pay_fen,
            units=sum(line.quantity for line in answer.lines),
            claims=tuple(UsageClaim(claim.key, claim.amount, claim.max) for claim in answer.claims),
            granted=answer.granted,
        )
        self.ledger.authorise(asked)

    def cancel(self, redemption: str) -> None:
        self.ledger.cancel(redemption, "c01", "POS declined")

    def void(self, redemption: str, units: int) -> None:
        recorded = self.ledger.redemption(redemption)
        assert recorded is not None
        if recorded.completed_at is None:
            self.ledger.complete(redemption, "c01")
        self.ledger.void(redemption, "c01", "mistake", units)


@dataclass
class SideBySide:
    """One till whose every answer is held against the reference."""

    world: World
    counters: Counters
    history: History = field(default_factory=History)
    redemptions: list[tuple[str, Sold]] = field(default_factory=list)

    def sell(self, sale: Sale, member: Member, now: datetime) -> Quote:
        """Judge by both, compare, and record when there is nothing against it."""
        due = judge.judge(sale, member, self._setting, now)
        answer = quote(sale, member, self.world.book, self.counters.usage, now)
        assert_same(answer, due)
        assert_sound(answer)
        if due.sold is not None:
            redemption = str(uuid_utils.uuid7())
            self.counters.authorise(redemption, answer, member, sale)
            self.history.sales.append(due.sold)
            self.redemptions.append((redemption, due.sold))
            self.assert_within_limits()
        return answer

    def look(self, place: Place, member: Member, now: datetime) -> None:
        """What a card just presented may have, by both."""
        due = judge.views(place, member, self._setting, now)
        found = overview(place, member, self.world.book, self.counters.usage, now)
        assert {view.offer: (told(view.refusals), view.remaining) for view in found} == {
            offer: (expected(view.reasons), view.remaining) for offer, view in due.items()
        }
        assert all(view.eligible == (not view.refusals) for view in found)

    def take_back(self, number: int, units: int) -> None:
        """Cancel a sale (`units` 0, when nothing is void yet), or let `units` more of it be void."""
        if not self.redemptions:
            return
        redemption, sold = self.redemptions[number % len(self.redemptions)]
        if sold.cancelled:
            return
        if units == 0:
            if sold.void_units == 0:
                self.counters.cancel(redemption)
                sold.cancelled = True
        elif sold.void_units < sold.units:
            sold.void_units = min(sold.units, sold.void_units + units)
            self.counters.void(redemption, sold.void_units)

    def assert_within_limits(self) -> None:
        """Read the whole past: whoever shares a counter never used more than its limit, nor more than was granted."""
        for sold in self.history.sales:
            for limit in sold.offer.limits:
                if limit.momentary:
                    continue
                most = limit.max
                if limit.offline in (Offline.LEASE, Offline.REFUSE):
                    most = min(most, self.world.grants[f"{sold.offer.id}/{limit.id}"])
                for showing in showings(limit, sold.lines):
                    if sold.still(amount(limit, sold.lines, showing)):
                        assert self._used(sold, limit, showing) <= most, (sold, limit)

    def _used(self, sold: Sold, limit: Limit, showing: str | None) -> int:
        values = {
            scope: showing
            if scope is Scope.SHOWING
            else scope_value(scope, sold.offer, sold.member, sold.place, sold.voucher)
            for scope in limit.per
        }
        return self.history.used(sold.offer, limit, values, sold.day)

    @property
    def _setting(self) -> judge.Setting:
        return judge.Setting(self.world.book.book, self.history, self.world.grants, self.world.register)


Told = list[tuple[str, list[tuple[str, str]]]]


def told(refusals: Sequence[Refusal]) -> Told:
    """Codes with the numbers that are defined, in an order of their own."""
    return sorted((str(one.code), _sorted(one.numbers)) for one in refusals)


def expected(reasons: Sequence[Reason]) -> Told:
    return sorted((str(one.code), _sorted(one.numbers)) for one in reasons)


def _sorted(numbers: Mapping[str, int | str]) -> list[tuple[str, str]]:
    return sorted((name, repr(number)) for name, number in numbers.items() if name in NUMBERS)


def assert_same(answer: Quote, due: judge.Answer) -> None:
    """Same offer, same refusals, same money, same claims."""
    assert answer.offer == due.offer
    assert told(answer.refusals) == expected(due.reasons)
    assert [line.pay_fen for line in answer.lines] == list(due.pay_fen)
    assert [line.quantity * line.list_fen for line in answer.lines] == list(due.list_fen)
    assert {fee.name: fee.amount_fen for fee in answer.fees} == due.fees
    assert (answer.list_fen, answer.pay_fen) == (sum(due.list_fen), due.total_fen)
    claims = [(claim.key, claim.amount, claim.max, claim.limit, claim.offline) for claim in answer.claims]
    assert sorted(claims) == sorted((one.key, one.amount, one.max, one.limit, str(one.offline)) for one in due.claims)
    assert answer.granted == due.granted
    assert answer.proofs_kept == due.kept


def assert_sound(answer: Quote) -> None:
    """The sums and promises of every quote."""
    fees_fen = sum(fee.amount_fen for fee in answer.fees)
    lines_fen = sum(line.pay_fen for line in answer.lines)
    assert answer.pay_fen == lines_fen + fees_fen
    assert answer.list_fen == sum(line.quantity * line.list_fen for line in answer.lines)
    assert answer.saving_fen == answer.list_fen - lines_fen
    assert all(0 <= line.pay_fen <= line.quantity * line.list_fen for line in answer.lines)
    assert len({claim.key for claim in answer.claims}) == len(answer.claims)
    if answer.refusals:
        assert (answer.claims, answer.fees, answer.saving_fen) == ((), (), 0)
    for refusal in (*answer.refusals, *(one for passed in answer.passed_over for one in passed.refusals)):
        assert all("?" not in refusal.text(language) for language in ("zh", "en"))  # every place was filled
        assert all("{" not in refusal.remedy(language) for language in ("zh", "en"))

"""A draft book over sales that happened: who would have paid what, which limits would have bitten, what it would cost.

Pure: sales come in as data, in the order in which they happened; usage is counted anew from nothing, under the draft's
own rules. A sale is asked for the offer it was sold under when the draft still has it, else for the draft's best.

What came back, cancelled or void, is in no sum: it cost nothing then and would not now.

What a replay cannot know it takes in the draft's favour: a proof that was seen then is seen now, a voucher whose code
was not kept is a new one, a citywide pool counts only the sales that are replayed. An answer that was never asked is
refused as missing. A sale is replayed at the moment it was authorised, some minutes after it was quoted.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.limits import LimitClaim
from terminal.offers.proofs import Proof, SeenProof, VoucherProof
from terminal.offers.quote import Quote, quote
from terminal.offers.refusal import RefusalCode
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.visits import day_of, redeemed_prefix
from terminal.offers.voucher import VoucherRecord, check_character

KEPT_NUMBER = "kept"  # stands in for a document number of which only the keyed hash was kept
PROGRESS_EVERY = 1_000  # events: some fifty milliseconds
EXAMPLES_MAX = 20  # sales shown one by one: enough to see a pattern, short enough to read


@dataclass(frozen=True, slots=True)
class PastSale:
    """One authorised redemption as it was sold. Money in fen; `units` is what a void counts.

    `comes_back` False: nothing of it was ever given back, so that it need not be remembered.
    """

    id: str
    at: datetime
    day: date
    place: Place
    member: Member
    offer: str
    lines: tuple[SaleLine, ...]
    shown: frozenset[str]  # names of the proofs that were brought
    voucher: str | None  # its code
    list_fen: int
    pay_fen: int
    units: int
    comes_back: bool = True


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A past sale of which `units` more came back: all of them when it was cancelled, some or all when voided."""

    id: str
    units: int


Event = PastSale | GivenBack


@dataclass(slots=True)
class OfferSum:
    """One offer's sales: as they were, and as the draft would have had them."""

    sales: int = 0
    was_list_fen: int = 0
    was_pay_fen: int = 0
    would_sell: int = 0
    would_pay_fen: int = 0  # a refused sale pays its list price
    refused: Counter[str] = field(default_factory=Counter)  # by refusal code, the first reason of each sale

    @property
    def was_saving_fen(self) -> int:
        """What the members saved then."""
        return self.was_list_fen - self.was_pay_fen

    @property
    def would_save_fen(self) -> int:
        """What they would have saved under the draft: what the campaign would have cost."""
        return self.was_list_fen - self.would_pay_fen


@dataclass(frozen=True, slots=True)
class Example:
    """A sale that would have come out otherwise. `code`: why it would have been refused, empty when it would not."""

    id: str
    day: date
    offer: str
    would_offer: str
    was_pay_fen: int
    would_pay_fen: int
    code: str


@dataclass(slots=True)
class Report:
    """What the replay found over the days asked for. `bites` counts refusals by (offer, limit).

    `sales`, `changed` and all sums are without what was given back since; `bites` and `examples` are of every sale.
    """

    sales: int = 0
    offers: dict[str, OfferSum] = field(default_factory=lambda: defaultdict(OfferSum))
    days: dict[date, OfferSum] = field(default_factory=lambda: defaultdict(OfferSum))
    bites: Counter[tuple[str, str]] = field(default_factory=Counter)
    used: Counter[tuple[str, str]] = field(default_factory=Counter)  # of each limit, by (offer, limit)
    given_back: int = 0
    changed: int = 0
    examples: list[Example] = field(default_factory=list)


def replay(
    draft: LoadedBook,
    events: Iterable[Event],
    first: date,
    last: date,
    progress: Callable[[int], None],
) -> Report:
    """Run `draft` over `events`; sales before `first` only fill the counters, those after `last` are left out.

    `progress` is told the number of events done, every `PROGRESS_EVERY`.
    """
    report, usage = Report(), _Usage(draft)
    for done, event in enumerate(events, start=1):
        if isinstance(event, GivenBack):
            _give_back(report, usage, event)
        elif event.day <= last:
            usage.selling = event.offer
            answer = quote(_sale(draft, event), event.member, draft, usage, event.at)
            sold = usage.take(event, answer)
            if event.day >= first:
                _count(report, event, answer, sold)
        if done % PROGRESS_EVERY == 0:
            progress(done)
    return report


def _sale(draft: LoadedBook, event: PastSale) -> Sale:
    """The sale as it would be asked for under the draft; what was brought then is brought now."""
    offer = draft.offers.get(event.offer)
    asked = [offer.offer] if offer else draft.book.offers
    proofs = {proof.name: _brought(proof, event) for one in asked for proof in one.proof if proof.name in event.shown}
    return Sale(event.place, event.offer if offer else None, event.lines, proofs)


def _brought(proof: Proof, event: PastSale) -> str | bool:
    match proof:
        case SeenProof():
            return True
        case VoucherProof():
            return event.voucher or unknown_code(event.id)
        case _:
            return KEPT_NUMBER


def unknown_code(sale: str) -> str:
    """A well-formed voucher's code of this sale alone, without a digit that could make it look like a card's number."""
    letters = "".join(chr(ord("A") + int(digit, 16)) for digit in hashlib.sha256(sale.encode()).hexdigest()[:20])
    return letters + check_character(letters)


def _count(report: Report, event: PastSale, answer: Quote, sold: _Sold) -> None:
    sold.counted = True
    report.sales += 1
    for total in (report.offers[event.offer], report.days[event.day]):
        total.sales += 1
        total.was_list_fen += event.list_fen
        total.was_pay_fen += event.pay_fen
        total.would_pay_fen += sold.would_pay_fen
        total.would_sell += answer.eligible
        if sold.code:
            total.refused[sold.code] += 1
    for refusal in answer.refusals:
        if refusal.code in _LIMIT_CODES:
            report.bites[answer.offer, str(refusal.numbers.get("limit", ""))] += 1
    for claim in answer.claims:
        report.used[claim.offer, claim.limit] += claim.amount
    if sold.changed:
        report.changed += 1
        if len(report.examples) < EXAMPLES_MAX:
            report.examples.append(
                Example(event.id, event.day, event.offer, answer.offer, event.pay_fen, sold.would_pay_fen, sold.code)
            )


def _give_back(report: Report, usage: _Usage, event: GivenBack) -> None:
    """Give back usage and money alike, each by the share of the units that came back, as the ledger does."""
    sold = usage.sold.get(event.id)
    if sold is None:
        return
    before, sold.back = sold.back, min(sold.sale.units, sold.back + event.units)

    def share(amount: int) -> int:
        return amount * sold.back // sold.sale.units - amount * before // sold.sale.units

    usage.give_back([(claim, share(claim.amount)) for claim in sold.claims])
    if not sold.counted:
        return
    report.given_back += 1
    whole = before < sold.back == sold.sale.units
    report.sales -= whole
    report.changed -= whole and sold.changed
    for total in (report.offers[sold.sale.offer], report.days[sold.sale.day]):
        total.sales -= whole
        total.was_list_fen -= share(sold.sale.list_fen)
        total.was_pay_fen -= share(sold.sale.pay_fen)
        total.would_pay_fen -= share(sold.would_pay_fen)
        total.would_sell -= whole and not sold.code
        if whole and sold.code:
            total.refused[sold.code] -= 1
    for claim in sold.claims:
        report.used[claim.offer, claim.limit] -= share(claim.amount)


_LIMIT_CODES = frozenset(
    {RefusalCode.LIMIT_REACHED, RefusalCode.QUOTA_GONE, RefusalCode.VOUCHER_USED, RefusalCode.NO_VISITS_LEFT}
)


@dataclass(slots=True)
class _Sold:
    """What became of a sale, so that its share can be given back. `code`: why it was refused, empty when it was not."""

    sale: PastSale
    claims: tuple[LimitClaim, ...]
    would_pay_fen: int  # its list price when it was refused
    code: str
    back: int = 0
    counted: bool = False  # within the days asked for

    @property
    def changed(self) -> bool:
        """Whether it would have come out otherwise."""
        return bool(self.code) or self.would_pay_fen != self.sale.pay_fen


class _Usage:
    """The counters of the replay. Every grant is there: how pools are shared out is not the draft's matter."""

    vouchers_known = True

    def __init__(self, draft: LoadedBook) -> None:
        self.selling = ""  # the offer that the sale under way was sold under
        self._counts: Counter[str] = Counter()
        self.sold: dict[str, _Sold] = {}
        self._days: dict[str, set[str]] = defaultdict(set)  # by prefix: keys that end with a day
        self._grants = {(offer.id, limit.id): limit.max for offer in draft.book.offers for limit in offer.limits}

    def used(self, key: str) -> int:
        return self._counts.get(key, 0)

    def elsewhere(self, key: str) -> int:
        return 0

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        return self._grants[offer, limit]

    def last_redeemed(self, offer: str, person: str) -> date | None:
        keys = self._days.get(redeemed_prefix(offer, person), ())
        return day_of(max((key for key in keys if self._counts[key] > 0), default=None))

    def voucher(self, code: str) -> VoucherRecord | None:
        """A voucher that was taken then is good now; what else the register says of it is not the draft's matter."""
        return VoucherRecord(self.selling, None, None)

    def take(self, event: PastSale, answer: Quote) -> _Sold:
        for claim in answer.claims:
            self._counts[claim.key] += claim.amount
            if claim.limit == "_redeemed":
                self._days[claim.key.rpartition("=")[0] + "="].add(claim.key)
        would_pay, code = (answer.pay_fen, "") if answer.eligible else (event.list_fen, str(answer.refusals[0].code))
        sold = _Sold(event, answer.claims, would_pay, code)
        if event.comes_back:
            self.sold[event.id] = sold
        return sold

    def give_back(self, shares: Iterable[tuple[LimitClaim, int]]) -> None:
        for claim, amount in shares:
            self._counts[claim.key] -= amount

"""A draft book over sales that happened: who would have paid what, which limits would have bitten, what it would cost.

Pure: sales come in as data, in the order in which they happened; usage is counted anew from nothing, under the draft's
own rules. A sale is asked for the offer it was sold under when the draft still has it, else for the draft's best.

What a replay cannot know it takes in the draft's favour, and says how often: an answer that was never asked is refused
as missing; a proof that was seen then is seen now; a citywide pool counts only the sales that are replayed.
"""

from __future__ import annotations

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
from terminal.offers.voucher import VoucherRecord

KEPT_NUMBER = "kept"  # stands in for a document number of which only the keyed hash was kept
PROGRESS_EVERY = 1_000  # events: some fifty milliseconds
EXAMPLES_MAX = 20  # sales shown one by one: enough to see a pattern, short enough to read


@dataclass(frozen=True, slots=True)
class PastSale:
    """One authorised redemption as it was sold. Money in fen; `units` is what a void counts."""

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
    """What the replay found over the days asked for. `bites` counts refusals by (offer, limit)."""

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
            report.given_back += usage.give_back(event)
        elif event.day <= last:
            usage.selling = event.offer
            answer = quote(_sale(draft, event), event.member, draft, usage, event.at)
            if answer.eligible:
                usage.take(event, answer.claims)
            if event.day >= first:
                _count(report, event, answer)
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
            return event.voucher or ""
        case _:
            return KEPT_NUMBER


def _count(report: Report, event: PastSale, answer: Quote) -> None:
    would_pay = answer.pay_fen if answer.eligible else event.list_fen
    code = "" if answer.eligible else str(answer.refusals[0].code)
    report.sales += 1
    for total in (report.offers[event.offer], report.days[event.day]):
        total.sales += 1
        total.was_list_fen += event.list_fen
        total.was_pay_fen += event.pay_fen
        total.would_pay_fen += would_pay
        total.would_sell += answer.eligible
        if code:
            total.refused[code] += 1
    for refusal in answer.refusals:
        if refusal.code in _LIMIT_CODES:
            report.bites[answer.offer, str(refusal.numbers.get("limit", ""))] += 1
    for claim in answer.claims:
        report.used[claim.offer, claim.limit] += claim.amount
    if would_pay != event.pay_fen:
        report.changed += 1
        if len(report.examples) < EXAMPLES_MAX:
            report.examples.append(
                Example(event.id, event.day, event.offer, answer.offer, event.pay_fen, would_pay, code)
            )


_LIMIT_CODES = frozenset(
    {RefusalCode.LIMIT_REACHED, RefusalCode.QUOTA_GONE, RefusalCode.VOUCHER_USED, RefusalCode.NO_VISITS_LEFT}
)


@dataclass(slots=True)
class _Taken:
    """What a replayed sale used, so that a void can give back its share."""

    units: int
    claims: tuple[LimitClaim, ...]
    back: int = 0


class _Usage:
    """The counters of the replay. Every grant is there: how pools are shared out is not the draft's matter."""

    vouchers_known = True

    def __init__(self, draft: LoadedBook) -> None:
        self.selling = ""  # the offer that the sale under way was sold under
        self._counts: Counter[str] = Counter()
        self._taken: dict[str, _Taken] = {}
        self._days: dict[str, set[str]] = defaultdict(set)  # by prefix: keys that end with a day
        self._grants = {(offer.id, limit.id): limit.max for offer in draft.book.offers for limit in offer.limits}

    def used(self, key: str) -> int:
        return self._counts.get(key, 0)

    def slice_of(self, offer: str, limit: str) -> int | None:
        return self._grants[offer, limit]

    def last_redeemed(self, offer: str, person: str) -> date | None:
        keys = self._days.get(redeemed_prefix(offer, person), ())
        return day_of(max((key for key in keys if self._counts[key] > 0), default=None))

    def voucher(self, code: str) -> VoucherRecord | None:
        """A voucher that was taken then is good now; what else the register says of it is not the draft's matter."""
        return VoucherRecord(self.selling, None, None)

    def take(self, event: PastSale, claims: tuple[LimitClaim, ...]) -> None:
        for claim in claims:
            self._counts[claim.key] += claim.amount
            if claim.limit == "_redeemed":
                self._days[claim.key.rpartition("=")[0] + "="].add(claim.key)
        self._taken[event.id] = _Taken(event.units, claims)

    def give_back(self, event: GivenBack) -> bool:
        """Give back the share of the units, as the ledger does; whether the sale had used anything."""
        taken = self._taken.get(event.id)
        if taken is None:
            return False
        before, after = taken.back, min(taken.units, taken.back + event.units)
        for claim in taken.claims:
            self._counts[claim.key] -= claim.amount * after // taken.units - claim.amount * before // taken.units
        taken.back = after
        return True

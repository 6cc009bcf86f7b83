"""The one place where the rules are applied: what a sale costs with an offer, and every reason why not.

`quote` is pure and total: for any sale, member, book, usage and moment it answers and never raises; it reads no clock
and writes nothing. What a redemption will use up is in `claims`, which the ledger applies in its own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.catalogue import Category
from terminal.offers.conditions import (
    bound_refusals,
    brought,
    proof_refusals,
    since_refusals,
    spend_refusals,
    voucher_code,
    what_refusals,
    when_refusals,
    where_refusals,
    who_refusals,
)
from terminal.offers.counts import Count, Limit, Offline, Scope
from terminal.offers.limits import LimitClaim, SteadyUsage, Usage, claim_on, room_of, scope_values
from terminal.offers.opening import Moment, moment_of, offer_day
from terminal.offers.prepared import SHOWING_ATTRIBUTE, PreparedOffer
from terminal.offers.prices import NthFree
from terminal.offers.pricing import Basket, PricedLine, at_list, capped, price_lines
from terminal.offers.proofs import NumberProof, Proof, VoucherProof
from terminal.offers.refusal import Refusal, RefusalCode
from terminal.offers.sale import Sale, SaleLine
from terminal.offers.visits import stamps, visit_claims

Granted = Literal["local", "lease", "hold", "flag"]


@dataclass(frozen=True, slots=True)
class QuotedLine:
    """One line of the bill with what the member pays for it, in fen, and how that came about."""

    category: str
    quantity: int
    list_fen: int  # of one unit
    pay_fen: int  # of the whole line
    attributes: Mapping[str, str]  # only the answers that the offer asks for
    trace: str

    def as_dict(self) -> dict[str, Any]:
        """The line as JSON-able values, for the ledger and the API."""
        return {
            "category": self.category,
            "quantity": self.quantity,
            "list_fen": self.list_fen,
            "pay_fen": self.pay_fen,
            "attributes": dict(self.attributes),
            "trace": self.trace,
        }


@dataclass(frozen=True, slots=True)
class QuotedFee:
    """A fee on top of the price, in fen."""

    name: str
    amount_fen: int
    words: Words

    def as_dict(self) -> dict[str, Any]:
        """The fee as JSON-able values, for the ledger and the API."""
        words = {"zh": self.words.zh, "en": self.words.en}
        return {"name": self.name, "amount_fen": self.amount_fen, "words": words}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An offer that was looked at for the best choice and not chosen, and why."""

    offer: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """The answer to one sale. All amounts in fen; a refused sale stands at list price and claims nothing.

    `list_fen` is the lines at list price, `pay_fen` what to take on the POS including fees, `saving_fen` what the lines
    cost less than at list price. `proofs_kept` says by proof how it is kept: `seen`, `keyed-hash` or `code`.
    """

    offer: str
    offer_name: Words | None
    revision: int
    book_hash: str
    lines: tuple[QuotedLine, ...]
    fees: tuple[QuotedFee, ...]
    list_fen: int
    pay_fen: int
    saving_fen: int
    refusals: tuple[Refusal, ...]
    claims: tuple[LimitClaim, ...]
    granted: Granted
    proofs_kept: Mapping[str, str]
    passed_over: tuple[PassedOver, ...] = field(default=())

    @property
    def eligible(self) -> bool:
        """Whether the sale may be authorised as quoted."""
        return not self.refusals


@dataclass(frozen=True, slots=True)
class _Case:
    """All that a quote depends on."""

    sale: Sale
    member: Member
    book: LoadedBook
    usage: Usage
    moment: Moment


def quote(sale: Sale, member: Member, book: LoadedBook, usage: Usage, now: datetime) -> Quote:
    """What the sale costs with the offer it names, or with the best one for the member when it names none."""
    case = _Case(sale, member, book, SteadyUsage(usage), moment_of(now, book.zone))
    if sale.offer is None:
        return _best(case)
    prepared = book.offers.get(sale.offer)
    return _unknown(case) if prepared is None else _quote_offer(prepared, case)


def _quote_offer(prepared: PreparedOffer, case: _Case) -> Quote:
    sale, offer = case.sale, prepared.offer
    day = offer_day(offer.when, case.moment)
    out_of_bounds = bound_refusals(sale.lines)
    unfit = [*out_of_bounds, *what_refusals(prepared, sale.lines)]
    refusals = [
        *who_refusals(prepared, case.member),
        *where_refusals(prepared, sale.place, day.day),
        *when_refusals(prepared, sale.place, case.moment, day),
        *since_refusals(prepared, case.member, case.usage, day.day),
        *unfit,
        *(() if out_of_bounds else spend_refusals(prepared, sale.lines)),
        *proof_refusals(prepared, sale, case.member, case.usage, case.moment.day),
    ]
    if out_of_bounds:
        return _answer(prepared, case, (), refusals)
    listed = at_list(sale.lines)
    priced = None if unfit else _priced(prepared, case)
    if priced is not None and not _worth_recording(prepared, priced):
        total = sum(line.list_fen for line in listed)
        refusals.append(Refusal(RefusalCode.NO_BENEFIT, {"list_fen": total}))  # uses nothing, so no limit can bite
        return _answer(prepared, case, listed, refusals)
    claims, reached = _claims(prepared, case, priced, day.day)
    refusals += reached
    if refusals or priced is None:
        return _answer(prepared, case, listed, refusals)
    return _answer(prepared, case, priced, (), claims)


def _priced(prepared: PreparedOffer, case: _Case) -> tuple[PricedLine, ...] | None:
    offer = prepared.offer
    priced = price_lines(offer.price, Basket(case.sale.lines, stamps(offer, case.member, case.usage)))
    return None if priced is None else capped(priced, offer.saving_max_fen)


def _worth_recording(prepared: PreparedOffer, priced: Sequence[PricedLine]) -> bool:
    """Whether the member gains: money now, or something for later."""
    return _begins_something(prepared) or any(line.pay_fen < line.list_fen for line in priced)


def _begins_something(prepared: PreparedOffer) -> bool:
    """Whether every unit begins something, saved on or not: a stamp, visits, the window of another offer."""
    price = prepared.offer.price
    stamped = isinstance(price, NthFree) and price.stamped
    return stamped or prepared.anchors or prepared.offer.opens is not None


def _claims(
    prepared: PreparedOffer, case: _Case, priced: Sequence[PricedLine] | None, day: date
) -> tuple[tuple[LimitClaim, ...], list[Refusal]]:
    """What the sale uses of each limit.

    A line without a saving uses nothing, unless it begins something: a dear pack must not slip past the limit on packs
    beside a cheap one. Unpriced lines count as if they saved.
    """
    lines, offer = case.sale.lines, prepared.offer
    savings = [line.list_fen - line.pay_fen for line in priced] if priced else [1] * len(lines)
    all_use = _begins_something(prepared)
    using = [(line, saving) for line, saving in zip(lines, savings, strict=True) if saving > 0 or all_use]
    voucher = voucher_code(prepared, case.sale)
    answers: list[LimitClaim | Refusal | None] = []
    values: dict[str | None, dict[Scope, str]] = {}  # worked out once for each showing: most limits ask for the same
    for limit in offer.limits:
        for showing, group in _groups(limit, using).items():
            if showing not in values:
                values[showing] = scope_values(offer, case.member, case.sale.place, voucher, showing)
            room = room_of(offer, limit, values[showing], case.usage, day)
            if room is None:  # a missing voucher or showing has been refused under its own name
                continue
            answers.append(claim_on(offer, room, _asked(limit, group), _category(prepared, group), day))
    answers += visit_claims(prepared, case.member, sum(line.quantity for line in lines), case.usage, day)
    claims = tuple(answer for answer in answers if isinstance(answer, LimitClaim))
    return claims, [answer for answer in answers if isinstance(answer, Refusal)]


def _groups(limit: Limit, using: Sequence[tuple[SaleLine, int]]) -> dict[str | None, list[tuple[SaleLine, int]]]:
    """The lines that share a counter: all of them, or those of one showing."""
    groups: dict[str | None, list[tuple[SaleLine, int]]] = {}
    for line, saving in using:
        showing = line.attributes.get(SHOWING_ATTRIBUTE, "").strip() if Scope.SHOWING in limit.per else None
        groups.setdefault(showing, []).append((line, saving))
    return groups


def _asked(limit: Limit, lines: Sequence[tuple[SaleLine, int]]) -> int:
    match limit.count:
        case Count.UNITS:
            return sum(line.quantity for line, _ in lines)
        case Count.USES:
            return 1
        case Count.FEN:
            return sum(saving for _, saving in lines)


def _category(prepared: PreparedOffer, lines: Sequence[tuple[SaleLine, int]]) -> Category:
    known = (prepared.categories.get(line.category) for line, _ in lines)
    return next((category for category in known if category), next(iter(prepared.categories.values())))


def _answer(
    prepared: PreparedOffer,
    case: _Case,
    priced: Sequence[PricedLine],
    refusals: Sequence[Refusal],
    claims: tuple[LimitClaim, ...] = (),
) -> Quote:
    sale = case.sale
    lines = tuple(
        QuotedLine(
            line.category,
            line.quantity,
            line.list_fen,
            due.pay_fen,
            {name: line.attributes[name] for name in prepared.attributes if name in line.attributes},
            due.trace,
        )
        for line, due in zip(sale.lines, priced, strict=False)  # no amounts at all when a number is out of bounds
    )
    shown = {proof.name: _kept(proof) for proof in prepared.offer.proof if _shown(proof, sale)}
    fees = tuple(
        QuotedFee(fee.id, fee.amount_fen, fee.name.words)
        for fee in prepared.offer.fees
        if not refusals and (fee.unless_proof is None or fee.unless_proof not in shown)
    )
    list_fen = sum(line.list_fen for line in priced)
    lines_fen = sum(line.pay_fen for line in priced)
    return Quote(
        offer=prepared.offer.id,
        offer_name=prepared.offer.name.words,
        revision=case.book.revision,
        book_hash=case.book.hash,
        lines=lines,
        fees=fees,
        list_fen=list_fen,
        pay_fen=lines_fen + sum(fee.amount_fen for fee in fees),
        saving_fen=list_fen - lines_fen,
        refusals=tuple(refusals),
        claims=claims,
        granted=_granted(claims),
        proofs_kept={} if refusals else shown,
    )


def _shown(proof: Proof, sale: Sale) -> bool:
    return brought(proof, sale.proofs.get(proof.name, False))


def _kept(proof: Proof) -> str:
    if isinstance(proof, NumberProof):
        return "keyed-hash"
    return "code" if isinstance(proof, VoucherProof) else "seen"


def _granted(claims: Sequence[LimitClaim]) -> Granted:
    """The strongest right the sale rests on: a grant of HQ's, local knowledge that HQ may flag, or local knowledge."""
    ways = {claim.offline for claim in claims}
    if Offline.REFUSE in ways:
        return "hold"
    if Offline.LEASE in ways:
        return "lease"
    return "flag" if Offline.FLAG in ways else "local"


def _unknown(case: _Case) -> Quote:
    return Quote(
        offer=case.sale.offer or "",
        offer_name=None,
        revision=case.book.revision,
        book_hash=case.book.hash,
        lines=(),
        fees=(),
        list_fen=0,
        pay_fen=0,
        saving_fen=0,
        refusals=(Refusal(RefusalCode.UNKNOWN_OFFER),),
        claims=(),
        granted="local",
        proofs_kept={},
    )


def _best(case: _Case) -> Quote:
    """The cheapest offer of this place that sells these lines; on a tie the one that uses up fewer personal rights.

    When none is possible, the one with the fewest reasons against it: the nearest miss.
    """
    book = case.book
    wanted = {line.category for line in case.sale.lines}
    quotes = [
        _quote_offer(prepared, case)
        for prepared in book.offers.values()
        if prepared.holds_at(case.sale.place) and wanted and wanted <= prepared.categories.keys()
    ]
    if not quotes:
        return _unknown(case)
    best = min(quotes, key=lambda one: (len(one.refusals), one.pay_fen, _personal_claims(one, book), one.offer))
    losers = tuple(PassedOver(one.offer, _why_not(one, best, book)) for one in quotes if one is not best)
    return replace(best, passed_over=losers)


def _personal_claims(one: Quote, book: LoadedBook) -> int:
    limits = book.offers[one.offer].offer.limits
    claimed = {claim.limit for claim in one.claims}
    return sum(limit.personal for limit in limits if limit.id in claimed)


def _why_not(loser: Quote, best: Quote, book: LoadedBook) -> tuple[Refusal, ...]:
    same_group = book.offers[loser.offer].offer.group == book.offers[best.offer].offer.group
    if loser.refusals or not same_group or best.offer_name is None:
        return loser.refusals
    return (Refusal(RefusalCode.BEATEN_BY, {"winner": best.offer}, {"winner": best.offer_name}),)

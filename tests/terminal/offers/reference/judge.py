"""The reference answer to a sale: what `terminal.offers.quote` must say, found by reading the whole past again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import quote as percent_encoded

from terminal.membership.standing import Member
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.model import Book, Offer
from terminal.offers.prices import NthFree
from terminal.offers.proofs import NumberProof, VoucherProof
from terminal.offers.refusal import RefusalCode as Code
from terminal.offers.sale import Place, Sale
from terminal.offers.voucher import VoucherRecord
from tests.terminal.offers.reference import conditions, days, money
from tests.terminal.offers.reference.conditions import Reason
from tests.terminal.offers.reference.history import History, Sold, SoldLine, amount, scope_value, showings

COUNTER_MAX = 10**12  # of a counter that limits nothing
PERSONAL = (Scope.CARD, Scope.PERSON, Scope.VOUCHER)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sale uses under one counter."""

    key: str
    amount: int
    max: int
    limit: str
    offline: Offline


@dataclass(frozen=True, slots=True)
class Setting:
    """All that is known when a sale is judged. `register` None: no vouchers are known here."""

    book: Book
    history: History
    grants: Mapping[str, int]  # by offer/limit
    register: Mapping[str, VoucherRecord] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Amounts by line in fen; a refused sale stands at list price. `sold`: what to keep when it is redeemed."""

    offer: str
    reasons: tuple[Reason, ...]
    list_fen: tuple[int, ...] = ()
    pay_fen: tuple[int, ...] = ()
    fees: Mapping[str, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    personal_limits: int = 0
    sold: Sold | None = None

    @property
    def total_fen(self) -> int:
        return sum(self.pay_fen) + sum(self.fees.values())

    @property
    def granted(self) -> str:
        for way, name in ((Offline.REFUSE, "hold"), (Offline.LEASE, "lease"), (Offline.FLAG, "flag")):
            if any(claim.offline is way for claim in self.claims):
                return name
        return "local"


def judge(sale: Sale, member: Member, setting: Setting, now: datetime) -> Answer:
    """The answer for the offer that the sale names, or for the best one."""
    clock = days.on_the_clock(now, setting.book.tz)
    if sale.offer is not None:
        offer = setting.book.offer(sale.offer)
        return _unknown(sale) if offer is None else _of_offer(offer, sale, member, setting, clock)
    fitting = [
        _of_offer(offer, sale, member, setting, clock)
        for offer in setting.book.offers
        if conditions.holds_here(offer, setting.book, sale.place)
        and sale.lines
        and all(line.category in offer.what.categories for line in sale.lines)
    ]
    if not fitting:
        return _unknown(sale)
    return sorted(fitting, key=lambda one: (len(one.reasons), one.total_fen, one.personal_limits, one.offer))[0]


def _unknown(sale: Sale) -> Answer:
    return Answer(sale.offer or "", (Reason(Code.UNKNOWN_OFFER),))


def _of_offer(offer: Offer, sale: Sale, member: Member, setting: Setting, clock: datetime) -> Answer:
    book, history, lines = setting.book, setting.history, sale.lines
    day = days.offer_day(offer.when, clock)
    out_of_bounds = list(conditions.bounds(lines))
    unfit = list(conditions.what(offer, book, lines))
    reasons = [
        *conditions.who(offer, member),
        *conditions.where(offer, book, sale.place, day.day),
        *conditions.when(offer, book, sale.place, clock, day),
        *conditions.since(offer, member, history, day.day),
        *out_of_bounds,
        *unfit,
        *conditions.proof(offer, sale, member, setting.register, clock.date()),
    ]
    if out_of_bounds:
        return Answer(offer.id, tuple(reasons))
    reasons += conditions.spend(offer, lines)
    at_list = tuple(money.list_fen(line) for line in lines)
    due: tuple[int, ...] | None = None
    if not unfit:
        due = tuple(money.pay(offer.price, offer.saving_max_fen, lines, history.units_of(offer.id, member.person)))
        if due == at_list and not _begins_something(offer, book):
            reasons.append(Reason(Code.NO_BENEFIT, {"list_fen": sum(at_list)}))
            return Answer(offer.id, tuple(reasons), at_list, at_list)
    sold = _sold(offer, sale, member, book, day.day, due)
    claims, reached = _usage(sold, setting)
    reasons += reached
    if reasons or due is None:
        return Answer(offer.id, tuple(reasons), at_list, at_list)
    kept = {part.name: _kept(part) for part in offer.proof if conditions.brought(part, sale)}
    fees = {fee.id: fee.amount_fen for fee in offer.fees if fee.unless_proof is None or fee.unless_proof not in kept}
    personal = {limit.id for limit in offer.limits if any(scope in PERSONAL for scope in limit.per)}
    used = len({claim.limit for claim in claims} & personal)
    return Answer(offer.id, (), at_list, due, fees, tuple(claims), kept, used, sold)


def _begins_something(offer: Offer, book: Book) -> bool:
    """A pack, a stamp, or the beginning of another offer's window: worth recording though nothing is saved today."""
    stamped = isinstance(offer.price, NthFree) and offer.price.over == "person"
    return bool(offer.opens) or stamped or _anchors(offer, book)


def _anchors(offer: Offer, book: Book) -> bool:
    return any(other.when.since is not None and other.when.since.offer == offer.id for other in book.offers)


def _kept(part: object) -> str:
    if isinstance(part, NumberProof):
        return "keyed-hash"
    return "code" if isinstance(part, VoucherProof) else "seen"


def _sold(offer: Offer, sale: Sale, member: Member, book: Book, day: date, due: tuple[int, ...] | None) -> Sold:
    """The sale as the past would keep it. A line that saves nothing is not counted, unless the sale begins something;
    each line of a bill that cannot be priced yet is taken to save a fen."""
    lines = []
    for index, line in enumerate(sale.lines):
        saving = 1 if due is None else money.list_fen(line) - due[index]
        showing = line.attributes.get("showing", "").strip() or None
        lines.append(SoldLine(line.quantity, saving, showing, saving > 0 or _begins_something(offer, book)))
    return Sold(offer, day, member, sale.place, conditions.voucher_code(offer, sale), tuple(lines))


# Limits, visits, stamps ---------------------------------------------------------------------------------------------


def _usage(sold: Sold, setting: Setting) -> tuple[list[Claim], list[Reason]]:
    """What the sale uses of every counter, and which of them do not let it."""
    found: list[Claim | Reason | None] = []
    for limit in sold.offer.limits:
        for showing in showings(limit, sold.lines):
            found.append(_on_limit(limit, showing, amount(limit, sold.lines, showing), sold, setting))
    found += _on_counters(sold, setting)
    return [one for one in found if isinstance(one, Claim)], [one for one in found if isinstance(one, Reason)]


def _on_limit(limit: Limit, showing: str | None, asked: int, sold: Sold, setting: Setting) -> Claim | Reason | None:
    offer = sold.offer
    told: dict[str, int | str] = {"offer": offer.id, "limit": limit.id, "asked": asked}
    values = {scope: scope_value(scope, offer, sold.member, sold.place, sold.voucher) for scope in limit.per}
    if Scope.SHOWING in values:
        values[Scope.SHOWING] = showing
    if any(value is None for scope, value in values.items() if scope is not Scope.SALE):
        return None  # refused already: its voucher or showing is missing
    if Scope.SALE in limit.per or limit.window is Window.SALE:  # this bill alone
        if asked <= limit.max:
            return None
        return Reason(Code.LIMIT_REACHED, {**told, "used": 0, "max": limit.max, "remaining": limit.max})
    cap = limit.max
    if limit.offline in (Offline.LEASE, Offline.REFUSE):
        granted = setting.grants.get(f"{offer.id}/{limit.id}")
        if granted is None:
            return Reason(Code.NEEDS_HQ, told)
        cap = min(cap, granted)
    used = setting.history.used(offer, limit, values, sold.day)
    remaining = max(0, cap - used)
    if asked > remaining:
        told |= {"used": used, "max": cap, "remaining": remaining}
        frees = days.window_after(limit.window, sold.day)
        if frees is not None:
            told |= {"frees": f"{frees}", "next_day": f"{frees}"}
        return Reason(_code_of(limit, used, remaining), told)
    return Claim(_key(offer, limit, values, sold.day), asked, cap, limit.id, limit.offline) if asked else None


def _code_of(limit: Limit, used: int, remaining: int) -> Code:
    if limit.per == (Scope.VOUCHER,) and used and not remaining:
        return Code.VOUCHER_USED
    return Code.LIMIT_REACHED if any(scope in PERSONAL for scope in limit.per) else Code.QUOTA_GONE


def _key(offer: Offer, limit: Limit, values: Mapping[Scope, str | None], day: date) -> str:
    scopes = sorted((str(scope), _encoded(value or "")) for scope, value in values.items())
    start = {Window.CAMPAIGN: offer.campaign, Window.EVER: "all"}.get(limit.window)
    start = start or days.window_start(limit.window, day).isoformat()
    return "|".join([offer.id, limit.id, *(f"{scope}={value}" for scope, value in scopes), f"{limit.window}={start}"])


def _encoded(value: str) -> str:
    return percent_encoded(value, safe=":/")


def _on_counters(sold: Sold, setting: Setting) -> list[Claim | Reason | None]:
    """The counters that no limit declares."""
    offer, person, history = sold.offer, _encoded(sold.member.person), setting.history
    found: list[Claim | Reason | None] = []
    if _anchors(offer, setting.book):
        key = f"{offer.id}|_redeemed|person={person}|day={sold.day}"
        found.append(Claim(key, sold.units, COUNTER_MAX, "_redeemed", Offline.LOCAL))
    if offer.opens:
        key = f"{offer.id}|_opened|person={person}|ever=all"
        found.append(Claim(key, sold.units * offer.opens.visits, COUNTER_MAX, "_opened", Offline.LOCAL))
    if offer.takes:
        pack = offer.takes.offer
        opened, taken = history.opened(pack, sold.member.person), history.taken(pack, sold.member.person)
        remaining = max(0, opened - taken)
        if sold.units > remaining:
            told: dict[str, int | str] = {
                "offer": pack,
                "opened": opened,
                "used": taken,
                "remaining": remaining,
                "asked": sold.units,
            }
            found.append(Reason(Code.NO_VISITS_LEFT, told))
        else:
            key = f"{pack}|_taken|person={person}|ever=all"
            found.append(Claim(key, sold.units, opened, "_taken", Offline.LOCAL))
    if isinstance(offer.price, NthFree) and offer.price.over == "person":
        key = f"{offer.id}|_stamps|person={person}|ever=all"
        most = history.units_of(offer.id, sold.member.person) + sold.units
        found.append(Claim(key, sold.units, most, "_stamps", Offline.LOCAL))
    return found


# A card just presented ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """What one offer has for this card before anything is typed; `remaining` None: no end."""

    reasons: tuple[Reason, ...]
    remaining: int | None


def views(place: Place, member: Member, setting: Setting, now: datetime) -> dict[str, View]:
    """Every offer that names this place, as if one unit of it were asked for."""
    clock = days.on_the_clock(now, setting.book.tz)
    here = [offer for offer in setting.book.offers if conditions.holds_here(offer, setting.book, place)]
    return {offer.id: _view(offer, place, member, setting, clock) for offer in here}


def _view(offer: Offer, place: Place, member: Member, setting: Setting, clock: datetime) -> View:
    day = days.offer_day(offer.when, clock)
    unit = Sold(offer, day.day, member, place, None, (SoldLine(1, 1, None, counted=True),))
    _, reached = _usage(unit, setting)
    reasons = (
        *conditions.who(offer, member),
        *conditions.where(offer, setting.book, place, day.day),
        *conditions.when(offer, setting.book, place, clock, day),
        *conditions.since(offer, member, setting.history, day.day),
        *reached,
    )
    return View(reasons, _remaining(unit, setting))


def _remaining(unit: Sold, setting: Setting) -> int | None:
    """Units, or uses where only those are limited, that all limits and visits leave; an empty limit leaves none."""
    left = {limit.id: _left(limit, unit, setting) for limit in unit.offer.limits}
    counted = {count: [left[one.id] for one in unit.offer.limits if one.count is count] for count in Count}
    ends = counted[Count.UNITS] or counted[Count.USES]
    if 0 in left.values():
        ends = [0]
    if unit.offer.takes:
        pack, person = unit.offer.takes.offer, unit.member.person
        ends = [*ends, max(0, setting.history.opened(pack, person) - setting.history.taken(pack, person))]
    return min(ends, default=None)


def _left(limit: Limit, unit: Sold, setting: Setting) -> int:
    """What is left of a limit; one whose voucher or showing is not named yet is untouched."""
    unnamed = {Scope.VOUCHER, Scope.SHOWING, Scope.SALE}
    if limit.window is Window.SALE or any(scope in unnamed for scope in limit.per):
        return limit.max
    cap = limit.max
    if limit.offline in (Offline.LEASE, Offline.REFUSE):
        cap = min(cap, setting.grants.get(f"{unit.offer.id}/{limit.id}", 0))
    values = {scope: scope_value(scope, unit.offer, unit.member, unit.place, None) for scope in limit.per}
    return max(0, cap - setting.history.used(unit.offer, limit, values, unit.day))

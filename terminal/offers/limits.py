"""How often and how many in total: counter keys, what is left, and the claims that a redemption will make on them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.catalogue import Category
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.model import Offer
from terminal.offers.refusal import Refusal, RefusalCode, fitting, joined, yuan
from terminal.offers.sale import Place
from terminal.offers.voucher import VoucherRecord

GRANTED_ONLY = frozenset({Offline.LEASE, Offline.REFUSE})  # what a terminal may use only out of a grant

SCOPE_WORDS: Mapping[Scope, Words] = {
    Scope.CARD: Words("每卡", "per card"),
    Scope.PERSON: Words("每人", "per person"),
    Scope.VOUCHER: Words("每券", "per voucher"),
    Scope.SHOWING: Words("每场", "per showing"),
    Scope.SITE: Words("本店", "this shop"),
    Scope.MERCHANT: Words("本商户", "this merchant"),
    Scope.TERMINAL: Words("本机", "this terminal"),
    Scope.CAMPAIGN: Words("全市", "citywide"),
    Scope.SALE: Words("每笔", "per purchase"),
}
WINDOW_WORDS: Mapping[Window, Words] = {
    Window.SALE: Words("一次", " at a time:"),
    Window.DAY: Words("当天", " today:"),
    Window.WEEK: Words("本周", " this week:"),
    Window.MONTH: Words("本月", " this month:"),
    Window.YEAR: Words("今年", " this year:"),
    Window.CAMPAIGN: Words("本次活动", " in this campaign:"),
    Window.EVER: Words("总共", " altogether:"),
}
COUNT_WORDS: Mapping[Count, Words] = {  # units are called what the category calls them
    Count.USES: Words("次", "time(s)"),
    Count.FEN: Words("元", "yuan"),
}


class Usage(Protocol):
    """What the rules ask of the ledger and of headquarters' grants."""

    def used(self, key: str) -> int:
        """Units, uses or fen used so far under this key, as far as this terminal knows."""
        ...

    def slice_of(self, offer: str, limit: str) -> int | None:
        """What headquarters granted this terminal in all of a limit; None when it granted nothing."""
        ...

    def last_redeemed(self, offer: str, person: str) -> date | None:
        """The business day of this person's latest redemption of an offer that is neither cancelled nor wholly void."""
        ...

    @property
    def vouchers_known(self) -> bool:
        """Whether this terminal has headquarters' register of vouchers."""
        ...

    def voucher(self, code: str) -> VoucherRecord | None:
        """The voucher of this code, in its one spelling; None when the register holds none."""
        ...


@dataclass(frozen=True, slots=True)
class LimitClaim:
    """What a redemption will use of one limit: the ledger adds `amount` only while used + amount <= max."""

    key: str
    amount: int
    max: int
    offer: str
    limit: str
    offline: str


@dataclass(frozen=True, slots=True)
class Room:
    """How a limit stands before a sale: of `cap` that this terminal may give, `used` are gone. `cap` None: no grant."""

    limit: Limit
    key: str | None  # None: this bill only, nothing to remember
    used: int
    cap: int | None

    @property
    def remaining(self) -> int:
        """What is left, never below nothing."""
        return max(0, (self.cap or 0) - self.used)


def scope_values(
    offer: Offer, member: Member, place: Place, voucher: str | None, showing: str | None
) -> dict[Scope, str]:
    """What each scope means in this sale; a scope that is not known yet, or empty, is left out.

    A card's counter hangs on its person: a member has one card, and a replaced one carries its usage along (DOMAIN).
    """
    values = {
        Scope.CARD: member.person,
        Scope.PERSON: member.person,
        Scope.VOUCHER: voucher,
        Scope.SHOWING: showing,
        Scope.SITE: f"{place.merchant}/{place.site}",
        Scope.MERCHANT: place.merchant,
        Scope.TERMINAL: place.terminal,
        Scope.CAMPAIGN: offer.campaign,
        Scope.SALE: "this",
    }
    return {scope: value for scope, value in values.items() if value}


def usage_key(offer: Offer, limit: Limit, values: Mapping[Scope, str], day: date) -> str:
    """The one name of a counter: offer, limit, scope values in alphabetical order, window start.

    Values are percent-encoded, so that nothing a cashier types can pass for another counter.
    """
    scopes = (f"{scope}={encoded(values[scope])}" for scope in sorted(limit.per))
    return "|".join((offer.id, limit.id, *scopes, f"{limit.window}={window_start(offer, limit.window, day)}"))


def encoded(value: str) -> str:
    """A scope's value as it stands in a key."""
    return urllib.parse.quote(value, safe=":/", errors="surrogatepass")  # half a character must not raise either


def window_start(offer: Offer, window: Window, day: date) -> str:
    """Where the window that holds `day` begins: a day, or the campaign's name, which outlives a change of its dates."""
    match window:
        case Window.DAY | Window.SALE:
            return day.isoformat()
        case Window.WEEK:
            return date.fromordinal(max(1, day.toordinal() - day.weekday())).isoformat()
        case Window.MONTH:
            return day.replace(day=1).isoformat()
        case Window.YEAR:
            return day.replace(month=1, day=1).isoformat()
        case Window.CAMPAIGN:
            return offer.campaign
        case Window.EVER:
            return "all"


def next_window(window: Window, day: date) -> date | None:
    """The day on which the counter starts again; None when it never does."""
    try:
        match window:
            case Window.DAY:
                return day + timedelta(days=1)
            case Window.WEEK:
                return day + timedelta(days=7 - day.weekday())
            case Window.MONTH:
                return date(day.year + day.month // 12, day.month % 12 + 1, 1)
            case Window.YEAR:
                return date(day.year + 1, 1, 1)
            case _:
                return None
    except (OverflowError, ValueError):  # the last day of the calendar has no next
        return None


def room_of(offer: Offer, limit: Limit, values: Mapping[Scope, str], usage: Usage, day: date) -> Room | None:
    """How the limit stands; None when one of its scopes is not known."""
    if any(scope not in values for scope in limit.per):
        return None
    if limit.momentary:
        return Room(limit, None, 0, limit.max)
    key = usage_key(offer, limit, values, day)
    used = max(0, usage.used(key))
    if limit.offline not in GRANTED_ONLY:
        return Room(limit, key, used, limit.max)
    granted = usage.slice_of(offer.id, limit.id)
    return Room(limit, key, used, None if granted is None else min(limit.max, max(0, granted)))


def claim_on(offer: Offer, room: Room, asked: int, category: Category, day: date) -> LimitClaim | Refusal | None:
    """What the sale uses of this limit, or why it may not; None when there is nothing to remember."""
    limit = room.limit
    if room.cap is None:
        return Refusal(
            RefusalCode.NEEDS_HQ, {"offer": offer.id, "limit": limit.id, "asked": asked}, {"name": offer.name.words}
        )
    if asked > room.remaining:
        return _reached(offer, room, asked, category, day)
    if room.key is None or asked == 0:
        return None
    return LimitClaim(room.key, asked, room.cap, offer.id, limit.id, str(limit.offline))


def _reached(offer: Offer, room: Room, asked: int, category: Category, day: date) -> Refusal:
    limit = room.limit
    assert room.cap is not None
    numbers: dict[str, int | str] = {
        "offer": offer.id,
        "limit": limit.id,
        "count": str(limit.count),
        "per": "+".join(sorted(limit.per)),
        "window": str(limit.window),
        "used": room.used,
        "max": room.cap,
        "remaining": room.remaining,
        "asked": asked,
    }
    frees = None if limit.momentary else next_window(limit.window, day)
    if frees:
        numbers["frees"] = numbers["next_day"] = frees.isoformat()
    if limit.per == (Scope.VOUCHER,) and room.used and room.remaining == 0:
        return Refusal(RefusalCode.VOUCHER_USED, numbers)
    code = RefusalCode.LIMIT_REACHED if limit.personal or limit.momentary else RefusalCode.QUOTA_GONE
    return Refusal(code, numbers, _limit_words(limit, numbers, category))


def _limit_words(limit: Limit, numbers: Mapping[str, int | str], category: Category) -> dict[str, Words]:
    words = {
        "scope": joined([SCOPE_WORDS[scope] for scope in Scope if scope in limit.per]),
        "window": WINDOW_WORDS[limit.window],
        "unit": COUNT_WORDS.get(limit.count, category.unit.words),
    }
    if limit.count is Count.FEN:
        for name in ("used", "max", "remaining", "asked"):
            amount = yuan(int(numbers[name]))
            words[name] = Words(amount, amount)
    elif numbers["remaining"]:
        words["fitting"] = fitting(numbers["remaining"], words["unit"])
    return words


def best_remaining(rooms: Sequence[Room]) -> int | None:
    """Units that are left over all limits: the smallest; an exhausted limit of any kind leaves none; None is unbounded.

    An offer that counts only uses answers in uses.
    """
    if any(room.remaining == 0 for room in rooms):
        return 0
    for count in (Count.UNITS, Count.USES):
        left = [room.remaining for room in rooms if room.limit.count is count]
        if left:
            return min(left)
    return None

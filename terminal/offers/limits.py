"""How often and how many in total: counter keys, what is left, and the claims that a redemption will make on them."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Protocol

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.catalogue import Category
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.model import Offer
from terminal.offers.refusal import Refusal, RefusalCode, fitting, joined, yuan
from terminal.offers.sale import Place
from terminal.offers.voucher import VoucherRecord

GRANTED_ONLY = frozenset({Offline.LEASE, Offline.REFUSE})  # what a terminal may use only out of a grant
WINDOWS_KEPT: Final = 64  # window starts remembered: the windows of today and yesterday are a dozen
_SAFE = re.compile(r"[A-Za-z0-9_.~:/-]*")  # what percent-encoding leaves as it is (RFC 3986 unreserved, and ours)

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

    def elsewhere(self, key: str) -> int:
        """How much of `used` was used at other terminals."""
        ...

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        """What this terminal may use in all under a limit's key, by headquarters' grants; None: no grant at all."""
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


class SteadyUsage:
    """Usage as one quote sees it: each count is read once, however many rules ask for it.

    Another till of the same ledger may sell in the middle of a quote. A price worked out from one count and a claim
    pinned to a later one would authorise what nobody was shown.
    """

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._seen: dict[str, int] = {}

    def used(self, key: str) -> int:
        """The count under `key` when this quote first asked for it."""
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._usage.used(key)
        return found

    def elsewhere(self, key: str) -> int:
        """`Usage`."""
        return self._usage.elsewhere(key)

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        """`Usage`."""
        return self._usage.slice_of(offer, limit, key)

    def last_redeemed(self, offer: str, person: str) -> date | None:
        """`Usage`."""
        return self._usage.last_redeemed(offer, person)

    @property
    def vouchers_known(self) -> bool:
        """`Usage`."""
        return self._usage.vouchers_known

    def voucher(self, code: str) -> VoucherRecord | None:
        """`Usage`."""
        return self._usage.voucher(code)


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
    elsewhere: int = 0  # how much of `used` was used at other terminals

    @property
    def remaining(self) -> int:
        """What is left, never below nothing."""
        left = (self.cap or 0) - self.used
        return left if left > 0 else 0  # asked for often: a call of max() would cost more than all of this


def scope_values(
    offer: Offer, member: Member, place: Place, voucher: str | None, showing: str | None
) -> dict[Scope, str]:
    """What each scope means in this sale, as it stands in a key; one that is not known yet, or empty, is left out."""
    return {**common_values(member, place, voucher, showing), Scope.CAMPAIGN: campaign_value(offer)}


def common_values(member: Member, place: Place, voucher: str | None, showing: str | None) -> dict[Scope, str]:
    """What the scopes mean that are the same for every offer.

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
        Scope.SALE: "this",
    }
    return {scope: f"{scope}={encoded(value)}" for scope, value in values.items() if value}


def campaign_value(offer: Offer) -> str:
    """The one scope that differs from offer to offer; an id needs no encoding."""
    return f"{Scope.CAMPAIGN}={offer.campaign}"


def usage_key(offer: Offer, limit: Limit, values: Mapping[Scope, str], day: date) -> str:
    """The one name of a counter: offer, limit, scope values in alphabetical order, window start.

    Values are percent-encoded, so that nothing a cashier types can pass for another counter.
    """
    per, window = limit.per, limit.window
    scopes = values[per[0]] if len(per) == 1 else "|".join([values[scope] for scope in sorted(per)])
    return f"{offer.id}|{limit.id}|{scopes}|{window}={window_start(offer, window, day)}"


def encoded(value: str) -> str:
    """A scope's value as it stands in a key."""
    if _SAFE.fullmatch(value):  # every token and every id
        return value
    return urllib.parse.quote(value, safe=":/", errors="surrogatepass")  # half a character must not raise either


def window_start(offer: Offer, window: Window, day: date) -> str:
    """Where the window that holds `day` begins: a day, or the campaign's name, which outlives a change of its dates."""
    return offer.campaign if window is Window.CAMPAIGN else _dated_start(window, day)


@lru_cache(maxsize=WINDOWS_KEPT)
def _dated_start(window: Window, day: date) -> str:
    match window:
        case Window.DAY | Window.SALE:
            return day.isoformat()
        case Window.WEEK:
            return date.fromordinal(max(1, day.toordinal() - day.weekday())).isoformat()
        case Window.MONTH:
            return day.replace(day=1).isoformat()
        case Window.YEAR:
            return day.replace(month=1, day=1).isoformat()
        case _:
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
    for scope in limit.per:
        if scope not in values:
            return None
    if limit.momentary:
        return Room(limit, None, 0, limit.max)
    key = usage_key(offer, limit, values, day)
    used = max(0, usage.used(key))
    if limit.offline not in GRANTED_ONLY:
        return Room(limit, key, used, limit.max, usage.elsewhere(key))
    granted = usage.slice_of(offer.id, limit.id, key)
    return Room(limit, key, used, None if granted is None else min(limit.max, max(0, granted)), usage.elsewhere(key))


def claim_on(offer: Offer, room: Room, asked: int, category: Category, day: date) -> LimitClaim | Refusal | None:
    """What the sale uses of this limit, or why it may not; None when there is nothing to remember."""
    refusal = refusal_of(offer, room, asked, category, day)
    if refusal or room.key is None or asked == 0:
        return refusal
    assert room.cap is not None
    return LimitClaim(room.key, asked, room.cap, offer.id, room.limit.id, str(room.limit.offline))


def refusal_of(offer: Offer, room: Room, asked: int, category: Category, day: date) -> Refusal | None:
    """Why the sale may not use so much of this limit; None when it may."""
    if room.cap is None:
        numbers: dict[str, int | str] = {"offer": offer.id, "limit": room.limit.id, "asked": asked}
        return Refusal(RefusalCode.NEEDS_HQ, numbers, {"name": offer.name.words})
    return _reached(offer, room, asked, category, day) if asked > room.remaining else None


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
    words = _limit_words(limit, numbers, category)
    if room.elsewhere > 0:
        numbers["elsewhere"] = room.elsewhere
        words["used"] = _with_elsewhere(limit, room, words.get("used"))
    return Refusal(code, numbers, words)


def _with_elsewhere(limit: Limit, room: Room, used: Words | None) -> Words:
    """What is used, and how much of it at another shop: this one's books do not show it."""
    there = yuan(room.elsewhere) if limit.count is Count.FEN else str(room.elsewhere)
    here = used or Words(str(room.used), str(room.used))
    return Words(f"{here.zh}（其中 {there} 在别处）", f"{here.en} ({there} at another shop)")


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
    least: dict[Count, int] = {}
    for room in rooms:
        left, count = room.remaining, room.limit.count
        if left == 0:
            return 0
        least[count] = min(left, least.get(count, left))
    return least.get(Count.UNITS, least.get(Count.USES))

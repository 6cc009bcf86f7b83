"""How a card's standing follows from what the union, the bank and people here say. Pure; time comes in.

Two voices make one standing. The union says whether the holder is a member, the bank (or a person here) how the card
is. Not a member: `withdrawn`, however good the card. No word of the union yet: `unknown`, which is not on the roll.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from config.errors import Words
from config.zone import SHANGHAI
from sync.headquarters.roll.errors import StandingRefused, ValidityRefused
from terminal.membership.standing import STANDING_WORDS, MemberClass, Standing

ACTIVATION: Final = timedelta(hours=48)  # DOMAIN: activation takes effect after 48 hours
CONFIRMATION: Final = timedelta(days=7)  # a loss told by telephone must be confirmed within
TEMPORARY_DAYS: Final = 60  # a temporary card, the day of issue included
TEMPORARY_MONTHS_MAX: Final = 6  # from its issue, however often it is extended


class Action(StrEnum):
    """What a person may do to a card. `ADD` and `REPLACE` bring a new one and are not done to an old."""

    SUSPEND = "suspend"  # reported lost by telephone
    LOSE = "lose"  # formally reported lost: never usable again
    REINSTATE = "reinstate"  # found again, or a member again
    WITHDRAW = "withdraw"  # the holder is no member any more
    ACTIVATE = "activate"  # takes effect after 48 hours
    EXTEND = "extend"  # a temporary card


ACTION_WORDS: Final[Mapping[Action, Words]] = {
    Action.SUSPEND: Words("口头挂失", "suspended"),
    Action.LOSE: Words("正式挂失", "called lost"),
    Action.REINSTATE: Words("恢复使用", "put back into use"),
    Action.WITHDRAW: Words("退会", "withdrawn"),
    Action.ACTIVATE: Words("激活", "activated"),
    Action.EXTEND: Words("延期", "extended"),
}

# What may be done to a card that stands so. A lost card is lost for good: a new number takes its place.
ALLOWED: Final[Mapping[Standing, frozenset[Action]]] = {
    Standing.INACTIVE: frozenset({Action.SUSPEND, Action.LOSE, Action.WITHDRAW, Action.ACTIVATE, Action.EXTEND}),
    Standing.ACTIVE: frozenset({Action.SUSPEND, Action.LOSE, Action.WITHDRAW, Action.EXTEND}),
    Standing.SUSPENDED: frozenset({Action.LOSE, Action.REINSTATE, Action.WITHDRAW, Action.EXTEND}),
    Standing.LOST: frozenset({Action.WITHDRAW}),
    Standing.EXPIRED: frozenset({Action.LOSE, Action.WITHDRAW, Action.EXTEND}),
    Standing.WITHDRAWN: frozenset({Action.REINSTATE}),
    Standing.UNKNOWN: frozenset({Action.SUSPEND, Action.LOSE}),
}
_REPLACED: Final = Words("补办新卡", "replaced")
_BLOCKED: Final = frozenset({Standing.SUSPENDED, Standing.LOST})


@dataclass(frozen=True, slots=True)
class Card:
    """What is said of one card; the columns of `members` that decide. `card` and `member`: None, nobody has said."""

    card: Standing | None
    member: bool | None
    member_class: MemberClass
    issued: date | None
    valid_until: date | None
    due_at: datetime | None
    by_person: bool

    @property
    def standing(self) -> Standing:
        """What terminals are told."""
        if self.member is None:
            return Standing.UNKNOWN
        if not self.member:
            return Standing.WITHDRAWN
        return self.card or Standing.INACTIVE

    @property
    def actions(self) -> tuple[Action, ...]:
        """What a person may do to it now, in the order of `Action`."""
        allowed = ALLOWED[self.standing]
        if self.valid_until is None:
            allowed -= {Action.EXTEND}
        if self.standing is Standing.INACTIVE and self.due_at is not None:
            allowed -= {Action.ACTIVATE}  # asked for already
        if self.standing is Standing.WITHDRAWN and self.card is Standing.LOST:
            allowed -= {Action.REINSTATE}
        return tuple(action for action in Action if action in allowed)


def changed(card: Card, action: Action, now: datetime) -> Card:
    """The card after `action`. Raises `StandingRefused`, `ValidityRefused`."""
    if action not in card.actions:
        raise _refused(card.standing, ACTION_WORDS[action])
    match action:
        case Action.SUSPEND:
            return replace(card, card=Standing.SUSPENDED, due_at=now + CONFIRMATION, by_person=True)
        case Action.LOSE:
            return replace(card, card=Standing.LOST, due_at=None, by_person=True)
        case Action.WITHDRAW:
            return replace(card, member=False, due_at=None, by_person=True)
        case Action.ACTIVATE:
            return replace(card, card=Standing.INACTIVE, due_at=now + ACTIVATION)
        case Action.REINSTATE:
            return _reinstated(card)
        case Action.EXTEND:
            return _extended(card, now)


def elapsed(card: Card, now: datetime) -> Card | None:
    """The card after what the clock does to it by `now`; None when that is nothing.

    A suspension that nobody confirmed stays one: the card may be in a finder's hands, so a person decides.
    """
    if card.due_at is None or card.due_at > now:
        return None
    match card.card:
        case Standing.INACTIVE:
            return replace(card, card=Standing.ACTIVE, due_at=_end(card.valid_until))
        case Standing.ACTIVE:
            return replace(card, card=Standing.EXPIRED, due_at=None)
    return None


def temporary(member_class: MemberClass, now: datetime) -> Card:
    """A temporary card, good at once and for `TEMPORARY_DAYS`."""
    issued = now.astimezone(SHANGHAI).date()
    until = issued + timedelta(days=TEMPORARY_DAYS - 1)
    return Card(Standing.ACTIVE, True, member_class, issued, until, _end(until), by_person=False)


def issued_now(member_class: MemberClass, issued: date | None, now: datetime) -> Card:
    """A new card that its holder has just activated: good after `ACTIVATION`."""
    day = issued or now.astimezone(SHANGHAI).date()
    return Card(Standing.INACTIVE, True, member_class, day, None, now + ACTIVATION, by_person=False)


def _reinstated(card: Card) -> Card:
    """Back to what it was good for. The member's return does not give back a card that was suspended."""
    returns = card.standing is Standing.WITHDRAWN
    standing = card.card if returns else Standing.ACTIVE
    due_at = _end(card.valid_until) if standing is Standing.ACTIVE else None
    return replace(card, card=standing, member=True, due_at=due_at, by_person=standing in _BLOCKED)


def _extended(card: Card, now: datetime) -> Card:
    """Another `TEMPORARY_DAYS` from today, as far as the programme lets a temporary card go."""
    assert card.issued is not None
    assert card.valid_until is not None
    today = now.astimezone(SHANGHAI).date()
    last = _months_later(card.issued, TEMPORARY_MONTHS_MAX)
    until = min(today + timedelta(days=TEMPORARY_DAYS - 1), last)
    if until <= card.valid_until or until < today:
        raise ValidityRefused("extend", "card", last=last.isoformat())
    standing = Standing.ACTIVE if card.card is Standing.EXPIRED else card.card
    due_at = _end(until) if standing is Standing.ACTIVE else card.due_at
    return replace(card, card=standing, valid_until=until, due_at=due_at)


def _months_later(day: date, months: int) -> date:
    """The last day of so many months that begin with `day`; the month's own end where it has no such day."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    following = date(year + month // 12, month % 12 + 1, 1)
    same_day = min(day.day, (following - timedelta(days=1)).day)
    return date(year, month, same_day) - timedelta(days=1)


def _end(until: date | None) -> datetime | None:
    """The moment after the day `until` in Shanghai."""
    if until is None:
        return None
    return datetime.combine(until + timedelta(days=1), datetime.min.time(), SHANGHAI)


def refused_replacement(standing: Standing) -> StandingRefused:
    """No new card for this one: its holder is no member, or has one already."""
    return _refused(standing, _REPLACED)


def _refused(standing: Standing, wanted: Words) -> StandingRefused:
    now = STANDING_WORDS[standing]
    return StandingRefused(
        "change standing",
        "card",
        standing_zh=now.zh,
        standing_en=now.en,
        action_zh=wanted.zh,
        action_en=wanted.en,
    )

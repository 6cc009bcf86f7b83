"""When an offer is open: days, kinds of day, hours, windows over midnight, windows that begin with the member. Pure.

The *offer day* is the day a window began: at half past midnight a window that opened last evening still counts as
yesterday, for its weekday, its dates and every limit per day.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum, auto
from functools import lru_cache
from zoneinfo import ZoneInfo

from terminal.offers.catalogue import Agreement
from terminal.offers.model import DayKind, OpenWindow, Since, Weekday, When

HORIZON_DAYS = 400  # how far ahead the next opening is looked for: a yearly season and its neighbours
KINDS_KEPT = 1_024  # days whose kinds are remembered: the horizon, and some days before it

WEEKDAYS = tuple(Weekday)
_ONE_DAY = timedelta(days=1)


class DayFault(StrEnum):
    """What is wrong with a day, in the order in which it is told."""

    NOT_STARTED = auto()
    ENDED = auto()
    BLACKOUT = auto()
    CALENDAR_UNKNOWN = auto()
    WRONG_KIND = auto()


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on the book's own calendar and clock."""

    day: date
    time: time


@dataclass(frozen=True, slots=True)
class Opening:
    """The next moment at which an offer is open; `time` None: from midnight on."""

    day: date
    time: time | None


@dataclass(frozen=True, slots=True)
class OfferDay:
    """The day that a sale belongs to, and whether its hours are open (they are when there are none)."""

    day: date
    open: bool


def offer_day(when: When, moment: Moment) -> OfferDay:
    """Today, or yesterday for a window that began then and is still open; a day without faults comes first."""
    if not when.windows:
        return OfferDay(moment.day, open=True)
    covered = [day for day in _days_at(moment) if _open(when, day, moment)]
    fit = next((day for day in covered if not any(day_faults(when, day))), None)
    return OfferDay(fit or moment.day, open=fit is not None or moment.day in covered)


def day_faults(when: When, day: date) -> Iterator[DayFault]:
    """Everything about the dates and kinds of day that speaks against `day`."""
    if when.first_day and day < when.first_day:
        yield DayFault.NOT_STARTED
    if when.last_day and day > when.last_day:
        yield DayFault.ENDED
    if day in when.blackout:
        yield DayFault.BLACKOUT
    if when.days:
        kinds = kinds_of(day)
        if kinds is None:
            yield DayFault.CALENDAR_UNKNOWN
        elif kinds.isdisjoint(when.days):
            yield DayFault.WRONG_KIND


@lru_cache(maxsize=KINDS_KEPT)
def kinds_of(day: date) -> frozenset[DayKind] | None:
    """What kinds of day this is, by the State Council's calendar; None for a year that it does not cover yet."""
    import chinese_calendar  # read only for books that use it

    try:
        off, holiday = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:  # how the library says that it does not know the year
        return None
    if not off:
        return frozenset({DayKind.WORKDAY})
    return frozenset({DayKind.DAY_OFF, DayKind.PUBLIC_HOLIDAY} if holiday else {DayKind.DAY_OFF})


def next_opening(when: When, agreement: Agreement | None, after: Moment) -> Opening | None:
    """The first moment after `after`, within `HORIZON_DAYS`, at which day and hours fit; None when there is none."""
    last = min(date.max if agreement is None else agreement.ends() or date.max, when.last_day or date.max)
    for day in _following(after.day, HORIZON_DAYS):
        if day > last:
            return None
        if (agreement is not None and day < agreement.first_day) or any(day_faults(when, day)):
            continue
        begins = [window.start for window in when.windows if _begins(window, day)] if when.windows else [time.min]
        later = [begin for begin in begins if day > after.day or begin > after.time]
        if later:
            return Opening(day, min(later) if min(later) > time.min else None)
    return None


def last_day_since(since: Since, anchor: date) -> date:
    """The last day of a window that began on `anchor`, at most the calendar's last."""
    try:
        if since.days is not None:
            return anchor + timedelta(days=since.days - 1)
        assert since.months is not None, "the model asks for one of the two"
        return months_later(anchor, since.months) - _ONE_DAY
    except (OverflowError, ValueError):
        return date.max


def months_later(day: date, months: int) -> date:
    """The same day of the month `months` later, or that month's last day. Raises `ValueError` beyond the calendar."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _days_at(moment: Moment) -> tuple[date, ...]:
    """The days whose windows may be open at `moment`, today first."""
    return (moment.day,) if moment.day == date.min else (moment.day, moment.day - _ONE_DAY)


def _open(when: When, day: date, moment: Moment) -> bool:
    return any(_begins(window, day) and _covers(window, day, moment) for window in when.windows)


def _begins(window: OpenWindow, day: date) -> bool:
    return not window.weekdays or WEEKDAYS[day.weekday()] in window.weekdays


def _covers(window: OpenWindow, day: date, moment: Moment) -> bool:
    """Whether the window that began on `day` is open at `moment`, on that day or in the small hours after it."""
    if day != moment.day:
        return window.over_midnight and window.end is not None and moment.time < window.end
    until_midnight = window.end is None or window.end == time.min or window.over_midnight
    return window.start <= moment.time and (until_midnight or (window.end is not None and moment.time < window.end))


def _following(day: date, count: int) -> Iterator[date]:
    for ahead in range(count + 1):
        try:
            yield day + timedelta(days=ahead)
        except OverflowError:
            return


def moment_of(now: datetime, zone: ZoneInfo) -> Moment:
    """`now` on the book's calendar. A moment without a zone is read as the book's own.

    At the two ends of the calendar, where a zone cannot be applied, the moment is taken as it stands.
    """
    try:
        there = now.astimezone(zone) if now.tzinfo else now
    except OverflowError:
        there = now
    return Moment(there.date(), there.time())

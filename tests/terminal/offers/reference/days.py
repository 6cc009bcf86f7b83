"""When an offer is open, the slow way: one day, month or year after another, and every window as two points in time.

Knows the book's data, never the rules under test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chinese_calendar import constants as state_council

from terminal.offers.catalogue import Agreement
from terminal.offers.counts import Window
from terminal.offers.model import OpenWindow, Since, When
from terminal.offers.refusal import RefusalCode

ONE_DAY = timedelta(days=1)
HORIZON_DAYS = 400  # how far ahead a next opening is told
YEARS_KNOWN = {day.year for day in state_council.holidays}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class OfferDay:
    """The day a sale belongs to, and whether hours are open."""

    day: date
    open: bool


def on_the_clock(now: datetime, zone: str) -> datetime:
    """What the book's own calendar and clock show, without a zone."""
    return now if now.tzinfo is None else now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


# Agreements ---------------------------------------------------------------------------------------------------------


def agreement_end(agreement: Agreement) -> date | None:
    """The last day, by walking from period end to period end; None when none is in sight."""
    if agreement.renewal is None:
        return agreement.last_day
    objected_on = agreement.renewal.objected_on
    if objected_on is None:
        return None
    for year in range(agreement.last_day.year, date.max.year):
        end = _in_year(agreement.last_day, year)
        if objected_on <= end - agreement.renewal.notice_days * ONE_DAY:
            return end
    return None


def agreement_holds(agreement: Agreement, day: date) -> bool:
    end = agreement_end(agreement)
    return agreement.first_day <= day and (end is None or day <= end)


def _in_year(day: date, year: int) -> date:
    leap_day_missing = (day.month, day.day) == (2, 29) and not _exists(year, 2, 29)
    return date(year, 2, 28) if leap_day_missing else date(year, day.month, day.day)


def _exists(year: int, month: int, day: int) -> bool:
    walk = date(year, month, 1)
    while walk.month == month:
        if walk.day == day:
            return True
        walk += ONE_DAY
    return False


# Days, kinds of day, hours ------------------------------------------------------------------------------------------


def kinds(day: date) -> set[str] | None:
    """Kinds of a day from the calendar's own tables of holidays and make-up workdays; None beyond them."""
    if day.year not in YEARS_KNOWN:
        return None
    if day in state_council.workdays:
        return {"workday"}
    if day in state_council.holidays:
        return {"day-off", "public-holiday"}
    return {"day-off"} if WEEKDAYS[day.weekday()] in ("sat", "sun") else {"workday"}


def day_reasons(when: When, day: date) -> list[RefusalCode]:
    """Everything about a day, hours aside, that keeps the offer shut."""
    reasons = []
    if when.first_day is not None and day < when.first_day:
        reasons.append(RefusalCode.NOT_STARTED)
    if when.last_day is not None and day > when.last_day:
        reasons.append(RefusalCode.ENDED)
    if any(day == rest for rest in when.blackout):
        reasons.append(RefusalCode.BLACKOUT)
    if when.days:
        found = kinds(day)
        if found is None:
            reasons.append(RefusalCode.CALENDAR_UNKNOWN)
        elif not any(str(wanted) in found for wanted in when.days):
            reasons.append(RefusalCode.WRONG_DAY)
    return reasons


def in_hours(window: OpenWindow, began: date, now: datetime) -> bool:
    """Whether the window that began on a day is open at `now`."""
    if window.weekdays and WEEKDAYS[began.weekday()] not in window.weekdays:
        return False
    end = window.end if window.end is not None else time(0)
    opens = datetime.combine(began, window.start)
    closes = datetime.combine(began, end)
    if closes <= opens:
        closes += ONE_DAY
    return opens <= now < closes


def offer_day(when: When, now: datetime) -> OfferDay:
    """Today when its hours are open and it is a good day; else yesterday, if so; else today."""
    today = now.date()
    if not when.windows:
        return OfferDay(today, open=True)
    hours_today = any(in_hours(window, today, now) for window in when.windows)
    if hours_today and not day_reasons(when, today):
        return OfferDay(today, open=True)
    yesterday = today - ONE_DAY
    if any(in_hours(window, yesterday, now) for window in when.windows) and not day_reasons(when, yesterday):
        return OfferDay(yesterday, open=True)
    return OfferDay(today, open=hours_today)


def next_opening(when: When, agreement: Agreement | None, now: datetime) -> datetime | None:
    """The first moment after `now` at which the offer is open: every edge of every window of every day is tried."""
    edges = {time(0)}
    for window in when.windows:
        edges |= {window.start, window.end or time(0)}
    for ahead in range(HORIZON_DAYS + 1):
        for edge in sorted(edges):
            moment = datetime.combine(now.date() + ahead * ONE_DAY, edge)
            if moment > now and _is_open(when, agreement, moment):
                return moment
    return None


def _is_open(when: When, agreement: Agreement | None, moment: datetime) -> bool:
    for began in (moment.date(), moment.date() - ONE_DAY):
        if day_reasons(when, began) or (agreement is not None and not agreement_holds(agreement, began)):
            continue
        if any(in_hours(window, began, moment) for window in when.windows):
            return True
        if not when.windows and began == moment.date():
            return True
    return False


# Windows that begin with the member ---------------------------------------------------------------------------------


def since_last_day(since: Since, anchor: date) -> date:
    """The last day of a window that began on `anchor`."""
    if since.days is not None:
        last = anchor
        for _ in range(since.days - 1):
            last += ONE_DAY
        return last
    assert since.months is not None
    year, month = anchor.year, anchor.month
    for _ in range(since.months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    day = anchor.day
    while not _exists(year, month, day):
        day -= 1
    return date(year, month, day) - ONE_DAY


# Windows of limits --------------------------------------------------------------------------------------------------


def same_window(window: Window, one: date, other: date) -> bool:
    """Whether two days share a counter; the campaign's and the everlasting one are shared by all days."""
    return window in (Window.CAMPAIGN, Window.EVER) or window_start(window, one) == window_start(window, other)


def window_start(window: Window, day: date) -> date:
    """Back, day by day, as far as the window reaches."""
    while not _begins(window, day):
        day -= ONE_DAY
    return day


def window_after(window: Window, day: date) -> date | None:
    """Forward, day by day, until a counter begins anew; None when it never does."""
    if window not in (Window.DAY, Window.WEEK, Window.MONTH, Window.YEAR):
        return None
    day += ONE_DAY
    while not _begins(window, day):
        day += ONE_DAY
    return day


def _begins(window: Window, day: date) -> bool:
    """Whether a window begins on a day, by the day before it."""
    before = day - ONE_DAY
    match window:
        case Window.WEEK:
            return WEEKDAYS[day.weekday()] == "mon"
        case Window.MONTH:
            return before.month != day.month
        case Window.YEAR:
            return before.year != day.year
        case _:
            return True

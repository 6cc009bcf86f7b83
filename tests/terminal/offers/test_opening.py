"""When an offer is open: edges of days, hours over midnight, kinds of day, agreements that renew, the next opening."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.catalogue import Agreement, Renewal
from terminal.offers.model import DayKind, OpenWindow, Since, Weekday, When
from terminal.offers.opening import (
    HORIZON_DAYS,
    DayFault,
    Moment,
    OfferDay,
    Opening,
    day_faults,
    kinds_of,
    last_day_since,
    months_later,
    next_opening,
    offer_day,
)

FRIDAY, SATURDAY, SUNDAY = date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 8)
LATE = OpenWindow(weekdays=(Weekday.FRI,), start=time(22), end=time(2))
days = st.dates(date(2010, 1, 1), date(2030, 12, 31))


def at(day: date, clock: str) -> Moment:
    return Moment(day, time.fromisoformat(clock))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(FRIDAY, "21:59:59"), OfferDay(FRIDAY, open=False)),
        (at(FRIDAY, "22:00"), OfferDay(FRIDAY, open=True)),
        (at(FRIDAY, "23:59:59"), OfferDay(FRIDAY, open=True)),
        (at(SATURDAY, "00:00"), OfferDay(FRIDAY, open=True)),
        (at(SATURDAY, "01:59:59"), OfferDay(FRIDAY, open=True)),
        (at(SATURDAY, "02:00"), OfferDay(SATURDAY, open=False)),
        (at(SATURDAY, "22:00"), OfferDay(SATURDAY, open=False)),
        (at(FRIDAY, "01:00"), OfferDay(FRIDAY, open=False)),  # Thursday's night is not named
    ],
)
def test_hours_after_midnight_belong_to_the_evening_before(moment: Moment, expected: OfferDay) -> None:
    assert offer_day(When(windows=(LATE,)), moment) == expected


def test_last_day_of_a_night_offer_reaches_into_the_next_morning_and_no_further() -> None:
    when = When(last_day=FRIDAY, windows=(OpenWindow(start=time(22), end=time(2)),))
    assert offer_day(when, at(SATURDAY, "01:00")) == OfferDay(FRIDAY, open=True)
    tonight = offer_day(when, at(SATURDAY, "23:00"))
    assert tonight == OfferDay(SATURDAY, open=True)
    assert list(day_faults(when, tonight.day)) == [DayFault.ENDED]


def test_first_night_does_not_begin_in_the_small_hours_of_its_own_day() -> None:
    when = When(first_day=SATURDAY, windows=(OpenWindow(start=time(22), end=time(2)),))
    early = offer_day(when, at(SATURDAY, "01:00"))
    assert early == OfferDay(SATURDAY, open=False)


@pytest.mark.parametrize(
    ("window", "clock", "expected"),
    [
        (OpenWindow(start=time(8)), "07:59", False),
        (OpenWindow(start=time(8)), "23:59:59.999999", True),
        (OpenWindow(end=time(8)), "00:00", True),
        (OpenWindow(end=time(8)), "08:00", False),
        (OpenWindow(start=time(8), end=time(0)), "23:59", True),
        (OpenWindow(start=time(8), end=time(0)), "00:00", False),
        (OpenWindow(weekdays=(Weekday.SAT,)), "12:00", False),
    ],
)
def test_open_ended_windows(window: OpenWindow, clock: str, expected: bool) -> None:
    assert offer_day(When(windows=(window,)), at(FRIDAY, clock)).open is expected


@pytest.mark.parametrize(
    ("day", "kinds"),
    [
        (date(2026, 2, 17), {DayKind.DAY_OFF, DayKind.PUBLIC_HOLIDAY}),  # Spring Festival
        (date(2026, 2, 14), {DayKind.WORKDAY}),  # a Saturday on which people work
        (date(2026, 2, 28), {DayKind.WORKDAY}),  # again a Saturday
        (date(2026, 3, 7), {DayKind.DAY_OFF}),
        (date(2026, 3, 6), {DayKind.WORKDAY}),
        (date(2025, 10, 6), {DayKind.DAY_OFF, DayKind.PUBLIC_HOLIDAY}),  # Mid-Autumn within National Day's week
    ],
)
def test_kinds_of_day_follow_the_state_council(day: date, kinds: set[DayKind]) -> None:
    assert kinds_of(day) == kinds


def test_year_that_nobody_has_ordered_yet_is_unknown() -> None:
    assert kinds_of(date(2099, 1, 1)) is None
    assert list(day_faults(When(days=(DayKind.WORKDAY,)), date(2099, 1, 1))) == [DayFault.CALENDAR_UNKNOWN]
    assert list(day_faults(When(), date(2099, 1, 1))) == []


@pytest.mark.parametrize(
    ("last_day", "objected", "notice", "ends"),
    [
        ("2013-06-30", None, 30, None),
        ("2013-06-30", "2013-05-31", 30, "2013-06-30"),
        ("2013-06-30", "2013-06-01", 30, "2014-06-30"),  # a day too late for this year
        ("2013-06-30", "2020-01-01", 30, "2020-06-30"),
        ("2013-06-30", "2020-06-30", 0, "2020-06-30"),
        ("2012-02-29", "2013-01-01", 0, "2013-02-28"),
        ("2012-02-29", "2016-01-01", 0, "2016-02-29"),  # always from the first end, so the leap day comes back
        ("2013-01-05", "2012-12-20", 30, "2014-01-05"),
    ],
)
def test_agreement_renews_itself_until_a_side_objects_in_time(
    last_day: str, objected: str | None, notice: int, ends: str | None
) -> None:
    renewal = Renewal(notice_days=notice, objected_on=objected and date.fromisoformat(objected))
    agreement = Agreement(first_day=date(2010, 1, 1), last_day=date.fromisoformat(last_day), renewal=renewal)
    assert agreement.ends() == (ends and date.fromisoformat(ends))
    if ends:
        last = date.fromisoformat(ends)
        assert (agreement.valid_on(last), agreement.valid_on(last + timedelta(1))) == (True, False)


def test_objection_at_the_end_of_the_calendar_is_never_in_time() -> None:
    renewal = Renewal(notice_days=366, objected_on=date.max)
    assert Agreement(first_day=date(2010, 1, 1), last_day=date(2012, 1, 1), renewal=renewal).ends() is None


@pytest.mark.parametrize(
    ("anchor", "since", "last"),
    [
        (date(2012, 8, 13), Since(event="card-issued", months=6), date(2013, 2, 12)),
        (date(2012, 8, 31), Since(event="card-issued", months=6), date(2013, 2, 27)),  # 28 February begins month seven
        (date(2012, 2, 29), Since(event="card-issued", months=12), date(2013, 2, 27)),
        (date(2012, 1, 1), Since(event="card-issued", days=1), date(2012, 1, 1)),
        (date(2012, 1, 1), Since(event="card-issued", days=60), date(2012, 2, 29)),
        (date(9999, 12, 1), Since(event="card-issued", months=6), date.max),
        (date(9999, 12, 1), Since(event="card-issued", days=3660), date.max),
    ],
)
def test_relative_window_ends_on_the_day_before_its_anniversary(anchor: date, since: Since, last: date) -> None:
    assert last_day_since(since, anchor) == last


@given(days, st.integers(0, 600))
def test_months_later_is_in_the_right_month_and_never_beyond_the_day(day: date, months: int) -> None:
    later = months_later(day, months)
    assert later.year * 12 + later.month == day.year * 12 + day.month + months
    assert later.day <= day.day


@pytest.mark.parametrize(
    ("when", "after", "expected"),
    [
        (When(first_day=SUNDAY), at(FRIDAY, "12:00"), Opening(SUNDAY, None)),
        (When(last_day=FRIDAY), at(SATURDAY, "12:00"), None),
        (When(blackout=(SATURDAY, SUNDAY)), at(SATURDAY, "12:00"), Opening(date(2026, 3, 9), None)),
        (When(windows=(OpenWindow(start=time(8, 30), end=time(16, 30)),)), at(FRIDAY, "08:29"),
         Opening(FRIDAY, time(8, 30))),
        (When(windows=(OpenWindow(start=time(8, 30), end=time(16, 30)),)), at(FRIDAY, "16:30"),
         Opening(SATURDAY, time(8, 30))),
        (When(windows=(LATE,)), at(SATURDAY, "03:00"), Opening(date(2026, 3, 13), time(22))),
        (When(days=(DayKind.PUBLIC_HOLIDAY,)), at(FRIDAY, "12:00"), Opening(date(2026, 4, 4), None)),  # Qingming
        (When(days=(DayKind.WORKDAY,)), at(date(2026, 12, 31), "12:00"), None),  # the next year is not ordered yet
        (When(first_day=FRIDAY + timedelta(HORIZON_DAYS + 1)), at(FRIDAY, "12:00"), None),  # too far to promise
    ],
)  # fmt: skip
def test_next_opening(when: When, after: Moment, expected: Opening | None) -> None:
    assert next_opening(when, None, after) == expected


def test_next_opening_keeps_within_the_agreement() -> None:
    agreement = Agreement(first_day=SUNDAY, last_day=SUNDAY)
    assert next_opening(When(), agreement, at(FRIDAY, "12:00")) == Opening(SUNDAY, None)
    assert next_opening(When(), agreement, at(SUNDAY, "12:00")) is None


windows = st.lists(
    st.builds(
        lambda weekdays, start, hours: OpenWindow(
            weekdays=tuple(weekdays), start=time(start), end=time((start + hours) % 24)
        ),
        st.sets(st.sampled_from(Weekday)),
        st.integers(0, 23),
        st.integers(1, 23),
    ),
    min_size=1,
    max_size=3,
)


@given(windows, days, st.times())
def test_next_opening_is_open_and_nothing_before_it_is(opens: list[OpenWindow], day: date, clock: time) -> None:
    when, now = When(windows=tuple(opens)), Moment(day, clock)
    coming = next_opening(when, None, now)
    assert coming is not None, "some weekday is named"
    start = Moment(coming.day, coming.time or time.min)
    assert (start.day, start.time) > (now.day, now.time) or coming.time is None
    assert offer_day(when, start).open

"""The machine's clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from terminal.ledger.clock import BOOT_ID, SystemClock


class MovedClock(SystemClock):
    """A system clock whose wall and monotonic times are set by the test."""

    def __init__(self) -> None:
        self.now = datetime(2012, 12, 25, 2, 30, tzinfo=UTC)
        self.since_boot_ms = 1000
        super().__init__()

    def wall(self) -> datetime:
        return self.now

    def monotonic_ms(self) -> int:
        return self.since_boot_ms

    def pass_time(self, ms: int) -> None:
        self.now += timedelta(milliseconds=ms)
        self.since_boot_ms += ms


def test_the_system_clock_is_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.wall().utcoffset() == timedelta(0)
    readings = [clock.monotonic_ms() for _ in range(100)]
    assert readings == sorted(readings)
    assert clock.boot() == BOOT_ID.read_text().strip()
    assert clock.hq_time() is None
    assert clock.skew_ms is None
    assert abs(clock.jumped_ms) < 1000


def test_headquarters_word_is_kept_as_said_and_the_skew_follows_the_wall_clock() -> None:
    clock = MovedClock()
    clock.heard_from_headquarters(datetime(2012, 12, 25, 10, 29, 58, tzinfo=timezone(timedelta(hours=8))))
    assert clock.hq_time() == "2012-12-25T02:29:58.000Z"
    assert clock.skew_ms == 2000
    clock.pass_time(60_000)
    assert (clock.skew_ms, clock.jumped_ms) == (2000, 0)
    clock.now -= timedelta(hours=1)
    assert (clock.skew_ms, clock.jumped_ms) == (2000 - 3_600_000, -3_600_000)
    assert clock.hq_time() == "2012-12-25T02:29:58.000Z"


def test_a_time_without_a_zone_is_a_programmers_fault() -> None:
    with pytest.raises(AssertionError):
        SystemClock().heard_from_headquarters(datetime(2012, 12, 25))  # noqa: DTZ001

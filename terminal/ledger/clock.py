"""Time as the ledger records it: three clocks side by side, none believed alone (DESIGN.md, "Time")."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from terminal.ledger.entry import instant

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux: a fresh UUID at each boot, random(4)


class Clock(Protocol):
    """What the ledger asks about time."""

    def wall(self) -> datetime:
        """The PC's wall clock, aware, UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds since boot; never goes back."""

    def boot(self) -> str:
        """Which boot `monotonic_ms` counts from."""

    def hq_time(self) -> str | None:
        """Headquarters' last word on the time, RFC 3339; None when it has not been heard since the start."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A time believed at a moment of the monotonic clock."""

    time: datetime
    monotonic_ms: int


class SystemClock:
    """The machine's clocks, and how far the wall clock is from headquarters'. Safe to use from any thread."""

    def __init__(self) -> None:
        self._boot = BOOT_ID.read_text("ascii").strip()
        self._start = _Mark(self.wall(), self.monotonic_ms())
        self._headquarters: _Mark | None = None  # replaced whole, so a reader sees the old or the new

    def wall(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic_ms(self) -> int:
        """CLOCK_BOOTTIME: unlike CLOCK_MONOTONIC it goes on while the PC sleeps, so a lease ends overnight too."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def boot(self) -> str:
        """The kernel's boot id."""
        return self._boot

    def hq_time(self) -> str | None:
        """Headquarters' last word, as it was said."""
        heard = self._headquarters
        return None if heard is None else instant(heard.time)

    def heard_from_headquarters(self, said: datetime) -> None:
        """Note headquarters' time (aware), just now received."""
        assert said.tzinfo is not None, "headquarters' time is aware"
        self._headquarters = _Mark(said.astimezone(UTC), self.monotonic_ms())

    @property
    def skew_ms(self) -> int | None:
        """How far the wall clock is ahead of headquarters' now, later jumps included; None when never heard."""
        return None if self._headquarters is None else self._ahead_ms(self._headquarters)

    @property
    def jumped_ms(self) -> int:
        """How far the wall clock was moved since this clock was made; positive is forward."""
        return self._ahead_ms(self._start)

    def _ahead_ms(self, mark: _Mark) -> int:
        expected = mark.time + timedelta(milliseconds=self.monotonic_ms() - mark.monotonic_ms)
        return round((self.wall() - expected) / timedelta(milliseconds=1))

"""A clock that stands still until it is told to move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class SteppedClock:
    """All three times of the ledger's `Clock`, moved by hand."""

    now: datetime = datetime(2012, 12, 25, 2, 30, tzinfo=UTC)
    since_boot_ms: int = 60_000
    boot_id: str = "11111111-2222-3333-4444-555555555555"
    headquarters: str | None = None

    def wall(self) -> datetime:
        return self.now

    def monotonic_ms(self) -> int:
        return self.since_boot_ms

    def boot(self) -> str:
        return self.boot_id

    def hq_time(self) -> str | None:
        return self.headquarters

    def step(self, ms: int) -> None:
        """Let time pass on both clocks."""
        self.now += timedelta(milliseconds=ms)
        self.since_boot_ms += ms

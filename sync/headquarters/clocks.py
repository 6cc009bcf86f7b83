"""Times that cannot be: of an entry against what headquarters had said, against its arrival, and against its neighbour.

Three looks at each entry, all within the batch: its time lies before the time that headquarters had told the terminal
by then; or after it arrived; or it moved away from the time of the entry before by another span than the machine's own
steady clock did within one boot. Each allows for the difference that terminals may have anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from sync.errors import MessageMalformed
from sync.headquarters.projection import Finding, FlagCode, Folded, Place
from sync.wire import parse_timestamp
from terminal.ledger.entry import Entry

# A steady clock and a wall clock that NTP keeps drift by parts in a million; this is for a clock that was set by hand.
JUMP_S_MAX: Final = 60.0


class ClockJudge:
    """`Judge`: flags `wrong-clock`; asks the database nothing."""

    def __init__(self, skew_s_max: int) -> None:
        """`skew_s_max`: how far a terminal's clock may be off before it is told (`hq.clock_skew_s_max`)."""
        self._skew_s_max = float(skew_s_max)

    def __call__(
        self, connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
    ) -> Iterable[Finding]:
        """See `Judge`."""
        return wrong_clocks(entries, now, self._skew_s_max)


def wrong_clocks(entries: Sequence[Entry], now: datetime, skew_s_max: float) -> list[Finding]:
    """What is wrong with the times of `entries` (in order), which arrived at `now`. Pure."""
    found: list[Finding] = []
    before: tuple[Entry, datetime] | None = None
    for entry in entries:
        at = _moment(entry.at)
        if at is None:
            continue  # no time in any calendar: flagged as unreadable already
        told = _moment(entry.hq_time)
        if told is not None and (told - at).total_seconds() > skew_s_max:
            found.append(_finding(entry, f"{entry.at} < {entry.hq_time}"))
        elif (at - now).total_seconds() > skew_s_max:
            found.append(_finding(entry, f"{entry.at} > arrival"))
        elif before is not None and before[0].boot == entry.boot and _jumped(before, (entry, at)):
            found.append(_finding(entry, f"{before[0].at} → {entry.at}"))
        before = entry, at
    return found


def _jumped(before: tuple[Entry, datetime], after: tuple[Entry, datetime]) -> bool:
    """Whether the wall clock went another way than the steady one, which never goes back within a boot."""
    steady_s = (after[0].monotonic_ms - before[0].monotonic_ms) / 1000
    wall_s = (after[1] - before[1]).total_seconds()
    return steady_s < 0 or abs(wall_s - steady_s) > JUMP_S_MAX


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_timestamp(text)
    except MessageMalformed:
        return None
    return moment if moment.tzinfo is not None else None


def _finding(entry: Entry, detail: str) -> Finding:
    return Finding(entry.sequence, FlagCode.WRONG_CLOCK, detail.replace("\0", "")[:200])

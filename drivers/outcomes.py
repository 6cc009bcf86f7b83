"""What became of the last cards presented, and counts since the start: for the status page, `/metrics` and support.

`Outcomes` stands between the readers' supervision and the counter: it writes down what passes and passes it on. Of a
card it keeps the last four digits and nothing else.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from config.errors import JingkaError
from drivers.card import Authenticity, AuthenticityReason, CardRead, EntryMode, Step
from drivers.reader import ReaderListener, ReaderStatus

OUTCOMES_MAX = 50  # a busy hour at a counter; with their steps well under a megabyte
COUNTED_READERS_MAX = 64  # names counted apart: more than a counter ever owns; whatever comes after is `OTHER_READER`
OTHER_READER = "other"

# Seconds. A card's exchange should end within 0.5 to 0.6 s; a T=0 card takes 2 s; a virtual one a hundredth.
READ_S_BOUNDS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """One card presented: read (`error` None) or not.

    `number` counts from 1 at the start; `at` is the wall clock. `masked`: the last four digits, empty when unread.
    `read_ms`: the card's exchange, None when nothing was exchanged. `steps`: a chip's commands, empty for a stripe.
    """

    number: int
    at: datetime
    reader: str
    error: JingkaError | None
    entry_mode: EntryMode | None
    authenticity: Authenticity | None
    authenticity_reason: AuthenticityReason | None
    masked: str
    read_ms: float | None
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether the card was read."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class ReadTimes:
    """How long good reads took: `counts[i]` of them at most `READ_S_BOUNDS[i]`, the last one longer; not cumulative."""

    counts: tuple[int, ...]
    sum_s: float


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """What is known at one moment: the newest outcome first, and counts since the start.

    `reads`: by reader and entry mode; `failures`: by reader and error code; `times`: by reader.
    """

    latest: tuple[ReadOutcome, ...] = ()
    reads: Mapping[tuple[str, EntryMode], int] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    times: Mapping[str, ReadTimes] = field(default_factory=dict)


class _Times:
    """The histogram of one reader, filled."""

    def __init__(self) -> None:
        self._counts = [0] * (len(READ_S_BOUNDS) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(READ_S_BOUNDS, seconds)] += 1
        self._sum_s += seconds

    def told(self) -> ReadTimes:
        return ReadTimes(tuple(self._counts), self._sum_s)


class Outcomes:
    """A `ReaderListener` before another one. `wall` gives the time of day; any thread may ask for `history`."""

    def __init__(self, listener: ReaderListener, wall: Callable[[], datetime]) -> None:
        self._listener = listener
        self._wall = wall
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._latest: deque[ReadOutcome] = deque(maxlen=OUTCOMES_MAX)
        self._reads: Counter[tuple[str, EntryMode]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._times: dict[str, _Times] = {}
        self._counted: set[str] = set()

    def history(self) -> ReadHistory:
        """Everything kept, as of now."""
        with self._lock:
            return ReadHistory(
                latest=tuple(reversed(self._latest)),
                reads=dict(self._reads),
                failures=dict(self._failures),
                times={reader: times.told() for reader, times in self._times.items()},
            )

    def card_read(self, read: CardRead) -> None:
        """From a reader's thread."""
        self.note(read)
        self._listener.card_read(read)

    def note(self, read: CardRead) -> None:
        """Keep a read that is not to be passed on: a number that was typed took no exchange, so no time."""
        typed = read.entry_mode is EntryMode.MANUAL
        with self._lock:
            reader = self._counted_name(read.reader)
            self._reads[reader, read.entry_mode] += 1
            if not typed:
                self._times.setdefault(reader, _Times()).add(read.read_ms / 1000)
            self._latest.append(
                ReadOutcome(
                    number=next(self._numbers),
                    at=self._wall(),
                    reader=read.reader,
                    error=None,
                    entry_mode=read.entry_mode,
                    authenticity=read.authenticity,
                    authenticity_reason=read.authenticity_reason,
                    masked=read.pan.masked,
                    read_ms=None if typed else read.read_ms,
                    steps=read.steps,
                )
            )

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        """From a reader's thread."""
        with self._lock:
            self._failures[self._counted_name(reader), error.code] += 1
            self._latest.append(
                ReadOutcome(
                    number=next(self._numbers),
                    at=self._wall(),
                    reader=reader,
                    error=_bare(error),
                    entry_mode=None,
                    authenticity=None,
                    authenticity_reason=None,
                    masked="",
                    read_ms=sum(step.took_ms for step in steps) if steps else None,
                    steps=steps,
                )
            )
        self._listener.card_failed(reader, error, steps)

    def card_removed(self, reader: str) -> None:
        """From a reader's thread."""
        self._listener.card_removed(reader)

    def reader_changed(self, status: ReaderStatus) -> None:
        """From a reader's thread."""
        self._listener.reader_changed(status)

    def _counted_name(self, reader: str) -> str:
        """The name to count under: a reader replugged under ever new names must not fill the memory."""
        if reader in self._counted:
            return reader
        if len(self._counted) >= COUNTED_READERS_MAX:
            return OTHER_READER
        self._counted.add(reader)
        return reader


def _bare(error: JingkaError) -> JingkaError:
    """The error without the frames it came through and what caused it: they hold the card's octets."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)

"""A `ReaderListener` that writes down what readers tell it, and waits for a condition with a bound."""

from __future__ import annotations

import threading
from collections.abc import Callable

from config.errors import JingkaError
from drivers.card import CardRead, Step
from drivers.reader import ReaderState, ReaderStatus

WAIT_S = 10.0  # far longer than any reader needs, short enough to fail within a test's patience


class RecordingListener:
    """Records every call from reader threads, in order.

    Read the lists only after `wait_for` has returned; it wakes on every call, so a test never sleeps for luck.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # re-entrant: a condition may call `state_of`
        self.reads: list[CardRead] = []
        self.failures: list[tuple[str, JingkaError]] = []
        self.failed_steps: list[tuple[Step, ...]] = []  # of each failure: how far the reading came
        self.removals: list[str] = []
        self.statuses: list[ReaderStatus] = []
        self.events: list[str] = []  # "read", "failed", "removed" and "state:<state>", in the order they came

    def card_read(self, read: CardRead) -> None:
        with self._changed:
            self.reads.append(read)
            self._tell("read")

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        with self._changed:
            self.failures.append((reader, error))
            self.failed_steps.append(steps)
            self._tell("failed")

    def card_removed(self, reader: str) -> None:
        with self._changed:
            self.removals.append(reader)
            self._tell("removed")

    def reader_changed(self, status: ReaderStatus) -> None:
        with self._changed:
            self.statuses.append(status)
            self._tell(f"state:{status.state}")

    def _tell(self, event: str) -> None:
        self.events.append(event)
        self._changed.notify_all()

    def state_of(self, reader: str) -> ReaderState | None:
        """The last state told of `reader`; None when it never spoke."""
        with self._changed:
            return next((status.state for status in reversed(self.statuses) if status.name == reader), None)

    def wait_for(self, condition: Callable[[RecordingListener], bool], timeout_s: float = WAIT_S) -> None:
        """Return once `condition(self)` holds; after `timeout_s` fail with the events that did come."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self), timeout_s)
        assert met, f"not within {timeout_s} s; the readers told: {self.events}, failures: {self.failures}"

    def wait_for_reads(self, count: int, timeout_s: float = WAIT_S) -> list[CardRead]:
        """The first `count` reads, once there are as many."""
        self.wait_for(lambda told: len(told.reads) >= count, timeout_s)
        return self.reads[:count]

    @property
    def answers(self) -> int:
        """How many presentations were answered, by a read or by a failure."""
        return len(self.reads) + len(self.failures)

    def wait_for_answers(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Return once `count` presentations were answered."""
        self.wait_for(lambda told: told.answers >= count, timeout_s)

    def wait_for_state(self, reader: str, state: ReaderState, timeout_s: float = WAIT_S) -> None:
        """Return once the last state told of `reader` is `state`."""
        self.wait_for(lambda told: told.state_of(reader) is state, timeout_s)

"""A PC/SC reader on its thread over made-to-order answers, and what ended it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drivers.card import ReaderError
from drivers.pcsc import PcscReader
from drivers.pcsc_visit import Bounds
from drivers.pcsc_watchdog import SILENCE_S
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from tests.fakes.listener import RecordingListener
from tests.fakes.scard import FakeScard

NAME = "Fake reader 00 00"
MEMBER = DEMO_CARDS["member"]
UNEXPECTED = 0x80100004  # "invalid parameter": nothing we know what to make of


def chip() -> VirtualChip:
    return VirtualChip(MEMBER)


class Run:
    """A `PcscReader` on its thread, without the supervisor: `error` is what ended it."""

    def __init__(self, scard: FakeScard, name: str, bounds: Bounds | None = None, silence_s: float = SILENCE_S) -> None:
        self.listener = RecordingListener()
        self.error: ReaderError | None = None
        self._reader = PcscReader(name, scard=scard, bounds=bounds, silence_s=silence_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._reader.run(self.listener, self._stop)
        except ReaderError as error:
            self.error = error

    def stop(self) -> None:
        self._stop.set()
        self.ended()

    def ended(self) -> ReaderError | None:
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.error


@contextmanager
def running(
    scard: FakeScard, name: str = "*", *, bounds: Bounds | None = None, silence_s: float = SILENCE_S
) -> Iterator[RecordingListener]:
    run = Run(scard, name, bounds, silence_s)
    try:
        yield run.listener
    finally:
        run.stop()
    assert run.error is None


def failure_of(listener: RecordingListener) -> Any:
    listener.wait_for(lambda told: len(told.failures) == 1)
    return listener.failures[0][1]

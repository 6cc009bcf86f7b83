"""Chips read the bare way, with nothing of ours: the commands of a read sent one after the other through pyscard.

What they answer is thrown away, so this is the least time that any reader in Python can need for the same commands.

    python -m tests.bench.bare_chip READER COMMAND...

is pyscard's own way to notice cards: a `CardMonitor` that makes such a visit for every card, and prints its end in
nanoseconds of the machine's monotonic clock. A process of its own, because a monitor's thread never ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from smartcard import scard
from smartcard.CardMonitoring import CardMonitor, CardObserver

from tests.bench.processes import ROOT

Commands = Sequence[Sequence[int]]
WAIT_MS = 5_000
WATCHING = "watching"  # a monitoring process's first line
PROTOCOLS = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1


class BareFailed(Exception):
    """A call that must not fail while nobody disturbs the measurement."""


@contextmanager
def bare_context() -> Iterator[Any]:
    """One context with pcscd."""
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _check(code)
    try:
        yield context
    finally:
        scard.SCardReleaseContext(context)


def wait_until(context: Any, reader: str, *, present: bool) -> None:
    """Return once a card lies on `reader`, or has left it."""
    wanted = scard.SCARD_STATE_PRESENT if present else scard.SCARD_STATE_EMPTY
    known = scard.SCARD_STATE_UNAWARE
    deadline = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < deadline:
        code, seen = scard.SCardGetStatusChange(context, WAIT_MS, [(reader, known)])
        _check(code)
        if seen[0][1] & wanted:
            return
        known = seen[0][1] & ~scard.SCARD_STATE_CHANGED
    raise BareFailed(f"{reader} does not change")


def bare_visit(reader: str, commands: Commands) -> tuple[int, int]:
    """Connect, send, and leave the card; nanoseconds of the whole, and of the commands alone."""
    began_ns = time.perf_counter_ns()
    with bare_context() as context:
        code, card, protocol = scard.SCardConnect(context, reader, scard.SCARD_SHARE_SHARED, PROTOCOLS)
        _check(code)
        _check(scard.SCardBeginTransaction(card))
        connected_ns = time.perf_counter_ns()
        for command in commands:
            code, answer = scard.SCardTransmit(card, protocol, command)
            _check(code)
            assert len(answer) >= 2
        sent_ns = time.perf_counter_ns()
        scard.SCardEndTransaction(card, scard.SCARD_LEAVE_CARD)
        scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)
    return time.perf_counter_ns() - began_ns, sent_ns - connected_ns


class MonitoredVisits:
    """A process with pyscard's `CardMonitor`, for a `with` block; `finished_ns` waits for the next visit's end."""

    def __init__(self, reader: str, commands: Commands) -> None:
        self._command = [
            sys.executable,
            "-m",
            "tests.bench.bare_chip",
            reader,
            *(bytes(each).hex() for each in commands),
        ]

    def __enter__(self) -> MonitoredVisits:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._line() == WATCHING
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def finished_ns(self) -> int:
        """When the visit ended that the last card set off."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class VisitingObserver(CardObserver):  # type: ignore[misc]  # pyscard ships no types
    """Visits every card that comes to `reader`."""

    def __init__(self, reader: str, commands: Commands) -> None:
        self._reader = reader
        self._commands = commands

    def update(self, observable: object, handlers: tuple[list[Any], list[Any]]) -> None:
        """Called by the monitor's thread with the cards that came and went."""
        came, _ = handlers
        if any(card.reader == self._reader for card in came):
            bare_visit(self._reader, self._commands)
            print(time.monotonic_ns(), flush=True)


def monitor(reader: str, commands: Commands) -> None:
    """Watch until this process is ended."""
    CardMonitor().addObserver(VisitingObserver(reader, commands))
    print(WATCHING, flush=True)
    threading.Event().wait()


def _check(code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise BareFailed(scard.SCardGetErrorMessage(code))


if __name__ == "__main__":
    monitor(sys.argv[1], [list(bytes.fromhex(each)) for each in sys.argv[2:]])

"""What every reader is to the rest of the house: a thread that calls a listener, and its supervision."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from config.errors import JingkaError
from drivers.card import CardRead, Step


class ReaderState(StrEnum):
    """A reader's condition as shown on the status page."""

    STARTING = "starting"
    READY = "ready"
    CARD = "card"  # a card is on the reader (read or being read)
    MISSING = "missing"  # unplugged
    SERVICE_DOWN = "service-down"  # pcscd is away
    FORBIDDEN = "forbidden"  # polkit or permissions
    BUSY = "busy"  # another program holds it
    NOISY = "noisy"  # the port is open, but only garbled bytes come: a wrong baud rate, parity or frame
    FAILED = "failed"  # anything else; `error` says what
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """One reader's state, why, and since when (`time.monotonic_ns()`)."""

    name: str
    kind: str
    state: ReaderState
    since_ns: int
    error: JingkaError | None = None


class ReaderListener(Protocol):
    """Called from reader threads; implementations hand over to their own thread and return at once."""

    def card_read(self, read: CardRead) -> None:
        """A whole good read."""

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        """A card was presented and could not be read; `steps` is how far a chip's reading came."""

    def card_removed(self, reader: str) -> None:
        """The card left the reader (never called by stripe readers: a swipe has no removal)."""

    def reader_changed(self, status: ReaderStatus) -> None:
        """The reader's state changed."""


class Reader(Protocol):
    """A port that reads cards. `run` returns when `stop` is set and raises only `ReaderError` when the port fails."""

    name: str
    kind: str

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read cards until `stop` is set; bounded waits only, so that it ends within a second of `stop`."""

"""A reader without hardware: cards are presented by a call, and read as from a real one.

A chip card goes through the whole of `drivers.pboc`, a stripe-only card through `drivers.magstripe`; only the wire is
missing.
"""

from __future__ import annotations

import queue
import threading
import time

from drivers.card import Authenticity, CardError, CardRead, EntryMode, ReaderBusy
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.reader import ReaderListener, ReaderState, ReaderStatus
from drivers.virtual.card import ChipKind, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import chip_of

WAIT_S = 0.2  # how soon `run` notices `stop`
PENDING_MAX = 64  # presentations waiting to be read; a person presents one at a time, a script may be faster


class VirtualReader:
    """A `Reader` and a `CardPresenter` in one: `present` from any thread, read on the reader's own."""

    kind = "virtual"

    def __init__(self, name: str = "virtual", *, terms: ChipTerms | None = None) -> None:
        self.name = name
        self._terms = terms or ChipTerms()
        self._pending: queue.Queue[VirtualCard | None] = queue.Queue(PENDING_MAX)
        self._card: VirtualCard | None = None  # what lies on the reader; only the reader's thread touches it

    def present(self, card: VirtualCard) -> None:
        """Lay `card` on the reader, or swipe it when it has no chip. Raises `ReaderBusy` past `PENDING_MAX`."""
        self._put(card)

    def remove(self) -> None:
        """Take the card off; nothing when none lies there. Raises `ReaderBusy` past `PENDING_MAX`."""
        self._put(None)

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read what is presented until `stop` is set."""
        self._tell(listener, ReaderState.READY)
        while not stop.is_set():
            try:
                card = self._pending.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            self._take_off(listener)
            if card is not None:
                self._read(card, listener)
        self._tell(listener, ReaderState.STOPPED)

    def _put(self, card: VirtualCard | None) -> None:
        try:
            self._pending.put_nowait(card)
        except queue.Full:
            raise ReaderBusy("present card", self.name) from None

    def _take_off(self, listener: ReaderListener) -> None:
        if self._card is None:
            return
        self._card = None
        listener.card_removed(self.name)
        self._tell(listener, ReaderState.READY)

    def _read(self, card: VirtualCard, listener: ReaderListener) -> None:
        if card.chip is not ChipKind.NONE:
            self._card = card
            self._tell(listener, ReaderState.CARD)
            self._read_chip(chip_of(card), listener)
            return
        try:
            read = self._stripe(card)
        except CardError as error:
            listener.card_failed(self.name, error)
        else:
            listener.card_read(read)

    def _read_chip(self, chip: VirtualChip, listener: ReaderListener) -> None:
        reading = ChipReading(
            chip.transmit, chip.protocol, contactless=chip.contactless, reader=self.name, terms=self._terms
        )
        try:
            read = reading.read()
        except CardError as error:
            listener.card_failed(self.name, error, reading.steps)
        else:
            listener.card_read(read)

    def _stripe(self, card: VirtualCard) -> CardRead:
        from drivers.magstripe import parse_track2

        started_ns = time.monotonic_ns()
        track = parse_track2(card.track2_text())
        finished_ns = time.monotonic_ns()
        return CardRead(
            pan=track.pan,
            expiry=track.expiry,
            entry_mode=EntryMode.STRIPE,
            reader=self.name,
            authenticity=Authenticity.STRIPE,
            service_code=track.service_code,
            finished_ns=finished_ns,
            read_ms=(finished_ns - started_ns) / 1e6,
        )

    def _tell(self, listener: ReaderListener, state: ReaderState) -> None:
        listener.reader_changed(ReaderStatus(self.name, self.kind, state, time.monotonic_ns()))

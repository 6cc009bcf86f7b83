"""PC/SC readers: a status loop of our own on pyscard's low-level calls.

pyscard's own monitor dies with pcscd and stays dead. Here every wait is bounded, the event counters are kept (a card
swapped between two looks still shows), and a lost service ends the run with `ReaderServiceDown`: the supervisor begins
a new run with a new context, again and again with backoff, until pcscd is back.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from config.errors import JingkaError
from drivers.card import CardError, ReaderBusy, ReaderForbidden, ReaderMissing
from drivers.chip_reading import ChipTerms
from drivers.pcsc_link import CardLinks
from drivers.pcsc_service import PLUG_EVENTS, PcscService, Scard, Sight, load_scard
from drivers.pcsc_visit import CardVisit
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

EVERY_READER = "*"
WAIT_S = 0.5  # the longest look: how soon `stop` and a reader plugged in unseen are noticed
BUSY_WAIT_S = 1.0  # another program may keep the card this long before we call the reader busy
BUSY_RETRY_S = 0.1  # from then on: how long, and after how long, we try again; other readers wait meanwhile
UNKNOWN_PAUSE_S = 0.05  # after a reader vanished between listing and looking: keeps a confused service from a hot loop
READERS_MAX = 16  # pcsc-lite's own bound (PCSCLITE_MAX_READERS_CONTEXTS)


def list_readers() -> list[str]:
    """The PC/SC readers plugged in now. Raises `ReaderServiceDown` or `ReaderForbidden`."""
    with PcscService(load_scard(), "PC/SC") as service:
        return list(service.readers())


class PcscReader:
    """A `Reader` for the PC/SC reader called `name`, or with `*` for every one on this machine."""

    kind = "pcsc"

    def __init__(
        self,
        name: str = EVERY_READER,
        *,
        terms: ChipTerms | None = None,
        scard: Scard | None = None,
    ) -> None:
        self.name = name
        self._terms = terms or ChipTerms()
        self._scard = scard

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read cards until `stop` is set.

        Raises `ReaderServiceDown`, `ReaderForbidden`, or a `ReaderError` that names pcscd's code.
        """
        with PcscService(self._scard or load_scard(), self.name) as service:
            _Watch(self, service, listener, stop, self._terms).run()


@dataclass(slots=True)
class _Slot:
    """One reader as we know it."""

    sight: Sight
    visit: int | None = None  # the event count of the card that lies there; None = no card
    held: bool = False  # another program holds the card: still to be read
    told: ReaderState | None = None


class _Watch:
    """One run over one context."""

    def __init__(
        self,
        reader: PcscReader,
        service: PcscService,
        listener: ReaderListener,
        stop: threading.Event,
        terms: ChipTerms,
    ) -> None:
        self._reader = reader
        self._service = service
        self._links = CardLinks(service.scard, stop)
        self._listener = listener
        self._stop = stop
        self._terms = terms
        self._slots: dict[str, _Slot] = {}
        self._plug = Sight(PLUG_EVENTS)
        self._introduced = False

    def run(self) -> None:
        try:
            while not self._stop.is_set():
                self._find_readers()
                self._look()
                for slot in tuple(self._slots.values()):
                    self._serve(slot)
        finally:
            for slot in self._slots.values():
                self._card_gone(slot)  # we no longer see it; if it still lies there, the next run reads it again

    def _find_readers(self) -> None:
        """Bring the slots in line with the readers plugged in."""
        names = self._service.readers()[:READERS_MAX]
        if self._reader.name != EVERY_READER:
            names = tuple(name for name in names if name == self._reader.name)
        for gone in self._slots.keys() - set(names):
            slot = self._slots.pop(gone)
            self._card_gone(slot)
            self._tell(slot, ReaderState.MISSING, ReaderMissing("watch reader", gone))
        for name in names:
            if name not in self._slots:
                self._slots[name] = _Slot(Sight(name))
        if names:
            self._introduced = True  # from here on each reader speaks for itself, also of its going
        elif not self._introduced:
            self._introduced = True
            missing = ReaderMissing("find reader", self._reader.name)
            self._report(self._reader.name, ReaderState.MISSING, missing)

    def _look(self) -> None:
        slots = tuple(self._slots.values())
        wait_s = BUSY_RETRY_S if any(slot.held for slot in slots) else WAIT_S
        try:
            *sights, self._plug = self._service.look([*(slot.sight for slot in slots), self._plug], wait_s)
        except ReaderMissing:
            self._stop.wait(UNKNOWN_PAUSE_S)
            return
        for slot, sight in zip(slots, sights, strict=True):
            slot.sight = sight

    def _serve(self, slot: _Slot) -> None:
        """Act on what the last look showed of one reader."""
        sight = slot.sight
        if not sight.bits:
            return  # not yet looked at
        if sight.lost:
            self._card_gone(slot)
            self._tell(slot, ReaderState.MISSING, ReaderMissing("watch reader", sight.reader))
            return
        if not sight.present:
            self._card_gone(slot)
            self._tell(slot, ReaderState.READY)
            return
        if slot.visit != sight.events:
            self._card_gone(slot)  # swapped between two looks
            slot.visit = sight.events
        elif not slot.held:
            return  # read already, or given up: it must be taken off first
        self._read(slot)

    def _read(self, slot: _Slot) -> None:
        name = slot.sight.reader
        if not slot.held:
            self._tell(slot, ReaderState.CARD)
        visit = CardVisit(self._service, self._links, slot.sight, self._terms, self._stop)
        try:
            read = visit.read(BUSY_RETRY_S if slot.held else BUSY_WAIT_S)
        except ReaderBusy as error:
            if self._stop.is_set():
                return  # we gave up, not the other program
            if not slot.held:
                self._listener.card_failed(name, _bare(error))
            slot.held = True
            self._tell(slot, ReaderState.BUSY, _bare(error))
        except ReaderForbidden as error:
            slot.held = False
            self._tell(slot, ReaderState.FORBIDDEN, _bare(error))
            self._listener.card_failed(name, _bare(error))
        except CardError as error:
            slot.held = False
            self._tell(slot, ReaderState.CARD)
            self._listener.card_failed(name, _bare(error), visit.steps)
        else:
            slot.held = False
            self._tell(slot, ReaderState.CARD)
            self._listener.card_read(read)

    def _card_gone(self, slot: _Slot) -> None:
        slot.held = False
        if slot.visit is not None:
            slot.visit = None
            self._listener.card_removed(slot.sight.reader)

    def _tell(self, slot: _Slot, state: ReaderState, error: JingkaError | None = None) -> None:
        if slot.told is not state:
            slot.told = state
            self._report(slot.sight.reader, state, error)

    def _report(self, name: str, state: ReaderState, error: JingkaError | None) -> None:
        self._listener.reader_changed(ReaderStatus(name, self._reader.kind, state, time.monotonic_ns(), error))


def _bare(error: JingkaError) -> JingkaError:
    """The error without the frames it came through and what caused it: they hold the card's octets."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)

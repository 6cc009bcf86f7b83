"""PC/SC readers: a status loop of our own on pyscard's low-level calls.

pyscard's own monitor dies with pcscd and stays dead. Here every wait is bounded, the event counters are kept (a card
swapped between two looks still shows), and a lost service ends the run with `ReaderServiceDown`: the supervisor begins
a new run with a new context, again and again with backoff, until pcscd is back.

Three threads can be at work, and only the first one tells what cards did: the run looks at all readers; each card is
read by a visit of its own (`pcsc_visit`), so that a card or reader that hangs keeps no other waiting; and a watchdog
tells when pcscd itself hangs, for then the run does.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass

from config.errors import JingkaError
from drivers.card import (
    CardError,
    CardRead,
    CardRemoved,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
    ReaderServiceDown,
)
from drivers.chip_reading import ChipTerms
from drivers.pcsc_service import PLUG_EVENTS, PcscService, Scard, Sight, load_scard
from drivers.pcsc_visit import Bounds, CardVisit, ReaderStuck
from drivers.pcsc_watchdog import SILENCE_S, Watchdog
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

EVERY_READER = "*"
TOGETHER = "PC/SC"  # what people are told of, when it is about all of them
WAIT_S = 0.5  # the longest look: how soon `stop` and a reader plugged in unseen are noticed
VISIT_POLL_S = 0.05  # while a card is being read: how soon another reader's card is noticed; its own end wakes us
BUSY_WAIT_S = 1.0  # another program may keep the card this long before we call the reader busy
END_WAIT_S = 0.7  # at the end of a run visits under way get this long, all together, to let go of card and service
UNKNOWN_PAUSE_S = 0.05  # after a reader vanished between listing and looking: keeps a confused service from a hot loop
LIST_WAIT_S = 3.0  # for who asks by hand: pcscd answers in milliseconds, one that is only being started in 1 s
READERS_MAX = 15  # pcsc-lite looks at 16 (PCSCLITE_MAX_READERS_CONTEXTS), its pseudo-reader for plugging among them


def list_readers(wait_s: float = LIST_WAIT_S) -> list[str]:
    """The PC/SC readers plugged in now. Raises `ReaderServiceDown`, also after `wait_s` in vain, or `ReaderForbidden`.

    Nothing can interrupt a call to a pcscd that hangs: a thread makes it, and is left behind with it.
    """
    scard = load_scard()
    answers: queue.SimpleQueue[list[str] | ReaderError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with PcscService(scard, TOGETHER) as service:
                answers.put(list(service.readers()))
        except ReaderError as error:
            answers.put(error)

    threading.Thread(target=ask, name="list readers", daemon=True).start()
    try:
        answer = answers.get(timeout=wait_s)
    except queue.Empty:
        raise ReaderServiceDown("list readers", TOGETHER, reason="pcscd does not answer") from None
    if isinstance(answer, ReaderError):
        raise answer
    return answer


class PcscReader:
    """A `Reader` for the PC/SC reader called `name`, or with `*` for every one on this machine."""

    kind = "pcsc"

    def __init__(
        self,
        name: str = EVERY_READER,
        *,
        terms: ChipTerms | None = None,
        scard: Scard | None = None,
        bounds: Bounds | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.wanted = name
        self.name = TOGETHER if name == EVERY_READER else name
        self.visits = _Visits(terms or ChipTerms(), bounds or Bounds())
        self._scard = scard
        self._silence_s = silence_s

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read cards until `stop` is set.

        Raises `ReaderServiceDown`, `ReaderForbidden`, or a `ReaderError` that names pcscd's code.
        """
        scard = self._scard or load_scard()
        watch = _Watch(self, scard, listener, stop)
        with (
            Watchdog(watch.tell_silence, self.name, self._silence_s) as watchdog,
            PcscService(scard, self.name) as service,
        ):
            watch.run(service, watchdog)


class _Visits:
    """The visits whose threads still run, at most one per reader; they outlive a run that had to leave them behind."""

    def __init__(self, terms: ChipTerms, bounds: Bounds) -> None:
        self._terms = terms
        self._bounds = bounds
        self._running: dict[str, CardVisit] = {}

    def hanging(self, reader: str) -> CardVisit | None:
        """The visit on `reader` that is not over, wanted or given up: no other may begin there."""
        self._running = {name: visit for name, visit in self._running.items() if not visit.over}
        return self._running.get(reader)

    def begin(self, scard: Scard, sight: Sight, news: threading.Event) -> CardVisit:
        """Start reading the card that `sight` shows."""
        assert self.hanging(sight.reader) is None, "one visit per reader"
        visit = CardVisit(scard, sight, self._terms, self._bounds, news)
        self._running[sight.reader] = visit
        return visit


@dataclass(slots=True)
class _Slot:
    """One reader as we know it."""

    sight: Sight
    card: int | None = None  # the event count of the card that lies there; None = no card
    since: float = 0.0  # when that card was seen, monotonic seconds
    answered: bool = False  # read or given up: it must be taken off first
    held: bool = False  # told as held by another program, and still to be read
    visit: CardVisit | None = None  # the card is being read, or waited for
    told: ReaderState | None = None

    @property
    def waits(self) -> bool:
        """Whether there is a card that is still to be answered."""
        return self.card is not None and not self.answered


class _Watch:
    """One run over one context."""

    def __init__(self, reader: PcscReader, scard: Scard, listener: ReaderListener, stop: threading.Event) -> None:
        self._reader = reader
        self._scard = scard
        self._listener = listener
        self._stop = stop
        self._news = threading.Event()  # a visit is over
        self._slots: dict[str, _Slot] = {}
        self._plug = Sight(PLUG_EVENTS)
        self._introduced = False

    def run(self, service: PcscService, watchdog: Watchdog) -> None:
        try:
            while not self._stop.is_set():
                if watchdog.beat():
                    self._introduced = False
                    for slot in self._slots.values():
                        slot.told = None
                self._find_readers(service)
                self._look(service)
                for slot in tuple(self._slots.values()):
                    self._serve(slot)
        finally:
            self._end()

    def tell_silence(self) -> None:
        """pcscd hangs, and this run with it."""
        down = ReaderServiceDown("watch readers", self._reader.name, reason="pcscd does not answer")
        for name in tuple(self._slots) or (self._reader.name,):
            self._report(name, ReaderState.SERVICE_DOWN, down)

    def _find_readers(self, service: PcscService) -> None:
        """Bring the slots in line with the readers plugged in."""
        names = service.readers()[:READERS_MAX]
        if self._reader.wanted != EVERY_READER:
            names = tuple(name for name in names if name == self._reader.wanted)
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

    def _look(self, service: PcscService) -> None:
        slots = tuple(self._slots.values())
        wait_s = WAIT_S
        if any(slot.waits for slot in slots):
            self._news.wait(VISIT_POLL_S)
            self._news.clear()
            wait_s = 0.0
        try:
            *sights, self._plug = service.look([*(slot.sight for slot in slots), self._plug], wait_s)
        except ReaderMissing:
            self._stop.wait(UNKNOWN_PAUSE_S)
            return
        for slot, sight in zip(slots, sights, strict=True):
            slot.sight = sight

    def _serve(self, slot: _Slot) -> None:
        """Act on what the last look showed of one reader, and on what came of the card there."""
        if slot.visit is not None and not self._attend(slot, slot.visit):
            return
        sight = slot.sight
        if not sight.bits:
            return  # not yet looked at
        if sight.lost:
            self._card_gone(slot)
            self._tell(slot, ReaderState.MISSING, ReaderMissing("watch reader", sight.reader))
            return
        if not sight.present:
            self._card_gone(slot)
            self._tell_well(slot, ReaderState.READY)
            return
        if slot.card != sight.events:
            self._card_gone(slot)  # swapped between two looks
            slot.card, slot.since = sight.events, time.monotonic()
        if slot.waits and slot.visit is None:
            self._begin(slot)
        elif slot.told in {None, ReaderState.FAILED}:
            self._tell_well(slot, ReaderState.CARD)

    def _begin(self, slot: _Slot) -> None:
        name = slot.sight.reader
        before = self._reader.visits.hanging(name)
        if before is None:
            if not slot.held:
                self._tell(slot, ReaderState.CARD)
            slot.visit = self._reader.visits.begin(self._scard, slot.sight, self._news)
        elif before.stuck:
            self._tell_stuck(slot, before)
        elif not before.reached:
            self._tell_held(slot)

    def _attend(self, slot: _Slot, visit: CardVisit) -> bool:
        """See how the visit is getting on; False while the card is ours: its going is then the visit's to tell."""
        if visit.over:
            slot.visit = None
            outcome = visit.outcome
            self._tell_outcome(slot, outcome, visit)
            if isinstance(outcome, ReaderError) and not isinstance(outcome, ReaderForbidden):
                raise outcome
            return True
        if visit.stuck:
            visit.give_up()
            slot.visit = None
            self._tell_stuck(slot, visit)
            return True
        if visit.reached:
            return False
        self._tell_held(slot)
        return True

    def _tell_outcome(self, slot: _Slot, outcome: CardRead | CardError | ReaderError, visit: CardVisit) -> None:
        slot.answered, slot.held = True, False
        if isinstance(outcome, ReaderForbidden):
            self._tell(slot, ReaderState.FORBIDDEN, outcome)
        elif not isinstance(outcome, ReaderError):
            self._tell(slot, ReaderState.CARD)
        if isinstance(outcome, CardRead):
            self._listener.card_read(outcome)
        else:
            self._listener.card_failed(slot.sight.reader, outcome, visit.steps)

    def _tell_stuck(self, slot: _Slot, visit: CardVisit) -> None:
        slot.answered, slot.held = True, False
        stuck = ReaderStuck("send command", slot.sight.reader)
        self._listener.card_failed(slot.sight.reader, stuck, visit.steps)
        self._tell(slot, ReaderState.FAILED, stuck)

    def _tell_held(self, slot: _Slot) -> None:
        """Another program has the card: a short while is waited for in silence."""
        if slot.held or time.monotonic() - slot.since < BUSY_WAIT_S:
            return
        slot.held = True
        busy = ReaderBusy("connect to card", slot.sight.reader, reason="held by another program")
        self._listener.card_failed(slot.sight.reader, busy)
        self._tell(slot, ReaderState.BUSY, busy)

    def _card_gone(self, slot: _Slot) -> None:
        """No card lies there, or no longer the one we know of; one that nothing was told of yet left too early."""
        if slot.visit is not None:
            slot.visit.give_up()
        if slot.waits and not slot.held:
            self._listener.card_failed(slot.sight.reader, CardRemoved("read card", slot.sight.reader))
        slot.visit = None
        slot.answered = slot.held = False
        if slot.card is not None:
            slot.card = None
            self._listener.card_removed(slot.sight.reader)

    def _end(self) -> None:
        """Let visits come to an end; we no longer see their cards: what still lies there, the next run reads again."""
        deadline = time.monotonic() + END_WAIT_S
        for slot in self._slots.values():
            visit, slot.visit = slot.visit, None
            if visit is not None:
                wanted = visit.reached or not self._stop.is_set()  # a rival's card is not waited for when we stop
                if not wanted:
                    visit.give_up()
                if visit.wait(max(0.0, deadline - time.monotonic())) and wanted:
                    self._tell_outcome(slot, visit.outcome, visit)
                visit.give_up()
            if slot.waits and not slot.held and not self._stop.is_set():
                down = ReaderServiceDown("read card", slot.sight.reader)
                self._listener.card_failed(slot.sight.reader, down)
            slot.answered = True
            self._card_gone(slot)

    def _tell_well(self, slot: _Slot, state: ReaderState) -> None:
        """The reader works, unless a command of an earlier card still hangs in it."""
        if slot.told is not ReaderState.FAILED or self._reader.visits.hanging(slot.sight.reader) is None:
            self._tell(slot, state)

    def _tell(self, slot: _Slot, state: ReaderState, error: JingkaError | None = None) -> None:
        if slot.told is not state:
            slot.told = state
            self._report(slot.sight.reader, state, error)

    def _report(self, name: str, state: ReaderState, error: JingkaError | None) -> None:
        self._listener.reader_changed(ReaderStatus(name, self._reader.kind, state, time.monotonic_ns(), error))

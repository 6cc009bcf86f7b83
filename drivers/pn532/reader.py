"""A PN532 NFC module on a serial port as a `Reader`: it looks for cards, reads each once, and notices when one leaves.

The module is asked again and again; nothing waits for it without an end. When it forgets itself (a power cut, a loose
plug) it is woken; when that does not help, `run` ends with a typed error and `drivers.supervision` opens it anew.
"""

from __future__ import annotations

import threading
import time

from config.errors import JingkaError
from drivers.card import (
    CardError,
    CardRead,
    CardRefused,
    CardRemoved,
    DeviceCard,
    NotACard,
    ReaderError,
    ReaderNoise,
    Step,
)
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.exchange import CommandForbidden, TransmissionProtocol
from drivers.pn532.commands import ModuleAnswerUnknown, Target
from drivers.pn532.link import READ_WAIT_S, ModuleRefused, ModuleSilent, Pn532Link
from drivers.pn532.module import Pn532Module
from drivers.port import PortSettings, opened_port
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

BAUD = 115_200  # as the module is delivered
POLL_S = 0.1  # between looks: a tap is seen at once, and the line is quiet most of the time
ABSENT_LOOKS = 2  # looks without a card before it counts as gone: a card that is moved a little is not two cards
ATTEMPTS_MAX = 2  # one retry: a card badly held gets a second chance, a cashier no long wait
FAULTY_ROUNDS_MAX = 3  # rounds in a row that the module spoils before the port is opened anew

_MODULE_FAULTS = (ModuleSilent, ModuleRefused, ModuleAnswerUnknown, ReaderNoise)  # waking may help


class Pn532Reader:
    """The `Reader` of one module."""

    kind = "pn532"

    def __init__(self, settings: PortSettings, name: str | None = None, *, terms: ChipTerms | None = None) -> None:
        self.settings = settings
        self.name = name or settings.device
        self._terms = terms or ChipTerms()

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read cards until `stop`; raises `ReaderError` when the port or the module fails."""
        with opened_port(self.settings, self.name, READ_WAIT_S) as port:
            module = Pn532Module(Pn532Link(port, self.settings, self.name, stop), stop)
            try:
                module.wake()
                _Watch(self, module, listener, stop, self._terms).run()
            except ModuleSilent:
                if not stop.is_set():  # once we are to stop every wait ends as if the module were silent
                    raise


class _Watch:
    """One run over one open port."""

    def __init__(
        self,
        reader: Pn532Reader,
        module: Pn532Module,
        listener: ReaderListener,
        stop: threading.Event,
        terms: ChipTerms,
    ) -> None:
        self._reader = reader
        self._module = module
        self._listener = listener
        self._stop = stop
        self._terms = terms
        self._lying: Target | None = None  # read, or given up: it must be taken off first
        self._misses = 0

    def run(self) -> None:
        self._tell(ReaderState.READY)
        try:
            self._watch()
        finally:
            self._gone()  # we no longer see it; if it still lies there, the next run reads it again

    def _watch(self) -> None:
        faulty_rounds = 0
        while not self._stop.is_set():
            try:
                self._round()
                faulty_rounds = 0
            except _MODULE_FAULTS:
                if self._stop.is_set():
                    break
                faulty_rounds += 1
                if faulty_rounds == FAULTY_ROUNDS_MAX:
                    raise
                self._module.wake()
        self._module.release()

    def _round(self) -> None:
        """One look: who came, who left."""
        if self._lying is not None and self._module.is_there(self._lying):
            self._misses = 0
            self._stop.wait(POLL_S)
            return
        found = self._module.find()
        if found is None:
            self._missed()
        elif _same(found, self._lying):
            self._lying, self._misses = found, 0
        else:
            self._gone()
            self._arrived(found)
        self._stop.wait(POLL_S)

    def _missed(self) -> None:
        self._misses += 1
        if self._lying is not None and self._misses >= ABSENT_LOOKS:
            self._gone()
            self._tell(ReaderState.READY)

    def _arrived(self, target: Target) -> None:
        self._lying, self._misses = target, 0
        self._tell(ReaderState.CARD)
        if target.iso_dep:
            self._read(target)
        else:
            self._fail(NotACard("read card", self._reader.name, reason_zh="没有银行芯片", reason_en="no bank chip"))

    def _read(self, target: Target) -> None:
        """Read the card, or tell why not; a card that is still there gets `ATTEMPTS_MAX` tries."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            reading = ChipReading(
                self._module.channel(target),
                TransmissionProtocol.T1,
                contactless=True,
                reader=self._reader.name,
                terms=self._terms,
            )
            outcome = _outcome(reading)
            if isinstance(outcome, CardRead):
                self._listener.card_read(outcome)
                return
            if self._stop.is_set():
                return  # we gave up, not the card
            if isinstance(outcome, NotACard | CardRefused | DeviceCard | CommandForbidden):
                self._fail(outcome, reading.steps)  # a clear answer: another try gives the same
                return
            again = self._look_again(outcome, reading.steps)
            if again is None or not (_same(again, target) or (again.uid_is_random and target.uid_is_random)):
                self._fail(CardRemoved("read card", self._reader.name), reading.steps)
                self._gone()
                self._tell(ReaderState.READY)
                return
            self._lying = target = again
            if attempt == ATTEMPTS_MAX:
                self._fail(outcome, reading.steps)

    def _look_again(self, fault: CardError | ReaderError, steps: tuple[Step, ...]) -> Target | None:
        """After a failed reading: the card that lies there now. The fault is told when the module itself is lost."""
        try:
            self._module.wake()  # a card that fails and a module that forgets itself look alike
            for _ in range(ABSENT_LOOKS):
                found = self._module.find()
                if found is not None:
                    return found
        except ReaderError:
            self._fail(fault, steps)
            raise
        return None

    def _gone(self) -> None:
        if self._lying is not None:
            self._lying, self._misses = None, 0
            self._listener.card_removed(self._reader.name)

    def _fail(self, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        self._listener.card_failed(self._reader.name, error, steps)

    def _tell(self, state: ReaderState) -> None:
        self._listener.reader_changed(ReaderStatus(self._reader.name, self._reader.kind, state, time.monotonic_ns()))


def _outcome(reading: ChipReading) -> CardRead | CardError | ReaderError:
    """What came of the reading; an error without the frames it came through and its cause: they hold card data."""
    try:
        return reading.read()
    except (CardError, ReaderError) as error:
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def _same(found: Target, lying: Target | None) -> bool:
    """Whether both are one card. A made-up number proves nothing: then it counts as another, and is read."""
    return lying is not None and found.uid == lying.uid and not found.uid_is_random

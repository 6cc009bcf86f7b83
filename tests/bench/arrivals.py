"""From a card's coming to its answer: cards put on a PC/SC reader, and swipes on a serial line.

Beside ours, in the same minutes: a bare loop on pcscd, pyscard's own `CardMonitor`, and bare pyserial.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import serial

from config.errors import JingkaError
from drivers.card import CardRead, Step
from drivers.framing import FRAMINGS
from drivers.pcsc import PcscReader
from drivers.reader import Reader, ReaderState, ReaderStatus
from drivers.serial_port import SerialReader, SerialSettings
from drivers.supervision import Supervisor
from drivers.virtual.chip import Chip
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.vpcd import VpcdCard
from tests.bench.bare_chip import Commands, MonitoredVisits, bare_context, bare_visit, wait_until
from tests.bench.figures import Spread, line, percentile
from tests.bench.site import CARDS, bench_card
from tests.fakes.pcscd import READERS

READER = READERS[0]
ANSWER_S_MAX = 10.0
WARM_UP = 3
POLL_S = 0.4  # pcscd looks this often for cards in a reader that has no interrupts
GOLDEN_RATIO = 0.618  # its multiples spread evenly: cards come at every moment between two of pcscd's looks


class ClockedListener:
    """Notes when a reader told of a card, and passes that on."""

    def __init__(self) -> None:
        self.read_ns: queue.Queue[int] = queue.Queue()
        self.ready: queue.Queue[str] = queue.Queue()
        self.removed: queue.Queue[str] = queue.Queue()

    def card_read(self, read: CardRead) -> None:
        self.read_ns.put(time.monotonic_ns())

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        print(f"  a presentation failed, its round is measured until the next read: {error}", flush=True)

    def card_removed(self, reader: str) -> None:
        self.removed.put(reader)

    def reader_changed(self, status: ReaderStatus) -> None:
        if status.state is ReaderState.READY:
            self.ready.put(status.name)


@contextmanager
def supervised(reader: Reader) -> Iterator[ClockedListener]:
    """A reader of ours at work, as the daemon runs it."""
    listener = ClockedListener()
    supervisor = Supervisor([reader], listener)
    supervisor.start()
    try:
        listener.ready.get(timeout=ANSWER_S_MAX)
        yield listener
    finally:
        supervisor.stop()


# --- a card put on ----------------------------------------------------------------------------------------------------


def insertions(presenter: VpcdCard, chip: Chip, commands: Commands, rounds: int) -> None:
    """A bare loop, pyscard's monitor, and our reader, one after another: no two may hold the card at once."""
    with bare_context() as context:

        def bare() -> int:
            wait_until(context, READER, present=True)
            bare_visit(READER, commands)
            return time.monotonic_ns()

        def put_on(number: int, answered_ns: Callable[[], int]) -> float:
            """Milliseconds from putting the card on until `answered_ns`; the reader is empty again afterwards."""
            time.sleep(number * GOLDEN_RATIO % 1 * POLL_S)
            began_ns = time.monotonic_ns()
            presenter.present_chip(chip)
            took_ms = (answered_ns() - began_ns) / 1e6
            presenter.remove()
            wait_until(context, READER, present=False)
            return took_ms

        tell("bare loop on pcscd", [put_on(each, bare) for each in range(WARM_UP + rounds)])
        with MonitoredVisits(READER, commands) as monitored:
            times_ms = [put_on(each, monitored.finished_ns) for each in range(WARM_UP + rounds)]
        tell("pyscard's CardMonitor and the bare commands", times_ms)
        with supervised(PcscReader(READER)) as listener:
            times_ms = []
            for each in range(WARM_UP + rounds):
                times_ms.append(put_on(each, lambda: listener.read_ns.get(timeout=ANSWER_S_MAX)))
                listener.removed.get(timeout=ANSWER_S_MAX)
        tell("our reader and its whole read", times_ms)


# --- a swipe ----------------------------------------------------------------------------------------------------------


def swipes(rounds: int) -> None:
    """Every frame: a bare read of the port, and our reader."""
    for frame in FRAMINGS:
        presenter = PtyPresenter(frame)
        try:
            with serial.Serial(presenter.device, timeout=ANSWER_S_MAX) as port:
                tell(
                    f"{frame}: bare pyserial", [_bare_swipe(presenter, port, each) for each in range(WARM_UP + rounds)]
                )
            with supervised(SerialReader(SerialSettings(presenter.device, frame=frame))) as listener:
                tell(
                    f"{frame}: our reader", [_our_swipe(presenter, listener, each) for each in range(WARM_UP + rounds)]
                )
        finally:
            presenter.unplug()


def _bare_swipe(presenter: PtyPresenter, port: serial.Serial, number: int) -> float:
    frame = presenter.frame_of(bench_card(number % CARDS))
    presenter.send(frame[:-1])
    port.read(len(frame) - 1)
    sent_ns = time.monotonic_ns()
    presenter.send(frame[-1:])
    assert len(port.read(1)) == 1
    return (time.monotonic_ns() - sent_ns) / 1e6


def _our_swipe(presenter: PtyPresenter, listener: ClockedListener, number: int) -> float:
    frame = presenter.frame_of(bench_card(number % CARDS))
    presenter.send(frame[:-1])
    sent_ns = time.monotonic_ns()
    presenter.send(frame[-1:])
    return (listener.read_ns.get(timeout=ANSWER_S_MAX) - sent_ns) / 1e6


def tell(name: str, times_ms: list[float]) -> None:
    """One figure, without the rounds that warm up."""
    counted = times_ms[WARM_UP:]
    line(name, Spread.of(counted), f"p99 {percentile(counted, 99):.3f} ms")

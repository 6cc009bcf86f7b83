"""The serial line at its worst: pulled fifty times under swipes, slow, lossy, held by another program.

Every swipe is read or told why, none twice, none as another card; the reader comes back by itself and leaves nothing
behind. `SERIAL_REPLUGS` makes the run longer.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.errors import Words
from drivers.card import Pan, luhn_valid
from drivers.framing import FRAMINGS, base
from drivers.port import PortBusy
from drivers.reader import ReaderState
from drivers.serial_port import SerialReader, SerialSettings
from drivers.supervision import Supervisor
from drivers.virtual.card import ChipKind, VirtualCard
from drivers.virtual.pty import PtyPresenter
from tests.fakes.line import LOSS, SWIPE_PAUSE_S, Line, byte_at_a_time, delayed, direct, flipping, lossy, with_gaps
from tests.fakes.listener import RecordingListener

REPLUGS = int(os.environ.get("SERIAL_REPLUGS", "50"))
RECOVERY_S = 3.0  # the promise of the design for every reader
LOSSY_SWIPES = 10  # at `LOSS` every third or fourth arrives whole
QUICK_SILENCE_MS = 60  # the lossy lines send a swipe in one piece: no need to wait half a second after each
CHECKED_FRAMES = {"stx-etx-lrc", "ecr-55aa"}  # a check byte over all data: a changed frame is never taken
WHOLE_LINES: dict[str, Line] = {
    "direct": direct,
    "byte at a time": byte_at_a_time,
    "bytes with gaps": with_gaps,
    "delayed": delayed,
}
LOSSY_LINES: dict[str, Callable[[int], Line]] = {"losing bytes": lossy, "turning bits over": flipping}

HOLD_THE_PORT = """
import sys, serial
port = serial.Serial(sys.argv[1], exclusive=True)
print("held", flush=True)
sys.stdin.read()
"""

Start = Callable[..., RecordingListener]
each_frame = pytest.mark.parametrize("frame", FRAMINGS)


def card(number: int) -> VirtualCard:
    """A card of its own number; the test's cards differ from each other in more than one digit."""
    body = f"621094700000{number * 7919 % 1_000_000:06d}"
    digits = next(body + str(check) for check in range(10) if luhn_valid(body + str(check)))
    return VirtualCard(f"card-{number}", Words("卡", "card"), digits, service_code="520", chip=ChipKind.NONE)


@pytest.fixture
def plugged(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PtyPresenter]:
    """A reader under a name that stays; its frame kind is the test's `frame`, when it has one."""
    frame = request.node.callspec.params.get("frame", "plain") if hasattr(request.node, "callspec") else "plain"
    presenter = PtyPresenter(frame, link=tmp_path / "usb-stripe-reader")
    yield presenter
    presenter.unplug()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a supervised serial reader and stops it after the test."""
    supervisors: list[Supervisor] = []

    def start_reader(
        presenter: PtyPresenter, frame: str = "plain", state: ReaderState = ReaderState.READY
    ) -> RecordingListener:
        listener = RecordingListener()
        reader = SerialReader(SerialSettings(presenter.device, frame=frame), "stripe")
        supervisors.append(Supervisor([reader], listener))
        supervisors[-1].start()
        listener.wait_for_state("stripe", state)
        return listener

    yield start_reader
    for supervisor in supervisors:
        assert supervisor.stop() == ()


# --- the line pulled --------------------------------------------------------------------------------------------------


def read_of(shown: VirtualCard) -> Callable[[RecordingListener], bool]:
    """Whether `shown` was read."""
    return lambda heard: shown.pan in {read.pan for read in heard.reads}


def missing_since(told: int) -> Callable[[RecordingListener], bool]:
    """Whether the reader was told missing after its first `told` events."""
    return lambda heard: "state:missing" in heard.events[told:]


MOMENTS = ("before", "within", "behind", "after")  # a swipe, its bytes, its last byte, its answer


def test_a_line_pulled_fifty_times_under_swipes_loses_doubles_and_mixes_up_nothing(tmp_path: Path) -> None:
    threads, descriptors = set(threading.enumerate()), descriptors_open()
    reader = PtyPresenter(link=tmp_path / "usb-stripe-reader")
    listener, chance = RecordingListener(), random.Random(50)
    supervisor = Supervisor([SerialReader(SerialSettings(reader.device), "stripe")], listener)
    supervisor.start()
    listener.wait_for_state("stripe", ReaderState.READY)
    recoveries_s, spare = [], os.openpty()
    for number in range(REPLUGS):
        moment = MOMENTS[number % len(MOMENTS)]
        shown, told = card(number), len(listener.events)
        swipe = reader.frame_of(shown)
        if moment != "before":
            reader.send(swipe[: chance.randrange(1, len(swipe))] if moment == "within" else swipe)
        if moment == "after":
            listener.wait_for(read_of(shown))
        reader.unplug()
        for descriptor in spare:
            os.close(descriptor)
        listener.wait_for(missing_since(told))  # the swipe is answered
        spare = os.openpty()  # takes a number that came free: the reader comes back under another one
        reader.replug()
        replugged_at = time.monotonic()
        listener.wait_for_state("stripe", ReaderState.READY)
        recoveries_s.append(time.monotonic() - replugged_at)
        again = card(1000 + number)
        reader.present(again)
        listener.wait_for(read_of(again))
    read = [each.pan for each in listener.reads]
    assert len(read) == len(set(read)), "a swipe was read twice"
    assert set(read) <= {each.pan for number in range(REPLUGS) for each in (card(number), card(1000 + number))}
    assert {card(1000 + number).pan for number in range(REPLUGS)} <= set(read)
    swiped = {moment: {card(number).pan for number in range(place, REPLUGS, 4)} for place, moment in enumerate(MOMENTS)}
    assert swiped["after"] <= set(read)
    assert not swiped["before"] & set(read), "a card was read that nobody swiped"
    assert not swiped["within"] & set(read), "half a swipe was read"
    recoveries_s.sort()
    p95_s = recoveries_s[math.ceil(0.95 * len(recoveries_s)) - 1]
    print(f"recovery over {REPLUGS} replugs: p50 {recoveries_s[len(recoveries_s) // 2]:.2f} s, p95 {p95_s:.2f} s")
    assert p95_s < RECOVERY_S
    assert supervisor.stop() == ()
    reader.unplug()
    for descriptor in spare:
        os.close(descriptor)
    assert set(threading.enumerate()) <= threads
    assert descriptors_open() == descriptors


def descriptors_open() -> int:
    """How many files this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# --- two owners -------------------------------------------------------------------------------------------------------


def test_a_port_held_by_another_process_is_busy_until_it_lets_go(plugged: PtyPresenter, start: Start) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_PORT, plugged.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as rival:
        assert rival.stdin is not None
        assert rival.stdout is not None
        assert rival.stdout.readline() == b"held\n"
        listener = start(plugged, state=ReaderState.BUSY)
        error = listener.statuses[-1].error
        assert type(error) is PortBusy
        assert plugged.device.endswith(error.subject) or error.subject == "stripe"
        rival.stdin.close()
        rival.wait()
    let_go_at = time.monotonic()
    listener.wait_for_state("stripe", ReaderState.READY, RECOVERY_S)
    assert time.monotonic() - let_go_at < RECOVERY_S
    plugged.present(card(1))
    listener.wait_for_reads(1)


# --- slow and bad lines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", WHOLE_LINES.values(), ids=WHOLE_LINES.keys())
@each_frame
def test_every_swipe_over_a_whole_line_is_read(plugged: PtyPresenter, start: Start, line: Line, frame: str) -> None:
    listener = start(plugged, frame)
    cards = [card(number) for number in range(2)]
    for each in cards:
        line(plugged, plugged.frame_of(each))
    assert [read.pan for read in listener.wait_for_reads(len(cards))] == [each.pan for each in cards]
    assert listener.failures == []


@pytest.mark.parametrize("make_line", LOSSY_LINES.values(), ids=LOSSY_LINES.keys())
@each_frame
def test_every_swipe_over_a_bad_line_is_read_or_told_and_never_as_another_card(
    plugged: PtyPresenter,
    start: Start,
    make_line: Callable[[int], Line],
    frame: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a check byte a lost digit passes the card's own check digit one time in ten (`drivers.magstripe`).

    Such a number is nobody's: at the counter it is no member. It is never that of a card which exists.
    """
    monkeypatch.setattr(base, "SILENCE_MS", QUICK_SILENCE_MS)
    listener, line = start(plugged, frame), make_line(3)
    existing = {card(number).pan for number in range(LOSSY_SWIPES)}
    for number in range(LOSSY_SWIPES):
        answers, reads = listener.answers, len(listener.reads)
        line(plugged, plugged.frame_of(card(number)))
        listener.wait_for_answers(answers + 1)
        time.sleep(SWIPE_PAUSE_S * QUICK_SILENCE_MS / 500)
        read: set[Pan] = {each.pan for each in listener.reads[reads:]}
        assert not read & (existing - {card(number).pan}), "read as a card that another member has"
        assert frame not in CHECKED_FRAMES or read <= {card(number).pan}
        assert len(listener.reads) - reads <= 1
    assert 0 < len(listener.reads) < LOSSY_SWIPES, f"a line with {LOSS:.0%} faults should read some and fail some"

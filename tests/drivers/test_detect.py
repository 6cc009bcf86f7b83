"""A reader's settings are found from its swipes: at every speed, parity and frame; what cannot be found is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import ReaderBusy, ReaderMissing
from drivers.detect import (
    BAUDS,
    DETECTION_S_MAX,
    PARITIES,
    SAME_AGAIN_MAX,
    SILENT_STEPS_MAX,
    STEP_WAIT_S,
    Detection,
    Finding,
    Heard,
    NothingHeard,
    NothingRecognised,
    Progress,
    recognise,
)
from drivers.framing import ESC, ETX, FRAMINGS, STX
from drivers.magstripe import WrongTrack
from drivers.port import PortSettings, PortSettingsRefused
from drivers.serial_port import SerialSettings
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from tests.fakes.uart import sampled, with_parity

MEMBER = DEMO_CARDS["member"]
STRIPE = MEMBER.track2_text().encode("ascii")
TRACK1 = b"%B6210947000000000013^TEST/CARD^4912220000?"
HEARTBEAT = bytes.fromhex("55AA000000000000CC33")
each_frame = pytest.mark.parametrize("frame", FRAMINGS)


class Wire:
    """A port whose reader sends at `baud` in its own form, one swipe as often as somebody listens; time is the test's.

    Its `open` stands in for `drivers.port.opened_port`.
    """

    def __init__(self, swipe: bytes, baud: int = 9600, parity: str = "N", *, swipes: int = 100) -> None:
        self._swipe = swipe
        self._baud = baud
        self._parity = parity
        self._swipes = swipes
        self._ready = bytearray()
        self._settings = PortSettings("")
        self.now = 0.0
        self.steps: list[Progress] = []

    @contextmanager
    def open(self, settings: PortSettings, reader: str, read_wait_s: float) -> Iterator[Wire]:
        assert reader == settings.device == "/dev/ttyUSB0"
        self._settings, self._wait_s = settings, read_wait_s
        self._ready.clear()
        yield self

    @property
    def in_waiting(self) -> int:
        return len(self._ready)

    def read(self, size: int, /) -> bytes:
        if not self._ready:
            self.now += self._wait_s
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def tell(self, progress: Progress) -> None:
        self.steps.append(progress)
        if progress.heard is Heard.SWIPE and self._swipes:
            self._swipes -= 1
            heard = self._settings
            self._ready += sampled(
                self._swipe, self._baud, heard.baud, sent_parity=self._parity, heard_parity=heard.parity
            )

    def detect(self) -> Finding:
        return Detection("/dev/ttyUSB0", self.tell, open_port=self.open, now_s=lambda: self.now).run()


@each_frame
@pytest.mark.parametrize("baud", BAUDS)
def test_every_frame_is_found_at_every_speed(frame: str, baud: int) -> None:
    finding = Wire(FRAMINGS[frame].wrap(STRIPE), baud).detect()
    assert finding.masked == MEMBER.pan.masked
    settings = finding.settings
    assert (settings.device, settings.baud, settings.bytesize, settings.parity) == ("/dev/ttyUSB0", baud, 8, "N")
    assert FRAMINGS[settings.frame].wrap(STRIPE) == FRAMINGS[frame].wrap(STRIPE)  # makers share the plain line


@pytest.mark.parametrize("frame", ["plain", "stx-etx-lrc"])
@pytest.mark.parametrize("parity", ["E", "O"])
@pytest.mark.parametrize("baud", [9600, 4800])
def test_seven_bits_with_parity_are_found_at_the_first_swipe_of_the_right_speed(
    frame: str, parity: str, baud: int
) -> None:
    wire = Wire(with_parity(FRAMINGS[frame].wrap(STRIPE), parity), baud)
    assert wire.detect().settings == SerialSettings("/dev/ttyUSB0", baud, 7, parity, 1, frame)  # type: ignore[arg-type]
    assert wire.steps[-1].step == BAUDS.index(baud) + 1


@each_frame
@pytest.mark.parametrize("baud", [9600, 57600])
def test_eight_bits_with_even_parity_are_found(frame: str, baud: int) -> None:
    settings = Wire(FRAMINGS[frame].wrap(STRIPE), baud, "E").detect().settings
    assert (settings.baud, settings.bytesize, settings.parity) == (baud, 8, "E")


@pytest.mark.parametrize(
    ("sent", "frame"),
    [
        (bytes((STX,)) + STRIPE + bytes((ETX,)), "magtek"),
        (bytes((STX, ESC)) + TRACK1 + STRIPE + b"\r" + bytes((ETX,)), "magtek"),
        (STRIPE, "magtek"),
        (b"\x02" + TRACK1 + b"\x10\x02" + STRIPE + b"\x10", "idtech"),
        (TRACK1 + STRIPE + b"+E?\r", "plain"),
        (TRACK1 + b"\r" + STRIPE + b"\r\n", "plain"),
        (STRIPE[1:-1] + b"\r", "plain"),
        (HEARTBEAT + FRAMINGS["ecr-55aa"].wrap(STRIPE), "ecr-55aa"),
    ],
    ids=["STX ETX", "all marks", "no mark at all", "UIC", "three tracks", "lines", "no sentinels", "heartbeat"],
)
def test_the_frame_that_leaves_no_byte_unexplained_is_chosen(sent: bytes, frame: str) -> None:
    shown = recognise(sent)
    assert (shown.heard, shown.frame, shown.masked) == (Heard.SWIPE, frame, MEMBER.pan.masked)


@pytest.mark.parametrize(
    ("data", "heard"),
    [
        (b";E?\r", Heard.AGAIN),
        (TRACK1 + b"\r", Heard.AGAIN),
        (STRIPE.replace(b"0013=", b"0031=") + b"\r", Heard.AGAIN),
        (HEARTBEAT, Heard.IDLE),
        (b"\xf8\x80\x00\xff\xe0\x80", Heard.NOISE),
        (b"hello\r", Heard.NOISE),
        (STRIPE[:20], Heard.NOISE),
    ],
    ids=["error stripe", "track 1", "digits swapped", "heartbeat", "noise", "text", "cut off"],
)
def test_what_is_no_card_says_whether_to_swipe_again_or_to_try_another_setting(data: bytes, heard: Heard) -> None:
    assert recognise(data).heard is heard


@given(st.binary(max_size=300), st.sampled_from(PARITIES))
def test_any_bytes_are_something(data: bytes, parity: str) -> None:
    assert recognise(data, parity).heard in Heard  # type: ignore[arg-type]


@given(st.sampled_from(list(FRAMINGS)), st.sampled_from(BAUDS), st.sampled_from(BAUDS))
def test_a_wrong_speed_is_never_taken_for_the_right_one(frame: str, sent: int, heard: int) -> None:
    shown = recognise(sampled(FRAMINGS[frame].wrap(STRIPE), sent, heard))
    assert (shown.heard is Heard.SWIPE) == (sent == heard)


def test_a_reader_that_never_speaks_is_told_soon_with_the_next_step() -> None:
    wire = Wire(STRIPE, swipes=0)
    with pytest.raises(NothingHeard) as told:
        wire.detect()
    assert wire.now == pytest.approx(SILENT_STEPS_MAX * STEP_WAIT_S, abs=1)
    assert str(int(SILENT_STEPS_MAX * STEP_WAIT_S)) in told.value.what_text("zh")


def test_noise_at_every_setting_ends_in_time_and_says_so() -> None:
    wire = Wire(bytes(range(128, 256)) * 2, 14_400)
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert wire.now < DETECTION_S_MAX
    assert wire.steps[-1].step == wire.steps[-1].steps == len(BAUDS) * len(PARITIES)


def test_endless_noise_is_heard_only_so_long() -> None:
    wire = Wire(b"\x80" * 1_000_000)
    wire.tell = lambda progress: wire._ready.extend(wire._swipe)  # type: ignore[method-assign]
    with pytest.raises(NothingRecognised):
        wire.detect()


def test_a_cashier_who_stops_swiping_ends_the_search_in_time() -> None:
    wire = Wire(STRIPE + b"\r", 57600, swipes=1)
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert wire.now < DETECTION_S_MAX + 2 * STEP_WAIT_S


def test_a_reader_that_sends_only_track_1_is_told_after_a_few_swipes() -> None:
    wire = Wire(TRACK1 + b"\r")
    with pytest.raises(WrongTrack) as told:
        wire.detect()
    assert told.value.details["track"] == 1
    assert [step.heard for step in wire.steps].count(Heard.AGAIN) == SAME_AGAIN_MAX
    assert {step.step for step in wire.steps} == {1}


def test_an_unread_stripe_asks_for_the_same_again() -> None:
    wire = Wire(b";E?\r")
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert [step.heard for step in wire.steps[:4]] == [Heard.SWIPE, Heard.AGAIN] * 2
    assert [step.step for step in wire.steps[:4]] == [1] * 4


def test_a_device_that_only_sends_heartbeats_is_waited_for() -> None:
    wire = Wire(HEARTBEAT)
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert [step.step for step in wire.steps].count(1) == 2 * SAME_AGAIN_MAX


def test_a_search_that_could_go_on_for_long_is_ended() -> None:
    wire = Wire(HEARTBEAT)
    tell = wire.tell

    def heartbeat_at_any_speed(progress: Progress) -> None:
        wire._baud = progress.settings.baud
        tell(progress)

    wire.tell = heartbeat_at_any_speed  # type: ignore[method-assign]
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert DETECTION_S_MAX <= wire.now < DETECTION_S_MAX + SAME_AGAIN_MAX * (STEP_WAIT_S + 1)
    assert wire.steps[-1].step < wire.steps[-1].steps


def test_settings_that_the_port_refuses_are_left_out() -> None:
    wire = Wire(STRIPE + b"\r", 9600, "E")
    open_any = wire.open

    @contextmanager
    def open_port(settings: PortSettings, reader: str, read_wait_s: float) -> Iterator[Wire]:
        if settings.parity != "N":
            raise PortSettingsRefused("open port", reader, settings=str(settings))
        with open_any(settings, reader, read_wait_s) as port:
            yield port

    wire.open = open_port  # type: ignore[method-assign]
    with pytest.raises(NothingRecognised):
        wire.detect()
    assert {step.settings.parity for step in wire.steps} == {"N"}


# --- a real pseudo-terminal -------------------------------------------------------------------------------------------


@contextmanager
def swiping(presenter: PtyPresenter) -> Iterator[Callable[[Progress], None]]:
    """Swipes the member's card each time the search asks for it, from another thread, as a cashier would."""
    asked, over = threading.Event(), threading.Event()

    def swipe() -> None:
        while not over.is_set():
            if asked.wait(0.05):
                asked.clear()
                presenter.present(MEMBER)

    def tell(progress: Progress) -> None:
        if progress.heard is Heard.SWIPE:
            asked.set()

    cashier = threading.Thread(target=swipe)
    cashier.start()
    try:
        yield tell
    finally:
        over.set()
        cashier.join()
        presenter.unplug()


@each_frame
def test_a_reader_on_a_real_port_is_found(frame: str) -> None:
    presenter = PtyPresenter(frame)
    with swiping(presenter) as tell:
        finding = Detection(presenter.device, tell).run()
    assert finding.masked == MEMBER.pan.masked
    assert FRAMINGS[finding.settings.frame].wrap(STRIPE) == FRAMINGS[frame].wrap(STRIPE)


def test_a_port_that_the_terminal_holds_is_busy_and_one_that_is_not_there_is_missing() -> None:
    import serial

    presenter = PtyPresenter()
    with serial.Serial(presenter.device, exclusive=True), pytest.raises(ReaderBusy):
        Detection(presenter.device, lambda _: None).run()
    presenter.unplug()
    with pytest.raises(ReaderMissing):
        Detection(presenter.device, lambda _: None).run()


@pytest.mark.parametrize("device", ["/dev/null"])
def test_what_is_no_serial_port_is_told_at_once(device: str) -> None:
    with pytest.raises(PortSettingsRefused):
        Detection(device, lambda _: None).run()

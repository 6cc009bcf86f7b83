"""From a swipe on a pseudo-terminal to a `CardRead`, over good and bad lines, and through unplugging."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import serial

from drivers.card import (
    Authenticity,
    CardRead,
    EntryMode,
    Expiry,
    MalformedCard,
    ReaderError,
    ReaderMissing,
)
from drivers.framing import FRAMINGS, SILENCE_MS, Frame, FrameUnknown, FrameUnreadable, PlainLine
from drivers.magstripe import StripeUnread, WrongTrack
from drivers.port import PortBusy, PortSettingsRefused
from drivers.reader import ReaderState
from drivers.serial_port import READ_BYTES_MAX, SerialReader, SerialSettings
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from tests.fakes.listener import RecordingListener

MEMBER = DEMO_CARDS["member"]
STRIPE_MEMBER = DEMO_CARDS["stripe-member"]
RECOVERY_S = 3.0  # the promise of the design for every reader

StartReader = Callable[..., RecordingListener]
each_frame = pytest.mark.parametrize("frame", FRAMINGS)


@pytest.fixture
def plugged(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PtyPresenter]:
    """A virtual reader under a stable path; its frame kind is the test's `frame`, when it has one."""
    frame = request.node.callspec.params.get("frame", "plain") if hasattr(request.node, "callspec") else "plain"
    presenter = PtyPresenter(frame, link=tmp_path / "usb-stripe-reader")
    yield presenter
    presenter.unplug()


@pytest.fixture
def start() -> Iterator[StartReader]:
    """Starts a supervised serial reader, waits until it is ready, and stops it after the test."""
    supervisors: list[Supervisor] = []

    def start_reader(presenter: PtyPresenter, frame: str = "plain") -> RecordingListener:
        listener = RecordingListener()
        supervisors.append(Supervisor([SerialReader(settings_of(presenter, frame), "stripe")], listener))
        supervisors[-1].start()
        listener.wait_for_state("stripe", ReaderState.READY)
        return listener

    yield start_reader
    for supervisor in supervisors:
        assert supervisor.stop() == ()


def settings_of(presenter: PtyPresenter, frame: str = "plain") -> SerialSettings:
    return SerialSettings(presenter.device, frame=frame)


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def run_and_fail(settings: SerialSettings) -> ReaderError:
    with pytest.raises(ReaderError) as failed:
        SerialReader(settings).run(RecordingListener(), threading.Event())
    return failed.value


@each_frame
def test_a_swipe_becomes_a_card_read(plugged: PtyPresenter, start: StartReader, frame: str) -> None:
    listener = start(plugged, frame)
    before_ns = time.monotonic_ns()
    plugged.present(STRIPE_MEMBER)
    (read,) = listener.wait_for_reads(1)
    assert before_ns < read.finished_ns <= time.monotonic_ns()
    assert replace(read, finished_ns=0, read_ms=0.0) == CardRead(
        pan=STRIPE_MEMBER.pan,
        expiry=Expiry.from_yymm(STRIPE_MEMBER.expiry_yymm),
        entry_mode=EntryMode.STRIPE,
        reader="stripe",
        authenticity=Authenticity.STRIPE,
        service_code="520",
        finished_ns=0,
        read_ms=0.0,
    )
    assert listener.failures == []


def test_the_same_card_swiped_twice_is_read_twice(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    plugged.present(MEMBER)
    plugged.present(MEMBER)
    first, second = listener.wait_for_reads(2)
    assert first.pan == second.pan


def test_a_swipe_has_no_removal(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    plugged.present(MEMBER)
    listener.wait_for_reads(1)
    plugged.remove()
    plugged.present(MEMBER)
    listener.wait_for_reads(2)
    assert listener.removals == []


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b";E?\r", StripeUnread),
        (b"%E?\r", WrongTrack),
        (b";6210947000000021=1808101?5\r", StripeUnread),
        (b";6210947000000022=1808101?\r", MalformedCard),
        (b"\xf8\x80\x00\xff\xe0\x80\r", FrameUnreadable),
        (b"\xf8\x80\x00\xff\xe0\x80", FrameUnreadable),
    ],
    ids=["error stripe", "track 1", "wrong LRC", "check digit", "noise with a line end", "noise"],
)
def test_a_bad_swipe_is_told_and_the_next_one_is_read(
    plugged: PtyPresenter, start: StartReader, sent: bytes, error: type[ReaderError]
) -> None:
    listener = start(plugged)
    plugged.send(sent)
    listener.wait_for(lambda told: bool(told.failures))
    (failure,) = listener.failures
    assert failure[0] == "stripe"
    assert type(failure[1]) is error
    plugged.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan


@pytest.mark.parametrize(
    "flood",
    [b"\xff" * 200_000, b"7" * 200_000, b"0\r" * 50_000, b"\xff\xff\xff\xff\r0\r" * 10_000],
    ids=["noise", "digits", "short lines", "mixed"],
)
def test_a_flood_is_told_in_few_words_and_the_reader_lives_on(
    plugged: PtyPresenter, start: StartReader, flood: bytes
) -> None:
    assert len(flood) > 100 * READ_BYTES_MAX
    listener = start(plugged)
    plugged.send(flood)
    plugged.send(b"\r")
    plugged.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    assert 1 <= len(listener.failures) <= 2  # a fault of the line, a card in it that could not be read


def test_a_cut_off_swipe_is_told_after_the_silence(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    plugged.send(plugged.frame_of(MEMBER)[:-5])
    sent_at = time.monotonic()
    listener.wait_for(lambda told: bool(told.failures))
    assert time.monotonic() - sent_at >= SILENCE_MS / 1000 - 0.1
    assert listener.failures[0][1].code == "frame-cut-off"


def test_no_failure_keeps_a_character_of_the_card(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    plugged.send(b";6210947000000022=1808101?\r")
    listener.wait_for(lambda told: bool(told.failures))
    error = listener.failures[0][1]
    traced = error.__traceback__
    held = ""
    while traced is not None:
        held += str(traced.tb_frame.f_locals)
        traced = traced.tb_next
    assert "62109470" not in held + str(error) + repr(error.details)


@pytest.mark.parametrize(
    "sent", [b";6210947000000021=1808101?\r", b";6210947000000022=1808101?\r"], ids=["good", "bad"]
)
def test_a_frame_is_wiped_before_the_card_is_told(
    plugged: PtyPresenter, start: StartReader, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    frames: list[Frame] = []

    class KeptLine(PlainLine):
        """A plain line whose frames the test can look at afterwards."""

        def _whole(self) -> Frame:
            frames.append(super()._whole())
            return frames[-1]

    monkeypatch.setitem(FRAMINGS, "kept", KeptLine)
    listener = start(plugged, "kept")
    plugged.send(sent)
    listener.wait_for_answers(1)
    assert [bytes(frame.payload) for frame in frames] == [b""]


def test_a_reader_pulled_and_plugged_in_again_reads_again_in_time(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    for round_ in range(5):
        plugged.unplug()
        listener.wait_for_state("stripe", ReaderState.MISSING)
        assert isinstance(listener.statuses[-1].error, ReaderMissing)
        taken = os.openpty()  # takes the number that came free: the reader comes back under another one
        plugged.replug()
        replugged_at = time.monotonic()
        listener.wait_for_state("stripe", ReaderState.READY, RECOVERY_S)
        plugged.present(MEMBER)
        listener.wait_for_reads(round_ + 1)
        assert time.monotonic() - replugged_at < RECOVERY_S
        for descriptor in taken:
            os.close(descriptor)


def test_a_reader_replugged_faster_than_any_poll_reads_again(plugged: PtyPresenter, start: StartReader) -> None:
    listener = start(plugged)
    plugged.unplug()
    plugged.replug()
    listener.wait_for(lambda told: told.events[-2:] == ["state:missing", "state:ready"], RECOVERY_S)
    plugged.present(MEMBER)
    listener.wait_for_reads(1)


def test_a_reader_that_is_plugged_in_later_is_found(tmp_path: Path) -> None:
    link = tmp_path / "usb-stripe-reader"
    listener = RecordingListener()
    supervisor = Supervisor([SerialReader(SerialSettings(str(link)), "stripe")], listener)
    supervisor.start()
    listener.wait_for_state("stripe", ReaderState.MISSING)
    presenter = PtyPresenter(link=link)
    listener.wait_for_state("stripe", ReaderState.READY, RECOVERY_S)
    presenter.present(MEMBER)
    listener.wait_for_reads(1)
    assert supervisor.stop() == ()
    presenter.unplug()


def test_a_port_that_another_program_holds_is_busy(plugged: PtyPresenter, start: StartReader) -> None:
    start(plugged)
    assert type(run_and_fail(settings_of(plugged))) is PortBusy


@pytest.mark.parametrize(
    "change",
    [{"parity": "E", "bytesize": 7}, {"parity": "E"}, {"bytesize": 7}, {"baud": 2**40}, {"baud": -1}],
    ids=["7E1", "8E1", "7N1", "endless baud", "negative baud"],
)
def test_settings_that_the_port_refuses_are_a_typed_error_that_shows_them(
    plugged: PtyPresenter, change: dict[str, object]
) -> None:
    with serial.Serial(plugged.device):
        pass  # a fresh pseudo-terminal takes what it can of any settings; with nothing else to change it refuses
    settings = replace(settings_of(plugged), **change)  # type: ignore[arg-type]
    error = run_and_fail(settings)
    assert type(error) is PortSettingsRefused
    assert str(settings) in error.what_text("zh")


@pytest.mark.parametrize(
    ("device", "error"),
    [("/dev/null", PortSettingsRefused), ("/dev/no-such-port", ReaderMissing), ("/dev", ReaderError)],
    ids=["no serial port", "nothing there", "a directory"],
)
def test_a_device_that_is_no_port_is_a_typed_error(device: str, error: type[ReaderError]) -> None:
    assert type(run_and_fail(SerialSettings(device))) is error


def test_an_unknown_frame_kind_is_a_typed_error_before_the_port_is_opened() -> None:
    assert type(run_and_fail(SerialSettings("/dev/no-such-port", frame="plane"))) is FrameUnknown


def test_a_stopped_reader_ends_within_a_second_and_leaves_the_port_free(plugged: PtyPresenter) -> None:
    listener, stop = RecordingListener(), threading.Event()
    reader = SerialReader(settings_of(plugged), "stripe")
    before = open_descriptors()
    thread = threading.Thread(target=reader.run, args=(listener, stop))
    thread.start()
    listener.wait_for_state("stripe", ReaderState.READY)
    stop.set()
    thread.join(1.0)
    assert not thread.is_alive()
    assert open_descriptors() == before

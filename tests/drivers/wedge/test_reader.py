"""From typed keys to a `CardRead`: grabbed, unplugged and back, refused, held by another, and never leaking a digit.

Where the machine offers /dev/uinput the first tests type through the kernel; elsewhere through the virtual wedge, which
speaks the same octets. The test's id says which it was.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from config.errors import JingkaError
from drivers.card import Authenticity, CardRead, EntryMode, Expiry, ReaderError, ReaderMissing
from drivers.magstripe import StripeUnread, WrongTrack
from drivers.reader import ReaderState
from drivers.supervision import Backoff, Supervisor
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.wedge import VirtualWedge
from drivers.wedge.device import (
    EvdevDevice,
    InputBusy,
    InputDevice,
    InputDeviceWrong,
    InputForbidden,
    OpenDevice,
    grabbed_device,
    list_keyboards,
)
from drivers.wedge.keys import EVENT, KeyEvent, encode_events, keystrokes
from drivers.wedge.reader import WedgeReader
from tests.fakes.listener import RecordingListener
from tests.fakes.uinput import UinputKeyboard, uinput_works

MEMBER = DEMO_CARDS["member"]
STRIPE_MEMBER = DEMO_CARDS["stripe-member"]
NAME = "wedge"
RECOVERY_S = 3.0  # the promise of the design for every reader
REPLUGS = 20


@dataclass(frozen=True, slots=True)
class Keyboard:
    """Something that types, and how to open what it types on."""

    device: str
    open_device: OpenDevice
    send: Callable[[list[KeyEvent]], None]


@pytest.fixture(params=["uinput" if uinput_works() else "virtual"])
def keyboard(request: pytest.FixtureRequest) -> Iterator[Keyboard]:
    """The kernel's own input device where there is one to be made, else the virtual wedge."""
    if request.param == "uinput":
        with UinputKeyboard() as real:
            yield Keyboard(real.device, EvdevDevice, real.send)
        return
    virtual = VirtualWedge()
    yield Keyboard(virtual.device, virtual.open_device, virtual.send)
    virtual.unplug()


@pytest.fixture
def wedge() -> Iterator[VirtualWedge]:
    virtual = VirtualWedge()
    yield virtual
    virtual.unplug()


@pytest.fixture
def start() -> Iterator[Callable[..., RecordingListener]]:
    """Starts a supervised wedge reader, waits until it is ready, and stops it after the test."""
    supervisors: list[Supervisor] = []

    def start_reader(device: str, open_device: OpenDevice, backoff: Backoff | None = None) -> RecordingListener:
        listener = RecordingListener()
        reader = WedgeReader(device, NAME, open_device=open_device)
        supervisors.append(Supervisor([reader], listener, backoff=backoff))
        supervisors[-1].start()
        listener.wait_for_state(NAME, ReaderState.READY)
        return listener

    yield start_reader
    for supervisor in supervisors:
        assert supervisor.stop() == ()


StartReader = Callable[..., RecordingListener]


def run_and_fail(open_device: OpenDevice, device: str = "/dev/input/by-id/none") -> ReaderError:
    with pytest.raises(ReaderError) as failed:
        WedgeReader(device, NAME, open_device=open_device).run(RecordingListener(), threading.Event())
    return failed.value


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_a_swipe_becomes_a_card_read(keyboard: Keyboard, start: StartReader) -> None:
    listener = start(keyboard.device, keyboard.open_device)
    before_ns = time.monotonic_ns()
    keyboard.send(keystrokes(STRIPE_MEMBER.track2_text() + "\r"))
    (read,) = listener.wait_for_reads(1)
    assert before_ns < read.finished_ns <= time.monotonic_ns()
    assert replace(read, finished_ns=0, read_ms=0.0) == CardRead(
        pan=STRIPE_MEMBER.pan,
        expiry=Expiry.from_yymm(STRIPE_MEMBER.expiry_yymm),
        entry_mode=EntryMode.STRIPE,
        reader=NAME,
        authenticity=Authenticity.STRIPE,
        service_code="520",
        finished_ns=0,
        read_ms=0.0,
    )
    assert listener.failures == []


def test_every_card_typed_key_by_key_is_read(keyboard: Keyboard, start: StartReader) -> None:
    listener = start(keyboard.device, keyboard.open_device)
    for count, card in enumerate(DEMO_CARDS.values(), start=1):
        keys = keystrokes(card.track2_text() + "\r")
        for at in range(0, len(keys), 4):
            keyboard.send(keys[at : at + 4])
        assert listener.wait_for_reads(count)[-1].pan == card.pan
    assert listener.failures == []


def test_a_device_that_another_reader_has_grabbed_is_busy(keyboard: Keyboard, start: StartReader) -> None:
    start(keyboard.device, keyboard.open_device)
    assert type(run_and_fail(keyboard.open_device, keyboard.device)) is InputBusy


def test_no_key_of_a_running_reader_goes_anywhere_else_and_after_it_keys_are_free(wedge: VirtualWedge) -> None:
    listener, stop = RecordingListener(), threading.Event()
    thread = threading.Thread(
        target=WedgeReader(wedge.device, NAME, open_device=wedge.open_device).run, args=(listener, stop)
    )
    thread.start()
    listener.wait_for_state(NAME, ReaderState.READY)
    for count in range(1, 6):
        wedge.present(MEMBER)
        listener.wait_for_reads(count)
    assert (wedge.leaked, wedge.grabbed) == (0, True)
    stop.set()
    thread.join(1.0)
    assert not thread.is_alive()
    assert not wedge.grabbed
    wedge.present(MEMBER)
    assert wedge.leaked == 1, "the virtual wedge does not notice a leak: the test shows nothing"


def test_the_grab_ends_whatever_ends_the_reading(wedge: VirtualWedge) -> None:
    def read_and_fail() -> None:
        with grabbed_device(wedge.device, NAME, wedge.open_device):
            assert wedge.grabbed
            raise RuntimeError

    with pytest.raises(RuntimeError):
        read_and_fail()
    assert not wedge.grabbed


def test_swipes_in_pieces_of_events_are_read(wedge: VirtualWedge, start: StartReader) -> None:
    listener = start(wedge.device, wedge.open_device)
    octets = encode_events(keystrokes(MEMBER.track2_text() + "\r"))
    for at in range(0, len(octets), EVENT.size // 2 + 1):
        wedge.send_octets(octets[at : at + EVENT.size // 2 + 1])
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan


@pytest.mark.parametrize("between", ["", "\r"], ids=["one line", "a line for each track"])
def test_a_wedge_that_types_every_track_gives_one_card(wedge: VirtualWedge, start: StartReader, between: str) -> None:
    listener = start(wedge.device, wedge.open_device)
    track1 = f"%B{STRIPE_MEMBER.digits}^TEST/CARD^4912520?"
    wedge.type(track1 + between + STRIPE_MEMBER.track2_text() + between + ";E?\r")
    wedge.present(MEMBER)
    assert [read.pan for read in listener.wait_for_reads(2)] == [STRIPE_MEMBER.pan, MEMBER.pan]
    assert listener.failures == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (";E?\r", StripeUnread),
        ("%E?\r", WrongTrack),
        (";6210947000000021=1808101?5\r", StripeUnread),
        ("a cashier types\r", StripeUnread),
    ],
    ids=["error stripe", "track 1", "wrong LRC", "a person"],
)
def test_a_bad_line_is_told_and_the_next_swipe_is_read(
    wedge: VirtualWedge, start: StartReader, text: str, error: type[JingkaError]
) -> None:
    listener = start(wedge.device, wedge.open_device)
    wedge.type(text)
    listener.wait_for(lambda told: bool(told.failures))
    assert [type(failure) for _, failure in listener.failures] == [error]
    wedge.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan


def test_a_flood_of_keys_is_told_in_few_words_and_the_reader_lives_on(wedge: VirtualWedge, start: StartReader) -> None:
    listener = start(wedge.device, wedge.open_device)
    wedge.type("7" * 20_000 + "\r")
    wedge.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    assert len(listener.failures) <= 2


def test_a_wedge_pulled_and_plugged_in_again_reads_again_in_time(wedge: VirtualWedge, start: StartReader) -> None:
    listener = start(wedge.device, wedge.open_device, Backoff(healthy_s=0.0))  # plugs a minute apart, without minutes
    descriptors, threads = open_descriptors(), threading.active_count()
    for round_ in range(REPLUGS):
        wedge.unplug()
        listener.wait_for_state(NAME, ReaderState.MISSING)
        assert isinstance(listener.statuses[-1].error, ReaderMissing)
        wedge.replug()
        replugged_at = time.monotonic()
        listener.wait_for_state(NAME, ReaderState.READY, RECOVERY_S)
        wedge.present(MEMBER)
        listener.wait_for_reads(round_ + 1)
        assert time.monotonic() - replugged_at < RECOVERY_S
    assert (open_descriptors(), threading.active_count()) == (descriptors, threads)
    assert wedge.leaked == 0


def test_a_wedge_that_is_plugged_in_later_is_found(wedge: VirtualWedge) -> None:
    wedge.unplug()
    listener = RecordingListener()
    supervisor = Supervisor([WedgeReader(wedge.device, NAME, open_device=wedge.open_device)], listener)
    supervisor.start()
    listener.wait_for_state(NAME, ReaderState.MISSING)
    wedge.replug()
    listener.wait_for_state(NAME, ReaderState.READY, RECOVERY_S)
    wedge.present(MEMBER)
    listener.wait_for_reads(1)
    assert supervisor.stop() == ()


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EACCES, InputForbidden),
        (errno.EPERM, InputForbidden),
        (errno.EBUSY, InputBusy),
        (errno.ENODEV, ReaderMissing),
        (errno.ENOENT, ReaderMissing),
        (errno.ENOTTY, InputDeviceWrong),
        (errno.EMFILE, ReaderError),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else None,
)
def test_what_the_kernel_refuses_is_a_typed_error(number: int, error: type[ReaderError]) -> None:
    def refuse(path: str) -> InputDevice:
        raise OSError(number, os.strerror(number), path)

    assert type(run_and_fail(refuse)) is error


@pytest.mark.parametrize(
    ("device", "error"),
    [("/dev/input/by-id/none", ReaderMissing), ("/dev/null", InputDeviceWrong)],
    ids=["nothing there", "no input device"],
)
def test_a_path_that_is_no_input_device_is_a_typed_error(device: str, error: type[ReaderError]) -> None:
    before = open_descriptors()
    assert type(run_and_fail(EvdevDevice, device)) is error
    assert open_descriptors() == before


def test_a_stopped_reader_ends_within_a_second_and_leaves_nothing_open(wedge: VirtualWedge) -> None:
    listener, stop = RecordingListener(), threading.Event()
    before = open_descriptors()
    reader = WedgeReader(wedge.device, NAME, open_device=wedge.open_device)
    thread = threading.Thread(target=reader.run, args=(listener, stop))
    thread.start()
    listener.wait_for_state(NAME, ReaderState.READY)
    stop.set()
    thread.join(1.0)
    assert not thread.is_alive()
    assert open_descriptors() == before


def test_no_failure_and_no_log_keeps_a_character_of_the_card(
    wedge: VirtualWedge, start: StartReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    listener = start(wedge.device, wedge.open_device)
    wedge.type(";6210947000000022=1808101?\r")
    listener.wait_for(lambda told: bool(told.failures))
    error = listener.failures[0][1]
    traced, held = error.__traceback__, ""
    while traced is not None:
        held += str(traced.tb_frame.f_locals)
        traced = traced.tb_next
    assert "62109470" not in held + str(error) + repr(error.details) + caplog.text


def test_keyboards_are_listed_by_the_names_that_stay(tmp_path: Path) -> None:
    for name in ("usb-Acme_Reader-event-kbd", "usb-Acme_Mouse-event-mouse", "usb-Acme_Keyboard-event-kbd"):
        (tmp_path / name).touch()
    assert [Path(path).name for path in list_keyboards(tmp_path)] == [
        "usb-Acme_Keyboard-event-kbd",
        "usb-Acme_Reader-event-kbd",
    ]
    assert list_keyboards(tmp_path / "none") == []

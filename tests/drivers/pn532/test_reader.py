"""From a card on a PN532 module to a `CardRead`: good and bad lines, pulled cards, power cuts, plugs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.errors import JingkaError
from drivers.card import (
    Authenticity,
    CardRemoved,
    EntryMode,
    NotACard,
    ReaderBusy,
    ReaderError,
    ReaderMissing,
)
from drivers.pn532.link import ModuleNoise, ModuleSilent
from drivers.pn532.reader import BAUD, Pn532Reader
from drivers.port import PortSettings
from drivers.reader import ReaderState
from drivers.supervision import Backoff, Supervisor
from drivers.virtual.card import DEMO_CARDS, ChipKind
from drivers.virtual.chip import VirtualChip
from drivers.virtual.pn532 import LineFaults, VirtualPn532
from tests.fakes.listener import RecordingListener

MEMBER = DEMO_CARDS["member"]
CHIP_CARDS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
RECOVERY_S = 3.0  # the promise of the design for every reader
REPLUGS = 20
NAME = "nfc"
EXCHANGES_MAX = 12  # no demonstration card takes more commands than this

StartReader = Callable[..., RecordingListener]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[VirtualPn532]:
    """A virtual module under a stable path."""
    virtual = VirtualPn532(link=tmp_path / "usb-nfc-module")
    yield virtual
    virtual.unplug()


@pytest.fixture
def start() -> Iterator[StartReader]:
    """Starts a supervised reader, waits until it is ready, and stops it after the test."""
    supervisors: list[Supervisor] = []

    def start_reader(module: VirtualPn532, backoff: Backoff | None = None) -> RecordingListener:
        listener = RecordingListener()
        supervisors.append(Supervisor([reader_of(module)], listener, backoff=backoff))
        supervisors[-1].start()
        listener.wait_for_state(NAME, ReaderState.READY)
        return listener

    yield start_reader
    for supervisor in supervisors:
        assert supervisor.stop() == ()


def reader_of(module: VirtualPn532) -> Pn532Reader:
    return Pn532Reader(PortSettings(module.device, BAUD), NAME)


def run_and_fail(module: VirtualPn532) -> ReaderError:
    with pytest.raises(ReaderError) as failed:
        reader_of(module).run(RecordingListener(), threading.Event())
    return failed.value


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def pull_at(module: VirtualPn532, number: int) -> None:
    """The card is pulled as the `number`-th command reaches it, once."""

    def pull(exchange: int) -> None:
        if exchange == number:
            module.before_exchange = None
            module.remove()

    module.before_exchange = pull


@pytest.mark.parametrize("card", CHIP_CARDS, ids=lambda card: card.name)
def test_a_chip_card_on_the_antenna_becomes_a_card_read(module: VirtualPn532, start: StartReader, card) -> None:
    listener = start(module)
    module.present(card)
    (read,) = listener.wait_for_reads(1)
    assert read.pan == card.pan
    assert (read.entry_mode, read.reader) == (EntryMode.CONTACTLESS, NAME)
    assert read.authenticity is not Authenticity.STRIPE
    assert read.steps
    assert listener.failures == []
    assert listener.state_of(NAME) is ReaderState.CARD


LINES = {
    "an octet at a time": LineFaults(slice_octets=1),
    "in blocks of a USB bridge": LineFaults(slice_octets=64, pause_s=0.016),
    "slow": LineFaults(slice_octets=16, pause_s=0.02),
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_a_line_that_comes_in_pieces_changes_nothing(
    module: VirtualPn532, start: StartReader, line: LineFaults
) -> None:
    module.faults = line
    listener = start(module)
    for count, card in enumerate((MEMBER, DEMO_CARDS["model-worker"]), start=1):
        module.present(card)
        assert listener.wait_for_reads(count)[-1].pan == card.pan
        module.remove()
        listener.wait_for(lambda told, count=count: len(told.removals) == count)
    assert listener.failures == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_over_a_line_that_loses_octets_every_card_is_read_or_told_and_never_taken_for_another(
    module: VirtualPn532, start: StartReader, seed: int
) -> None:
    listener = start(module)
    module.faults = LineFaults(loss=0.002, chance=random.Random(seed))
    for card in (MEMBER, DEMO_CARDS["stranger"], DEMO_CARDS["lost"]):
        answers, reads = listener.answers, len(listener.reads)
        module.present(card)
        listener.wait_for_answers(answers + 1)
        assert {read.pan for read in listener.reads[reads:]} <= {card.pan}
        module.remove()
        removals = len(listener.removals)
        listener.wait_for(lambda told, removals=removals: told.state_of(NAME) is ReaderState.READY)
    assert listener.reads, "the line lost everything: the test shows nothing"


FAULTS = {
    "the acknowledgement is lost": "acks_dropped",
    "the answer is damaged": "answers_damaged",
    "the answer is lost": "answers_dropped",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("number", [1, 3])
def test_one_fault_of_the_line_within_a_reading_costs_no_card(
    module: VirtualPn532, start: StartReader, fault: str, number: int
) -> None:
    def spoil(exchange: int) -> None:
        if exchange == number:
            module.before_exchange = None
            setattr(module.faults, fault, 1)

    listener = start(module)
    module.before_exchange = spoil
    module.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    assert listener.failures == []


def test_a_card_pulled_at_each_command_is_told_as_removed_and_read_when_it_comes_again(
    module: VirtualPn532, start: StartReader
) -> None:
    listener = start(module)
    module.present(MEMBER)
    steps = len(listener.wait_for_reads(1)[0].steps)
    module.remove()
    listener.wait_for(lambda told: len(told.removals) == 1)
    assert 3 <= steps <= EXCHANGES_MAX
    for number in range(1, steps + 1):
        pull_at(module, number)
        module.present(MEMBER)
        listener.wait_for(lambda told, number=number: len(told.removals) == 2 * number)
        assert [type(error) for _, error in listener.failures] == [CardRemoved] * number
        module.present(MEMBER)
        listener.wait_for_reads(number + 1)
        module.remove()
        listener.wait_for(lambda told, number=number: len(told.removals) == 2 * number + 1)
    assert {read.pan for read in listener.reads} == {MEMBER.pan}


def test_a_card_swapped_in_the_middle_of_its_reading_is_not_mixed_up(module: VirtualPn532, start: StartReader) -> None:
    def swap(exchange: int) -> None:
        if exchange == 3:
            module.before_exchange = None
            module.present(DEMO_CARDS["stranger"])

    listener = start(module)
    module.before_exchange = swap
    module.present(MEMBER)
    (read,) = listener.wait_for_reads(1)
    assert read.pan == DEMO_CARDS["stranger"].pan
    assert [type(error) for _, error in listener.failures] == [CardRemoved]


def test_a_card_that_stays_is_read_once(module: VirtualPn532, start: StartReader) -> None:
    looks: list[int] = []
    listener = start(module)
    module.present(MEMBER)
    listener.wait_for_reads(1)
    module.before_exchange = looks.append
    time.sleep(0.8)  # some eight looks
    assert looks == []
    assert listener.answers == 1
    assert listener.removals == []


def test_a_card_shifted_for_a_moment_is_not_read_again_but_a_telephone_is(
    module: VirtualPn532, start: StartReader
) -> None:
    listener = start(module)
    for uid, reads in ((b"\x04\x11\x22\x33", 1), (b"\x08\x11\x22\x33", 3)):
        module.present_chip(VirtualChip(MEMBER), uid)
        listener.wait_for_reads(len(listener.reads) + 1)
        module.present_chip(VirtualChip(MEMBER), uid)  # out and in again between two looks
        if uid[0] == 0x08:
            listener.wait_for_reads(reads)
        else:
            time.sleep(0.5)
        assert len(listener.reads) == reads


def test_a_card_swapped_between_two_looks_is_read(module: VirtualPn532, start: StartReader) -> None:
    listener = start(module)
    module.present(MEMBER)
    listener.wait_for_reads(1)
    module.present(DEMO_CARDS["stranger"])
    assert listener.wait_for_reads(2)[1].pan == DEMO_CARDS["stranger"].pan
    assert listener.events.index("removed") < len(listener.events) - 1


def test_a_badge_is_no_bank_card_and_is_told_once(module: VirtualPn532, start: StartReader) -> None:
    listener = start(module)
    module.present_foreign(b"\x01\x02\x03\x04")
    listener.wait_for(lambda told: bool(told.failures))
    time.sleep(0.5)  # it stays
    module.remove()
    listener.wait_for(lambda told: bool(told.removals))
    assert [type(error) for _, error in listener.failures] == [NotACard]
    module.present(MEMBER)
    listener.wait_for_reads(1)


class _Chatter:
    """A chip that answers every command with more than fits a frame."""

    atr = b""

    def __init__(self, octets: int) -> None:
        self._octets = octets

    def reset(self) -> None:
        """Nothing to forget."""

    def transmit(self, command: bytes) -> bytes:
        return bytes(self._octets) + b"\x90\x00"


@pytest.mark.parametrize("octets", [300, 16 * 262, 20_000], ids=["two frames", "past the bound", "far past it"])
def test_an_answer_in_many_parts_ends(module: VirtualPn532, start: StartReader, octets: int) -> None:
    listener = start(module)
    module.present_chip(_Chatter(octets), b"\x04\x11\x22\x33")
    listener.wait_for_answers(1)
    assert listener.reads == []
    module.remove()
    listener.wait_for(lambda told: told.state_of(NAME) is ReaderState.READY)
    module.present(MEMBER)
    listener.wait_for_reads(1)


@pytest.mark.parametrize("lying", [False, True], ids=["without a card", "with a card read"])
def test_a_power_cut_of_the_module_heals_in_time(module: VirtualPn532, start: StartReader, lying: bool) -> None:
    listener = start(module)
    if lying:
        module.present(DEMO_CARDS["stranger"])
        listener.wait_for_reads(1)
    module.cut_power()
    cut_at = time.monotonic()
    module.present(MEMBER)
    assert listener.wait_for_reads(1 + lying)[-1].pan == MEMBER.pan
    assert time.monotonic() - cut_at < RECOVERY_S


def test_a_power_cut_in_the_middle_of_a_reading_costs_no_card(module: VirtualPn532, start: StartReader) -> None:
    def cut(exchange: int) -> None:
        if exchange == 2:
            module.before_exchange = None
            module.cut_power()

    listener = start(module)
    module.before_exchange = cut
    module.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    assert listener.failures == []


def test_a_module_pulled_and_plugged_in_again_reads_again_in_time(module: VirtualPn532, start: StartReader) -> None:
    listener = start(module, Backoff(healthy_s=0.0))  # plugs a minute apart, without the minutes
    descriptors, threads = open_descriptors(), threading.active_count()
    for round_ in range(REPLUGS):
        module.unplug()
        listener.wait_for_state(NAME, ReaderState.MISSING)
        assert isinstance(listener.statuses[-1].error, ReaderMissing)
        module.replug()
        replugged_at = time.monotonic()
        module.present(MEMBER)
        listener.wait_for_reads(round_ + 1)
        assert time.monotonic() - replugged_at < RECOVERY_S
        module.remove()
    listener.wait_for_state(NAME, ReaderState.READY)
    assert (open_descriptors(), threading.active_count()) == (descriptors, threads)
    assert listener.failures == []


def test_a_module_unplugged_in_the_middle_of_a_reading_is_told_and_the_card_is_read_afterwards(
    module: VirtualPn532, start: StartReader
) -> None:
    pulled = threading.Event()

    def hold(exchange: int) -> None:
        if exchange == 2:
            module.before_exchange = None
            module.faults.answers_dropped = 1
            pulled.set()

    listener = start(module)
    module.before_exchange = hold
    module.present(MEMBER)
    assert pulled.wait(5)
    module.unplug()
    listener.wait_for_state(NAME, ReaderState.MISSING)
    assert [type(error) for _, error in listener.failures] == [ReaderMissing]
    module.replug()
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan


def test_a_silent_module_is_a_typed_error_within_bounds(module: VirtualPn532) -> None:
    module.faults.answers_dropped = module.faults.acks_dropped = 1000
    began = time.monotonic()
    assert type(run_and_fail(module)) is ModuleSilent
    assert time.monotonic() - began < 4


def test_a_module_that_goes_silent_comes_back_by_itself(module: VirtualPn532, start: StartReader) -> None:
    listener = start(module)
    module.faults.answers_dropped = module.faults.acks_dropped = 1000
    listener.wait_for_state(NAME, ReaderState.FAILED)
    module.faults = LineFaults()
    back_at = time.monotonic()
    module.present(MEMBER)
    listener.wait_for_reads(1)
    assert time.monotonic() - back_at < RECOVERY_S + 2.0  # a try under way has to end first


@pytest.mark.parametrize(
    ("flood", "error"),
    [(b"\xf8\x80\x01\xe0\x80" * 2000, ModuleNoise), (b"\x00\x00\xff" * 3000, ReaderError)],
    ids=["noise", "starts of frames"],
)
def test_a_port_where_something_else_talks_is_a_typed_error(flood: bytes, error: type[ReaderError]) -> None:
    from drivers.virtual.pty_line import PtyLine

    line, end = PtyLine(), threading.Event()

    def talk() -> None:
        while not end.is_set():
            line.write(flood, 0.2)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        with pytest.raises(ReaderError) as failed:
            Pn532Reader(PortSettings(line.device, BAUD), NAME).run(RecordingListener(), threading.Event())
    finally:
        end.set()
        thread.join()
        line.unplug()
    assert isinstance(failed.value, error)


def test_a_port_that_another_program_holds_is_busy(module: VirtualPn532, start: StartReader) -> None:
    start(module)
    assert isinstance(run_and_fail(module), ReaderBusy)


@pytest.mark.parametrize("moment", ["idle", "card lies", "module silent", "within a reading"])
def test_a_stopped_reader_ends_within_a_second_and_leaves_nothing_open(module: VirtualPn532, moment: str) -> None:
    listener, stop = RecordingListener(), threading.Event()
    before, raised = open_descriptors(), list[JingkaError]()

    def run() -> None:
        try:
            reader_of(module).run(listener, stop)
        except JingkaError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    listener.wait_for_state(NAME, ReaderState.READY)
    reached = threading.Event()
    if moment == "card lies":
        module.present(MEMBER)
        listener.wait_for_reads(1)
    elif moment == "module silent":
        module.faults.acks_dropped = module.faults.answers_dropped = 1000
        time.sleep(0.3)  # it is being woken now
    elif moment == "within a reading":

        def withhold(_exchange: int) -> None:
            module.faults.answers_dropped = 1
            reached.set()

        module.before_exchange = withhold
        module.present(MEMBER)
        assert reached.wait(5)
    stop.set()
    thread.join(1.0)
    assert not thread.is_alive()
    assert raised == []
    assert open_descriptors() == before
    assert "failed" not in listener.events


def test_no_failure_keeps_an_octet_of_the_card(module: VirtualPn532, start: StartReader) -> None:
    listener = start(module)
    pull_at(module, 4)
    module.present(MEMBER)
    listener.wait_for(lambda told: bool(told.failures))
    error = listener.failures[0][1]
    assert error.__cause__ is None
    traced, held = error.__traceback__, ""
    while traced is not None:
        held += str(traced.tb_frame.f_locals)
        traced = traced.tb_next
    assert MEMBER.digits not in held + str(error) + repr(error.details)

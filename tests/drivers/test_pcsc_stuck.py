"""What is told when a reader, a card or pcscd itself does not answer, and that all come back by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from drivers.card import CardRemoved, ReaderServiceDown
from drivers.chip_reading import ChipTerms
from drivers.pboc.dol import TerminalData
from drivers.pcsc import PcscReader
from drivers.pcsc_visit import Bounds, CardTooSlow, ReaderStuck
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from tests.fakes.listener import RecordingListener
from tests.fakes.pcsc_run import MEMBER, NAME, chip, failure_of, running
from tests.fakes.scard import FakeScard

OTHER = "Fake reader 01 00"
SHORT = Bounds(command_s=0.2, read_s=30.0)
SILENCE_S = 0.2
WAIT_S = 5.0


class Hanging(VirtualChip):
    """Answers its third command only when it is let go."""

    def __init__(self) -> None:
        super().__init__(MEMBER)
        self.go = threading.Event()
        self.commands = 0

    def transmit(self, command: bytes) -> bytes:
        self.commands += 1
        if self.commands == 3:
            assert self.go.wait(WAIT_S), "the test never let the card go"
        return super().transmit(command)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    card = Hanging()
    yield card
    card.go.set()


def visiting_threads() -> int:
    return sum(thread.name.startswith("visit ") for thread in threading.enumerate())


def test_a_reader_that_never_answers_is_told_as_stuck_and_shown_as_failed(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard, bounds=SHORT) as listener:
        error = failure_of(listener)
        listener.wait_for_state(NAME, ReaderState.FAILED)
        assert isinstance(error, ReaderStuck)
        assert listener.statuses[-1].error is error


def test_a_stuck_reader_comes_back_by_itself_and_its_late_answer_counts_for_nothing(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard, bounds=SHORT) as listener:
        listener.wait_for_state(NAME, ReaderState.FAILED)
        hanging.go.set()
        listener.wait_for_state(NAME, ReaderState.CARD)  # it still lies there, answered already
        scard.pull(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.insert(NAME, VirtualChip(DEMO_CARDS["stranger"]))
        (read,) = listener.wait_for_reads(1)
    assert read.pan == DEMO_CARDS["stranger"].pan
    assert hanging.commands == 3  # it was sent nothing more
    assert listener.events == [
        *("state:card", "failed", "state:failed", "state:card", "removed", "state:ready"),
        *("state:card", "read", "removed"),
    ]


def test_cards_laid_on_a_stuck_reader_are_told_and_never_wait_on_threads_of_their_own(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard, bounds=SHORT) as listener:
        for count in range(1, 4):
            listener.wait_for(lambda told, count=count: len(told.failures) == count)
            assert visiting_threads() == 1
            scard.pull(NAME)
            listener.wait_for(lambda told, count=count: len(told.removals) == count)
            assert listener.state_of(NAME) is ReaderState.FAILED
            scard.insert(NAME, chip())
        listener.wait_for(lambda told: len(told.failures) == 4)
        hanging.go.set()
        listener.wait_for_state(NAME, ReaderState.CARD)
    assert {type(error) for _, error in listener.failures} == {ReaderStuck}
    assert not listener.reads


def test_the_other_reader_reads_while_one_hangs(hanging: Hanging) -> None:
    scard = FakeScard(NAME, OTHER)
    scard.insert(NAME, hanging)
    with running(scard) as listener:  # with the product's bounds: the first reader is not yet given up
        scard.wait_for_call("transmit")
        scard.insert(OTHER, VirtualChip(DEMO_CARDS["member-2"]))
        (read,) = listener.wait_for_reads(1)
        assert (read.reader, read.pan) == (OTHER, DEMO_CARDS["member-2"].pan)
        assert not listener.failures
        hanging.go.set()
        _, late = listener.wait_for_reads(2)
    assert (late.reader, late.pan) == (NAME, MEMBER.pan)


def test_a_stuck_reader_that_is_unplugged_is_missing_and_reads_when_it_is_back(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard, bounds=SHORT) as listener:
        listener.wait_for_state(NAME, ReaderState.FAILED)
        scard.unplug(NAME)
        listener.wait_for_state(NAME, ReaderState.MISSING)
        hanging.go.set()
        scard.plug(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.insert(NAME, chip())
        listener.wait_for_reads(1)


def test_a_reader_unplugged_in_the_middle_of_a_command_is_told_at_once(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard) as listener:
        scard.wait_for_call("transmit")
        scard.unplug(NAME)
        assert isinstance(failure_of(listener), CardRemoved)
        listener.wait_for_state(NAME, ReaderState.MISSING)
        hanging.go.set()
    assert listener.events == ["state:card", "failed", "removed", "state:missing"]


def test_a_stop_is_obeyed_while_a_reader_hangs_and_the_card_is_let_go_afterwards(hanging: Hanging) -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, hanging)
    with running(scard) as listener:
        scard.wait_for_call("transmit")
    assert not listener.reads
    assert scard.count("end") == 0
    hanging.go.set()
    scard.wait_for_call("disconnect")


def test_a_card_that_answers_ever_so_slowly_is_given_up_between_two_commands() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    with running(scard, bounds=Bounds(command_s=30.0, read_s=0.0)) as listener:
        assert isinstance(failure_of(listener), CardTooSlow)
        listener.wait_for_state(NAME, ReaderState.CARD)
    assert scard.count("connect") == scard.count("disconnect") == 1


def test_the_bounds_leave_a_slow_card_time_and_a_cashier_a_word_within_ten_seconds() -> None:
    assert 1.0 < Bounds().command_s <= Bounds().read_s <= 10.0


def test_a_pcscd_that_hangs_is_told_and_all_readers_speak_again_when_it_goes_on() -> None:
    scard = FakeScard(NAME, OTHER)
    with running(scard, silence_s=SILENCE_S) as listener:
        listener.wait_for_state(OTHER, ReaderState.READY)
        scard.alive.clear()
        listener.wait_for_state(NAME, ReaderState.SERVICE_DOWN)
        listener.wait_for_state(OTHER, ReaderState.SERVICE_DOWN)
        assert isinstance(listener.statuses[-1].error, ReaderServiceDown)
        scard.alive.set()
        listener.wait_for_state(NAME, ReaderState.READY)
        listener.wait_for_state(OTHER, ReaderState.READY)
        scard.insert(NAME, chip())
        listener.wait_for_reads(1)
    assert listener.events.count("state:service-down") == 2  # once each


def test_a_run_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_reads(1)
    assert set(threading.enumerate()) <= before
    assert scard.count("establish") == scard.count("release") == 2


def test_a_defect_in_a_reading_ends_the_run_and_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> TerminalData:
        raise ZeroDivisionError("6210947000000021")

    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    reader = PcscReader(scard=scard, terms=ChipTerms(terminal_data=broken))
    with pytest.raises(ZeroDivisionError):
        reader.run(RecordingListener(), threading.Event())
    assert scard.count("connect") == scard.count("disconnect") == 1
    assert scard.count("establish") == scard.count("release") == 2
    assert not any(capfd.readouterr())

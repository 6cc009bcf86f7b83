"""From a card on a PN532 module to a `CardRead`: who came, who stays, who left, and nothing kept."""

from __future__ import annotations

import threading
import time

import pytest

from config.errors import JingkaError
from drivers.card import Authenticity, EntryMode, NotACard, ReaderBusy
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.pn532 import LineFaults, VirtualPn532
from tests.fakes.listener import RecordingListener
from tests.fakes.nfc import (
    CHIP_CARDS,
    MEMBER,
    NAME,
    STRANGER,
    StartReader,
    open_descriptors,
    pull_at,
    reader_of,
    run_and_fail,
)


@pytest.mark.parametrize("card", CHIP_CARDS, ids=lambda card: card.name)
def test_a_chip_card_on_the_antenna_becomes_a_card_read(
    module: VirtualPn532, start: StartReader, card: VirtualCard
) -> None:
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
    module.present(STRANGER)
    assert listener.wait_for_reads(2)[1].pan == STRANGER.pan
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
    deadline = time.monotonic() + 1.0
    while module.field_on and moment != "module silent" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not module.field_on or moment == "module silent"
    assert open_descriptors() == before
    assert "failed" not in listener.events


def test_no_log_line_holds_the_number(
    module: VirtualPn532, start: StartReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    listener = start(module)
    for count, card in enumerate(CHIP_CARDS, start=1):
        module.present(card)
        listener.wait_for_answers(count)
    assert len(listener.reads) == len(CHIP_CARDS)
    written = caplog.text.upper()
    for card in CHIP_CARDS:
        for form in (card.digits, card.digits.encode().hex().upper(), card.digits[1:]):
            assert form not in written


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

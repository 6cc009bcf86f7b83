"""A PN532 module on lines that lose octets, with cards that are pulled, power that fails, and plugs that come out."""

from __future__ import annotations

import itertools
import random
import threading
import time

import pytest

from drivers.card import CardRemoved, ReaderError, ReaderMissing
from drivers.pn532.link import ModuleNoise, ModuleSilent
from drivers.pn532.reader import BAUD, Pn532Reader
from drivers.port import PortSettings
from drivers.reader import ReaderState
from drivers.supervision import Backoff
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from drivers.virtual.pn532 import LineFaults, VirtualPn532
from drivers.virtual.pty_line import PtyLine
from tests.fakes.listener import RecordingListener
from tests.fakes.nfc import (
    MEMBER,
    NAME,
    RECOVERY_S,
    STRANGER,
    StartReader,
    open_descriptors,
    pull_at,
    run_and_fail,
)

REPLUGS = 20
PRESENTATIONS_MAX = 60  # over a line on which two cards of three are read, all are long before
EXCHANGES_MAX = 12  # no demonstration card takes more commands than this


def test_over_a_line_that_loses_octets_every_card_is_read_or_told_and_never_taken_for_another(
    module: VirtualPn532, start: StartReader
) -> None:
    cards = (MEMBER, STRANGER, DEMO_CARDS["lost"])
    listener = start(module)
    module.faults = LineFaults(loss=0.001, chance=random.Random(1))
    for card in itertools.islice(itertools.cycle(cards), PRESENTATIONS_MAX):
        answers, reads = listener.answers, len(listener.reads)
        module.present(card)
        listener.wait_for_answers(answers + 1)
        module.remove()
        listener.wait_for_state(NAME, ReaderState.READY)
        assert {read.pan for read in listener.reads[reads:]} <= {card.pan}
        if len({read.pan for read in listener.reads}) == len(cards) and module.faults.octets_lost:
            break
    assert {read.pan for read in listener.reads} == {card.pan for card in cards}
    assert module.faults.octets_lost, "the line lost nothing: the test shows nothing"


FAULTS = {
    "the acknowledgement is lost": "acks_dropped",
    "the answer is damaged": "answers_damaged",
    "the answer is lost": "answers_dropped",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_one_fault_of_the_line_within_a_reading_costs_no_card(
    module: VirtualPn532, start: StartReader, fault: str
) -> None:
    def spoil(exchange: int) -> None:
        if exchange == 3:
            module.before_exchange = None
            setattr(module.faults, fault, 1)

    listener = start(module)
    module.before_exchange = spoil
    module.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    assert listener.failures == []


def test_a_telephone_whose_reading_failed_is_tried_again_under_its_next_number(
    module: VirtualPn532, start: StartReader
) -> None:
    def disturb(exchange: int) -> None:
        if exchange == 3:
            module.before_exchange = None
            module.faults.answers_dropped = 1

    listener = start(module)
    module.before_exchange = disturb
    module.present_chip(VirtualChip(MEMBER), b"\x08\x11\x22\x33")
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
            module.present(STRANGER)

    listener = start(module)
    module.before_exchange = swap
    module.present(MEMBER)
    (read,) = listener.wait_for_reads(1)
    assert read.pan == STRANGER.pan
    assert [type(error) for _, error in listener.failures] == [CardRemoved]


@pytest.mark.parametrize("lying", [False, True], ids=["without a card", "with a card read"])
def test_a_power_cut_of_the_module_heals_in_time(module: VirtualPn532, start: StartReader, lying: bool) -> None:
    listener = start(module)
    if lying:
        module.present(STRANGER)
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


def test_a_port_where_something_else_talks_is_a_typed_error() -> None:
    line, end = PtyLine(), threading.Event()

    def talk() -> None:
        while not end.is_set():
            line.write(b"\xf8\x80\x01\xe0\x80\x00\x00\xff" * 2000, 0.2)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        with pytest.raises(ReaderError) as failed:
            Pn532Reader(PortSettings(line.device, BAUD), NAME).run(RecordingListener(), threading.Event())
    finally:
        end.set()
        thread.join()
        line.unplug()
    assert isinstance(failed.value, ModuleNoise)

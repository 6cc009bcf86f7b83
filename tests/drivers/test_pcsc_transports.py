"""Every demonstration chip through a real pcscd over lines that split, delay and lose: read, or told why."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from drivers.card import CardError, EntryMode
from drivers.pcsc import PcscReader
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import PcscDaemon
from tests.fakes.wire import ByteAtATime, Delayed, Direct, Lossy, Road, Wire

CHIPS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
DRIVERS = 6  # twelve readers: every card has one to itself, so that all are read at once
LOSSES = 3  # presentations of each card over the lossy line
SEED = 20_260_102
READ_MS_MAX = 10_000  # the bound of a whole reading


@pytest.fixture(scope="module")
def pcscd() -> Iterator[PcscDaemon]:
    assert len(CHIPS) <= 2 * DRIVERS
    with PcscDaemon.start(DRIVERS) as daemon:
        yield daemon


@contextmanager
def watching(pcscd: PcscDaemon) -> Iterator[RecordingListener]:
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader()], listener)
    supervisor.start()
    try:
        for reader in pcscd.readers:
            listener.wait_for_state(reader, ReaderState.READY)
        yield listener
    finally:
        assert supervisor.stop() == ()


def wait_for_answers_at(told: RecordingListener, reader: str, count: int) -> None:
    def answers(told: RecordingListener) -> int:
        return sum(read.reader == reader for read in told.reads) + sum(name == reader for name, _ in told.failures)

    told.wait_for(lambda told: answers(told) == count)


@pytest.mark.parametrize("road", [Direct, ByteAtATime, Delayed])
def test_every_chip_is_read_once_and_at_its_reader_over(pcscd: PcscDaemon, road: Callable[[], Road]) -> None:
    with watching(pcscd) as told, ExitStack() as wires:
        for number, card in enumerate(CHIPS):
            wire = wires.enter_context(Wire(pcscd.host, pcscd.port + number, road))
            VpcdCard(wire.host, wire.port).present(card)
        reads = told.wait_for_reads(len(CHIPS))
        wires.close()
        told.wait_for(lambda told: len(told.removals) == len(CHIPS))
    expected = {(reader, card.pan) for reader, card in zip(pcscd.readers, CHIPS, strict=False)}
    assert {(read.reader, read.pan) for read in reads} == expected
    assert len(told.reads) == len(CHIPS)
    assert not told.failures
    contact = {card.pan for card in CHIPS if card.chip is ChipKind.CONTACT}
    for read in reads:
        assert read.entry_mode is (EntryMode.CONTACT if read.pan in contact else EntryMode.CONTACTLESS)
        assert read.service_code == "220"
        assert 0 < read.read_ms < READ_MS_MAX
        assert 0 < read.finished_ns <= time.monotonic_ns()


def test_over_a_lossy_line_every_chip_is_read_or_told_why_and_read_over_a_good_one_afterwards(
    pcscd: PcscDaemon,
) -> None:
    with watching(pcscd) as told, ThreadPoolExecutor(len(CHIPS)) as workers:

        def lose_and_read(number: int, card: VirtualCard) -> None:
            reader, port = pcscd.readers[number], pcscd.port + number
            choice = random.Random(SEED + number)
            for count in range(1, LOSSES + 1):
                with Wire(pcscd.host, port, lambda: Lossy(choice)) as wire:
                    VpcdCard(wire.host, wire.port).present(card)
                    wait_for_answers_at(told, reader, count)
                told.wait_for_state(reader, ReaderState.READY)
            slot = VpcdCard(pcscd.host, port)
            slot.present(card)
            wait_for_answers_at(told, reader, LOSSES + 1)
            slot.remove()
            told.wait_for_state(reader, ReaderState.READY)

        list(workers.map(lose_and_read, range(len(CHIPS)), CHIPS))
    for reader, card in zip(pcscd.readers, CHIPS, strict=False):
        mine = [read for read in told.reads if read.reader == reader]
        assert {read.pan for read in mine} == {card.pan}
        assert len(mine) + sum(name == reader for name, _ in told.failures) == LOSSES + 1
    assert all(isinstance(error, CardError) for _, error in told.failures)
    assert len(told.failures) >= LOSSES, "the line lost too little to prove anything"

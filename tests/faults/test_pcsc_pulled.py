"""Cards pulled at every command, on fourteen real readers at once: each is told, and the next card read as itself."""

from __future__ import annotations

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from drivers.card import CardRemoved
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.authenticity.keys import load_scheme_keys
from drivers.pcsc import PcscReader
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS, ChipProof, VirtualCard
from drivers.virtual.demo_authority import DEMO_AUTHORITY, chip_of
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import PcscDaemon
from tests.fakes.recovery import report_recoveries
from tests.fakes.wire import CutAnswer, Wire

DRIVERS = 7  # fourteen readers, one less than we watch
HASH_KEY = bytes(32)
KEY_EXPIRES = date(2049, 12, 31)
NEXT = DEMO_CARDS["stranger"]  # the card that comes after each pulled one
PULLED = tuple(
    replace(DEMO_CARDS[name], proof=proof)
    for name in ("member-2", "member", "model-worker")  # contact, contactless, all data in one reply
    for proof in (ChipProof.NONE, ChipProof.DYNAMIC)
)


class PulledChip:
    """`card`'s chip, that leaves the reader when its `at`-th command comes, counted from 1."""

    def __init__(self, card: VirtualCard, at: int) -> None:
        self._chip = chip_of(card)
        self._left = at
        self.atr = self._chip.atr

    def reset(self) -> None:
        self._chip.reset()

    def transmit(self, command: bytes) -> bytes:
        self._left -= 1
        if self._left == 0:
            raise ConnectionAbortedError("pulled")  # ends the card's stay: the socket closes
        return self._chip.transmit(command)


def commands_of(card: VirtualCard, terms: ChipTerms) -> int:
    """How many commands a whole reading of `card` takes."""
    chip = chip_of(card)
    reading = ChipReading(chip.transmit, chip.protocol, contactless=chip.contactless, reader="count", terms=terms)
    return len(reading.read().steps)


@dataclass(frozen=True, slots=True)
class Pull:
    """One card's early end: before the answer to its `at`-th command, or in the middle of that answer."""

    card: VirtualCard
    at: int
    in_answer: bool


@pytest.fixture
def terms(tmp_path: Path) -> ChipTerms:
    """With the cards' scheme key, so that the chips are asked to prove themselves."""
    keys = tmp_path / "keys.toml"
    keys.write_text(DEMO_AUTHORITY.key_file(KEY_EXPIRES))
    return ChipTerms(keys=load_scheme_keys(keys))


class Slot:
    """One reader and the way to put cards into it."""

    def __init__(self, pcscd: PcscDaemon, number: int) -> None:
        self.reader = pcscd.readers[number]
        self._address = (pcscd.host, pcscd.port + number)
        self._presenter = VpcdCard(*self._address)

    def present_and_pull(self, pull: Pull, told: RecordingListener, failures: int) -> None:
        """Returns once the pull was told."""
        if not pull.in_answer:
            self._presenter.present_chip(PulledChip(pull.card, pull.at))
            told.wait_for(lambda told: failures_at(told, self.reader) == failures)
            return
        with Wire(*self._address, lambda: CutAnswer(pull.at)) as wire:
            VpcdCard(wire.host, wire.port).present(pull.card)
            told.wait_for(lambda told: failures_at(told, self.reader) == failures)

    def present(self, card: VirtualCard) -> None:
        self._presenter.present(card)

    def remove(self) -> None:
        self._presenter.remove()


def failures_at(told: RecordingListener, reader: str) -> int:
    return sum(name == reader for name, _ in told.failures)


def reads_at(told: RecordingListener, reader: str) -> list[bytes]:
    return [read.pan.keyed_hash(HASH_KEY) for read in told.reads if read.reader == reader]


def serve(slot: Slot, pulls: queue.SimpleQueue[Pull], told: RecordingListener, recoveries: list[float]) -> int:
    """Pull card after card from `slot`, and each time present the next one; how many."""
    done = 0
    while True:
        try:
            pull = pulls.get_nowait()
        except queue.Empty:
            return done
        done += 1
        slot.present_and_pull(pull, told, done)
        pulled = time.monotonic()
        slot.present(NEXT)
        told.wait_for(lambda told, done=done: len(reads_at(told, slot.reader)) == done)  # type: ignore[misc]
        recoveries.append(time.monotonic() - pulled)
        slot.remove()
        told.wait_for_state(slot.reader, ReaderState.READY)


def test_a_card_pulled_at_any_command_is_told_once_and_the_next_one_read_as_itself(terms: ChipTerms) -> None:
    pulls: queue.SimpleQueue[Pull] = queue.SimpleQueue()
    for card in PULLED:
        for at in range(1, commands_of(card, terms) + 1):
            pulls.put(Pull(card, at, in_answer=False))
            pulls.put(Pull(card, at, in_answer=True))
    total = pulls.qsize()
    told = RecordingListener()
    recoveries: list[float] = []
    with PcscDaemon.start(DRIVERS) as pcscd, ThreadPoolExecutor(len(pcscd.readers)) as workers:
        supervisor = Supervisor([PcscReader(terms=terms)], told)
        supervisor.start()
        try:
            for reader in pcscd.readers:
                told.wait_for_state(reader, ReaderState.READY)
            slots = [Slot(pcscd, number) for number in range(len(pcscd.readers))]
            done = list(workers.map(lambda slot: serve(slot, pulls, told, recoveries), slots))
        finally:
            leftover = supervisor.stop()
    assert leftover == ()
    assert sum(done) == total > 100
    for slot, count in zip(slots, done, strict=True):
        assert failures_at(told, slot.reader) == count
        assert reads_at(told, slot.reader) == [NEXT.pan.keyed_hash(HASH_KEY)] * count
    assert {type(error) for _, error in told.failures} == {CardRemoved}
    report_recoveries(recoveries, "cards pulled")

"""The published card conversations end to end: through a real pcscd and vpcd, with T=0 and T=1 as the ATR says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from config.errors import JingkaError
from drivers.card import CardError, CardRead, EntryMode, MalformedCard
from drivers.pcsc import PcscReader
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.transcript import Transcript
from drivers.virtual.replay import ReplayChip
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import READERS, PcscDaemon
from tests.fakes.transcripts import TERMS, TRANSCRIPTS, check_outcome


@pytest.fixture(scope="module")
def pcscd() -> Iterator[PcscDaemon]:
    with PcscDaemon.start() as daemon:
        yield daemon


class CountingChip(ReplayChip):
    """Plays a transcript to the octet and counts its commands."""

    def __init__(self, transcript: Transcript) -> None:
        super().__init__(transcript, exact=True)
        self.commands = 0

    def transmit(self, command: bytes) -> bytes:
        self.commands += 1
        return super().transmit(command)


class Counter:
    """Two slots under one supervisor, used in turns: pcscd takes 0.4 s to see a card go, and the other is free."""

    def __init__(self, pcscd: PcscDaemon) -> None:
        self.listener = RecordingListener()
        self._supervisor = Supervisor([PcscReader(terms=TERMS)], self.listener)
        self._supervisor.start()
        slots = [(name, VpcdCard(pcscd.host, pcscd.port + number)) for number, name in enumerate(READERS)]
        self._slots = slots
        self._turns = itertools.cycle(slots)

    def present(self, chip: ReplayChip) -> CardRead | JingkaError:
        """What the reader told of `chip`, which is taken off as soon as it has."""
        reader, slot = next(self._turns)
        self.listener.wait_for_state(reader, ReaderState.READY)
        reads, failures = len(self.listener.reads), len(self.listener.failures)
        slot.present_chip(chip)
        self.listener.wait_for_answers(reads + failures + 1)
        slot.remove()
        if len(self.listener.reads) > reads:
            assert self.listener.reads[-1].reader == reader
            return self.listener.reads[-1]
        assert self.listener.failures[-1][0] == reader
        return self.listener.failures[-1][1]

    def close(self) -> None:
        for _, slot in self._slots:
            slot.remove()
        assert self._supervisor.stop() == ()


@pytest.fixture(scope="module")
def counter(pcscd: PcscDaemon) -> Iterator[Counter]:
    counter = Counter(pcscd)
    yield counter
    counter.close()


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_recorded_card_is_read_through_pcscd_with_exactly_the_recorded_octets(counter: Counter, name: str) -> None:
    chip = CountingChip(TRANSCRIPTS[name])
    answered_before = counter.listener.answers
    outcome = counter.present(chip)
    assert isinstance(outcome, CardRead | CardError)
    check_outcome(name, outcome)
    assert chip.deviation is None
    if isinstance(outcome, CardRead):
        assert outcome.entry_mode is (EntryMode.CONTACTLESS if chip.contactless else EntryMode.CONTACT)
    assert counter.listener.answers == answered_before + 1
    tries = 2 if isinstance(outcome, MalformedCard) else 1  # only data that may have suffered are worth a second look
    assert chip.commands == tries * len(TRANSCRIPTS[name].pairs)

"""The PC/SC reader against a real pcscd with vpcd: what a counter sees on a bad day, and that it is over in 3 s."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from smartcard import scard

from drivers.card import NotACard, ReaderBusy, ReaderServiceDown
from drivers.pboc.exchange import READ_ONLY_COMMANDS
from drivers.pcsc import TOGETHER, PcscReader, list_readers
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import READERS, PcscDaemon

MEMBER = DEMO_CARDS["member"]
SECOND = DEMO_CARDS["member-2"]
FIRST_SLOT, SECOND_SLOT = READERS
RECOVERY_S = 3.0  # docs: every reader fault is over within this


@pytest.fixture
def pcscd() -> Iterator[PcscDaemon]:
    with PcscDaemon.start() as daemon:  # one for each test: it starts faster than it notices that a card has gone
        yield daemon


@pytest.fixture
def slot(pcscd: PcscDaemon) -> Iterator[VpcdCard]:
    card = VpcdCard(pcscd.host, pcscd.port)
    yield card
    card.remove()


@contextmanager
def context() -> Iterator[object]:
    code, handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    assert code == 0
    try:
        yield handle
    finally:
        scard.SCardReleaseContext(handle)


@contextmanager
def watching(name: str = "*") -> Iterator[RecordingListener]:
    """A supervised reader, ready."""
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader(name)], listener)
    supervisor.start()
    try:
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
        yield listener
    finally:
        assert supervisor.stop() == ()


@pytest.mark.usefixtures("pcscd")
def test_the_readers_of_this_machine_are_listed() -> None:
    assert list_readers() == list(READERS)


def test_a_card_comes_and_goes_and_another_follows(slot: VpcdCard) -> None:
    with watching() as listener:
        slot.present(MEMBER)
        listener.wait_for_reads(1)
        slot.remove()
        listener.wait_for(lambda told: len(told.removals) == 1)
        slot.present(SECOND)
        _, second = listener.wait_for_reads(2)
        slot.remove()
        listener.wait_for(lambda told: len(told.removals) == 2)
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
    assert second.pan == SECOND.pan


def test_a_card_swapped_faster_than_pcscd_polls_is_read_as_the_new_one(slot: VpcdCard) -> None:
    with watching() as listener:
        slot.present(MEMBER)
        listener.wait_for_reads(1)
        slot.present(SECOND)
        _, second = listener.wait_for_reads(2)
    assert second.pan == SECOND.pan
    assert listener.removals[0] == FIRST_SLOT


def test_a_card_that_lies_there_at_the_start_is_read(slot: VpcdCard) -> None:
    slot.present(MEMBER)
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader(FIRST_SLOT)], listener)
    supervisor.start()
    listener.wait_for_reads(1)
    assert supervisor.stop() == ()


def test_cards_on_two_readers_are_both_read(slot: VpcdCard, pcscd: PcscDaemon) -> None:
    other = VpcdCard(pcscd.host, pcscd.port + 1)
    with watching() as listener:
        slot.present(MEMBER)
        other.present(SECOND)
        reads = listener.wait_for_reads(2)
        other.remove()
        listener.wait_for(lambda told: SECOND_SLOT in told.removals)
    assert {(read.reader, read.pan) for read in reads} == {(FIRST_SLOT, MEMBER.pan), (SECOND_SLOT, SECOND.pan)}


class Watched(VirtualChip):
    """Writes down every command that reached it."""

    def __init__(self, card: VirtualCard) -> None:
        super().__init__(card)
        self.commands: list[bytes] = []

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        return super().transmit(command)


@pytest.mark.parametrize("card", [MEMBER, SECOND, DEMO_CARDS["model-worker"]], ids=lambda card: card.name)
def test_only_reading_commands_reach_the_card(slot: VpcdCard, card: VirtualCard) -> None:
    chip = Watched(card)
    with watching() as listener:
        slot.present_chip(chip)
        listener.wait_for_reads(1)
    assert {tuple(command[:2]) for command in chip.commands} <= READ_ONLY_COMMANDS
    assert len(chip.commands) <= 11


class TransitCard(VirtualChip):
    """Knows no payment application."""

    def transmit(self, command: bytes) -> bytes:
        return b"\x6a\x82"


def test_a_transit_card_is_told_as_no_bank_card_and_the_reader_goes_on(slot: VpcdCard) -> None:
    with watching() as listener:
        slot.present_chip(TransitCard(MEMBER))
        listener.wait_for(lambda told: len(told.failures) == 1)
        slot.present(MEMBER)
        listener.wait_for_reads(1)
    assert isinstance(listener.failures[0][1], NotACard)


def test_pcscd_stopped_and_started_is_noticed_and_the_card_read_again_within_3_s(
    slot: VpcdCard, pcscd: PcscDaemon
) -> None:
    with watching() as listener:
        slot.present(MEMBER)
        listener.wait_for_reads(1)
        pcscd.stop()
        listener.wait_for_state(TOGETHER, ReaderState.SERVICE_DOWN)
        down = listener.statuses[-1]
        assert isinstance(down.error, ReaderServiceDown)
        assert listener.removals == [FIRST_SLOT]
        pcscd.resume()
        slot.present(SECOND)
        began = time.monotonic()
        _, second = listener.wait_for_reads(2)
        assert time.monotonic() - began < RECOVERY_S
    assert second.pan == SECOND.pan


def test_pcscd_killed_in_the_middle_of_a_read_takes_nothing_down(slot: VpcdCard, pcscd: PcscDaemon) -> None:
    reached = threading.Event()

    class Stuck(VirtualChip):
        def transmit(self, command: bytes) -> bytes:
            reached.set()
            time.sleep(1)  # the answer comes after pcscd has gone
            return super().transmit(command)

    with watching() as listener:
        slot.present_chip(Stuck(MEMBER))
        assert reached.wait(5)
        pcscd.kill()
        listener.wait_for_state(TOGETHER, ReaderState.SERVICE_DOWN)
        pcscd.resume()
        slot.present(MEMBER)
        listener.wait_for_reads(1)


@contextmanager
def rival(share: int) -> Iterator[object]:
    """Another program's connection to the card on the first reader."""
    with context() as handle:
        code, card, _ = scard.SCardConnect(handle, FIRST_SLOT, share, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1)
        assert code == 0
        try:
            yield card
        finally:
            scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)


def present_for_rival(slot: VpcdCard) -> None:
    """A card that pcscd has seen and nobody has read."""
    slot.present(MEMBER)
    with context() as handle:
        known = [(FIRST_SLOT, scard.SCARD_STATE_UNAWARE)]
        for _ in range(10):
            _, seen = scard.SCardGetStatusChange(handle, 1000, known)
            if seen and seen[0][1] & scard.SCARD_STATE_PRESENT:
                return
            known = [(FIRST_SLOT, seen[0][1] & ~scard.SCARD_STATE_CHANGED)]
    raise AssertionError("pcscd does not see the card")


@pytest.mark.parametrize("how", ["exclusive", "transaction"])
def test_a_card_held_by_another_program_is_told_and_read_as_soon_as_it_is_free(slot: VpcdCard, how: str) -> None:
    present_for_rival(slot)
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader()], listener)
    exclusive = how == "exclusive"
    with rival(scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED) as card:
        if not exclusive:
            assert scard.SCardBeginTransaction(card) == 0
        supervisor.start()
        listener.wait_for_state(FIRST_SLOT, ReaderState.BUSY)
        ((_, error),) = listener.failures
        assert isinstance(error, ReaderBusy)
    freed = time.monotonic()
    (read,) = listener.wait_for_reads(1)
    assert time.monotonic() - freed < RECOVERY_S
    assert read.pan == MEMBER.pan
    assert supervisor.stop() == ()


def test_a_stop_is_obeyed_within_a_second_while_another_program_holds_the_card(slot: VpcdCard) -> None:
    present_for_rival(slot)
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader()], listener)
    with rival(scard.SCARD_SHARE_SHARED) as card:
        assert scard.SCardBeginTransaction(card) == 0
        supervisor.start()
        listener.wait_for_state(FIRST_SLOT, ReaderState.CARD)
        assert supervisor.stop(1.0) == ()


def test_a_reading_visit_leaves_the_card_powered_and_free(slot: VpcdCard) -> None:
    with watching() as listener:
        slot.present(MEMBER)
        listener.wait_for_reads(1)
        with rival(scard.SCARD_SHARE_EXCLUSIVE) as card:
            code, answer = scard.SCardTransmit(card, scard.SCARD_PCI_T1, list(bytes.fromhex("80A8000002830000")))
            assert code == 0
            assert bytes(answer).hex() == "6a80"  # the application is still selected: no reset came between
        assert not listener.failures


def test_a_card_that_another_program_resets_after_its_reading_is_not_read_again(slot: VpcdCard) -> None:
    with watching() as listener:
        slot.present(MEMBER)
        listener.wait_for_reads(1)
        with rival(scard.SCARD_SHARE_SHARED) as card:
            both = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
            code, _ = scard.SCardReconnect(card, scard.SCARD_SHARE_SHARED, both, scard.SCARD_RESET_CARD)
            assert code == 0
        slot.remove()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
    assert len(listener.reads) == len(listener.removals) == 1
    assert not listener.failures


_CHILD = """
from drivers.pcsc import list_readers
from tests.fakes.pcscd import PcscDaemon
with PcscDaemon.start() as pcscd:
    assert len(list_readers()) == 2
    print(pcscd.port, pcscd.socket_path)
"""


def test_another_process_may_run_its_own_pcscd_at_the_same_time(pcscd: PcscDaemon) -> None:
    child = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, timeout=30, check=True)
    port, path = child.stdout.split()
    assert {int(port), int(port) + 1}.isdisjoint({pcscd.port, pcscd.port + 1})
    assert path != pcscd.socket_path
    assert list_readers() == list(READERS)


def test_a_child_process_finds_this_pcscd_by_its_environment(pcscd: PcscDaemon) -> None:
    listing = "from drivers.pcsc import list_readers; print(*list_readers(), sep='|')"
    child = subprocess.run(
        [sys.executable, "-c", listing], env=pcscd.environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert child.stdout.strip() == "|".join(READERS)

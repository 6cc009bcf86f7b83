"""The PC/SC reader and the service itself, all real: refused, upgraded, hung, and with readers plugged in and out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from socket import socket

import pytest

from drivers.card import CardRemoved, ReaderForbidden, ReaderServiceDown
from drivers.pcsc import READERS_MAX, TOGETHER, PcscReader, list_readers
from drivers.pcsc_visit import Bounds, ReaderStuck
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import DRIVERS_MAX, READERS, PcscDaemon
from tests.fakes.pcscd_refusing import (
    hang_up_after_the_greeting,
    hang_up_at_once,
    never_answer,
    other_version,
    refusing_pcscd,
)

MEMBER = DEMO_CARDS["member"]
SECOND = DEMO_CARDS["member-2"]
FIRST_SLOT, SECOND_SLOT = READERS
RECOVERY_S = 3.0  # docs: every reader fault is over within this
SILENCE_S = 1.0  # quicker than the product's, so that the test is; still twice as long as any healthy call
SHORT = Bounds(command_s=0.5, read_s=10.0)
WAIT_S = 10.0


@pytest.fixture
def pcscd() -> Iterator[PcscDaemon]:
    with PcscDaemon.start() as daemon:
        yield daemon


@contextmanager
def watching(reader: PcscReader | None = None) -> Iterator[RecordingListener]:
    listener = RecordingListener()
    supervisor = Supervisor([reader or PcscReader()], listener)
    supervisor.start()
    try:
        yield listener
    finally:
        assert supervisor.stop() == ()


@contextmanager
def refused(pcscd: PcscDaemon, refuse: Callable[[socket], None]) -> Iterator[Callable[[], None]]:
    """Another daemon refuses us in pcscd's place, from before a reader asks until the call that is given."""
    pcscd.stop()
    with ExitStack() as refusing:
        refusing.enter_context(refusing_pcscd(pcscd.socket_path, refuse))

        def give_in() -> None:
            refusing.close()
            pcscd.resume()

        yield give_in


@pytest.mark.parametrize(
    ("refuse", "state", "error"),
    [
        (hang_up_after_the_greeting, ReaderState.FORBIDDEN, ReaderForbidden),
        (other_version, ReaderState.SERVICE_DOWN, ReaderServiceDown),
    ],
)
def test_a_pcscd_that_refuses_us_is_told_and_the_readers_are_back_within_3_s_of_its_giving_in(
    pcscd: PcscDaemon, refuse: Callable[[socket], None], state: ReaderState, error: type[Exception]
) -> None:
    with refused(pcscd, refuse) as give_in, watching() as listener:
        listener.wait_for_state(TOGETHER, state)
        assert isinstance(listener.statuses[-1].error, error)
        give_in()
        began = time.monotonic()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
        assert time.monotonic() - began < RECOVERY_S


def test_a_pcscd_that_hangs_up_before_a_word_is_told_one_way_or_the_other(pcscd: PcscDaemon) -> None:
    with refused(pcscd, hang_up_at_once) as give_in, watching() as listener:
        listener.wait_for(
            lambda told: told.state_of(TOGETHER) in {ReaderState.SERVICE_DOWN, ReaderState.FORBIDDEN}
        )  # whether our greeting still got out decides what the library answers
        give_in()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)


def test_a_pcscd_that_never_answers_is_told_and_left_as_soon_as_it_ends(pcscd: PcscDaemon) -> None:
    with refused(pcscd, never_answer) as give_in, watching(PcscReader(silence_s=SILENCE_S)) as listener:
        listener.wait_for_state(TOGETHER, ReaderState.SERVICE_DOWN)
        assert isinstance(listener.statuses[-1].error, ReaderServiceDown)
        give_in()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)


def test_asking_for_the_readers_by_hand_ends_although_pcscd_never_answers(pcscd: PcscDaemon) -> None:
    with refused(pcscd, never_answer) as give_in:
        began = time.monotonic()
        with pytest.raises(ReaderServiceDown):
            list_readers(wait_s=0.2)
        assert time.monotonic() - began < RECOVERY_S
        give_in()
    assert list_readers() == list(READERS)


def test_a_pcscd_that_hangs_is_told_and_the_card_presented_meanwhile_read_when_it_goes_on(pcscd: PcscDaemon) -> None:
    with watching(PcscReader(silence_s=SILENCE_S)) as listener:
        listener.wait_for_state(SECOND_SLOT, ReaderState.READY)
        pcscd.hang()
        try:
            listener.wait_for_state(SECOND_SLOT, ReaderState.SERVICE_DOWN)
            slot = VpcdCard(pcscd.host, pcscd.port)
            slot.present(MEMBER)
        finally:
            pcscd.go_on()
        began = time.monotonic()
        (read,) = listener.wait_for_reads(1)
        assert time.monotonic() - began < RECOVERY_S
        listener.wait_for_state(SECOND_SLOT, ReaderState.READY)
        slot.remove()
    assert read.pan == MEMBER.pan


class Mute(VirtualChip):
    """Takes commands and never answers, until it is let go."""

    def __init__(self) -> None:
        super().__init__(MEMBER)
        self.reached = threading.Event()
        self.go = threading.Event()

    def transmit(self, command: bytes) -> bytes:
        self.reached.set()
        assert self.go.wait(WAIT_S), "the test never let the card go"
        return super().transmit(command)


def test_a_card_that_never_answers_is_told_the_other_reader_goes_on_and_all_is_well_when_it_is_out(
    pcscd: PcscDaemon,
) -> None:
    mute = Mute()
    first, second = VpcdCard(pcscd.host, pcscd.port), VpcdCard(pcscd.host, pcscd.port + 1)
    with watching(PcscReader(bounds=SHORT)) as listener:
        listener.wait_for_state(SECOND_SLOT, ReaderState.READY)
        first.present_chip(mute)
        listener.wait_for_state(FIRST_SLOT, ReaderState.FAILED)
        ((reader, error),) = listener.failures
        assert (reader, type(error)) == (FIRST_SLOT, ReaderStuck)
        second.present(SECOND)
        (read,) = listener.wait_for_reads(1)
        assert (read.reader, read.pan) == (SECOND_SLOT, SECOND.pan)
        mute.go.set()
        first.remove()
        began = time.monotonic()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
        first.present(MEMBER)
        listener.wait_for_reads(2)
        assert time.monotonic() - began < RECOVERY_S
        first.remove()
        second.remove()


def test_a_stop_with_a_card_that_never_answers_takes_less_than_two_seconds(pcscd: PcscDaemon) -> None:
    mute = Mute()
    slot = VpcdCard(pcscd.host, pcscd.port)
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader()], listener)
    supervisor.start()
    listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
    slot.present_chip(mute)
    assert mute.reached.wait(WAIT_S)
    assert supervisor.stop(2.0) == ()
    mute.go.set()
    slot.remove()


def test_readers_plugged_in_and_out_are_told_and_read(pcscd: PcscDaemon) -> None:
    with watching() as listener:
        listener.wait_for_state(SECOND_SLOT, ReaderState.READY)
        pcscd.stop()
        pcscd.drivers = 2
        pcscd.resume()
        *_, third, fourth = pcscd.readers
        listener.wait_for_state(fourth, ReaderState.READY)
        slot = VpcdCard(pcscd.host, pcscd.port + 2)
        slot.present(MEMBER)
        (read,) = listener.wait_for_reads(1)
        assert read.reader == third
        pcscd.stop()
        pcscd.drivers = 1
        pcscd.resume()
        listener.wait_for_state(FIRST_SLOT, ReaderState.READY)
        slot.remove()
    assert listener.state_of(third) in {ReaderState.SERVICE_DOWN, ReaderState.MISSING}


def test_of_as_many_readers_as_pcscd_takes_all_but_the_last_are_watched(pcscd: PcscDaemon) -> None:
    pcscd.stop()
    pcscd.drivers = DRIVERS_MAX
    pcscd.resume()
    assert len(list_readers()) == READERS_MAX + 1
    with watching() as listener:
        listener.wait_for(lambda told: told.events.count("state:ready") == READERS_MAX)
    assert "state:failed" not in listener.events


def test_two_cards_read_at_the_same_moment_are_each_attributed_to_their_reader(pcscd: PcscDaemon) -> None:
    together = threading.Barrier(2, timeout=WAIT_S)

    class Meeting(VirtualChip):
        """Answers no command before the other card has one, too."""

        met = False

        def transmit(self, command: bytes) -> bytes:
            if not self.met:
                together.wait()
                self.met = True
            return super().transmit(command)

    first, second = VpcdCard(pcscd.host, pcscd.port), VpcdCard(pcscd.host, pcscd.port + 1)
    with watching() as listener:
        listener.wait_for_state(SECOND_SLOT, ReaderState.READY)
        first.present_chip(Meeting(MEMBER))
        second.present_chip(Meeting(SECOND))
        reads = listener.wait_for_reads(2)
        first.remove()
        second.remove()
    assert {(read.reader, read.pan) for read in reads} == {(FIRST_SLOT, MEMBER.pan), (SECOND_SLOT, SECOND.pan)}
    assert not [error for _, error in listener.failures if not isinstance(error, CardRemoved)]

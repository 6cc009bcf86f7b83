"""How the PC/SC reader watches readers and cards come and go; pcscd's answers are made to order here."""

from __future__ import annotations

import pytest

from drivers.card import (
    EntryMode,
    ReaderMissing,
)
from drivers.pcsc import READERS_MAX, TOGETHER
from drivers.pcsc_service import State
from drivers.pcsc_visit import is_contactless
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from tests.fakes.pcsc_run import NAME, chip, running
from tests.fakes.scard import FakeScard


def test_a_swap_between_two_looks_shows_by_the_event_count() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_reads(1)
        with scard._lock:  # the watcher sees only the outcome
            scard.pull(NAME)
            scard.insert(NAME, VirtualChip(DEMO_CARDS["member-2"]))
        first, second = listener.wait_for_reads(2)
    assert (first.entry_mode, second.entry_mode) == (EntryMode.CONTACTLESS, EntryMode.CONTACT)
    assert listener.events == ["state:card", "read", "removed", "read", "removed"]


def test_a_card_left_lying_is_read_once_whatever_bits_change() -> None:
    scard = FakeScard(NAME)
    scard.insert(NAME, chip())
    with running(scard) as listener:
        listener.wait_for_reads(1)
        for bits in (State.PRESENT | 0x0100, State.PRESENT):  # another program came, and went
            scard.set_bits(NAME, bits)
            scard.wait_for_looks(3)
    assert len(listener.reads) == 1


def test_no_reader_is_told_once_and_a_plugged_one_speaks_for_itself() -> None:
    scard = FakeScard()
    with running(scard) as listener:
        listener.wait_for_state(TOGETHER, ReaderState.MISSING)
        scard.plug(NAME)
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.unplug(NAME)
        listener.wait_for_state(NAME, ReaderState.MISSING)
    assert [status.name for status in listener.statuses] == [TOGETHER, NAME, NAME]
    assert isinstance(listener.statuses[-1].error, ReaderMissing)


def test_a_reader_that_becomes_unavailable_is_missing_until_it_is_back() -> None:
    scard = FakeScard(NAME)
    with running(scard) as listener:
        listener.wait_for_state(NAME, ReaderState.READY)
        scard.set_bits(NAME, State.UNAVAILABLE)
        listener.wait_for_state(NAME, ReaderState.MISSING)
        scard.set_bits(NAME, State.EMPTY)
        listener.wait_for_state(NAME, ReaderState.READY)


def test_a_named_reader_leaves_the_others_alone() -> None:
    scard = FakeScard("other", NAME)
    scard.insert("other", chip())
    with running(scard, NAME) as listener:
        scard.insert(NAME, chip())
        (read,) = listener.wait_for_reads(1)
    assert read.reader == NAME
    assert {status.name for status in listener.statuses} == {NAME}


def test_a_named_reader_that_is_not_there_is_missing() -> None:
    with running(FakeScard("other"), NAME) as listener:
        listener.wait_for_state(NAME, ReaderState.MISSING)


def test_the_number_of_readers_watched_is_bounded() -> None:
    names = [f"reader {number:02d}" for number in range(READERS_MAX + 1)]
    with running(FakeScard(*names)) as listener:
        listener.wait_for(lambda told: len(told.statuses) == READERS_MAX)
    assert {status.name for status in listener.statuses} == set(names[:READERS_MAX])


@pytest.mark.parametrize(
    ("atr", "reader", "contactless"),
    [
        ("3B88800150424F434341524403", "Any reader", True),
        ("3B8180018080", "Any reader", True),
        ("3B680000", "Alcor Micro AU9540 00 00", False),
        ("3B88800250424F43", "Any reader", False),
        ("", "ACS ACR1281 1S Dual Reader [ACR1281 Dual Reader PICC] 00 00", True),
        ("3B680000", "Identiv uTrust 4701 F CL Reader 00 00", True),
        ("", "Contact reader", False),
    ],
)
def test_contactless_is_told_from_atr_or_name(atr: str, reader: str, contactless: bool) -> None:
    assert is_contactless(bytes.fromhex(atr), reader) is contactless

"""The virtual reader tells what a real one tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.errors import Words
from drivers.card import Authenticity, CardRefused, EntryMode, ReaderBusy
from drivers.reader import ReaderState
from drivers.virtual.card import DEMO_CARDS, CardPresenter, ChipKind, VirtualCard
from drivers.virtual.in_process import PENDING_MAX, VirtualReader
from tests.fakes.listener import RecordingListener


@contextmanager
def running(reader: VirtualReader) -> Iterator[RecordingListener]:
    listener, stop = RecordingListener(), threading.Event()
    thread = threading.Thread(target=reader.run, args=(listener, stop))
    thread.start()
    try:
        yield listener
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


@pytest.mark.parametrize("card", DEMO_CARDS.values(), ids=lambda card: card.name)
def test_every_demonstration_card_is_read_as_its_kind(card: VirtualCard) -> None:
    reader = VirtualReader()
    presenter: CardPresenter = reader
    with running(reader) as listener:
        presenter.present(card)
        (read,) = listener.wait_for_reads(1)
    assert (read.pan, read.reader) == (card.pan, "virtual")
    assert (
        read.entry_mode
        is {
            ChipKind.NONE: EntryMode.STRIPE,
            ChipKind.CONTACT: EntryMode.CONTACT,
            ChipKind.CONTACTLESS: EntryMode.CONTACTLESS,
            ChipKind.QPBOC: EntryMode.CONTACTLESS,
        }[card.chip]
    )
    stripe = card.chip is ChipKind.NONE
    assert read.authenticity is (Authenticity.STRIPE if stripe else Authenticity.UNVERIFIED)
    assert read.service_code == card.service_code
    assert read.read_ms > 0


def test_a_chip_card_is_on_the_reader_until_removed_or_swapped() -> None:
    reader = VirtualReader("till")
    with running(reader) as listener:
        reader.present(DEMO_CARDS["member"])
        reader.present(DEMO_CARDS["member-2"])
        reader.remove()
        reader.remove()
        listener.wait_for(lambda told: len(told.removals) == 2)
        listener.wait_for_state("till", ReaderState.READY)
    assert listener.events == [
        *("state:ready", "state:card", "read", "removed"),
        *("state:ready", "state:card", "read", "removed"),
        *("state:ready", "state:stopped"),
    ]


def test_a_swipe_leaves_no_card_behind() -> None:
    reader = VirtualReader()
    with running(reader) as listener:
        reader.present(DEMO_CARDS["stripe-member"])
        reader.remove()
        reader.present(DEMO_CARDS["member"])
        listener.wait_for_reads(2)
    assert listener.events == ["state:ready", "read", "state:card", "read", "state:stopped"]


def test_a_refusing_card_is_told_and_the_reader_goes_on() -> None:
    reader = VirtualReader()
    with running(reader) as listener:
        reader.present(VirtualCard("blocked", Words("锁定", "blocked"), "6210947000000021", blocked=True))
        reader.present(DEMO_CARDS["member"])
        listener.wait_for_reads(1)
    ((name, error),) = listener.failures
    assert name == "virtual"
    assert isinstance(error, CardRefused)


def test_presentations_waiting_are_bounded() -> None:
    reader = VirtualReader()
    for _ in range(PENDING_MAX):
        reader.present(DEMO_CARDS["member"])
    with pytest.raises(ReaderBusy):
        reader.present(DEMO_CARDS["member"])
    with pytest.raises(ReaderBusy):
        reader.remove()

"""Genuine chips and copies through a real pcscd: what the counter is told, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.card import Authenticity, AuthenticityReason
from drivers.chip_reading import ChipTerms
from drivers.pcsc import PcscReader
from drivers.reader import ReaderState
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import READERS, PcscDaemon
from tests.fakes.signed_cards import keys_of

SIGNATURE = (Authenticity.FAILED, AuthenticityReason.SIGNATURE)
CARDS = {
    "member-2": (Authenticity.DDA, None),  # contact, T=0
    "member": (Authenticity.DDA, None),  # contactless, its signature in a record
    "model-worker": (Authenticity.DDA, None),  # contactless, its signature in the first answer
    "hardship": (Authenticity.SDA, None),
    "copied": SIGNATURE,
}


@pytest.fixture
def slot() -> Iterator[VpcdCard]:
    with PcscDaemon.start() as daemon:
        card = VpcdCard(daemon.host, daemon.port)
        yield card
        card.remove()


def test_chips_prove_themselves_through_the_machines_card_service(slot: VpcdCard) -> None:
    listener = RecordingListener()
    supervisor = Supervisor([PcscReader(terms=ChipTerms(keys=keys_of()))], listener)
    supervisor.start()
    try:
        listener.wait_for_state(READERS[0], ReaderState.READY)
        for name in CARDS:
            slot.present(DEMO_CARDS[name])
            listener.wait_for_reads(list(CARDS).index(name) + 1)
    finally:
        assert supervisor.stop() == ()
    told = {
        name: (read.authenticity, read.authenticity_reason) for name, read in zip(CARDS, listener.reads, strict=True)
    }
    assert told == CARDS
    assert [read.pan for read in listener.reads] == [DEMO_CARDS[name].pan for name in CARDS]
    commands = [step.command for step in listener.reads[0].steps]
    assert "INTERNAL AUTHENTICATE 0000" in commands

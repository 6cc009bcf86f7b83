"""A real till with a PC/SC reader: each chip is on the page, whatever the line between card and reader is like."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.vpcd import VpcdCard
from tests.fakes.installation import Installation, eventually
from tests.fakes.pcscd import PcscDaemon
from tests.fakes.wire import ByteAtATime, Delayed, Direct, Lossy, Road, Wire

ALONE = {"JINGKA_HEADQUARTERS__URL": ""}
CARDS = [DEMO_CARDS[name] for name in ("member", "member-2", "model-worker")]  # contactless, contact, all in one reply
LOSSY_CARDS = 6
SEED = 20_260_103

Till = tuple[Installation, PcscDaemon]


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """The till, and the card service that carries its two slots."""
    with (
        PcscDaemon.start() as pcscd,
        Installation(
            tmp_path_factory.mktemp("till"), reader="pcsc", environment=pcscd.environment | ALONE
        ) as installation,
    ):
        installation.terminal.start()
        for slot in pcscd.readers:
            wait_ready(installation, slot)
        yield installation, pcscd


def wait_ready(installation: Installation, reader: str) -> None:
    """Until the last card has left `reader`."""
    eventually(
        lambda: {"name": reader, "state": "ready"} in installation.health()["readers"], f"{reader} is ready for a card"
    )


def outcomes(installation: Installation) -> list[dict[str, Any]]:
    """The cards presented since the start, newest first."""
    return list(installation.cashier.get("/api/v1/readers").json()["outcomes"])


def show(till: Till, slot: int, card: VirtualCard, road: Callable[[], Road]) -> dict[str, Any]:
    """Lay `card` into `slot` over `road`, and take it off; what the page has of it, as the one outcome of that slot."""
    installation, pcscd = till
    before, told = installation.presented(), len(outcomes(installation))
    with Wire(pcscd.host, pcscd.port + slot, road) as wire:
        VpcdCard(wire.host, wire.port).present(card)
        shown = installation.next_presentation(before)
    wait_ready(installation, pcscd.readers[slot])
    newest, *older = outcomes(installation)
    assert len(older) == told, "told twice"
    assert newest["reader"] == shown["reader"] == pcscd.readers[slot]
    return shown


@pytest.mark.parametrize("road", [Direct, ByteAtATime, Delayed])
def test_a_chip_is_on_the_page(till: Till, road: Callable[[], Road]) -> None:
    for number, card in enumerate(CARDS):
        shown = show(till, number % 2, card, road)
        assert (shown["masked"], shown["standing"], shown["notice"]) == (card.pan.masked, "active", None)
        assert shown["entry_mode"] == ("contact" if card.chip is ChipKind.CONTACT else "contactless")


def test_a_chip_over_a_line_that_breaks_is_on_the_page_or_told_and_read_over_a_good_one_afterwards(till: Till) -> None:
    choice = random.Random(SEED)
    told = []
    for number in range(LOSSY_CARDS):
        card = CARDS[number % len(CARDS)]
        shown = show(till, number % 2, card, lambda: Lossy(choice))
        if shown["notice"] is None:
            assert shown["masked"] == card.pan.masked, "read as another card"
        else:
            told.append(shown["notice"])
    assert {notice["code"] for notice in told} == {"card-removed"}, "the line lost too little, or it was told otherwise"
    for slot, card in enumerate(CARDS[:2]):
        assert show(till, slot, card, Direct)["masked"] == card.pan.masked

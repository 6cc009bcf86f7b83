"""A PN532 module's reader under test: made as the terminal makes it, over a virtual module."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.card import ReaderError
from drivers.pn532.reader import BAUD, Pn532Reader
from drivers.port import PortSettings
from drivers.virtual.card import DEMO_CARDS, ChipKind
from drivers.virtual.pn532 import VirtualPn532
from tests.fakes.listener import RecordingListener

NAME = "nfc"
RECOVERY_S = 3.0  # the promise of the design for every reader
CHIP_CARDS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
MEMBER, STRANGER = DEMO_CARDS["member"], DEMO_CARDS["stranger"]

StartReader = Callable[..., RecordingListener]


def reader_of(module: VirtualPn532) -> Pn532Reader:
    """The reader of `module`, called `NAME`."""
    return Pn532Reader(PortSettings(module.device, BAUD), NAME)


def run_and_fail(module: VirtualPn532) -> ReaderError:
    """What a reader's run on `module` ends with."""
    with pytest.raises(ReaderError) as failed:
        reader_of(module).run(RecordingListener(), threading.Event())
    return failed.value


def open_descriptors() -> set[str]:
    """This process's open files."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def pull_at(module: VirtualPn532, number: int) -> None:
    """The card is pulled as the `number`-th command reaches it, once."""

    def pull(exchange: int) -> None:
        if exchange == number:
            module.before_exchange = None
            module.remove()

    module.before_exchange = pull

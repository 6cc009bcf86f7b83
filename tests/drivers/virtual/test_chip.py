"""The virtual chip behaves as a card does, also when it is asked the wrong thing."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Words
from drivers.card import CardRefused, Expiry
from drivers.pboc.dol import TerminalData
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pboc.read import read_card
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.chip import VirtualChip

TERMINAL = TerminalData(date(2026, 1, 2), bytes(4))
CHIPS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
COMMANDS_OF_KIND = {ChipKind.CONTACT: 11, ChipKind.CONTACTLESS: 5, ChipKind.QPBOC: 3}
SELECT_DEBIT = "00A4040008A000000333010101"


def answers(card: VirtualCard, *commands: str) -> list[str]:
    chip = VirtualChip(card)
    return [chip.transmit(bytes.fromhex(command)).hex().upper() for command in commands]


@pytest.mark.parametrize("card", CHIPS, ids=lambda card: card.name)
def test_every_demonstration_chip_is_read_in_as_few_commands_as_its_kind_allows(card: VirtualCard) -> None:
    chip = VirtualChip(card)
    commands: list[bytes] = []

    def transmit(command: bytes, /) -> bytes:
        commands.append(command)
        return chip.transmit(command)

    read = read_card(transmit, chip.protocol, contactless=chip.contactless, terminal_data=TERMINAL)
    assert (read.pan, read.expiry) == (card.pan, Expiry.from_yymm(card.expiry_yymm))
    assert read.service_code == "220"
    assert len(commands) == COMMANDS_OF_KIND[card.chip]


def test_a_card_without_an_expiry_is_read() -> None:
    card = VirtualCard("no-expiry", Words("无有效期", "no expiry"), "6210947000000021", expiry_yymm="0000")
    chip = VirtualChip(card)
    read = read_card(chip.transmit, chip.protocol, contactless=True, terminal_data=TERMINAL)
    assert (read.pan, read.expiry) == (card.pan, None)


@pytest.mark.parametrize("kind", [ChipKind.CONTACT, ChipKind.CONTACTLESS, ChipKind.QPBOC])
def test_a_blocked_chip_refuses(kind: ChipKind) -> None:
    chip = VirtualChip(VirtualCard("blocked", Words("锁定", "blocked"), "6210947000000021", chip=kind, blocked=True))
    with pytest.raises(CardRefused):
        read_card(chip.transmit, chip.protocol, contactless=chip.contactless, terminal_data=TERMINAL)


def test_a_contactless_read_of_a_contact_chip_still_finds_the_application() -> None:
    chip = VirtualChip(DEMO_CARDS["member-2"])
    read = read_card(chip.transmit, TransmissionProtocol.T0, contactless=True, terminal_data=TERMINAL)
    assert read.pan == DEMO_CARDS["member-2"].pan


@pytest.mark.parametrize(
    ("commands", "status"),
    [
        (["00A4040005A00000000300"], "6A82"),  # another scheme
        (["00A404000E315041592E5359532E444446303100"], "6A82"),  # contact directory on a contactless card
        (["80A8000002830000"], "6985"),  # nothing selected
        ([SELECT_DEBIT + "00", "80A8000002830000"], "6A80"),  # fewer values than the PDOL asks for
        ([SELECT_DEBIT + "00", "00B2011400"], "6985"),  # not open
        (["00B2011500"], "6A86"),  # not a record number
        (["002000800026123456FFFFFFFF"], "6700"),
        (["00200080082612345FFFFFFFFF"], "6D00"),  # VERIFY
        (["80AE800001000000"], "6700"),
        (["A0A40000023F00"], "6E00"),
        (["00C0000010"], "6985"),  # nothing to fetch
        (["00A4"], "6700"),
        ([""], "6700"),
    ],
)
def test_a_wrong_command_gets_the_status_word_of_a_real_card(commands: list[str], status: str) -> None:
    assert answers(DEMO_CARDS["member"], *commands)[-1] == status


def test_t0_makes_the_reader_fetch_and_ask_the_right_length() -> None:
    sent = answers(DEMO_CARDS["member-2"], SELECT_DEBIT, "00C0000001", "00B2010C00")
    assert sent[0].startswith("61")
    assert sent[1] == "6C" + sent[0][2:]
    assert sent[2] == "6985"


def test_a_reset_forgets_the_selection() -> None:
    chip = VirtualChip(DEMO_CARDS["model-worker"])
    assert chip.transmit(bytes.fromhex(SELECT_DEBIT + "00")).endswith(b"\x90\x00")
    chip.reset()
    assert chip.transmit(bytes.fromhex("80A8000002830000")).hex() == "6985"


@given(st.sampled_from(CHIPS), st.lists(st.binary(max_size=270), max_size=5))
def test_any_command_gets_an_answer_with_a_status(card: VirtualCard, commands: list[bytes]) -> None:
    chip = VirtualChip(card)
    for command in commands:
        assert 2 <= len(chip.transmit(command)) <= 258

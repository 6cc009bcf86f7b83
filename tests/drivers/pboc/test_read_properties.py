"""Whatever a chip answers, a read ends with a card or with a typed error, within its budget of commands."""

from __future__ import annotations

import contextlib
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from drivers.card import CardError
from drivers.pboc.dol import TerminalData
from drivers.pboc.exchange import COMMANDS_MAX, READ_ONLY_COMMANDS, TransmissionProtocol
from drivers.pboc.read import read_card
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.chip import VirtualChip

TERMINAL = TerminalData(date(2026, 1, 2), bytes(4))
CHIPS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
PROTOCOLS = st.sampled_from(list(TransmissionProtocol))
STATUSES = st.sampled_from([b"\x90\x00", b"\x61\x10", b"\x6c\x10", b"\x6a\x82", b"\x6a\x83", b"\x62\x83", b"\x69\x85"])
TAGS = [0x6F, 0x70, 0x77, 0x80, 0x61, 0x4F, 0x57, 0x5A, 0x82, 0x84, 0x87, 0x88, 0x94, 0xA5]
# Data that look enough like a card's to get far, and octets that look like nothing
ANSWERS = st.recursive(
    st.binary(max_size=20),
    lambda inner: st.builds(
        lambda tag, body, stated: bytes([tag, len(body) % 128 if stated is None else stated]) + body,
        st.sampled_from(TAGS),
        inner,
        st.none() | st.integers(0, 255),
    ),
    max_leaves=6,
)


class Eavesdropper:
    """Answers with whatever Hypothesis draws, counts the commands, and checks that each only reads."""

    def __init__(self, answers: st.DataObject) -> None:
        self.commands = 0
        self._answers = answers

    def __call__(self, command: bytes, /) -> bytes:
        self.commands += 1
        assert tuple(command[:2]) in READ_ONLY_COMMANDS
        if self.commands > 30:  # enough to have gone astray; a constant answer shows whether it ends
            return b"\x90\x00"
        return self._answers.draw(ANSWERS) + self._answers.draw(STATUSES)


@given(st.data(), PROTOCOLS, st.booleans())
def test_a_chip_that_answers_anything_gives_a_card_or_a_typed_error(
    data: st.DataObject, protocol: TransmissionProtocol, contactless: bool
) -> None:
    card = Eavesdropper(data)
    with contextlib.suppress(CardError):
        read_card(card, protocol, contactless=contactless, terminal_data=TERMINAL)
    assert card.commands <= COMMANDS_MAX


@given(st.sampled_from(CHIPS), st.integers(1, 12), st.integers(0, 80), st.integers(1, 255))
def test_a_good_card_with_one_damaged_octet_gives_a_card_or_a_typed_error(
    card: VirtualCard, step: int, position: int, change: int
) -> None:
    chip = VirtualChip(card)
    calls = 0

    def damaged(command: bytes, /) -> bytes:
        nonlocal calls
        calls += 1
        answer = bytearray(chip.transmit(command))
        if calls == step:
            answer[position % len(answer)] ^= change
        return bytes(answer)

    with contextlib.suppress(CardError):
        read_card(damaged, chip.protocol, contactless=chip.contactless, terminal_data=TERMINAL)
    assert calls <= COMMANDS_MAX


@given(st.sampled_from(CHIPS), st.integers(1, 12), st.integers(0, 60))
def test_a_good_card_with_one_cut_off_answer_never_gives_another_number(
    card: VirtualCard, step: int, kept: int
) -> None:
    chip = VirtualChip(card)
    calls = 0

    def cut(command: bytes, /) -> bytes:
        nonlocal calls
        calls += 1
        answer = chip.transmit(command)
        return answer[:kept] if calls == step else answer

    try:
        read = read_card(cut, chip.protocol, contactless=chip.contactless, terminal_data=TERMINAL)
    except CardError:
        return
    assert read.pan == card.pan

"""The guard, the length rule and chained answers."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Retry
from drivers.card import MalformedCard
from drivers.pboc.apdu import CommandApdu, Instruction
from drivers.pboc.exchange import (
    CHAIN_STEPS_MAX,
    COMMANDS_MAX,
    READ_ONLY_COMMANDS,
    CommandForbidden,
    Exchange,
    ReadOnlyGuard,
    TransmissionProtocol,
)
from drivers.pboc.tlv import TLV_OCTETS_MAX
from tests.fakes.scripted_card import ConstantCard, ScriptedCard

T0, T1 = TransmissionProtocol.T0, TransmissionProtocol.T1
READ = CommandApdu(0x00, Instruction.READ_RECORD, 1, 0x0C, le=256)
SELECT = CommandApdu(0x00, Instruction.SELECT, 4, 0, bytes.fromhex("A000000333"), le=256)


class Recorder:
    """A card that writes down what reaches it."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def __call__(self, command: bytes, /) -> bytes:
        self.commands.append(command)
        return b"\x90\x00"


def test_the_list_of_reading_commands_is_exactly_this() -> None:
    assert {(cla, Instruction(ins).name) for cla, ins in READ_ONLY_COMMANDS} == {
        (0x00, "SELECT"),
        (0x00, "READ_RECORD"),
        (0x00, "GET_RESPONSE"),
        (0x00, "INTERNAL_AUTHENTICATE"),
        (0x80, "GET_PROCESSING_OPTIONS"),
        (0x80, "GET_DATA"),
    }


@pytest.mark.parametrize(
    "command",
    [
        CommandApdu(0x00, Instruction.VERIFY, 0, 0x80, bytes(8)),
        CommandApdu(0x80, Instruction.GENERATE_AC, 0x80, 0, bytes(29), le=256),
        CommandApdu(0x00, Instruction.EXTERNAL_AUTHENTICATE, 0, 0, bytes(8)),
        CommandApdu(0x04, Instruction.PUT_DATA, 0x9F, 0x7A, bytes(6)),
        CommandApdu(0x00, Instruction.UPDATE_RECORD, 1, 0x0C, bytes(6)),
        CommandApdu(0x84, Instruction.READ_RECORD, 1, 0x0C, le=256),
    ],
    ids=str,
)
def test_a_command_that_could_change_a_card_never_reaches_it(command: CommandApdu) -> None:
    card = ConstantCard(b"\x90\x00")
    with pytest.raises(CommandForbidden) as caught:
        Exchange(card, T1)(command)
    assert card.commands == 0
    assert caught.value.retry is Retry.STOP


def test_of_all_65536_beginnings_of_a_command_only_the_listed_six_reach_the_card() -> None:
    card = Recorder()
    guard = ReadOnlyGuard(card)
    for cla in range(256):
        for ins in range(256):
            with contextlib.suppress(CommandForbidden):
                guard(bytes([cla, ins, 0, 0]))
    assert {tuple(command[:2]) for command in card.commands} == READ_ONLY_COMMANDS
    assert len(card.commands) == len(READ_ONLY_COMMANDS)


@pytest.mark.parametrize("cla", [0x04, 0x08, 0x0C, 0x01, 0x03, 0x40, 0x10, 0x84, 0x8C, 0xA0, 0xFF])
@pytest.mark.parametrize("ins", sorted({ins for _, ins in READ_ONLY_COMMANDS}))
def test_secure_messaging_logical_channels_and_command_chaining_are_other_commands(cla: int, ins: int) -> None:
    card = Recorder()
    with pytest.raises(CommandForbidden):
        ReadOnlyGuard(card)(bytes([cla, ins, 0, 0, 0]))
    assert not card.commands


@pytest.mark.parametrize(
    "octets",
    [
        "00A40400 02 3F00 00 00200080 08 2612345FFFFFFFFF",  # VERIFY behind a SELECT
        "00A4",  # the rest might come from elsewhere
        "00A40400 05 3F00",  # Lc promises more
        "00A40400 00 0002 3F00",  # extended length
        "",
    ],
)
def test_more_or_less_than_one_short_command_never_reaches_the_card(octets: str) -> None:
    card = Recorder()
    with pytest.raises(CommandForbidden):
        ReadOnlyGuard(card)(bytes.fromhex(octets))
    assert not card.commands


@given(st.binary(max_size=20))
def test_only_listed_commands_pass_the_guard(octets: bytes) -> None:
    card = Recorder()
    with contextlib.suppress(CommandForbidden):
        ReadOnlyGuard(card)(octets)
    for command in card.commands:
        assert tuple(command[:2]) in READ_ONLY_COMMANDS
        assert CommandApdu.parse(command).encode() == command


class Lying(CommandApdu):
    """Says READ RECORD and encodes to VERIFY."""

    def encode(self) -> bytes:
        return bytes.fromhex("0020008008") + bytes(8)


class Turning(bytes):
    """Shows a SELECT to whoever looks, and is a VERIFY."""

    def __getitem__(self, key: Any) -> Any:
        return bytes.fromhex("00A4040000")[key]


@pytest.mark.parametrize("protocol", [T0, T1])
def test_a_sequence_that_lies_about_its_commands_reaches_no_card(protocol: TransmissionProtocol) -> None:
    card = Recorder()
    with pytest.raises(CommandForbidden):
        Exchange(card, protocol)(Lying(0x00, Instruction.READ_RECORD, 1, 0x0C, le=256))
    with pytest.raises(CommandForbidden):
        ReadOnlyGuard(card)(Turning(bytes.fromhex("0020008008") + bytes(8)))
    assert not card.commands


def test_t0_sends_no_le_with_data_and_fetches_the_answer() -> None:
    card = ScriptedCard([("00A4040005 A000000333", "6103"), ("00C0000003", "6F018A 9000")])
    assert Exchange(card, T0)(SELECT).data.hex() == "6f018a"
    assert card.finished


def test_t1_sends_le_with_data() -> None:
    card = ScriptedCard([("00A4040005 A000000333 00", "6F00 9000")])
    assert Exchange(card, T1)(SELECT).ok


def test_a_wrong_le_is_asked_again_with_the_right_one() -> None:
    card = ScriptedCard([("00B2010C00", "6C02"), ("00B2010C02", "7000 9000")])
    assert Exchange(card, T0)(READ).data == b"\x70\x00"


def test_parts_of_an_answer_are_joined_whole() -> None:
    card = ScriptedCard(
        [
            ("00B2010C00", "AABB 6102"),
            ("00C0000002", "6C01"),
            ("00C0000001", "CC 6101"),
            ("00C0000001", "DD 9000"),
        ]
    )
    assert Exchange(card, T0)(READ).data.hex() == "aabbccdd"


def test_a_fetched_part_may_be_asked_again_under_another_length_within_the_bound() -> None:
    card = ScriptedCard(
        [
            ("00A4040005 A000000333", "6110"),
            ("00C0000010", "6C03"),
            ("00C0000003", "6F018A 6102"),
            ("00C0000002", "6C01"),
            ("00C0000001", "BB 9000"),
        ]
    )
    assert Exchange(card, T0)(SELECT).data.hex() == "6f018abb"
    assert card.finished


def test_an_answer_of_full_parts_is_joined_to_the_bound() -> None:
    part = "AB" * 256
    card = ScriptedCard(
        [("00B2010C00", part + "6100"), *[("00C0000000", part + "6100")] * 14, ("00C0000000", part + "9000")]
    )
    assert len(Exchange(card, T1)(READ).data) == TLV_OCTETS_MAX == 256 * CHAIN_STEPS_MAX


@pytest.mark.parametrize("octets", [0, 1, 259])
def test_an_answer_too_short_or_too_long_for_its_form_is_malformed(octets: int) -> None:
    with pytest.raises(MalformedCard, match=f"answer of {octets} octets"):
        Exchange(ConstantCard(bytes(octets)), T1)(READ)


def test_the_status_after_a_fetched_answer_is_kept() -> None:
    card = ScriptedCard([("00A4040005 A000000333", "6102"), ("00C0000002", "6F00 6283")])
    assert Exchange(card, T0)(SELECT).status == 0x6283


@pytest.mark.parametrize("answer", ["6101", "6C01", "AA6100", "6C00"])
def test_an_endless_answer_ends(answer: str) -> None:
    card = ConstantCard(bytes.fromhex(answer))
    with pytest.raises(MalformedCard, match="endless answer"):
        Exchange(card, T0)(READ)
    assert card.commands == CHAIN_STEPS_MAX


def test_one_read_has_a_budget_of_commands() -> None:
    card = ConstantCard(b"\x90\x00")
    exchange = Exchange(card, T1)
    for _ in range(COMMANDS_MAX):
        exchange(READ)
    with pytest.raises(MalformedCard, match="too many commands"):
        exchange(READ)
    assert card.commands == COMMANDS_MAX

"""The guard, the length rule and chained answers."""

from __future__ import annotations

import contextlib

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
from tests.fakes.scripted_card import ConstantCard, ScriptedCard

T0, T1 = TransmissionProtocol.T0, TransmissionProtocol.T1
READ = CommandApdu(0x00, Instruction.READ_RECORD, 1, 0x0C, le=256)
SELECT = CommandApdu(0x00, Instruction.SELECT, 4, 0, bytes.fromhex("A000000333"), le=256)


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


@given(st.binary(max_size=20))
def test_only_listed_commands_pass_the_guard(octets: bytes) -> None:
    card = ConstantCard(b"\x90\x00")
    with contextlib.suppress(CommandForbidden):
        ReadOnlyGuard(card)(octets)
    assert card.commands == (tuple(octets[:2]) in READ_ONLY_COMMANDS)


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

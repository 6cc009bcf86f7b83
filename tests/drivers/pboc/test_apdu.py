"""Commands and responses, octet by octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import MalformedCard
from drivers.pboc.apdu import CommandApdu, ResponseApdu, StatusWord, status_text


@pytest.mark.parametrize(
    ("command", "octets"),
    [
        (CommandApdu(0x00, 0xA4, 4, 0), "00A40400"),
        (CommandApdu(0x00, 0xB2, 1, 0x0C, le=256), "00B2010C00"),
        (CommandApdu(0x00, 0xC0, 0, 0, le=0x1B), "00C000001B"),
        (CommandApdu(0x00, 0xA4, 4, 0, b"1PAY"), "00A404000431504159"),
        (CommandApdu(0x80, 0xA8, 0, 0, b"\x83\x00", le=256), "80A8000002830000"),
    ],
)
def test_the_four_cases_of_a_command_encode_and_parse(command: CommandApdu, octets: str) -> None:
    assert command.encode().hex().upper() == octets
    assert CommandApdu.parse(bytes.fromhex(octets)) == command


@given(st.binary(max_size=300))
def test_arbitrary_octets_are_a_command_or_a_value_error(octets: bytes) -> None:
    try:
        command = CommandApdu.parse(octets)
    except ValueError:
        return
    assert command.encode() == octets


@pytest.mark.parametrize("length", [0, 1, 259])
def test_an_answer_of_impossible_length_is_malformed(length: int) -> None:
    with pytest.raises(MalformedCard):
        ResponseApdu.parse(bytes(length))


def test_an_answer_splits_into_data_and_status_and_hides_the_data() -> None:
    response = ResponseApdu.parse(bytes.fromhex("5A0862109000"))
    assert (response.data.hex(), response.status, response.ok) == ("5a086210", StatusWord.OK, True)
    assert "data" not in repr(response)


def test_status_words_and_commands_have_names() -> None:
    assert status_text(0x6A82) == "6A82 FILE_NOT_FOUND"
    assert status_text(0x9302) == "9302"
    assert str(CommandApdu(0x00, 0xB2, 1, 0x0C)) == "READ RECORD 010C"
    assert str(CommandApdu(0x00, 0x10, 0, 0)) == "INS 10 0000"

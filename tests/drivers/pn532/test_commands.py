"""Answers of the PN532 taken apart: cards of both types, parts of answers, error codes, and nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import JingkaError
from drivers.pn532.commands import (
    APDU_OCTETS_MAX,
    ExchangePart,
    Firmware,
    Modulation,
    ModuleAnswerUnknown,
    RadioFailed,
    Target,
    exchange_with,
    parse_exchange,
    parse_firmware,
    parse_target,
    poll_for,
)
from tests.fakes.spoken import assert_spoken

CARD_A = bytes.fromhex("0101000420040A1B2C3D0578807002")  # one card, target 1, SENS_RES, SEL_RES 20, UID, ATS
CLASSIC = bytes.fromhex("010100040804112233" + "44")  # SEL_RES 08: MIFARE Classic
PHONE = bytes.fromhex("0101000428040811223305788070" + "02")  # SEL_RES 28: both; a UID made up
SEVEN = bytes.fromhex("010100442007" + "04112233445566" + "0578807002")
CARD_B = bytes.fromhex("0101" + "50A1B2C3D40000000080" + "7171" + "0100")


def test_the_firmware_is_told_by_name() -> None:
    firmware = parse_firmware(bytes.fromhex("32010607"))
    assert firmware == Firmware(0x32, 1, 6)
    assert str(firmware) == "PN532 1.6"


@pytest.mark.parametrize(
    ("answer", "modulation", "target"),
    [
        (b"\x00", Modulation.TYPE_A, None),
        (CARD_A, Modulation.TYPE_A, Target(1, True, bytes.fromhex("0A1B2C3D"))),
        (CLASSIC, Modulation.TYPE_A, Target(1, False, bytes.fromhex("11223344"))),
        (PHONE, Modulation.TYPE_A, Target(1, True, bytes.fromhex("08112233"))),
        (SEVEN, Modulation.TYPE_A, Target(1, True, bytes.fromhex("04112233445566"))),
        (CARD_B, Modulation.TYPE_B, Target(1, True, bytes.fromhex("A1B2C3D4"))),
    ],
    ids=["none", "type A", "classic", "telephone", "seven octets", "type B"],
)
def test_a_card_list_gives_the_card(answer: bytes, modulation: Modulation, target: Target | None) -> None:
    assert parse_target(answer, modulation) == target


def test_a_made_up_number_is_known_as_one() -> None:
    numbers = [parse_target(answer, Modulation.TYPE_A) for answer in (CARD_A, PHONE, SEVEN)]
    assert [target.uid_is_random for target in numbers if target] == [False, True, False]


@pytest.mark.parametrize("answer", [CARD_A[:8], CARD_A[:3], b"", b"\x01"], ids=["cut UID", "cut head", "empty", "bare"])
def test_a_card_list_cut_short_is_a_typed_error(answer: bytes) -> None:
    with pytest.raises(ModuleAnswerUnknown):
        parse_target(answer, Modulation.TYPE_A)


def test_a_poll_names_one_card_and_for_type_b_any_family() -> None:
    assert [poll_for(modulation).hex() for modulation in Modulation] == ["0100", "010300"]


def test_an_exchange_names_the_card_and_takes_what_fits_a_frame() -> None:
    target = Target(1, True, b"")
    assert exchange_with(target, b"\x00\xa4") == b"\x01\x00\xa4"
    assert len(exchange_with(target, bytes(APDU_OCTETS_MAX))) == 263
    with pytest.raises(AssertionError):
        exchange_with(target, bytes(APDU_OCTETS_MAX + 1))


def test_parts_of_an_answer_say_whether_more_comes() -> None:
    assert parse_exchange(b"\x00\x90\x00") == ExchangePart(b"\x90\x00", more=False)
    assert parse_exchange(b"\x40\x6f") == ExchangePart(b"\x6f", more=True)
    assert "6210" not in repr(parse_exchange(b"\x006210947000000021"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [(0x01, "no answer"), (0x02, "checksum"), (0x27, "card not active"), (0x3E, "code 3E"), (0x41, "no answer")],
)
def test_each_error_code_is_told_in_words(status: int, reason: str) -> None:
    with pytest.raises(RadioFailed) as failed:
        parse_exchange(bytes((status,)))
    assert failed.value.details["reason_en"] == reason
    assert_spoken(failed.value)


@given(st.binary(max_size=270), st.sampled_from(Modulation))
def test_whatever_the_module_says_only_typed_errors_come_of_it(answer: bytes, modulation: Modulation) -> None:
    for parse in (parse_firmware, parse_exchange, lambda octets: parse_target(octets, modulation)):
        try:
            parse(answer)
        except JingkaError:
            continue

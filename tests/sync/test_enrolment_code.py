"""Codes as people type them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.enrolment_code import CODE_CHARS, SECRET_BYTES, make_code, parse_code
from sync.errors import CodeMistyped
from sync.wire import EnrolmentRequest

SECRET = bytes(range(SECRET_BYTES))
HEADQUARTERS = bytes(range(100, 132))
CODE = make_code(SECRET, HEADQUARTERS)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_a_code_is_seven_groups_of_four_without_letters_that_look_like_digits() -> None:
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}", CODE)


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), st.binary(min_size=32, max_size=32))
def test_a_code_promises_its_headquarters_key_and_no_other(secret: bytes, key: bytes) -> None:
    code = parse_code(make_code(secret, key))
    assert code.promises(key)
    assert not code.promises(bytes(byte ^ 1 for byte in key))
    assert EnrolmentRequest(code=code.secret_text, public_key="ab" * 32, version="1").code == code.secret_text


def test_two_codes_of_one_headquarters_share_no_fingerprint() -> None:
    """So that nobody can look for a matching key before he has seen the code."""
    other = parse_code(make_code(bytes(SECRET_BYTES), HEADQUARTERS))
    assert other.fingerprint != parse_code(CODE).fingerprint


TYPED = {
    "lower case": CODE.lower(),
    "no dashes": CODE.replace("-", ""),
    "blanks and line ends": "  " + CODE.replace("-", " \r\n\t") + "\n",
    "O for 0, I and L for 1": CODE.replace("0", "O").replace("1", "l"),
    "a Chinese input method": "".join(chr(ord(c) + 0xFEE0) if c != "-" else "—" for c in CODE),
    "wide blanks": CODE.replace("-", "\u3000"),
    "long dashes": CODE.replace("-", "–"),
}


@pytest.mark.parametrize("how", TYPED)
def test_a_code_is_read_however_it_is_typed(how: str) -> None:
    assert TYPED[how] != CODE
    assert parse_code(TYPED[how]) == parse_code(CODE)


@pytest.mark.parametrize(
    "text", ["", "-", CODE[:-1], CODE + "0", CODE.replace(CODE[0], "U"), "不是登记码", CODE * 100, "0" * CODE_CHARS]
)
def test_what_is_no_code_is_told_as_a_slip_of_the_finger(text: str) -> None:
    with pytest.raises(CodeMistyped) as caught:
        parse_code(text)
    assert caught.value.details["groups"] == 7


def test_one_wrong_character_is_caught_nearly_always() -> None:
    plain = CODE.replace("-", "")
    slips = [
        plain[:place] + wrong + plain[place + 1 :]
        for place in range(len(plain))
        for wrong in ALPHABET
        if wrong != plain[place]
    ]
    missed = 0
    for slip in slips:
        try:
            parse_code(slip)
            missed += 1
        except CodeMistyped:
            continue
    assert missed <= len(slips) / 200, "two check characters let one slip in a thousand pass"


def test_the_secret_is_not_in_the_repr() -> None:
    code = parse_code(CODE)
    assert code.secret_text not in repr(code)

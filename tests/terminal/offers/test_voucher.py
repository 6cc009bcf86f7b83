"""Voucher codes: the check character finds what a tired cashier types wrong; the register's refusals stand apart."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.voucher import CODE_CHARS_MAX, CODE_CHARS_MIN, check_character, grouped, spelt, well_formed

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTER = "X"  # so that no stem is digits enough for a card number
stems = st.tuples(st.text(ALPHABET, min_size=CODE_CHARS_MIN - 2, max_size=11), st.text(ALPHABET, max_size=11)).map(
    LETTER.join
)


def test_check_character_of_a_published_identifier() -> None:
    assert check_character("A12425GABC1234002") == "M"  # the worked example of the Global Release Identifier standard


@given(stems)
def test_code_with_its_check_character_is_well_formed(stem: str) -> None:
    assert well_formed(stem + check_character(stem))


@given(stems, st.data())
def test_one_wrong_character_is_always_found(stem: str, data: st.DataObject) -> None:
    code = stem + check_character(stem)
    place = data.draw(st.integers(0, len(code) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(code[place], "")))
    assert not well_formed(code[:place] + other + code[place + 1 :])


def test_swapped_neighbours_are_found_but_for_two_in_a_thousand() -> None:
    stem = "LF2013000"
    swaps = misses = 0
    for left, right in itertools.permutations(ALPHABET, 2):
        for place in range(len(stem)):
            body = f"{stem[:place]}{left}{right}{stem[place:]}"
            code = body + check_character(body)
            swapped = code[:place] + right + left + code[place + 2 :]
            swaps += 1
            misses += well_formed(swapped)
    assert misses * 1000 <= swaps * 2, (misses, swaps)


@pytest.mark.parametrize(
    "code", ["", "A", "ABC12", "A" * (CODE_CHARS_MAX + 1), "ABC-12", "abc123", "ＡBC123", "票123456"]
)
def test_what_is_no_code_is_not_well_formed(code: str) -> None:
    assert not well_formed(code)


def test_a_card_number_is_no_code_even_when_its_check_character_fits() -> None:
    fitting = [f"62109470000{number:05d}" for number in range(2_000)]
    assert not any(well_formed(digits + check_character(digits)) for digits in fitting)
    assert not any(map(well_formed, fitting))


@given(stems)
def test_code_as_it_is_printed_is_read_back(stem: str) -> None:
    code = stem + check_character(stem)
    assert spelt(grouped(code)) == code
    assert {len(group) for group in grouped(code).split("-")[:-1]} <= {4}


@pytest.mark.parametrize(
    "typed",
    [
        "abc 123-x",
        " ABC123X ",
        "ａｂｃ１２３ｘ",
        "AbC\u00ad123X",
        "ＡＢＣ－１２３　Ｘ",
        "ABC—123–X",
        "ABC‐123\u2011X",
        "\ufeffABC\u200b123X\r\n",
        "abc123x\t",
    ],
)
def test_code_has_one_spelling_however_it_is_typed(typed: str) -> None:
    assert spelt(typed) == "ABC123X"

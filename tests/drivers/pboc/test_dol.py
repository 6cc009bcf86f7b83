"""A card's wishes are filled to the octet."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import MalformedCard
from drivers.pboc.dol import DOL_VALUES_MAX, DolEntry, TerminalData, fill_dol, parse_dol
from drivers.pboc.tags import Tag

TERMINAL = TerminalData(date(2020, 3, 31), bytes.fromhex("11223344"))


@pytest.mark.parametrize(
    ("dol", "filled"),
    [
        (  # contactless, as UnionPay cards ask
            "9F66049F02069F03069F1A0295055F2A029A039C019F3704",
            "26000000 000000000001 000000000000 0156 0000000000 0156 200331 00 11223344",
        ),
        ("9F7A019F02065F2A02", "00 000000000001 0156"),  # contact
        ("9F3704 9F3704", "11223344 11223344"),  # a repeated tag is filled twice
        ("DF6901 9F4E04", "00 00000000"),  # unknown tags are zeros
        ("9F0202 9F0208", "0001 0000000000000001"),  # numeric: the right end stays, filled on the left
        ("9F3702 9F3706", "1122 112233440000"),  # others: the left end stays, filled on the right
        ("9F0200", ""),
        ("", ""),
    ],
)
def test_lists_are_filled_in_order_and_length(dol: str, filled: str) -> None:
    assert fill_dol(parse_dol(bytes.fromhex(dol)), TERMINAL.values()) == bytes.fromhex(filled)


@given(st.binary(max_size=60))
def test_any_list_is_filled_to_its_exact_length_or_refused(dol: bytes) -> None:
    try:
        entries = parse_dol(dol)
    except MalformedCard:
        return
    assert len(fill_dol(entries, TERMINAL.values())) == sum(entry.length for entry in entries) <= DOL_VALUES_MAX


@pytest.mark.parametrize("dol", ["9F", "9F37", "95059F02"])
def test_a_cut_off_list_is_malformed(dol: str) -> None:
    with pytest.raises(MalformedCard):
        parse_dol(bytes.fromhex(dol))


def test_a_list_may_ask_for_one_command_and_no_more() -> None:
    assert parse_dol(bytes([0x95, DOL_VALUES_MAX])) == (DolEntry(Tag.VERIFICATION_RESULTS, DOL_VALUES_MAX),)
    with pytest.raises(MalformedCard, match=f"DOL asks for {DOL_VALUES_MAX + 1} octets"):
        parse_dol(bytes([0x95, DOL_VALUES_MAX, 0x9C, 1]))

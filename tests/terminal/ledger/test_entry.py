"""Canonical bytes and the chain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.ledger.entry import (
    DEPTH_MAX,
    ENTRY_BYTES_MAX,
    GENESIS,
    INTEGER_MAX,
    Entry,
    EntryKind,
    canonical,
    decode_entry,
    entry_hash,
    instant,
    is_redemption_id,
    parse_entry,
)
from terminal.ledger.errors import EntryInvalid

REDEMPTION = "01a20b2a-196c-73da-83a3-7cda8bf75499"
FIRST = Entry(
    v=1,
    terminal="T1",
    sequence=1,
    previous=GENESIS.hex(),
    kind=EntryKind.COMPLETED,
    redemption=REDEMPTION,
    at="2012-12-25T02:30:00.000Z",
    monotonic_ms=60_000,
    boot="b",
    hq_time=None,
    cashier="王",
    body={"pos_reference": "000000000001"},
)
FIRST_BYTES = (
    '{"at":"2012-12-25T02:30:00.000Z","body":{"pos_reference":"000000000001"},"boot":"b","cashier":"王",'
    '"hq_time":null,"kind":"completed","monotonic_ms":60000,'
    '"previous":"0000000000000000000000000000000000000000000000000000000000000000",'
    '"redemption":"01a20b2a-196c-73da-83a3-7cda8bf75499","sequence":1,"terminal":"T1","v":1}'
).encode()


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


plain_keys = st.text(st.characters(max_codepoint=0xD7FF), max_size=12)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_keys, inner, max_size=4),
    max_leaves=12,
).filter(lambda value: depth(value) <= DEPTH_MAX - 2)


def test_canonical_bytes_of_a_known_entry_never_change() -> None:
    assert canonical(FIRST) == FIRST_BYTES


def test_the_hash_covers_the_previous_hash_and_the_bytes() -> None:
    assert entry_hash(GENESIS, FIRST_BYTES) == hashlib.sha256(bytes(32) + FIRST_BYTES).digest()
    assert entry_hash(bytes(31) + b"\1", FIRST_BYTES) != entry_hash(GENESIS, FIRST_BYTES)


@given(st.dictionaries(plain_keys, plain_values, max_size=4))
def test_every_plain_body_comes_back_from_its_bytes(body: dict[str, object]) -> None:
    entry = replace(FIRST, body=body)
    encoded = canonical(entry)
    assert parse_entry(encoded) == entry
    assert canonical(parse_entry(encoded)) == encoded


@given(st.permutations(["zebra", "Zebra", "a", "é", "中", ""]))
def test_the_order_in_which_a_body_was_made_does_not_show(names: list[str]) -> None:
    assert canonical(replace(FIRST, body=dict.fromkeys(names, 1))) == canonical(
        replace(FIRST, body=dict.fromkeys(sorted(names), 1))
    )


@pytest.mark.parametrize(
    "body",
    [
        {"pay": 1.0},
        {"pay": float("nan")},
        {"pay": INTEGER_MAX + 1},
        {"pay": -INTEGER_MAX - 1},
        {"text": "\ud800"},
        {"\U0001f600": 1},
        {"\ud800": 1},
        {1: 1},
        {"bytes": b"x"},
        {"set": {1}},
        {"lines": [[{"pay": 0.5}]]},
    ],
)
def test_what_two_programs_might_write_differently_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(EntryInvalid):
        canonical(replace(FIRST, body=body))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"null",
        b"[" * ENTRY_BYTES_MAX,
        b"9" * 5000,
        FIRST_BYTES + b"\n",
        b" " + FIRST_BYTES,
        FIRST_BYTES.replace(b'"v":1', b'"v":2'),
        FIRST_BYTES.replace(b'"v":1', b'"v":1.0'),
        FIRST_BYTES.replace(b'"v":1', b'"v":true'),
        FIRST_BYTES.replace(b'"v":1', b'"v":1,"v":1'),
        FIRST_BYTES.replace(b'"v":1', b'"v":1,"w":1'),
        FIRST_BYTES.replace(b',"v":1', b""),
        FIRST_BYTES.replace(b'"sequence":1', b'"sequence":0'),
        FIRST_BYTES.replace(b'"sequence":1', b'"sequence":-1'),
        FIRST_BYTES.replace(b"60000", b"6e4"),
        FIRST_BYTES.replace(b"60000", b"-1"),
        FIRST_BYTES.replace(b"completed", b"refunded"),
        FIRST_BYTES.replace(b"02:30:00.000Z", b"02:30:00Z"),
        FIRST_BYTES.replace(b"02:30:00.000Z", b"02:30:00.000+08:00"),
        FIRST_BYTES.replace(b"73da", b"43da"),
        FIRST_BYTES.replace(b"01a20b2a", b"01A20B2A"),
        FIRST_BYTES.replace(b"0000000000000000", b"000000000000000G", 1),
        FIRST_BYTES.replace(b'{"pos_reference":"000000000001"}', b'{"pay":1.5}'),
        FIRST_BYTES.replace(b'{"pos_reference":"000000000001"}', b"[]"),
        FIRST_BYTES.replace("王".encode(), b"\\u738b"),
        FIRST_BYTES.replace("王".encode(), b""),
    ],
)
def test_bytes_that_are_no_canonical_entry_are_refused(data: bytes) -> None:
    with pytest.raises(EntryInvalid):
        parse_entry(data)


def test_decoding_takes_the_encoding_as_it_is_but_checks_the_fields() -> None:
    assert decode_entry(b" " + FIRST_BYTES) == FIRST
    with pytest.raises(EntryInvalid):
        decode_entry(FIRST_BYTES.replace(b"completed", b"refunded"))


def test_an_entry_longer_than_the_bound_is_refused_both_ways() -> None:
    spare = ENTRY_BYTES_MAX - len(canonical(replace(FIRST, body={"note": ""})))
    longest = canonical(replace(FIRST, body={"note": "x" * spare}))
    assert len(longest) == ENTRY_BYTES_MAX
    assert canonical(parse_entry(longest)) == longest
    with pytest.raises(EntryInvalid, match="at most"):
        canonical(replace(FIRST, body={"note": "x" * (spare + 1)}))
    with pytest.raises(EntryInvalid, match="at most"):
        parse_entry(longest + b" ")


def test_nesting_beyond_the_bound_is_refused() -> None:
    body: dict[str, object] = {}
    for _ in range(DEPTH_MAX - 2):
        body = {"in": body}
    assert parse_entry(canonical(replace(FIRST, body=body)))
    with pytest.raises(EntryInvalid, match="nested"):
        canonical(replace(FIRST, body={"in": body}))


def test_reasons_never_quote_the_content() -> None:
    with pytest.raises(EntryInvalid) as caught:
        parse_entry(json.dumps({"secret-content": 1}).encode())
    assert "secret-content" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (REDEMPTION, True),
        (REDEMPTION.upper(), False),
        (REDEMPTION.replace("-", ""), False),
        ("{" + REDEMPTION + "}", False),
        (REDEMPTION + "\n", False),
        ("01a20b2a-196c-43da-83a3-7cda8bf75499", False),
        ("01a20b2a-196c-73da-c3a3-7cda8bf75499", False),
        ("", False),
    ],
)
def test_only_a_uuid7_in_its_canonical_spelling_is_an_id(text: str, good: bool) -> None:
    assert is_redemption_id(text) is good


def test_an_instant_is_utc_with_milliseconds() -> None:
    beijing = timezone(timedelta(hours=8))
    assert instant(datetime(2012, 12, 25, 10, 30, 0, 4_999, beijing)) == "2012-12-25T02:30:00.004Z"
    assert instant(datetime(2012, 12, 25, tzinfo=UTC)) == "2012-12-25T00:00:00.000Z"

"""The compiled way of reading an entry takes nothing that the slow way refuses, and reads the same in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from terminal.ledger import entry as room
from terminal.ledger.entry import DEPTH_MAX, INTEGER_MAX, canonical, decode_entry, parse_entry
from terminal.ledger.errors import EntryInvalid
from tests.sync.headquarters.written_ledger import WrittenLedger

GOOD = WrittenLedger().authorise(1).body
FIELDS: dict[str, Any] = json.loads(GOOD)

numbers = st.integers() | st.sampled_from([INTEGER_MAX, INTEGER_MAX + 1, -INTEGER_MAX - 1]) | st.floats()
texts = st.text() | st.sampled_from(["\x7f", "\x1f", "\u2028", "é", "😀", "\ud800", "\\", '"', "/"])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def slowly(data: bytes) -> Any:
    """What the slow way makes of it: the entry, or None."""
    try:
        entry = decode_entry(data)
        return entry if canonical(entry) == data else None
    except EntryInvalid:
        return None


def agree(data: bytes) -> None:
    quick = room._quickly(data)
    slow = slowly(data)
    assert quick is None or quick == slow
    if slow is None:
        with pytest.raises(EntryInvalid):
            parse_entry(data)
    else:
        assert parse_entry(data) == slow


def text_of(fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def test_what_a_terminal_writes_goes_the_quick_way() -> None:
    ledger = WrittenLedger()
    for message in (ledger.authorise(1), ledger.complete(1), ledger.void(1), ledger.authorise(2), ledger.cancel(2)):
        assert room._quickly(message.body.encode()) == slowly(message.body.encode()) is not None


@settings(max_examples=300)
@given(place=st.sampled_from(sorted(FIELDS)), value=values)
@example(place="hq_time", value=None)
@example(place="kind", value="completed")
@example(place="at", value="٢٠٢٦-01-05T04:00:00.000Z")
@example(place="at", value="2026-01-05T04:00:00.000Z\n")
@example(place="sequence", value=True)
@example(place="v", value=True)
@example(place="v", value=1.0)
def test_any_value_in_any_field(place: str, value: Any) -> None:
    agree(text_of({**FIELDS, place: value}))


@settings(max_examples=200)
@given(body=st.dictionaries(texts, values, max_size=4))
def test_any_body(body: dict[str, Any]) -> None:
    agree(text_of({**FIELDS, "body": body}))


@pytest.mark.parametrize("depth", range(1, DEPTH_MAX + 3))
@pytest.mark.parametrize("wrap", [lambda inner: {"k": inner}, lambda inner: [inner]], ids=["maps", "lists"])
def test_any_depth(depth: int, wrap: Any) -> None:
    inner: Any = 1
    for _ in range(depth):
        inner = wrap(inner)
    agree(text_of({**FIELDS, "body": {"k": inner}}))


@settings(max_examples=300)
@given(at=st.integers(0, len(GOOD.encode()) - 1), inserted=st.binary(max_size=3), removed=st.integers(0, 3))
@example(at=1, inserted=b" ", removed=0)
@example(at=0, inserted=b"\xef\xbb\xbf", removed=0)
def test_any_bytes_changed(at: int, inserted: bytes, removed: int) -> None:
    data = GOOD.encode()
    agree(data[:at] + inserted + data[at + removed :])


@pytest.mark.parametrize(
    "data",
    [b"null", b"[]", b"1", b"", b"{}", b"[" * 1000, GOOD.encode() + b"\n", b'{"v":1,' + GOOD.encode()[1:]],
    ids=["null", "list", "number", "empty", "nothing in it", "deep", "line end", "a key twice"],
)
def test_what_is_no_entry(data: bytes) -> None:
    agree(data)

"""Messages: what passes, what does not, and every bound passed."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sync import errors
from sync.errors import BodyTooLarge, EncodingUnknown, MessageMalformed, SyncError
from sync.wire import (
    BATCH_ENTRIES_MAX,
    BODY_BYTES_MAX,
    ENTRY_BYTES_MAX,
    PROBLEM_STATUS,
    SEQUENCE_MAX,
    Acknowledgement,
    EnrolmentRequest,
    EntryBatch,
    EntryMessage,
    Problem,
    ProblemCode,
    decode_body,
    encode_body,
    encode_message,
    entries_path,
    parse_message,
    parse_timestamp,
    timestamp,
)
from terminal.ledger.entry import ENTRY_BYTES_MAX as LEDGER_ENTRY_BYTES_MAX

HASH = "ab" * 32


def entry(sequence: int, body: str = "{}") -> EntryMessage:
    return EntryMessage(sequence=sequence, hash=HASH, body=body)


def batch_json(**changes: object) -> bytes:
    one = {"sequence": 1, "hash": HASH, "body": "{}"}
    return json.dumps({"terminal": "cinema-1", "entries": [one]} | changes).encode()


def test_a_batch_comes_back_as_it_was_sent_to_the_letter() -> None:
    text = '{"名":"庙会 \\u0000 \\"x\\"","n":9007199254740991}'
    batch = EntryBatch(terminal="cinema-1", entries=(entry(7, text), entry(8)))
    assert parse_message(EntryBatch, encode_message(batch)) == batch
    assert parse_message(EntryBatch, encode_message(batch)).entries[0].body == text


ENTRY_FAULTS: dict[str, object] = {
    "sequence zero": {"sequence": 0, "hash": HASH, "body": "{}"},
    "sequence beyond a BIGINT": {"sequence": SEQUENCE_MAX + 1, "hash": HASH, "body": "{}"},
    "sequence as text": {"sequence": "1", "hash": HASH, "body": "{}"},
    "sequence as a fraction": {"sequence": 1.0, "hash": HASH, "body": "{}"},
    "sequence as a truth": {"sequence": True, "hash": HASH, "body": "{}"},
    "hash in capitals": {"sequence": 1, "hash": "AB" * 32, "body": "{}"},
    "hash with a line end": {"sequence": 1, "hash": HASH + "\n", "body": "{}"},
    "body missing": {"sequence": 1, "hash": HASH},
    "body not text": {"sequence": 1, "hash": HASH, "body": {}},
    "body over its bound": {"sequence": 1, "hash": HASH, "body": "x" * (ENTRY_BYTES_MAX + 1)},
    "a field too many": {"sequence": 1, "hash": HASH, "body": "{}", "colour": "red"},
}


@pytest.mark.parametrize("fault", ENTRY_FAULTS)
def test_an_entry_out_of_form_is_refused(fault: str) -> None:
    with pytest.raises(MessageMalformed):
        parse_message(EntryBatch, batch_json(entries=[ENTRY_FAULTS[fault]]))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, batch_json(terminal="../x"), batch_json(terminal="")],
)
def test_bytes_that_are_no_batch_are_refused(body: bytes) -> None:
    with pytest.raises(MessageMalformed):
        parse_message(EntryBatch, body)


def test_a_batch_with_a_hole_is_refused() -> None:
    hole = [entry(1).model_dump(), entry(3).model_dump()]
    with pytest.raises(MessageMalformed) as caught:
        parse_message(EntryBatch, batch_json(entries=hole))
    assert "entry 3 does not follow entry 1" in caught.value.what_text("en")


def test_a_batch_over_its_count_is_refused_and_one_at_it_is_not() -> None:
    entries = [entry(number + 1).model_dump() for number in range(BATCH_ENTRIES_MAX + 1)]
    assert len(parse_message(EntryBatch, batch_json(entries=entries[:-1])).entries) == BATCH_ENTRIES_MAX
    with pytest.raises(MessageMalformed):
        parse_message(EntryBatch, batch_json(entries=entries))


def test_a_refusal_names_the_place_and_never_the_value() -> None:
    secret = "6210947000000021"
    with pytest.raises(MessageMalformed) as caught:
        parse_message(EntryBatch, batch_json(entries=[{"sequence": 1, "hash": secret, "body": "{}"}]))
    assert "entries.0.hash" in str(caught.value)
    assert secret not in str(caught.value)


def test_a_terminal_reads_on_when_headquarters_says_more_than_it_knows() -> None:
    said = b'{"acknowledged": 3, "flagged": [], "time": "2012-12-25T01:30:00.000Z", "tidings": {"roll": 4}}'
    assert parse_message(Acknowledgement, said).acknowledged == 3
    assert parse_message(Problem, b'{"code": "brand-new", "type": "about:blank"}').code == "brand-new"


def test_headquarters_tells_a_newer_terminal_that_it_does_not_understand() -> None:
    request = {"code": "0" * 16, "public_key": HASH, "version": "0.1.0", "wish": "a window seat"}
    with pytest.raises(MessageMalformed):
        parse_message(EnrolmentRequest, json.dumps(request).encode())


def test_every_problem_code_has_a_status_and_is_the_code_of_an_error() -> None:
    known = {kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SyncError)}
    assert set(PROBLEM_STATUS) == set(ProblemCode)
    assert {code.value for code in ProblemCode} <= known


def test_no_two_sync_errors_share_a_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SyncError)]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_the_path_of_a_terminal_holds_its_id() -> None:
    assert entries_path("cinema-1") == "/api/v1/terminals/cinema-1/entries"


def test_messages_cannot_be_changed() -> None:
    message: BaseModel = entry(1)
    with pytest.raises(ValueError, match="frozen"):
        message.sequence = 2  # type: ignore[attr-defined]


# --- bodies -----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=5_000))
def test_any_body_survives_its_encoding(plain: bytes) -> None:
    body, encoding = encode_body(plain)
    assert len(body) <= len(plain)
    assert decode_body(body, encoding) == plain


def test_entries_shrink_and_noise_is_sent_plain() -> None:
    assert encode_body(b'{"sequence":1}' * 100)[1] == "gzip"
    assert encode_body(b"\x00\x91\x17") == (b"\x00\x91\x17", None)


def test_the_same_batch_gives_the_same_bytes() -> None:
    assert encode_body(b"a" * 1000) == encode_body(b"a" * 1000)


def test_a_decompression_bomb_stops_at_the_bound() -> None:
    bomb = gzip.compress(bytes(BODY_BYTES_MAX * 20))
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLarge):
        decode_body(bomb, "gzip")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", None, "", "identity"])
def test_a_body_passes_at_its_bound_and_not_over_it(encoding: str | None) -> None:
    def packed(size: int) -> bytes:
        return gzip.compress(bytes(size)) if encoding and encoding.lower() == "gzip" else bytes(size)

    assert len(decode_body(packed(1_000), encoding, max_bytes=1_000)) == 1_000
    with pytest.raises(BodyTooLarge):
        decode_body(packed(1_001), encoding, max_bytes=1_000)


def test_a_terminal_does_not_send_what_headquarters_would_refuse() -> None:
    assert encode_body(bytes(BODY_BYTES_MAX))[1] == "gzip"
    with pytest.raises(BodyTooLarge):
        encode_body(bytes(BODY_BYTES_MAX + 1))


def test_an_entry_of_the_ledgers_largest_size_fits_whatever_is_in_it() -> None:
    largest = '"' * LEDGER_ENTRY_BYTES_MAX
    assert LEDGER_ENTRY_BYTES_MAX <= ENTRY_BYTES_MAX
    assert len(encode_message(EntryBatch(terminal="t", entries=(entry(1, '"' * ENTRY_BYTES_MAX),)))) < BODY_BYTES_MAX
    assert entry(1, largest).body == largest


@pytest.mark.parametrize(
    "body",
    [b"", b"not gzip", gzip.compress(b"x" * 100)[:-4], gzip.compress(b"x") + b"y", gzip.compress(b"x") * 2],
    ids=["empty", "something else", "cut off", "goes on", "twice"],
)
def test_gzip_that_is_cut_off_or_goes_on_is_refused(body: bytes) -> None:
    with pytest.raises(MessageMalformed):
        decode_body(body, "gzip")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x-gzip"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(EncodingUnknown):
        decode_body(b"x", encoding)


# --- times ------------------------------------------------------------------------------------------------------------


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert timestamp(datetime(2012, 12, 25, 9, 30, 0, 123_999, shanghai)) == "2012-12-25T01:30:00.123Z"


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - made aware below
def test_a_time_comes_back_to_the_millisecond(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC, microsecond=naive.microsecond // 1000 * 1000)
    assert parse_timestamp(timestamp(moment)) == moment


def test_a_time_that_never_was_is_refused() -> None:
    with pytest.raises(MessageMalformed):
        parse_timestamp("2012-13-45T01:30:00.000Z")

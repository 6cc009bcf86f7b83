"""The bounds of the roll's messages fit one another and the line."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from config.settings import HqSection
from sync.errors import MessageMalformed
from sync.roll_feed import RECORDS_BYTES_MAX
from sync.wire import ANSWER_BYTES_MAX, encode_message, parse_message, timestamp
from sync.wire_roll import CHANGES_MAX, CHUNK_BYTES, PAGE_RECORDS_MAX, Base, RollAnswer, chunk_path, roll_path
from terminal.membership.roll import RECORD

BASE = Base(
    name=f"{2**63 - 1}-{'a' * 16}", version=2**63 - 1, size_bytes=4 * 1024**3, sha256="b" * 64, revision="c" * 64
)


def full_page(records: int) -> RollAnswer:
    return RollAnswer(
        version=2**63 - 1,
        more=True,
        records=base64.b64encode(bytes(RECORD.size * records)).decode(),
        base=BASE,
        key_version=9_999,
        key_fingerprint="d" * 16,
        time=timestamp(datetime(2026, 1, 5, tzinfo=UTC)),
    )


def test_the_largest_page_fits_an_answer() -> None:
    body = encode_message(full_page(PAGE_RECORDS_MAX))
    assert len(body) <= ANSWER_BYTES_MAX
    assert parse_message(RollAnswer, body) == full_page(PAGE_RECORDS_MAX)


def test_a_larger_page_is_none() -> None:
    body = encode_message(
        RollAnswer.model_construct(**{**dict(full_page(1)), "records": "A" * (PAGE_RECORDS_MAX * 70 + 1)})
    )
    with pytest.raises(MessageMalformed):
        parse_message(RollAnswer, body)


def test_headquarters_makes_a_new_file_before_a_terminal_needs_it() -> None:
    largest = HqSection.model_fields["roll_changes_max"].metadata
    assert max(getattr(each, "le", 0) for each in largest) <= CHANGES_MAX
    assert 2 * CHANGES_MAX * RECORD.size <= RECORDS_BYTES_MAX


def test_addresses() -> None:
    assert roll_path("till-1", base=BASE.name, after=7).endswith(f"/terminals/till-1/roll?base={BASE.name}&after=7")
    assert chunk_path("till-1", BASE.name, 3).endswith(f"/terminals/till-1/roll/{BASE.name}/3")
    assert 4 * 1024**3 // CHUNK_BYTES < 2**31

"""The log's last net: no card number comes out, whatever is put in."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from config import log

PAN = "6212345678900000003"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_number_in_a_message_or_a_traceback_is_masked(form: str) -> None:
    stream = io.StringIO()
    log.configure("debug", "json" if form == "json" else "text", stream)
    try:
        raise ValueError(f"bad track ;{PAN}=2512")
    except ValueError:
        logging.getLogger("test").exception("reading %s failed", PAN)
    assert PAN not in stream.getvalue()
    assert "****0003" in stream.getvalue()
    if form == "json":
        assert json.loads(stream.getvalue())["logger"] == "test"


def test_hashes_and_uuids_stay_whole() -> None:
    text = "id 01938f6e-1234-7567-8901-123456789012 hash 1234567890123456789abcdef"
    assert log.mask(text) == text


def test_traffic_lies_below_debug() -> None:
    stream = io.StringIO()
    log.configure("debug", "text", stream)
    logging.getLogger("test").log(log.TRAFFIC, "bytes")
    assert stream.getvalue() == ""

from __future__ import annotations

import json

import httpx
import pytest

from config.errors import Language
from drivers.card import CardRefused, EntryMode, NotACard, ReaderForbidden
from drivers.outcomes import READ_S_BOUNDS
from drivers.reader import ReaderState, ReaderStatus
from tests.fakes.outcomes import DIGITS, card_read, history_of
from tests.fakes.till import READER, Till

pytestmark = pytest.mark.anyio


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, frozenset[str]], float]:
    """Every number of `/metrics` by its name and its labels' values, whose order says nothing."""
    from prometheus_client.parser import text_string_to_metric_families

    text = (await client.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- /api/v1/readers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_support_sees_readers_and_outcomes_without_signing_in(
    stranger: httpx.AsyncClient, till: Till, language: Language
) -> None:
    forbidden, refused = ReaderForbidden("open", "ttyUSB0"), CardRefused("open", "card", status_word="6A81")
    till.readers = (ReaderStatus("ttyUSB0", "serial", ReaderState.FORBIDDEN, 0, forbidden),)
    till.reads = history_of(card_read(), refused)
    answer = await stranger.get("/api/v1/readers", headers={"accept-language": language})
    told = answer.json()
    assert told["readers"] == [
        {
            "name": "ttyUSB0",
            "kind": "serial",
            "state": "forbidden",
            "trouble": {
                "code": "reader-forbidden",
                "text": forbidden.what_text(language),
                "hint": forbidden.hint_text(language),
            },
        }
    ]
    failed, read = told["outcomes"]
    assert failed["trouble"]["text"] == refused.what_text(language)
    assert failed["steps"] == [
        {"command": "SELECT 0400", "status": "6A82", "took_ms": 20.0},
        {"command": "READ RECORD 010C", "status": None, "took_ms": 30.5},
    ]
    assert (read["trouble"], read["entry_mode"], read["read_ms"]) == (None, "contactless", 1234.6)
    assert (read["authenticity"], read["authenticity_reason"]) == ("unverified", "no-keys")
    assert read["at"] == "2012-12-25T02:30:00Z"


async def test_not_even_the_last_four_digits_are_told_to_a_stranger(stranger: httpx.AsyncClient, till: Till) -> None:
    till.reads = history_of(card_read())
    told = (await stranger.get("/api/v1/readers")).json()
    assert len(told["outcomes"]) == 1
    assert DIGITS[-4:] not in json.dumps(told)


async def test_before_the_first_card_there_is_an_empty_list(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/api/v1/readers")).json()["outcomes"] == []


# --- /metrics ---------------------------------------------------------------------------------------------------------


async def test_reads_are_counted_for_prometheus(stranger: httpx.AsyncClient, till: Till) -> None:
    till.reads = history_of(
        card_read(),
        card_read(),
        card_read(EntryMode.FALLBACK, "stripe"),
        NotACard("read card", READER, reason_zh="6A82", reason_en="6A82"),
    )
    numbers = await samples(stranger)
    assert numbers["jingka_card_reads_total", frozenset({READER, "contactless"})] == 2
    assert numbers["jingka_card_reads_total", frozenset({"stripe", "fallback"})] == 1
    assert numbers["jingka_card_read_failures_total", frozenset({READER, "not-a-card"})] == 1


async def test_the_histogram_of_read_times_adds_up(stranger: httpx.AsyncClient, till: Till) -> None:
    till.reads = history_of(*(card_read(read_ms=seconds * 1000) for seconds in (0.005, 0.45, 0.45, 60.0)))
    numbers = await samples(stranger)
    buckets = [numbers["jingka_card_read_seconds_bucket", frozenset({READER, str(bound)})] for bound in READ_S_BOUNDS]
    assert buckets == [1 if bound < 0.5 else 3 for bound in READ_S_BOUNDS]
    assert numbers["jingka_card_read_seconds_bucket", frozenset({READER, "+Inf"})] == 4
    assert numbers["jingka_card_read_seconds_count", frozenset({READER})] == 4
    assert numbers["jingka_card_read_seconds_sum", frozenset({READER})] == pytest.approx(60.905)


async def test_a_readers_state_is_one_of_all(stranger: httpx.AsyncClient, till: Till) -> None:
    till.readers = (ReaderStatus("ttyUSB0", "serial", ReaderState.MISSING, 0),)
    numbers = await samples(stranger)
    for state in ReaderState:
        missing = state is ReaderState.MISSING
        assert numbers["jingka_reader_state", frozenset({"ttyUSB0", state.value})] == missing

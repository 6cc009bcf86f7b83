"""Times that cannot be are flagged, and nothing else is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sync.headquarters.clocks import JUMP_S_MAX, ClockJudge, wrong_clocks
from sync.headquarters.ingest import Taken, ingest
from sync.headquarters.storage import Storage
from terminal.ledger.entry import Entry, EntryKind, instant
from tests.sync.headquarters.written_ledger import NOON, WrittenLedger, redemption_id, sale

SKEW_S = 300.0


def entry(
    sequence: int, at: datetime, *, hq_time: datetime | str | None = None, steady_s: float, boot: str = "b"
) -> Entry:
    told = instant(hq_time) if isinstance(hq_time, datetime) else hq_time
    return Entry(
        1, "t", sequence, "00" * 32, EntryKind.COMPLETED, redemption_id(1), instant(at), int(steady_s * 1000), boot,
        told, "c01", {},
    )  # fmt: skip


def flagged(*entries: Entry, now: datetime = NOON) -> list[int]:
    return [finding.sequence for finding in wrong_clocks(entries, now, SKEW_S)]


@pytest.mark.parametrize(("behind_s", "wrong"), [(0, False), (300, False), (301, True), (10**8, True)])
def test_a_time_before_what_headquarters_had_said(behind_s: int, wrong: bool) -> None:
    at = NOON - timedelta(days=2)
    assert bool(flagged(entry(1, at, hq_time=at + timedelta(seconds=behind_s), steady_s=1))) == wrong


@pytest.mark.parametrize(("ahead_s", "wrong"), [(-(10**8), False), (300, False), (301, True)])
def test_a_time_after_its_arrival(ahead_s: int, wrong: bool) -> None:
    assert bool(flagged(entry(1, NOON + timedelta(seconds=ahead_s), steady_s=1))) == wrong


@pytest.mark.parametrize("jump_s", [-3600.0, -JUMP_S_MAX - 1, JUMP_S_MAX + 1, 3600.0])
def test_a_clock_that_was_moved_within_a_boot(jump_s: float) -> None:
    at = NOON - timedelta(days=1)
    moved = at + timedelta(seconds=10 + jump_s)
    assert flagged(entry(1, at, steady_s=100), entry(2, moved, steady_s=110)) == [2]
    assert flagged(entry(1, at, steady_s=100), entry(2, moved, steady_s=110, boot="c")) == []


def test_a_steady_clock_that_goes_back_is_no_clock() -> None:
    at = NOON - timedelta(days=1)
    assert flagged(entry(1, at, steady_s=100), entry(2, at + timedelta(seconds=1), steady_s=99)) == [2]


def test_slow_drift_and_long_nights_are_fine() -> None:
    at = NOON - timedelta(days=3)
    night = timedelta(hours=14)
    assert flagged(entry(1, at, steady_s=0), entry(2, at + night, steady_s=night.total_seconds() + 1)) == []


@pytest.mark.parametrize("told", ["", "yesterday", "2026-01-05", "9999-99-99T00:00:00.000Z"])
def test_words_that_are_no_time_are_nobody_s_clock(told: str) -> None:
    assert flagged(entry(1, NOON, hq_time=told or None, steady_s=1)) == []


def test_headquarters_takes_it_in_and_flags_it(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.write(EntryKind.AUTHORISED, 1, sale(), hq_time=instant(NOON + timedelta(hours=1)))
    ledger.authorise(2)
    with storage.write() as connection:
        taken = ingest(connection, ledger.batch(), now=NOON + timedelta(days=1), judges=(ClockJudge(300),))
    assert isinstance(taken, Taken)
    assert (taken.acknowledged, taken.flagged) == (2, ((1, "wrong-clock"),))

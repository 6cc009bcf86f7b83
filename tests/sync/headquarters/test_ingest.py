"""Batches into the database: order, repeats, gaps, forks, two pushers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from sync.headquarters import bulk, fleet
from sync.headquarters import ingest as room
from sync.headquarters.ingest import Forked, Missing, Revoked, Taken
from sync.headquarters.projection import FlagCode
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import flags, forked_entries, redemptions
from sync.wire import EntryBatch, EntryMessage
from tests.fakes.postgres import PostgresCluster
from tests.sync.headquarters.database import ARRIVAL, everything, push, redemption, stored_bodies, terminal_row
from tests.sync.headquarters.written_ledger import NOON, WrittenLedger, known_ledger, redemption_id


def test_a_redemption_arrives_with_its_day_and_its_arrival(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    ledger.complete(1)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert (taken.acknowledged, taken.flagged) == (2, ())
    assert [changed.id for changed in taken.changed] == [redemption_id(1)]
    row = redemption(storage, 1)
    assert (row.state, row.units, row.list_fen, row.pay_fen) == ("completed", 2, 8000, 2000)
    assert (row.business_day, row.authorised_at) == ("2026-01-05", NOON + timedelta(seconds=1))
    assert (row.arrived_at, row.changed_at, row.sequence) == (ARRIVAL, ARRIVAL, 1)
    head = terminal_row(storage)
    assert (head.last_sequence, head.last_hash, head.last_contact, head.skew_ms) == (
        2,
        ledger.messages[-1].hash,
        ARRIVAL,
        7,
    )
    assert stored_bodies(storage) == [message.body.encode() for message in ledger.messages]


def test_what_the_terminal_says_of_its_queue_and_clock_is_kept(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    push(storage, ledger.batch().model_copy(update={"waiting": 41, "skew_ms": -90_000}))
    assert (terminal_row(storage).waiting, terminal_row(storage).skew_ms) == (41, -90_000)


def test_steps_in_later_batches_move_the_redemption_on(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    push(storage, ledger.batch())
    with storage.read() as connection:
        first = connection.scalar(select(redemptions.c.arrived_at))
    ledger.complete(1)
    push(storage, ledger.batch(first=2))
    ledger.void(1, units=1)
    push(storage, ledger.batch(first=3))
    row = redemption(storage, 1)
    assert (row.state, row.voided_units, row.voided_pay_fen) == ("completed", 1, 1000)
    ledger.void(1, units=1)
    push(storage, ledger.batch(first=4))
    row = redemption(storage, 1)
    assert (row.state, row.voided_units, row.voided_list_fen, row.arrived_at) == ("voided", 2, 8000, first)


def test_a_cancelled_redemption_is_cancelled(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    ledger.cancel(1)
    push(storage, ledger.batch())
    assert redemption(storage, 1).state == "cancelled"


def test_an_empty_batch_asks_for_the_watermark(storage: Storage, ledger: WrittenLedger) -> None:
    assert push(storage, ledger.batch()) == Taken(0)
    ledger.authorise(1)
    push(storage, ledger.batch())
    assert push(storage, ledger.batch(first=2)) == Taken(1, head=ledger.messages[0].hash)
    assert terminal_row(storage).last_contact == ARRIVAL


def test_a_repeat_changes_nothing_and_is_answered_the_same(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    ledger.complete(2)  # flagged
    first = push(storage, ledger.batch())
    before = everything(storage)
    again = push(storage, ledger.batch())
    assert everything(storage) == before
    assert isinstance(first, Taken)
    assert isinstance(again, Taken)
    assert (again.acknowledged, again.flagged) == (first.acknowledged, first.flagged)
    assert first.flagged == ((2, FlagCode.WITHOUT_AUTHORISATION),)
    assert again.changed == ()


def test_a_batch_that_overlaps_is_taken_from_where_it_is_new(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, 6):
        ledger.authorise(number)
    push(storage, ledger.batch(last=3))
    taken = push(storage, ledger.batch(first=2))
    assert isinstance(taken, Taken)
    assert taken.acknowledged == 5
    assert [changed.id for changed in taken.changed] == [redemption_id(4), redemption_id(5)]
    assert len(stored_bodies(storage)) == 5


def test_a_gap_takes_nothing_and_names_the_entry_wanted(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, 5):
        ledger.authorise(number)
    push(storage, ledger.batch(last=1))
    assert push(storage, ledger.batch(first=3)) == Missing(2)
    assert len(stored_bodies(storage)) == 1
    assert terminal_row(storage).state == "active"
    assert isinstance(push(storage, ledger.batch(first=2)), Taken)


def test_a_fork_is_quarantined_and_its_entries_are_kept(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    clone = ledger.fork()
    ledger.authorise(2)
    push(storage, ledger.batch())
    clone.authorise(3)
    clone.complete(3)
    assert push(storage, clone.batch()) == Forked(2)
    assert terminal_row(storage).state == "quarantined"
    assert redemption(storage, 3) is None
    with storage.read() as connection:
        kept = connection.execute(select(forked_entries.c.sequence, forked_entries.c.body)).all()
    assert sorted(map(tuple, kept)) == [(m.sequence, m.body.encode()) for m in clone.messages[1:]]


def test_in_quarantine_nothing_is_taken_and_nothing_is_lost(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    clone = ledger.fork()
    ledger.authorise(2)
    push(storage, ledger.batch())
    clone.authorise(3)
    push(storage, clone.batch())
    ledger.authorise(4)  # the right machine goes on
    assert push(storage, ledger.batch()) == Forked(2)
    assert push(storage, ledger.batch()) == Forked(2)
    assert push(storage, ledger.batch(first=4)) == Forked(2)
    assert len(stored_bodies(storage)) == 2
    with storage.read() as connection:
        kept = connection.scalars(select(forked_entries.c.hash)).all()
    assert sorted(kept) == sorted([clone.messages[1].hash, ledger.messages[2].hash])


def test_what_still_follows_before_a_fork_is_taken(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    other = WrittenLedger()
    other.authorise(8)
    mixed = EntryBatch(terminal="bj-0001", entries=(ledger.messages[0], other.authorise(9)))
    assert push(storage, mixed) == Forked(2)
    assert redemption(storage, 1).state == "authorised"
    assert terminal_row(storage).last_sequence == 1


def test_evidence_of_forks_is_bounded(storage: Storage, ledger: WrittenLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FORKED_ENTRIES_MAX", 3)
    ledger.authorise(1)
    clone = WrittenLedger()
    for number in range(2, 8):
        clone.authorise(number)
    push(storage, ledger.batch())
    for _ in range(2):
        assert push(storage, clone.batch()) == Forked(1)
    with storage.read() as connection:
        assert connection.scalar(select(func.count()).select_from(forked_entries)) == 3


def test_a_revoked_terminal_s_entries_are_not_taken(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    with storage.write() as connection:
        fleet.revoke(connection, "bj-0001")
    assert push(storage, ledger.batch()) == Revoked()
    assert stored_bodies(storage) == []


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run all of `works` at the same moment; their results in order."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        start.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(run, work) for work in works]]


def test_two_pushers_of_one_terminal_are_exact(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, 41):
        ledger.authorise(number)
        ledger.complete(number)

    def pusher(step: int) -> None:
        for first in range(1, 81, step):
            push(storage, ledger.batch(first, first + step - 1))

    at_once(lambda: pusher(7), lambda: pusher(5), lambda: pusher(16))
    push(storage, ledger.batch())
    assert stored_bodies(storage) == [message.body.encode() for message in ledger.messages]
    with storage.read() as connection:
        assert connection.scalar(select(func.count()).select_from(redemptions)) == 40
        assert connection.scalar(select(func.count()).select_from(flags)) == 0


def test_two_terminals_that_claim_the_same_sales_at_once_get_each_once(storage: Storage, ledger: WrittenLedger) -> None:
    other = known_ledger(storage, "bj-0002")
    for number in range(1, 61):
        ledger.authorise(number)
        other.authorise(61 - number)
    at_once(lambda: push(storage, ledger.batch()), lambda: push(storage, other.batch()))
    with storage.read() as connection:
        owned = connection.execute(select(redemptions.c.terminal, func.count()).group_by(redemptions.c.terminal)).all()
        flagged = connection.scalar(select(func.count()).select_from(flags))
    assert sum(count for _, count in owned) == 60
    assert flagged == 60


@pytest.mark.parametrize("copies", [True, False], ids=["at once", "with care"])
def test_terminals_that_meet_after_looking_do_not_overwrite_or_block_each_other(
    postgres: PostgresCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: bool
) -> None:
    """Both have seen that the sales are nobody's, both write them, in opposite orders. SQLite lets only one look."""
    both_have_looked = threading.Barrier(2)
    look = room._known
    looked: set[int] = set()

    def look_and_wait(*args: Any) -> Any:
        found = look(*args)
        if threading.get_ident() not in looked:  # who lost the race to write at once looks again, alone
            looked.add(threading.get_ident())
            both_have_looked.wait(10)
        return found

    monkeypatch.setattr(room, "_known", look_and_wait)
    monkeypatch.setattr(bulk, "COPY_ROWS_MIN", 2 if copies else 10**6)
    with postgres.database() as url:
        storage = open_storage(url, tmp_path)
        one, other = known_ledger(storage, "bj-0001"), known_ledger(storage, "bj-0002")
        for number in range(1, 201):
            one.authorise(number, pay_fen=1)
            other.authorise(201 - number, pay_fen=2)
        outcomes = at_once(lambda: push(storage, one.batch()), lambda: push(storage, other.batch()))
        with storage.read() as connection:
            sold = connection.execute(select(redemptions.c.terminal, redemptions.c.pay_fen)).all()
            flagged = connection.execute(select(flags.c.terminal, flags.c.code)).all()
        storage.close()
    assert [outcome.acknowledged for outcome in outcomes] == [200, 200]
    assert len(sold) == 200
    for ledger, pay_fen, outcome in zip((one, other), (1, 2), outcomes, strict=True):
        kept = sold.count((ledger.terminal, pay_fen))
        assert len(outcome.changed) == kept
        assert len(outcome.flagged) == 200 - kept
        assert flagged.count((ledger.terminal, FlagCode.FOREIGN_REDEMPTION)) == 200 - kept


def test_a_full_batch_is_taken_at_once(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, 251):
        ledger.authorise(number)
        ledger.complete(number)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert (taken.acknowledged, taken.flagged, len(taken.changed)) == (500, (), 250)


def test_a_repeat_is_known_by_its_hash_alone(storage: Storage, ledger: WrittenLedger) -> None:
    message = ledger.authorise(1)
    push(storage, ledger.batch())
    again = EntryMessage(sequence=1, hash=message.hash, body="{}")
    assert push(storage, EntryBatch(terminal="bj-0001", entries=(again,))) == Taken(1, head=message.hash)
    assert stored_bodies(storage) == [message.body.encode()]

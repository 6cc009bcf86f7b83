"""The steps of a redemption on a real file: what is recorded, and that repeats are harmless."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from terminal.ledger.bodies import TEXT_CHARS_MAX, UsageClaim
from terminal.ledger.entry import CASHIER_CHARS_MAX, parse_entry
from terminal.ledger.errors import (
    CardNumberTyped,
    EntryInvalid,
    LimitMoved,
    RedemptionConflict,
    RedemptionUnknown,
)
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import RedemptionState
from terminal.ledger.queries import ENTRIES_MAX, Waiting
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

DAY = "2012-12-25"


def test_a_sale_goes_from_authorised_to_completed_to_voided(ledger: Ledger, clock: SteppedClock) -> None:
    asked = sale()
    authorised = ledger.authorise(asked)
    assert (authorised.state, authorised.sequence, authorised.repeat) == (RedemptionState.AUTHORISED, 1, False)
    assert authorised.authorised_at == "2012-12-25T02:30:00.000Z"
    assert ledger.redemption(asked.id) == authorised
    assert ledger.unsettled() == [authorised]
    clock.step(1500)
    completed = ledger.complete(asked.id, "c02", "000000000001")
    assert (completed.state, completed.pos_reference, completed.settled_by) == ("completed", "000000000001", "c02")
    assert completed.completed_at == "2012-12-25T02:30:01.500Z"
    assert (completed.sequence, completed.last_sequence) == (1, 2)
    assert ledger.unsettled() == []
    voided = ledger.void(asked.id, "m01", "买错场次")
    assert (voided.state, voided.voided_units, voided.voided_pay_fen) == ("voided", 2, 2000)
    assert ledger.redemptions(DAY) == [voided]
    assert [parse_entry(stored.canonical).kind for stored in ledger.entries(0, 10)] == [
        "authorised",
        "completed",
        "voided",
    ]


def test_a_cancelled_sale_gives_everything_back(ledger: Ledger) -> None:
    asked = sale()
    ledger.authorise(asked)
    assert [ledger.used(claim.key) for claim in asked.claims] == [2, 1]
    cancelled = ledger.cancel(asked.id, "system", "timeout")
    assert (cancelled.state, cancelled.reason, cancelled.cancelled_at) == (
        "cancelled",
        "timeout",
        "2012-12-25T02:30:00.000Z",
    )
    assert [ledger.used(claim.key) for claim in asked.claims] == [0, 0]
    again = sale()
    assert ledger.authorise(again).state is RedemptionState.AUTHORISED


def test_a_partial_void_gives_back_units_and_keeps_the_use(ledger: Ledger) -> None:
    asked = sale()
    ledger.authorise(asked)
    ledger.complete(asked.id, "c01")
    partly = ledger.void(asked.id, "m01", "one too many", 1)
    assert (partly.state, partly.voided_units, partly.voided_pay_fen) == ("completed", 1, 1000)
    assert [ledger.used(claim.key) for claim in asked.claims] == [1, 1]
    assert ledger.void(asked.id, "m01", "one too many", 1).repeat
    assert ledger.void(asked.id, "m01", "the other too", 2).state is RedemptionState.VOIDED
    assert [ledger.used(claim.key) for claim in asked.claims] == [0, 0]


def test_every_step_made_twice_writes_one_entry_and_answers_the_same(ledger: Ledger) -> None:
    first, second = sale(1), sale(2)
    ledger.authorise(second)
    for step in (
        lambda: ledger.authorise(first),
        lambda: ledger.complete(first.id, "c01", "000000000001"),
        lambda: ledger.void(first.id, "m01", "wrong"),
        lambda: ledger.cancel(second.id, "c01", "no money"),
    ):
        once = step()
        entries = ledger.last_sequence()
        twice = step()
        assert ledger.last_sequence() == entries
        assert not once.repeat
        assert twice.repeat
        assert (twice.id, twice.state, twice.sequence, twice.last_sequence, twice.pay_fen) == (
            once.id,
            once.state,
            once.sequence,
            once.last_sequence,
            once.pay_fen,
        )


def test_a_late_repeat_of_an_earlier_step_tells_what_is_true_now(ledger: Ledger) -> None:
    asked = sale()
    ledger.authorise(asked)
    ledger.complete(asked.id, "c01", "000000000001")
    assert ledger.authorise(asked).state is RedemptionState.COMPLETED
    ledger.void(asked.id, "m01", "wrong")
    assert ledger.complete(asked.id, "c01").state is RedemptionState.VOIDED
    assert ledger.last_sequence() == 3


def test_a_repeat_by_a_colleague_at_another_reader_is_still_a_repeat(ledger: Ledger) -> None:
    asked = sale()
    ledger.authorise(asked)
    assert ledger.authorise(sale(id=asked.id, cashier="c02", reader="serial-1", entry_mode="stripe")).cashier == "c01"


@pytest.mark.parametrize(
    "changes", [{"pay_fen": 1}, {"units": 1}, {"offer": "laundry"}, {"revision": 4}, {"proofs": {"voucher": "V-1"}}]
)
def test_an_id_names_one_sale_for_ever(ledger: Ledger, changes: dict[str, object]) -> None:
    asked = sale()
    ledger.authorise(asked)
    with pytest.raises(RedemptionConflict, match="other"):
        ledger.authorise(sale(id=asked.id, **changes))
    with pytest.raises(RedemptionConflict, match="other token"):
        ledger.authorise(sale(2, id=asked.id))
    assert ledger.last_sequence() == 1


def test_steps_that_do_not_follow_are_conflicts_and_write_nothing(ledger: Ledger) -> None:
    open_, done, off = sale(1), sale(2), sale(3)
    for asked in (open_, done, off):
        ledger.authorise(asked)
    ledger.complete(done.id, "c01", "000000000001")
    ledger.cancel(off.id, "c01", "no money")
    before = ledger.last_sequence()
    for step in (
        lambda: ledger.void(open_.id, "m01", "x"),
        lambda: ledger.cancel(done.id, "c01", "x"),
        lambda: ledger.complete(done.id, "c01", "000000000002"),
        lambda: ledger.void(done.id, "m01", "x", 3),
        lambda: ledger.complete(off.id, "c01", "x"),
        lambda: ledger.void(off.id, "m01", "x"),
    ):
        with pytest.raises(RedemptionConflict):
            step()
    assert ledger.last_sequence() == before


def test_an_unknown_redemption_is_said_to_be_unknown(ledger: Ledger) -> None:
    assert ledger.redemption(sale().id) is None
    with pytest.raises(RedemptionUnknown):
        ledger.complete(sale().id, "c01")


def test_a_limit_used_up_meanwhile_refuses_with_its_numbers_and_writes_nothing(ledger: Ledger) -> None:
    ledger.authorise(sale(1))
    other = UsageClaim("other", 1, 5)
    late = sale(1)
    with pytest.raises(LimitMoved) as caught:
        ledger.authorise(sale(1, claims=(other, *late.claims)))
    assert (caught.value.key, caught.value.used, caught.value.max) == (late.claims[0].key, 2, 2)
    assert "已用 2" in caught.value.what_text("zh")
    assert ledger.last_sequence() == 1
    assert ledger.used("other") == 0


def test_a_claim_beyond_its_own_maximum_is_refused_at_the_first_use(ledger: Ledger) -> None:
    with pytest.raises(LimitMoved) as caught:
        ledger.authorise(sale(claims=(UsageClaim("k", 3, 2),)))
    assert caught.value.used == 0


def test_what_was_typed_is_bounded_and_no_card_number(ledger: Ledger) -> None:
    asked = sale()
    ledger.authorise(asked)
    for step in (
        lambda: ledger.complete(asked.id, "c01", "6210947000000021"),
        lambda: ledger.cancel(asked.id, "c01", "card 6210 9470 0000 0021"),
        lambda: ledger.void(asked.id, "c01", "6210947000000021"),
    ):
        with pytest.raises(CardNumberTyped):
            step()
    for step in (
        lambda: ledger.complete(asked.id, "c01", "x" * (TEXT_CHARS_MAX + 1)),
        lambda: ledger.cancel(asked.id, "c01", ""),
        lambda: ledger.cancel(asked.id, "", "x"),
        lambda: ledger.cancel(asked.id, "c" * (CASHIER_CHARS_MAX + 1), "x"),
    ):
        with pytest.raises(EntryInvalid):
            step()
    assert ledger.last_sequence() == 1
    assert ledger.complete(asked.id, "c" * CASHIER_CHARS_MAX, "x" * TEXT_CHARS_MAX).last_sequence == 2


def test_every_entry_carries_the_three_clocks_and_the_chain(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.authorise(sale(1))
    clock.headquarters = "2012-12-25T02:29:59.000Z"
    clock.step(250)
    ledger.authorise(sale(2))
    first, second = ledger.entries(0, ENTRIES_MAX)
    entry = parse_entry(second.canonical)
    assert entry.previous == first.hash
    assert (entry.monotonic_ms, entry.boot, entry.hq_time) == (60_250, clock.boot(), "2012-12-25T02:29:59.000Z")
    assert ledger.last_hash() == second.hash


def test_the_wait_queue_is_what_headquarters_has_not_acknowledged(ledger: Ledger, clock: SteppedClock) -> None:
    assert ledger.waiting() == Waiting(0, None)
    for number in range(3):
        ledger.authorise(sale(number))
        clock.step(1000)
    assert ledger.waiting() == Waiting(3, "2012-12-25T02:30:00.000Z")
    ledger.set_watermark(2, "2012-12-25T02:31:00.000Z")
    assert ledger.watermark() == 2
    assert ledger.waiting() == Waiting(1, "2012-12-25T02:30:02.000Z")
    ledger.set_watermark(3, None)
    assert ledger.waiting() == Waiting(0, None)
    ledger.set_watermark(1, None)
    assert ledger.waiting().count == 2


def test_pages_of_a_day_and_of_the_entries_are_bounded(ledger: Ledger) -> None:
    ids = [ledger.authorise(sale(number)).id for number in range(5)]
    ledger.authorise(sale(9, business_day="2012-12-26"))
    assert [each.id for each in ledger.redemptions(DAY)] == ids
    assert [each.id for each in ledger.redemptions(DAY, limit=2, offset=3)] == ids[3:]
    assert (ledger.count(DAY), ledger.count("2012-12-26"), ledger.count("2012-12-27")) == (5, 1, 0)
    assert [stored.sequence for stored in ledger.entries(2, 2)] == [3, 4]
    assert len(ledger.entries(0, 10**9)) == 6


def test_everything_is_there_after_closing_and_opening_again(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    asked = sale()
    answer = ledger.authorise(asked)
    ledger.set_watermark(1, None)
    ledger.close()
    again = Ledger.open(path, "T1", clock)
    try:
        assert again.redemption(asked.id) == answer
        assert again.watermark() == 1
        assert again.complete(asked.id, "c01").last_sequence == 2
        assert again.authorise(asked).repeat
    finally:
        again.close()
    assert verify(path).ok


def test_the_file_itself_refuses_to_change_or_delete_or_skip_an_entry(ledger: Ledger, path: Path) -> None:
    ledger.authorise(sale())
    stranger = sqlite3.connect(path)
    try:
        for statement in (
            "UPDATE entry SET canonical = x'00'",
            "DELETE FROM entry",
            "INSERT INTO entry VALUES (3, x'00', x'00')",
            "INSERT OR REPLACE INTO entry VALUES (1, x'00', x'00')",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="a ledger entry"):
                stranger.execute(statement)
            stranger.rollback()
    finally:
        stranger.close()


def test_nobody_else_may_read_the_files(ledger: Ledger, path: Path) -> None:
    ledger.authorise(sale())
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.head"], 0o600)


def test_a_file_that_others_could_read_is_closed_to_them(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    path.chmod(0o644)
    Ledger.open(path, "T1", clock).close()
    assert path.stat().st_mode & 0o777 == 0o600

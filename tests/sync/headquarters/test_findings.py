"""Entries that headquarters finds fault with: kept, flagged, and nothing behind them waits."""

from __future__ import annotations

from typing import Any

import pytest

from sync.headquarters.ingest import Taken
from sync.headquarters.projection import AMOUNT_MAX, FlagCode
from sync.headquarters.storage import Storage
from terminal.ledger.entry import EntryKind
from tests.sync.headquarters.database import push, redemption, stored_bodies
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger, sale

POISON = {
    "not JSON": "{{",
    "not an entry": '{"a":1}',
    "a NUL byte": '"\0"',
    "not canonical": '{ "v": 1 }',
    "longer than any entry": '"' + "x" * 70_000 + '"',
    "nested deeply": "[" * 5000 + "]" * 5000,
}


@pytest.mark.parametrize("text", POISON.values(), ids=POISON.keys())
def test_a_poison_entry_is_kept_raw_and_blocks_nothing(storage: Storage, ledger: WrittenLedger, text: str) -> None:
    ledger.authorise(1)
    ledger.write_raw(text)
    ledger.complete(1)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert (taken.acknowledged, taken.flagged) == (3, ((2, FlagCode.UNREADABLE),))
    assert stored_bodies(storage)[1] == text.encode()
    assert redemption(storage, 1).state == "completed"


ODD_SALES: dict[str, dict[str, Any]] = {
    "no body at all": {"offer": 7},
    "a NUL in a name": {"merchant": "a\0b"},
    "more money than there is": {"list_fen": AMOUNT_MAX + 1},
    "no units": {"units": 0},
    "an unknown field": {"discount": 1},
    "a whole card number": {"masked": "6210947000000021"},
}


@pytest.mark.parametrize("changes", ODD_SALES.values(), ids=ODD_SALES.keys())
def test_a_sale_that_cannot_be_is_kept_and_flagged(
    storage: Storage, ledger: WrittenLedger, changes: dict[str, Any]
) -> None:
    ledger.authorise(1, **changes)
    ledger.authorise(2)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert taken.flagged == ((1, FlagCode.UNREADABLE),)
    assert redemption(storage, 1) is None
    assert redemption(storage, 2) is not None
    assert len(stored_bodies(storage)) == 2


@pytest.mark.parametrize("at", ["2026-13-45T00:00:00.000Z", "0000-01-01T00:00:00.000Z"])
def test_a_time_in_no_calendar_is_flagged(storage: Storage, ledger: WrittenLedger, at: str) -> None:
    ledger.write(EntryKind.AUTHORISED, 1, sale(), at=at)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert taken.flagged == ((1, FlagCode.UNREADABLE),)


MISPLACED: dict[str, dict[str, Any]] = {
    "another terminal's name": {"terminal": "bj-\0-9999"},
    "another number": {"sequence": 7},
    "another predecessor": {"previous": "11" * 32},
}


@pytest.mark.parametrize("fields", MISPLACED.values(), ids=MISPLACED.keys())
def test_an_entry_in_a_place_that_is_not_its_own_is_flagged(
    storage: Storage, ledger: WrittenLedger, fields: dict[str, Any]
) -> None:
    ledger.write(EntryKind.AUTHORISED, 1, sale(), **fields)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert taken.flagged == ((1, FlagCode.MISPLACED),)
    assert redemption(storage, 1) is None


def test_steps_that_do_not_follow_are_flagged_and_change_nothing(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    ledger.cancel(1)
    ledger.complete(1)
    ledger.authorise(1)
    ledger.void(5)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert taken.acknowledged == 5
    assert taken.flagged == (
        (3, FlagCode.OUT_OF_STEP),
        (4, FlagCode.OUT_OF_STEP),
        (5, FlagCode.WITHOUT_AUTHORISATION),
    )
    assert redemption(storage, 1).state == "cancelled"


def test_another_terminal_s_redemption_is_left_alone(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    push(storage, ledger.batch())
    other = known_ledger(storage, "bj-0002")
    other.authorise(1, pay_fen=1)
    other.complete(1)
    taken = push(storage, other.batch())
    assert isinstance(taken, Taken)
    assert taken.flagged == ((1, FlagCode.FOREIGN_REDEMPTION), (2, FlagCode.FOREIGN_REDEMPTION))
    row = redemption(storage, 1)
    assert (row.terminal, row.state, row.pay_fen) == ("bj-0001", "authorised", 2000)


def test_a_sale_for_another_merchant_counts_and_is_flagged(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1, merchant="别家影院")
    ledger.complete(1)
    taken = push(storage, ledger.batch())
    assert isinstance(taken, Taken)
    assert taken.flagged == ((1, FlagCode.OTHER_MERCHANT),)
    assert redemption(storage, 1).merchant == "别家影院"

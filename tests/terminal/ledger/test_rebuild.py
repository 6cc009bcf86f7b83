"""Projections made anew, and the entries carried out."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import pytest

from terminal.ledger.entry import GENESIS, canonical, entry_hash, parse_entry
from terminal.ledger.errors import LedgerDamaged, LedgerLocked
from terminal.ledger.export import export
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import RebuildSummary, rebuild
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    first, second = sale(1), sale(2)
    ledger.authorise(first)
    ledger.authorise(second)
    ledger.complete(first.id, "c01")
    ledger.void(first.id, "m01", "wrong", 1)
    ledger.cancel(second.id, "system", "timeout")
    return ledger


def test_lost_projections_come_back_as_they_were(filled: Ledger, path: Path, clock: SteppedClock) -> None:
    before = filled.redemptions("2012-12-25")
    filled.close()
    stranger = sqlite3.connect(path)
    with stranger:
        stranger.execute("UPDATE redemption SET state = 'voided'")
        stranger.execute("DELETE FROM usage")
    stranger.close()
    assert not verify(path).ok
    assert rebuild(path) == RebuildSummary(entries=5, redemptions=2, usage_keys=4)
    assert verify(path).ok
    again = Ledger.open(path, "T1", clock)
    assert again.redemptions("2012-12-25") == before
    again.close()


def test_no_rebuild_under_a_running_daemon(filled: Ledger, path: Path) -> None:
    with pytest.raises(LedgerLocked):
        rebuild(path)
    assert verify(path).ok


def test_a_rebuild_that_meets_a_broken_entry_changes_nothing(filled: Ledger, path: Path) -> None:
    filled.close()
    stranger = sqlite3.connect(path)
    with stranger:
        stranger.execute("DROP TRIGGER entry_is_never_changed")
        stranger.execute("UPDATE entry SET hash = zeroblob(32) WHERE sequence = 5")
        before = stranger.execute("SELECT * FROM redemption").fetchall()
    with pytest.raises(LedgerDamaged, match="entry 5: hash"):
        rebuild(path)
    assert stranger.execute("SELECT * FROM redemption").fetchall() == before
    stranger.close()


def test_the_export_is_the_chain_line_by_line(filled: Ledger, path: Path) -> None:
    out = io.BytesIO()
    assert export(path, out) == 5
    previous = GENESIS
    for line in out.getvalue().splitlines():
        hash_part, _, entry_part = line.partition(b',"entry":')
        data = entry_part[:-1]
        assert canonical(parse_entry(data)) == data
        previous = entry_hash(previous, data)
        assert json.loads(line)["hash"] == previous.hex()
        assert hash_part == b'{"hash":"' + previous.hex().encode() + b'"'
    assert previous.hex() == filled.last_hash()


@pytest.mark.parametrize(
    ("first", "last", "sequences"),
    [(1, None, [1, 2, 3, 4, 5]), (2, 3, [2, 3]), (5, 9, [5]), (6, None, []), (3, 2, [])],
)
def test_a_range_of_the_export_includes_both_ends(
    filled: Ledger, path: Path, first: int, last: int | None, sequences: list[int]
) -> None:
    out = io.BytesIO()
    assert export(path, out, first, last) == len(sequences)
    assert [json.loads(line)["entry"]["sequence"] for line in out.getvalue().splitlines()] == sequences

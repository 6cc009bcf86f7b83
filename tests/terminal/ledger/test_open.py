"""Which files a terminal works with, and which it refuses."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from terminal.ledger.errors import LedgerDamaged, LedgerDisk, LedgerForked, LedgerLocked, LedgerNewer
from terminal.ledger.head import head_path
from terminal.ledger.ledger import Ledger
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale


def test_a_second_daemon_is_kept_out_and_let_in_after_the_first(
    ledger: Ledger, path: Path, clock: SteppedClock
) -> None:
    with pytest.raises(LedgerLocked) as caught:
        Ledger.open(path, "T1", clock)
    assert "另一个" in caught.value.hint_text("zh")
    ledger.authorise(sale())
    ledger.close()
    Ledger.open(path, "T1", clock).close()


def test_a_tool_that_holds_the_file_stops_the_sale_but_not_the_next(
    ledger: Ledger, path: Path, clock: SteppedClock
) -> None:
    tool = sqlite3.connect(path, isolation_level=None)
    try:
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerLocked):
            ledger.authorise(sale())
    finally:
        tool.close()
    clock.step(1001)
    assert ledger.authorise(sale()).sequence == 1


def test_another_terminals_ledger_is_refused(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    with pytest.raises(LedgerForked, match="T1"):
        Ledger.open(path, "T2", clock)


def test_an_old_copy_put_back_is_recognised(ledger: Ledger, path: Path, clock: SteppedClock, tmp_path: Path) -> None:
    ledger.authorise(sale(1))
    ledger.close()
    backup = tmp_path / "backup.db"
    shutil.copy(path, backup)
    again = Ledger.open(path, "T1", clock)
    again.authorise(sale(2))
    again.close()
    shutil.copy(backup, path)
    with pytest.raises(LedgerForked, match="entry 2"):
        Ledger.open(path, "T1", clock)


def test_a_copy_that_went_its_own_way_is_recognised(
    ledger: Ledger, path: Path, clock: SteppedClock, tmp_path: Path
) -> None:
    ledger.close()
    twin = tmp_path / "twin" / "ledger.db"
    twin.parent.mkdir()
    shutil.copy(path, twin)
    for file in (path, twin):
        each = Ledger.open(file, "T1", clock)
        each.authorise(sale(1))
        each.close()
    shutil.copy(twin, path)
    with pytest.raises(LedgerForked, match="entry 1"):
        Ledger.open(path, "T1", clock)


@pytest.mark.parametrize("left", [None, b"", b"\0" * 86, b"half a line"])
def test_a_head_file_lost_in_a_power_cut_is_made_anew(
    ledger: Ledger, path: Path, clock: SteppedClock, left: bytes | None
) -> None:
    ledger.authorise(sale())
    ledger.close()
    if left is None:
        head_path(path).unlink()
    else:
        head_path(path).write_bytes(left)
    again = Ledger.open(path, "T1", clock)
    assert again.last_sequence() == 1
    again.close()
    assert head_path(path).read_bytes().startswith(b"00000000000000000001 " + verify(path).last_hash.encode())


def test_headquarters_knowing_more_than_was_written_stops_sales_for_good(
    ledger: Ledger, path: Path, clock: SteppedClock
) -> None:
    ledger.authorise(sale(1))
    with pytest.raises(LedgerForked, match="headquarters has 5"):
        ledger.set_watermark(5, None)
    with pytest.raises(LedgerForked):
        ledger.authorise(sale(2))
    with pytest.raises(LedgerForked):
        ledger.probe()
    assert not ledger.health().ok
    assert ledger.redemptions("2012-12-25")
    ledger.close()
    with pytest.raises(LedgerForked):
        Ledger.open(path, "T1", clock)


def test_a_watermark_beyond_the_last_entry_is_a_fork(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    change(path, "UPDATE ledger SET watermark = 3")
    with pytest.raises(LedgerForked, match="3"):
        Ledger.open(path, "T1", clock)


def test_a_ledger_of_a_later_version_is_left_alone(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    change(path, "UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    with pytest.raises(LedgerNewer, match="0999"):
        Ledger.open(path, "T1", clock)
    with pytest.raises(LedgerNewer):
        verify(path)
    assert path.read_bytes() == before


def test_a_missing_row_about_the_ledger_is_damage(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    change(path, "DELETE FROM ledger")
    with pytest.raises(LedgerDamaged):
        Ledger.open(path, "T1", clock)


def test_a_directory_that_cannot_be_made_is_a_disk_error(tmp_path: Path, clock: SteppedClock) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LedgerDisk, match=r"NOTDIR|EEXIST"):
        Ledger.open(tmp_path / "file" / "ledger.db", "T1", clock)


def test_a_refused_file_is_let_go_of(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.close()
    with pytest.raises(LedgerForked):
        Ledger.open(path, "T2", clock)
    Ledger.open(path, "T1", clock).close()


def change(path: Path, statement: str) -> None:
    stranger = sqlite3.connect(path)
    with stranger:
        stranger.execute(statement)
    stranger.close()

"""Disks that are full or failing, files that are damaged: a clear error, nothing half written, back when it is over."""

from __future__ import annotations

import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from terminal.ledger import database
from terminal.ledger.errors import LedgerDamaged, LedgerDisk, LedgerError, LedgerFull, LedgerMissing
from terminal.ledger.export import export
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import rebuild
from terminal.ledger.verify import verify
from terminal.ledger.writer import PROBE_WAIT_MS
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

SALES_MAX = 500  # a disk of a few pages is full long before


@contextmanager
def disk_of(ledger: Ledger, pages: int) -> Iterator[None]:
    """SQLite finds no room beyond `pages`: it raises the very SQLITE_FULL of a full disk, also after a reconnect."""
    engine = ledger._writing._engine
    statement = f"PRAGMA max_page_count = {pages}"

    def limit(connection: Any, record: object) -> None:
        connection.execute(statement)

    def now() -> None:
        assert ledger._writing._connection is not None
        database.driver(ledger._writing._connection)(statement, ())

    event.listen(engine, "connect", limit)
    ledger.writer.run(now)
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)


@contextmanager
def files_of(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond `size_bytes` (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def sell_until_refused(ledger: Ledger) -> tuple[int, LedgerError]:
    for number in range(SALES_MAX):
        try:
            ledger.authorise(sale(number))
        except LedgerError as error:
            return number, error
    raise AssertionError("the disk was never full")


def test_a_full_disk_stops_sales_until_there_is_room_again(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    waiting = sale(SALES_MAX)
    with disk_of(ledger, pages=40):
        sold, error = sell_until_refused(ledger)
        assert isinstance(error, LedgerFull)
        assert "磁盘" in error.what_text("zh")
        assert ledger.last_sequence() == sold
        with pytest.raises(LedgerFull):
            ledger.authorise(waiting)
        assert isinstance(ledger.health().stopped, LedgerFull)
        assert len(ledger.redemptions("2012-12-25")) == sold
    clock.step(PROBE_WAIT_MS)
    assert ledger.authorise(waiting).sequence == sold + 1
    assert ledger.health().ok
    ledger.close()
    assert verify(path).ok


def test_a_disk_that_stays_full_refuses_again_after_the_probe(ledger: Ledger, clock: SteppedClock) -> None:
    with disk_of(ledger, pages=40):
        sold, _ = sell_until_refused(ledger)
        for _ in range(3):
            clock.step(PROBE_WAIT_MS)
            with pytest.raises(LedgerFull):
                ledger.authorise(sale(SALES_MAX))
        assert ledger.last_sequence() == sold


def test_between_probes_the_same_error_comes_without_touching_the_disk(ledger: Ledger, clock: SteppedClock) -> None:
    with disk_of(ledger, pages=40):
        sell_until_refused(ledger)
    connection = ledger._writing._connection
    clock.step(PROBE_WAIT_MS - 1)
    with pytest.raises(LedgerFull):
        ledger.authorise(sale(SALES_MAX))
    assert ledger._writing._connection is connection
    ledger.probe()
    assert ledger.authorise(sale(SALES_MAX)).id


def test_a_failing_write_stops_sales_and_is_recovered_from(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    first = sale(1)
    ledger.authorise(first)
    wal = path.with_name(path.name + "-wal")
    with files_of(wal.stat().st_size + 5_000):
        sold, error = sell_until_refused(ledger)
        assert isinstance(error, LedgerDisk)
        assert error.details["reason"] == "SQLITE_IOERR_WRITE"
    with files_of(4_096):
        for _ in range(2):
            clock.step(PROBE_WAIT_MS)
            with pytest.raises(LedgerDisk):
                ledger.complete(first.id, "c01")
    clock.step(PROBE_WAIT_MS)
    assert ledger.complete(first.id, "c01").last_sequence == sold + 2
    ledger.close()
    report = verify(path)
    assert (report.ok, report.entries) == (True, sold + 2)


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_a_file_that_is_no_database_is_damage(path: Path, clock: SteppedClock, content: bytes) -> None:
    path.write_bytes(content)
    for use in (
        lambda: Ledger.open(path, "T1", clock),
        lambda: verify(path),
        lambda: rebuild(path),
        lambda: export(path, io.BytesIO()),
    ):
        with pytest.raises(LedgerDamaged) as caught:
            use()
        assert "jingka ledger verify" in caught.value.hint_text("zh")
    assert path.read_bytes() == content


def test_a_flipped_byte_in_the_last_entries_is_found_at_the_start(
    ledger: Ledger, path: Path, clock: SteppedClock
) -> None:
    ledger.authorise(sale(number=1, site="the-marked-site"))
    ledger.close()
    content = path.read_bytes()
    assert content.count(b"the-marked-site") == 1
    path.write_bytes(content.replace(b"the-marked-site", b"the-forged-site"))
    with pytest.raises(LedgerDamaged, match="entry 1: hash"):
        Ledger.open(path, "T1", clock)


def test_damage_met_during_a_sale_stops_sales_until_the_file_is_proven(
    ledger: Ledger, path: Path, clock: SteppedClock
) -> None:
    asked = sale()
    ledger.authorise(asked)
    usage_lost = "DELETE FROM usage"
    usage_back = f"INSERT INTO usage VALUES ('{asked.claims[0].key}', 2), ('{asked.claims[1].key}', 1)"
    run(ledger, usage_lost)
    with pytest.raises(LedgerDamaged, match="more given back"):
        ledger.cancel(asked.id, "c01", "no money")
    clock.step(10 * PROBE_WAIT_MS)
    with pytest.raises(LedgerDamaged):
        ledger.authorise(sale(2))
    ledger.probe()
    run(ledger, usage_back)
    assert ledger.cancel(asked.id, "c01", "no money").last_sequence == 2


def test_a_head_file_that_cannot_be_written_is_a_warning_only(ledger: Ledger) -> None:
    readable = os.open(os.devnull, os.O_RDONLY)
    kept, ledger._head_file._handle = ledger._head_file._handle, readable
    try:
        assert ledger.authorise(sale()).sequence == 1
        assert "head-file" in ledger.health().warnings
    finally:
        ledger._head_file._handle = kept
        os.close(readable)
    ledger.authorise(sale(2))
    assert "head-file" not in ledger.health().warnings


def test_tools_say_that_there_is_no_ledger(tmp_path: Path) -> None:
    for use in (verify, rebuild):
        with pytest.raises(LedgerMissing):
            use(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def run(ledger: Ledger, statement: str) -> None:
    def step() -> None:
        with ledger._writing.transaction("test", "test") as inside:
            inside.execute(statement, ())

    ledger.writer.run(step)


def test_the_probe_after_damage_reads_every_page(ledger: Ledger, path: Path) -> None:
    for number in range(100):
        ledger.authorise(sale(number))
    run(ledger, "DELETE FROM usage")
    with pytest.raises(LedgerDamaged):
        ledger.cancel(ledger.unsettled()[0].id, "c01", "no money")
    ledger._queries.close()
    ledger.writer.run(ledger._writing.close)  # the last connection moves the WAL into the file
    content = bytearray(path.read_bytes())
    middle = content.index(b'"sequence":20,') // 4096 * 4096
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(LedgerDamaged, match="broken page"):
        ledger.probe()
    with pytest.raises(LedgerDamaged):
        ledger.authorise(sale(SALES_MAX))


def test_the_writer_waits_for_the_disk_at_every_commit(ledger: Ledger) -> None:
    def settings() -> dict[str, object]:
        assert ledger._writing._connection is not None
        execute = database.driver(ledger._writing._connection)
        return {name: execute(f"PRAGMA {name}", ()).fetchone()[0] for name in ("journal_mode", "synchronous")}

    assert ledger.writer.run(settings) == {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL

"""Tampering of every kind is found, and only where it is."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminal.ledger.entry import Entry, canonical, entry_hash, parse_entry
from terminal.ledger.errors import LedgerDamaged, LedgerStopped
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import rebuild
from terminal.ledger.tables import TRIGGERS
from terminal.ledger.verify import FINDINGS_MAX, PROGRESS_ENTRIES, FindingCode, verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

ENTRIES = 7


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger with each kind of entry."""
    path = tmp_path_factory.mktemp("good") / "ledger.db"
    ledger = Ledger.open(path, "T1", SteppedClock())
    first, second, third = sale(1), sale(2), sale(3)
    for asked in (first, second, third):
        ledger.authorise(asked)
    ledger.complete(first.id, "c01", "000000000001")
    ledger.cancel(second.id, "c01", "no money")
    ledger.complete(third.id, "c01")
    ledger.void(third.id, "m01", "wrong", 1)
    ledger.close()
    return path


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(good, tmp_path / "copy.db"))


def tamper(path: Path, *statements: str, guards: bool = False) -> None:
    """Change the file as someone with a database tool would; with the guards taken off and put back when needed."""
    stranger = sqlite3.connect(path)
    with stranger:
        texts = dict(stranger.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall())
        for name in texts if guards else ():
            stranger.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            stranger.execute(statement)
        for text in texts.values() if guards else ():
            stranger.execute(text)
    stranger.close()


def forge(path: Path, sequence: int, change: Callable[[Entry], Entry], rehash: bool) -> None:
    """Put another entry in the place of `sequence`, with the old hash or a fitting one."""
    stranger = sqlite3.connect(path)
    (stored,) = stranger.execute("SELECT canonical FROM entry WHERE sequence = ?", (sequence,)).fetchone()
    stranger.close()
    entry = change(parse_entry(stored))
    data = canonical(entry)
    new_hash = f", hash = x'{entry_hash(bytes.fromhex(entry.previous), data).hex()}'" if rehash else ""
    tamper(path, f"UPDATE entry SET canonical = x'{data.hex()}'{new_hash} WHERE sequence = {sequence}", guards=True)


def codes(path: Path) -> list[tuple[str, int | None]]:
    return [(finding.code.value, finding.sequence) for finding in verify(path).findings]


def test_a_whole_ledger_has_no_findings_and_says_its_head(good: Path) -> None:
    report = verify(good)
    assert (report.ok, report.entries, report.last_sequence, report.more) == (True, ENTRIES, ENTRIES, 0)
    assert len(report.last_hash) == 64


def test_a_changed_entry_is_found_where_it_stands(copy: Path) -> None:
    forge(copy, 4, lambda entry: replace(entry, body={"pos_reference": "000000000002"}), rehash=False)
    assert ("entry", 4) in codes(copy)


def test_a_changed_entry_with_a_fitting_hash_breaks_the_chain_after_it(copy: Path) -> None:
    forge(copy, 4, lambda entry: replace(entry, cashier="c99"), rehash=True)
    assert ("entry", 5) in codes(copy)
    assert ("entry", 4) not in codes(copy)


def test_a_changed_last_entry_shows_in_the_projection(copy: Path) -> None:
    forge(copy, ENTRIES, lambda entry: replace(entry, cashier="c99"), rehash=True)
    assert [code for code, _ in codes(copy)] == ["redemption"]


@pytest.mark.parametrize("field", ["terminal", "sequence", "previous"])
def test_an_entry_that_names_another_place_is_found(copy: Path, field: str) -> None:
    other = {"terminal": "T2", "sequence": 99, "previous": "11" * 32}[field]
    stranger = sqlite3.connect(copy)
    rows = stranger.execute("SELECT hash, canonical FROM entry WHERE sequence IN (6, 7) ORDER BY sequence").fetchall()
    stranger.close()
    data = canonical(replace(parse_entry(rows[1][1]), **{field: other}))
    digest = entry_hash(rows[0][0], data)
    tamper(
        copy, f"UPDATE entry SET canonical = x'{data.hex()}', hash = x'{digest.hex()}' WHERE sequence = 7", guards=True
    )
    assert ("entry", 7) in codes(copy)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM entry WHERE sequence = 3", "entry"),
        ("DELETE FROM entry WHERE sequence = 1", "entry"),
        ("UPDATE entry SET sequence = 8 WHERE sequence = 7", "entry"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE sequence = 5", "entry"),
        ("UPDATE entry SET canonical = x'20' || canonical WHERE sequence = 5", "entry"),
        ("UPDATE entry SET hash = 'text' WHERE sequence = 5", "entry"),
        ("UPDATE ledger SET terminal = 7", "entry"),
        ("UPDATE entry SET canonical = zeroblob(40) WHERE sequence = 5", "entry"),
        ("UPDATE redemption SET state = 'completed' WHERE state = 'cancelled'", "redemption"),
        ("UPDATE redemption SET voided_pay_fen = 999 WHERE voided_pay_fen = 1000", "redemption"),
        ("UPDATE redemption SET business_day = '2012-12-26' WHERE sequence = 1", "redemption"),
        ("DELETE FROM redemption WHERE sequence = 1", "redemption"),
        (
            "INSERT INTO redemption VALUES ('x', 1, '', 'voided', 1, '', '', '', '', '', '', 0, 0, 0)",
            "redemption",
        ),
        ("UPDATE usage SET used = used - 1 WHERE used = 2", "usage"),
        ("DELETE FROM usage WHERE used = 1", "usage"),
        ("INSERT INTO usage VALUES ('free', 1)", "usage"),
        ("UPDATE ledger SET watermark = 99", "watermark"),
        ("DROP TRIGGER entry_is_never_changed", "trigger"),
    ],
)
def test_each_kind_of_tampering_has_its_finding(copy: Path, statement: str, code: str) -> None:
    tamper(copy, statement, guards="entry SET" in statement or "FROM entry" in statement)
    assert code in [found for found, _ in codes(copy)]


def test_wiping_the_end_is_found_by_the_projections(copy: Path) -> None:
    tamper(copy, "DELETE FROM entry WHERE sequence > 5", guards=True)
    report = verify(copy)
    assert report.last_sequence == 5
    assert {finding.code for finding in report.findings} >= {FindingCode.REDEMPTION, FindingCode.USAGE}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_entry_is_found(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    copy = Path(shutil.copy(good, tmp_path / "flipped.db"))
    stranger = sqlite3.connect(copy)
    rows = stranger.execute("SELECT sequence, hash, canonical FROM entry").fetchall()
    stranger.close()
    sequence, digest, content = data.draw(st.sampled_from(rows))
    column, kept = data.draw(st.sampled_from([("hash", digest), ("canonical", content)]))
    place = data.draw(st.integers(0, len(kept) - 1))
    flipped = bytearray(kept)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    tamper(copy, f"UPDATE entry SET {column} = x'{flipped.hex()}' WHERE sequence = {sequence}", guards=True)
    assert ("entry", sequence) in codes(copy)
    with pytest.raises(LedgerDamaged, match=f"entry {sequence}"):
        rebuild(copy)
    with pytest.raises(LedgerStopped):
        Ledger.open(copy, "T1", SteppedClock())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_file_never_makes_verify_crash(
    good: Path, tmp_path: Path, place: float, bit: int
) -> None:
    content = bytearray(good.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    copy = tmp_path / "flipped.db"
    copy.write_bytes(content)
    with contextlib.suppress(LedgerStopped):  # a header that SQLite does not open; all else must be a report
        assert verify(copy).entries <= ENTRIES


def test_findings_are_bounded_and_the_rest_is_counted(copy: Path) -> None:
    rows = ", ".join(f"('free {number}', 1)" for number in range(FINDINGS_MAX + 1))
    tamper(copy, f"INSERT INTO usage VALUES {rows}")
    report = verify(copy)
    assert len(report.findings) == FINDINGS_MAX
    assert report.more >= 1


def test_progress_is_told_in_steps_and_at_the_end(path: Path, clock: SteppedClock) -> None:
    ledger = Ledger.open(path, "T1", clock)

    def fill() -> None:
        with ledger._writing.transaction("fill", "test") as step:
            for number in range(PROGRESS_ENTRIES + 5):
                asked = sale(number)
                step.record(None, asked.id, "c01", asked)

    ledger.writer.run(fill)
    told: list[tuple[int, int]] = []
    assert verify(path, lambda done, total: told.append((done, total))).ok
    assert told == [(PROGRESS_ENTRIES, PROGRESS_ENTRIES + 5), (PROGRESS_ENTRIES + 5, PROGRESS_ENTRIES + 5)]
    ledger.close()
    told.clear()
    rebuild(path, lambda done, total: told.append((done, total)))
    assert told == [(PROGRESS_ENTRIES, PROGRESS_ENTRIES + 5), (PROGRESS_ENTRIES + 5, PROGRESS_ENTRIES + 5)]


def test_verify_runs_beside_a_working_ledger_and_changes_nothing(path: Path, clock: SteppedClock) -> None:
    ledger = Ledger.open(path, "T1", clock)
    ledger.authorise(sale(1))
    assert verify(path, lambda done, total: ledger.authorise(sale(2)) and None).entries == 1
    assert ledger.last_sequence() == 2
    assert verify(path).ok
    ledger.close()


def test_the_guards_are_the_three_that_verify_looks_for(good: Path) -> None:
    stranger = sqlite3.connect(good)
    names = {name for (name,) in stranger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    stranger.close()
    assert names == set(TRIGGERS)

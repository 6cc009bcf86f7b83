"""Proof of a ledger: each entry in its place, the chain whole, each byte canonical, the projections what entries say.

Runs beside a working daemon, on one read snapshot. The entries are replayed into temporary tables that bear the names
of the projections and so hide them: SQLite looks in its temporary schema first, and the same statements run on both.
Memory stays bounded: SQLite spills temporary tables to a file, which it deletes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Table
from sqlalchemy.schema import CreateTable

from terminal.ledger import database, journal, projections
from terminal.ledger.bodies import parse_body
from terminal.ledger.database import Execute
from terminal.ledger.entry import StoredEntry
from terminal.ledger.errors import EntryInvalid, LedgerDamaged, LedgerStopped, LimitMoved, RedemptionConflict
from terminal.ledger.head import Head
from terminal.ledger.tables import TRIGGERS, driver_text, redemption, usage

FINDINGS_MAX = 100  # kept with their text; more are counted, for whoever reads them has enough to go by
PROGRESS_ENTRIES = 1000  # between two calls of `progress`

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""


class FindingCode(StrEnum):
    """What may be wrong with a ledger."""

    FILE = "file"  # SQLite cannot read it
    TRIGGER = "trigger"  # a guard of the entries is gone: someone opened the file by hand
    ENTRY = "entry"  # gap, hash, chain, terminal or encoding; the text says which
    STEP = "step"  # the entry does not follow from what came before
    LIMIT = "limit"  # more used than its claim allows
    REDEMPTION = "redemption"  # the projection says otherwise than the entries
    USAGE = "usage"
    WATERMARK = "watermark"  # headquarters acknowledged more than there is


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where (an entry's sequence, if it is about one) and what."""

    code: FindingCode
    sequence: int | None
    text: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the proof found. `more` counts findings beyond `FINDINGS_MAX`; the head is that of the last entry read."""

    entries: int
    findings: tuple[Finding, ...]
    more: int
    last_sequence: int
    last_hash: str

    @property
    def ok(self) -> bool:
        """Whether the ledger is whole."""
        return not self.findings


@dataclass(slots=True)
class _Proof:
    """The proof under way."""

    terminal: str
    head: Head = field(default_factory=Head)
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: int = 0

    def find(self, code: FindingCode, text: str, sequence: int | None = None) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(code, sequence, text))
        else:
            self.more += 1

    def report(self) -> VerifyReport:
        return VerifyReport(self.entries, tuple(self.findings), self.more, self.head.sequence, self.head.hash.hex())


def verify(path: Path, progress: Progress | None = None) -> VerifyReport:
    """Prove the ledger at `path`; a fault is a finding, not an exception.

    Raises `LedgerMissing` and `LedgerNewer`, and the other `LedgerStopped` kinds only when the file cannot be opened.
    """
    with database.snapshot(path) as connection:
        execute = database.driver(connection)
        about = execute("SELECT terminal, CAST(watermark AS INTEGER) FROM ledger", ()).fetchone()
        if about is None:
            raise LedgerDamaged("verify", str(path), reason="the row about the ledger is missing")
        proof = _Proof(terminal=about[0])
        try:
            with database.faults("verify", str(path)):
                _check_file(execute, proof)
                _replay(execute, proof, progress or _silent)
                if about[1] > proof.head.sequence:
                    proof.find(FindingCode.WATERMARK, f"acknowledged {about[1]}, written {proof.head.sequence}")
                _compare(execute, proof)
        except LedgerStopped as error:
            proof.find(FindingCode.FILE, error.what_text("en"), proof.head.sequence + 1)
    return proof.report()


def _silent(done: int, total: int) -> None:
    """No progress is wanted."""


def _check_file(execute: Execute, proof: _Proof) -> None:
    for (line,) in execute(f"PRAGMA main.quick_check({FINDINGS_MAX})", ()):
        if line != "ok":
            proof.find(FindingCode.FILE, str(line))
    present = {name for (name,) in execute("SELECT name FROM main.sqlite_master WHERE type = 'trigger'", ())}
    for name in TRIGGERS:
        if name not in present:
            proof.find(FindingCode.TRIGGER, f"{name} is missing")


def _replay(execute: Execute, proof: _Proof, progress: Progress) -> None:
    for table in (redemption, usage):
        execute(_temporary(table), ())
    total = int(execute("SELECT coalesce(max(sequence), 0) FROM entry", ()).fetchone()[0])
    for stored in journal.walk(execute):
        _prove(execute, proof, stored)
        proof.entries += 1
        proof.head = Head(stored.sequence, bytes.fromhex(stored.hash))
        if proof.entries % PROGRESS_ENTRIES == 0:
            progress(proof.entries, total)
    progress(proof.entries, total)


def _prove(execute: Execute, proof: _Proof, stored: StoredEntry) -> None:
    """One entry: its link, then its step. Later entries are held against what is stored here, right or wrong."""
    try:
        following = journal.check_link(stored, proof.head, proof.terminal)
        body = parse_body(following)
        current = projections.load(execute, following.redemption)
        projections.project(execute, current, following, body)
    except EntryInvalid as error:
        proof.find(FindingCode.ENTRY, str(error.details["reason"]), stored.sequence)
    except RedemptionConflict as error:
        proof.find(FindingCode.STEP, str(error.details["reason"]), stored.sequence)
    except LimitMoved as error:
        proof.find(FindingCode.LIMIT, f"{error.key}: {error.used} used of {error.max}", stored.sequence)
    except LedgerDamaged as error:
        proof.find(FindingCode.USAGE, str(error.details["reason"]), stored.sequence)


def _compare(execute: Execute, proof: _Proof) -> None:
    """What stands in the file and what the replay made: rows that only one of them has."""
    for code, statement in _DIFFERENCES:
        for (name,) in execute(statement, ()):
            proof.find(code, f"{name} is not what the entries say")


# Each name once, whichever side has the odd row; one more than is shown tells that there are more.
_DIFFERENCES = (
    (
        FindingCode.REDEMPTION,
        """SELECT DISTINCT id FROM (
            SELECT * FROM (SELECT * FROM main.redemption EXCEPT SELECT * FROM temp.redemption)
            UNION ALL SELECT * FROM (SELECT * FROM temp.redemption EXCEPT SELECT * FROM main.redemption)
        ) LIMIT 101""",
    ),
    (
        FindingCode.USAGE,
        """SELECT DISTINCT key FROM (
            SELECT * FROM (SELECT * FROM main.usage EXCEPT SELECT * FROM temp.usage)
            UNION ALL SELECT * FROM (SELECT * FROM temp.usage EXCEPT SELECT * FROM main.usage)
        ) LIMIT 101""",
    ),
)


def _temporary(table: Table) -> str:
    return driver_text(CreateTable(table)).replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)

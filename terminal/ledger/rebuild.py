"""The projections made anew from the entries: all in one transaction, so that it is done or it never was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from terminal.ledger import database, journal, projections
from terminal.ledger.bodies import parse_body
from terminal.ledger.database import Execute
from terminal.ledger.entry import StoredEntry
from terminal.ledger.errors import (
    EntryInvalid,
    LedgerDamaged,
    LedgerMissing,
    LimitMoved,
    RedemptionConflict,
)
from terminal.ledger.head import Head, HeadFile
from terminal.ledger.verify import PROGRESS_ENTRIES, Progress


@dataclass(frozen=True, slots=True)
class RebuildSummary:
    """What was replayed and what it made."""

    entries: int
    redemptions: int
    usage_keys: int


def rebuild(path: Path, progress: Progress | None = None) -> RebuildSummary:
    """Empty the projections of the ledger at `path` and replay every entry into them.

    Raises `LedgerLocked` while a daemon runs, `LedgerMissing`, and `LedgerDamaged` at the first entry that breaks the
    chain or the rules; nothing is changed then.
    """
    if not path.is_file():
        raise LedgerMissing("rebuild", str(path))
    head_file = HeadFile.take(path)
    engine = database.writing_engine(path)
    try:
        with database.faults("rebuild", str(path)), engine.connect() as connection, connection.begin():
            if database.is_behind(connection, path):
                raise LedgerDamaged("rebuild", str(path), reason="its schema is old; start the daemon once")
            return _replay(database.driver(connection), path, progress)
    finally:
        engine.dispose()
        head_file.release()


def _replay(execute: Execute, path: Path, progress: Progress | None) -> RebuildSummary:
    terminal = str(execute("SELECT terminal FROM ledger", ()).fetchone()[0])
    total = int(execute("SELECT coalesce(max(sequence), 0) FROM entry", ()).fetchone()[0])
    execute("DELETE FROM redemption", ())
    execute("DELETE FROM usage", ())
    head = Head()
    for stored in journal.walk(execute):
        try:
            _project(execute, stored, head, terminal)
        except (EntryInvalid, RedemptionConflict, LimitMoved) as error:
            reason = f"entry {stored.sequence}: {error.details.get('reason', error.code)}"
            raise LedgerDamaged("rebuild", str(path), reason=reason) from error
        head = Head(stored.sequence, bytes.fromhex(stored.hash))
        if progress is not None and (head.sequence % PROGRESS_ENTRIES == 0 or head.sequence == total):
            progress(head.sequence, total)
    redemptions = int(execute("SELECT count(*) FROM redemption", ()).fetchone()[0])
    usage_keys = int(execute("SELECT count(*) FROM usage", ()).fetchone()[0])
    return RebuildSummary(head.sequence, redemptions, usage_keys)


def _project(execute: Execute, stored: StoredEntry, head: Head, terminal: str) -> None:
    following = journal.check_link(stored, head, terminal)
    current = projections.load(execute, following.redemption)
    projections.project(execute, current, following, parse_body(following))

"""The entries as JSON Lines, for auditors and for a rescue: each line holds an entry's hash and its very bytes."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from terminal.ledger import database, journal


def export(path: Path, out: BinaryIO, first: int = 1, last: int | None = None) -> int:
    """Write the entries `first` to `last` (both included, None: to the end) of the ledger at `path`; how many.

    A line is `{"hash":"<64 hex>","entry":<canonical bytes as stored>}`. Runs beside a working daemon, on one snapshot.
    Raises `LedgerMissing`, `LedgerNewer`, `LedgerStopped` kinds, and `OSError` from `out`.
    """
    written = 0
    with database.snapshot(path) as connection:
        for stored in journal.walk(database.driver(connection), after=first - 1):
            if last is not None and stored.sequence > last:
                break
            out.write(b'{"hash":"%s","entry":%s}\n' % (stored.hash.encode("ascii"), stored.canonical))
            written += 1
    return written


def hash_at(path: Path, sequence: int) -> str | None:
    """The hash (hex) of one entry of the ledger at `path`; None when it has none of that number. Raises as `export`."""
    with database.snapshot(path) as connection:
        stored = next(iter(journal.walk(database.driver(connection), after=sequence - 1)), None)
    return stored.hash if stored is not None and stored.sequence == sequence else None

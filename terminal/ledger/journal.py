"""The entries in the file: the next one, the last ones, all of them, and whether each is what the chain says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import bindparam, select

from terminal.ledger.bodies import Body, body_fields, kind_of
from terminal.ledger.clock import Clock
from terminal.ledger.database import Execute
from terminal.ledger.entry import VERSION, Entry, StoredEntry, canonical, entry_hash, instant, parse_entry
from terminal.ledger.errors import EntryInvalid, LedgerDamaged, LedgerForked
from terminal.ledger.head import Head
from terminal.ledger.tables import CANONICAL, HASH, driver_text, entry

WALK_ENTRIES: Final = 1000  # per read while walking: about 1 MB in memory
TAIL_ENTRIES: Final = 64  # checked at each start: what a power cut or a dying disk touches last, in about 5 ms

_INSERT = driver_text(entry.insert())
_STORED = select(entry.c.sequence, HASH, CANONICAL)
_TAIL = driver_text(_STORED.order_by(entry.c.sequence.desc()).limit(bindparam("limit")))
_AFTER = driver_text(
    _STORED.where(entry.c.sequence > bindparam("after")).order_by(entry.c.sequence).limit(bindparam("limit"))
)


def next_entry(head: Head, body: Body, *, terminal: str, clock: Clock, redemption: str, cashier: str) -> Entry:
    """The entry that follows `head`, stamped with the three clocks."""
    return Entry(
        v=VERSION,
        terminal=terminal,
        sequence=head.sequence + 1,
        previous=head.hash.hex(),
        kind=kind_of(body),
        redemption=redemption,
        at=instant(clock.wall()),
        monotonic_ms=clock.monotonic_ms(),
        boot=clock.boot(),
        hq_time=clock.hq_time(),
        cashier=cashier,
        body=body_fields(body),
    )


def append(execute: Execute, head: Head, following: Entry) -> Head:
    """Store `following` after `head`; the new head. The file's own trigger refuses a gap."""
    encoded = canonical(following)
    digest = entry_hash(head.hash, encoded)
    execute(_INSERT, (following.sequence, digest, encoded))
    return Head(following.sequence, digest)


def read_after(execute: Execute, after: int, limit: int) -> list[StoredEntry]:
    """At most `limit` entries after the sequence `after`, in order."""
    return [_stored(row) for row in execute(_AFTER, (after, limit, 0))]


def walk(execute: Execute, after: int = 0) -> Iterator[StoredEntry]:
    """Every entry after `after`, in order, a bounded number in memory at a time."""
    while batch := read_after(execute, after, WALK_ENTRIES):
        yield from batch
        after = batch[-1].sequence


def check_link(stored: StoredEntry, previous: Head, terminal: str) -> Entry:
    """The entry of `stored`, proven to follow `previous`.

    Raises `EntryInvalid` whose reason says which proof failed.
    """
    if stored.sequence != previous.sequence + 1:
        raise _broken(f"gap: {stored.sequence} after {previous.sequence}")
    if entry_hash(previous.hash, stored.canonical).hex() != stored.hash:
        raise _broken("hash: the content is not what was hashed")
    found = parse_entry(stored.canonical)
    if found.sequence != stored.sequence:
        raise _broken(f"gap: the entry calls itself {found.sequence}")
    if found.previous != previous.hash.hex():
        raise _broken("chain: it names another predecessor")
    if found.terminal != terminal:
        raise _broken(f"terminal: written by {found.terminal}")
    return found


def check_tail(execute: Execute, terminal: str, path: str) -> Head:
    """The head, after proving the last `TAIL_ENTRIES`.

    Raises `LedgerDamaged`, or `LedgerForked` for another's ledger.
    """
    rows = [_stored(row) for row in execute(_TAIL, (TAIL_ENTRIES + 1, 0))]
    rows.reverse()
    if not rows:
        return Head()
    if len(rows) <= TAIL_ENTRIES:
        previous = Head()
    else:
        previous = Head(rows[0].sequence, bytes.fromhex(rows[0].hash))
        rows = rows[1:]
    for stored in rows:
        try:
            found = check_link(stored, previous, terminal)
        except EntryInvalid as error:
            reason = f"entry {stored.sequence}: {error.details['reason']}"
            if str(error.details["reason"]).startswith("terminal:"):
                raise LedgerForked("open", path, reason=reason) from error
            raise LedgerDamaged("open", path, reason=reason) from error
        previous = Head(found.sequence, bytes.fromhex(stored.hash))
    return previous


def _stored(row: tuple[int, bytes, bytes]) -> StoredEntry:
    return StoredEntry(row[0], row[1].hex(), row[2])


def _broken(reason: str) -> EntryInvalid:
    return EntryInvalid("check", "entry", reason=reason)

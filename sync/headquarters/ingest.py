"""Taking in what a terminal sends: one batch, one transaction, exactly once.

The terminal's row is locked first, so two pushes of one terminal come one after the other, whichever worker has them.
Then `chain` says whether the batch follows on, `projection` what it means, and everything is written or nothing is.
No refusal is an exception here: a gap and a fork are outcomes, for what they leave behind must be committed too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Protocol

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from sync.headquarters import fleet
from sync.headquarters.bulk import KeyTakenError, add_rows, can_copy, copying
from sync.headquarters.chain import Follows, Gap, Head, check
from sync.headquarters.projection import (
    ROW_COLUMNS,
    Change,
    Finding,
    FlagCode,
    Folded,
    Owned,
    Place,
    fold,
    fold_apart,
    read_entry,
    read_entry_bytes,
    redemption_of,
)
from sync.headquarters.storage import among, insert_or
from sync.headquarters.tables import TerminalState, entries, flags, forked_entries, redemptions, terminals
from sync.wire import EntryBatch, EntryMessage
from terminal.ledger.entry import Entry, EntryKind
from terminal.ledger.errors import EntryInvalid
from terminal.ledger.project import Redemption

# Evidence of one forked terminal: weeks of a counter, and no way to fill the disk by pushing one fork after another.
FORKED_ENTRIES_MAX: Final = 10_000

# What a redemption keeps from its first arrival; every other column follows its latest step.
_KEPT: Final = frozenset(("id", "terminal", "arrived_at"))
_ENTRY_COLUMNS: Final = ("terminal", "sequence", "hash", "body", "received_at")
_REDEMPTION_COLUMNS: Final = (*ROW_COLUMNS, "terminal", "arrived_at", "changed_at")

_LOCK: Final = select(terminals).where(terminals.c.id == bindparam("terminal")).with_for_update()
_CONTACT: Final = update(terminals).where(terminals.c.id == bindparam("of_terminal"))


@dataclass(frozen=True, slots=True)
class Taken:
    """Headquarters has everything up to `acknowledged`, where the chain's hash is `head` (hex; None: nothing yet).

    `flagged` are the findings on entries of this very batch; `rotate_key`: a person asks for a new device key.
    """

    acknowledged: int
    flagged: tuple[tuple[int, str], ...] = ()
    changed: tuple[Redemption, ...] = ()
    head: str | None = None
    rotate_key: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing was taken: the entry `expected` has to come first."""

    expected: int


@dataclass(frozen=True, slots=True)
class Forked:
    """The terminal is in quarantine: from the entry `expected` on there are two stories. What it sent is kept."""

    expected: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """The terminal's key was withdrawn; nothing was taken."""


Outcome = Taken | Missing | Forked | Revoked


class Judge(Protocol):
    """A room's look at what has just been stored: it may note things of its own, and say what it finds fault with."""

    def __call__(
        self, connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
    ) -> Iterable[Finding]:
        """`entries` are the fresh readable ones of one batch, in order; in the transaction that stored them."""


def ingest(
    connection: Connection,
    batch: EntryBatch,
    *,
    now: datetime,
    skew_ms: int | None = None,
    judges: Sequence[Judge] = (),
) -> Outcome:
    """Take `batch` of a terminal that is known, in the write transaction of `connection`.

    `now` is headquarters' clock, `skew_ms` the terminal's clock minus ours as the request showed it; what the batch
    itself says of its clock is nearer the truth.
    """
    terminal = _lock(connection, batch.terminal)
    if terminal["state"] == TerminalState.REVOKED:
        return Revoked()
    told_skew_ms = skew_ms if batch.skew_ms is None else batch.skew_ms
    contact: dict[str, Any] = {"last_contact": now, "skew_ms": told_skew_ms, "waiting": batch.waiting}
    if batch.condition is not None:
        contact |= fleet.told(batch.condition)
    outcome = _take(connection, terminal, batch, contact, now=now, judges=judges)
    connection.execute(_CONTACT, {"of_terminal": batch.terminal, **contact})
    return outcome


def _take(
    connection: Connection,
    terminal: RowMapping,
    batch: EntryBatch,
    contact: dict[str, Any],
    *,
    now: datetime,
    judges: Sequence[Judge],
) -> Outcome:
    """The outcome; adds to `contact` what else the terminal's row becomes."""
    head = Head(terminal["last_sequence"], bytes.fromhex(terminal["last_hash"]))
    stored = _stored_hashes(connection, batch, head)
    if terminal["state"] == TerminalState.QUARANTINED:
        other = [message for message in batch.entries if stored.get(message.sequence) != message.hash]
        return _keep_evidence(connection, batch.terminal, other, now)
    verdict = check(head, stored, batch.entries)
    if isinstance(verdict, Gap):
        return Missing(verdict.expected)
    contact |= {"last_sequence": verdict.head.sequence, "last_hash": verdict.head.hash.hex()}
    folded = _store(connection, terminal, head, verdict, now=now, judges=judges)
    if verdict.forked_at is not None:
        contact["state"] = TerminalState.QUARANTINED
        forked = [message for message in batch.entries if message.sequence >= verdict.forked_at]
        return _keep_evidence(connection, batch.terminal, forked, now)
    repeats = len(verdict.fresh) < len(batch.entries)
    return Taken(
        verdict.head.sequence,
        _flags_of(connection, batch) if repeats else _flags_found(folded),
        tuple(change.redemption for change in folded.changes.values()),
        verdict.head.hash.hex() if verdict.head.sequence else None,
        terminal["rotate_asked_at"] is not None,
    )


def _lock(connection: Connection, terminal: str) -> RowMapping:
    """The terminal's row, ours until the transaction ends (on SQLite the whole file is)."""
    return connection.execute(_LOCK, {"terminal": terminal}).mappings().one()


def _stored_hashes(connection: Connection, batch: EntryBatch, head: Head) -> dict[int, str]:
    """The hashes (hex) of the entries that the batch repeats."""
    if not batch.entries or batch.entries[0].sequence > head.sequence:
        return {}
    first, last = batch.entries[0].sequence, batch.entries[-1].sequence
    found = connection.execute(
        select(entries.c.sequence, entries.c.hash).where(
            entries.c.terminal == batch.terminal, entries.c.sequence.between(first, last)
        )
    )
    return {each.sequence: each.hash for each in found}


def _store(
    connection: Connection,
    terminal: RowMapping,
    head: Head,
    verdict: Follows,
    *,
    now: datetime,
    judges: Sequence[Judge],
) -> Folded:
    """Write the fresh entries and what they mean."""
    if not verdict.fresh:
        return Folded()
    place = Place(terminal["id"], terminal["merchant"], terminal["site"])
    fresh = _Fresh(place, head.hash.hex(), verdict.fresh, now)
    folded = _write_at_once(connection, fresh) or _write_with_care(connection, fresh)
    for judge in judges:
        folded.findings += judge(connection, place, fresh.readable, folded, now)
    _write_findings(connection, place, folded, now)
    return folded


@dataclass(frozen=True)
class _Fresh:
    """The entries of a batch that continue the chain after the hash `previous` (hex); read once, when asked for."""

    place: Place
    previous: str
    messages: Sequence[EntryMessage]
    now: datetime

    @cached_property
    def read(self) -> list[Entry | EntryInvalid]:
        return [read_entry(message) for message in self.messages]

    @cached_property
    def readable(self) -> list[Entry]:
        return [entry for entry in self.read if isinstance(entry, Entry)]

    def fold(self, known: Mapping[str, Owned]) -> Folded:
        return fold(self.place, self.previous, self.messages, self.read, known)

    def entry_rows(self) -> list[tuple[Any, ...]]:
        return [_entry_row(self.place.terminal, message, self.now) for message in self.messages]


def _write_at_once(connection: Connection, fresh: _Fresh) -> Folded | None:
    """The quick way, for many entries whose redemptions are new to headquarters, or authorised before this batch.

    None, and nothing written, when there are few entries or when a redemption that is authorised here is known already.
    """
    if not can_copy(connection, len(fresh.messages)):
        return None
    try:
        with connection.begin_nested():
            with copying(connection, entries, _ENTRY_COLUMNS, fresh.entry_rows()):  # the database works while we read
                begun = {entry.redemption for entry in fresh.readable if entry.kind is EntryKind.AUTHORISED}
            folded = fresh.fold(_known(connection, {entry.redemption for entry in fresh.readable} - begun))
            new = [folded.changes[each] for each in sorted(folded.changes) if each in begun]
            rows = [_redemption_row(fresh.place.terminal, fresh.now, change) for change in new]
            with copying(connection, redemptions, _REDEMPTION_COLUMNS, [tuple(row.values()) for row in rows]):
                earlier = {each: change for each, change in folded.changes.items() if each not in begun}
            _write_redemptions(connection, fresh.place.terminal, fresh.now, earlier)
            return folded
    except KeyTakenError:
        return None


def _write_with_care(connection: Connection, fresh: _Fresh) -> Folded:
    """The way that every database and every batch can go: look at all redemptions first, then write what is ours."""
    add_rows(connection, entries, _ENTRY_COLUMNS, fresh.entry_rows())
    folded = fresh.fold(_known(connection, {entry.redemption for entry in fresh.readable}))
    for lost in _write_redemptions(connection, fresh.place.terminal, fresh.now, folded.changes):
        for sequence in folded.changes.pop(lost).sequences:
            folded.find(sequence, FlagCode.FOREIGN_REDEMPTION, lost)
    return folded


def adopt_entries(
    connection: Connection,
    place: Place,
    found: Sequence[tuple[int, bytes]],
    *,
    now: datetime,
    judges: Sequence[Judge] = (),
) -> Folded:
    """Take entries (number and bytes, in order) that stand outside the chain for facts, as a person has decided.

    They move redemptions on and are judged like any that arrive; what is wrong with one is flagged and stops nothing.
    """
    read = [(sequence, read_entry_bytes(body)) for sequence, body in found]
    readable = [entry for _, entry in read if isinstance(entry, Entry)]
    folded = fold_apart(place, read, _known(connection, {entry.redemption for entry in readable}))
    for lost in _write_redemptions(connection, place.terminal, now, folded.changes):
        folded.changes.pop(lost)
    for judge in judges:
        folded.findings += judge(connection, place, readable, folded, now)
    _write_findings(connection, place, folded, now)
    return folded


def _write_findings(connection: Connection, place: Place, folded: Folded, now: datetime) -> None:
    if folded.findings:
        rows = [_flag_row(place.terminal, finding, now) for finding in folded.findings]
        connection.execute(insert_or(connection, flags).on_conflict_do_nothing(), rows)  # two rooms may find the same


def _known(connection: Connection, ids: set[str]) -> dict[str, Owned]:
    """The redemptions among `ids` that headquarters has, whosever they are."""
    if not ids:
        return {}
    columns = (redemptions.c.id, redemptions.c.terminal, redemptions.c.record)
    found = connection.execute(select(*columns).where(among(connection, redemptions.c.id, ids)))
    return {each.id: Owned(each.terminal, redemption_of(each.record)) for each in found}


def _write_redemptions(
    connection: Connection, terminal: str, now: datetime, changes: Mapping[str, Change]
) -> list[str]:
    """Insert or bring up to date; the ids that another terminal took at the same moment are returned, unwritten.

    Sorted by id, so that two terminals whose batches name the same redemptions cannot wait for each other in a ring.
    """
    if not changes:
        return []
    statement = insert_or(connection, redemptions)
    following = {column.name: statement.excluded[column.name] for column in redemptions.c if column.name not in _KEPT}
    ours = redemptions.c.terminal == terminal
    connection.execute(
        statement.on_conflict_do_update(index_elements=[redemptions.c.id], set_=following, where=ours),
        [_redemption_row(terminal, now, changes[each]) for each in sorted(changes)],
    )
    theirs = select(redemptions.c.id).where(among(connection, redemptions.c.id, changes), ~ours)
    return list(connection.scalars(theirs))


def _flags_of(connection: Connection, batch: EntryBatch) -> tuple[tuple[int, str], ...]:
    """Every finding on the entries of this batch, so that a repeat is given the same answer as the first time."""
    if not batch.entries:
        return ()
    first, last = batch.entries[0].sequence, batch.entries[-1].sequence
    found = connection.execute(
        select(flags.c.sequence, flags.c.code)
        .where(flags.c.terminal == batch.terminal, flags.c.sequence.between(first, last))
        .order_by(flags.c.sequence, flags.c.code)
    )
    return tuple((sequence, code) for sequence, code in found)


def _flags_found(folded: Folded) -> tuple[tuple[int, str], ...]:
    """The same for a batch that headquarters had nothing of: the findings that were just made."""
    return tuple(sorted({(finding.sequence, finding.code.value) for finding in folded.findings}))


def _keep_evidence(connection: Connection, terminal: str, messages: Sequence[EntryMessage], now: datetime) -> Forked:
    """Keep what does not belong to the chain, once each and within bounds, and say where the two stories part."""
    of_terminal = forked_entries.c.terminal == terminal
    kept = connection.scalar(select(func.count()).select_from(forked_entries).where(of_terminal)) or 0
    rows = [_entry_row(terminal, message, now) for message in messages[: max(0, FORKED_ENTRIES_MAX - kept)]]
    if rows:
        named = [dict(zip(_ENTRY_COLUMNS, row, strict=True)) for row in rows]
        connection.execute(insert_or(connection, forked_entries).on_conflict_do_nothing(), named)
    first = connection.scalar(select(func.min(forked_entries.c.sequence)).where(of_terminal))
    assert first is not None, "a terminal is quarantined by an entry that is kept"
    return Forked(first)


def _entry_row(terminal: str, message: EntryMessage, now: datetime) -> tuple[Any, ...]:
    """The values of `_ENTRY_COLUMNS`."""
    return terminal, message.sequence, message.hash, message.body.encode(), now


def _redemption_row(terminal: str, now: datetime, change: Change) -> dict[str, Any]:
    """The values of `_REDEMPTION_COLUMNS`, in their order."""
    return {**change.row, "terminal": terminal, "arrived_at": now, "changed_at": now}


def _flag_row(terminal: str, finding: Finding, now: datetime) -> dict[str, Any]:
    return {
        "terminal": terminal,
        "sequence": finding.sequence,
        "code": finding.code.value,
        "detail": finding.detail,
        "noted_at": now,
    }

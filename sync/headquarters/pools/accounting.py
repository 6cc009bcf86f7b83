"""What the sales of a batch do to the pools: a look at the whole batch at once, in the transaction that stores it.

Of `lease` keys the terminal's own allotment is brought up to date; the pool is touched only when more was spent than
had been granted (`after-lease`). Of `flag` and `refuse` keys the citywide count moves, the redemption's hold is taken
up, and what goes beyond the limit of its book without a hold is found (`over-limit`). Only facts that headquarters'
own projection took count: a step that does not follow uses nothing up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text, update
from sqlalchemy.exc import IntegrityError

from sync.headquarters.errors import StorageUnavailable
from sync.headquarters.pools import rows
from sync.headquarters.pools.fingerprints import note_collisions, repeated
from sync.headquarters.pools.holds import take_up
from sync.headquarters.pools.rows import Allotment
from sync.headquarters.pools.sizing import GROW_BELOW, faded
from sync.headquarters.pools.tables import leases
from sync.headquarters.pools.terms import Books, KeyTerms, storable, terms_of
from sync.headquarters.pools.versions import next_version, signed_fingerprint
from sync.headquarters.projection import AMOUNT_MAX, Change, Finding, FlagCode, Folded, Place
from sync.wire_usage import fingerprint
from terminal.ledger.entry import Entry, EntryKind
from terminal.offers.book import LoadedBook
from terminal.offers.counts import Offline

# One statement for all keys of a batch, on SQLite and PostgreSQL alike but for how a JSON text becomes rows. Sorted by
# key, so that two batches with the same keys cannot wait for each other in a ring.
_COUNT_SET: Final = """
    ON CONFLICT (key) DO UPDATE SET
    used = pools.used + excluded.used,
    held = pools.held + excluded.held,
    version = COALESCE(excluded.version, pools.version),
    fingerprint = excluded.fingerprint,
    policy = CASE WHEN excluded.revision >= pools.revision THEN excluded.policy ELSE pools.policy END,
    max = CASE WHEN excluded.revision >= pools.revision THEN excluded.max ELSE pools.max END,
    revision = CASE WHEN excluded.revision >= pools.revision THEN excluded.revision ELSE pools.revision END
    RETURNING key, used, held, allotted, excess, fingerprint
"""
# A fingerprint that another key has already is left out, and found by its absence.
_OWN: Final = """
    CASE WHEN EXISTS (SELECT 1 FROM pools AS other WHERE other.fingerprint = {told} AND other.key <> {key})
    THEN NULL ELSE {told} END
"""
_COUNT_INTO: Final = """
    INSERT INTO pools (key, offer, "limit", policy, max, revision, shared, ends_on, allotted, excess, used, held,
                       fingerprint, version)
"""
_COUNT_POSTGRESQL: Final = f"""
    SELECT key, offer, "limit", policy, max, revision, shared, ends_on, 0, 0, used, held,
           {_OWN.format(told="told.fingerprint", key="told.key")},
           CASE WHEN fingerprint IS NULL THEN NULL ELSE CAST(:version AS bigint) END
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told(key text, offer text, "limit" text, policy text, max bigint,
         revision bigint, shared boolean, ends_on text, used bigint, held bigint, fingerprint bigint)
    ORDER BY key
"""  # noqa: S608 - put together from the constants above
_COUNT_SQLITE: Final = f"""
    SELECT value->>'key', value->>'offer', value->>'limit', value->>'policy', value->>'max', value->>'revision',
           value->>'shared', value->>'ends_on', 0, 0, value->>'used', value->>'held',
           {_OWN.format(told="value->>'fingerprint'", key="value->>'key'")},
           CASE WHEN value->>'fingerprint' IS NULL THEN NULL ELSE :version END
    FROM json_each(:rows) WHERE true
"""  # noqa: S608
_SPEND_SET: Final = " ON CONFLICT (key, terminal) DO UPDATE SET used = spendings.used + excluded.used"
_SPEND_POSTGRESQL: Final = """
    INSERT INTO spendings (key, terminal, used) SELECT key, :terminal, used
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told(key text, used bigint) ORDER BY key
"""
_SPEND_SQLITE: Final = """
    INSERT INTO spendings (key, terminal, used) SELECT value->>'key', :terminal, value->>'used'
    FROM json_each(:rows) WHERE true
"""
_COUNT: Final = {
    "postgresql": text(_COUNT_INTO + _COUNT_POSTGRESQL + _COUNT_SET),
    "sqlite": text(_COUNT_INTO + _COUNT_SQLITE + _COUNT_SET),
}
_SPEND: Final = {
    "postgresql": text(_SPEND_POSTGRESQL + _SPEND_SET),
    "sqlite": text(_SPEND_SQLITE + _SPEND_SET),
}


@dataclass(frozen=True, slots=True)
class _Event:
    """One entry's change under one key."""

    sequence: int
    redemption: str
    amount: int  # below 0: given back


@dataclass(slots=True)
class _Counted:
    """All events of a batch under one key, in order."""

    terms: KeyTerms
    events: list[_Event] = field(default_factory=list)

    @property
    def sum(self) -> int:
        """What the batch adds."""
        return sum(event.amount for event in self.events)


class Accounting:
    """The judge of this room (`sync.headquarters.ingest.Judge`). `fingerprint`: as terminals make it of a key."""

    def __init__(self, books: Books, fingerprint: Callable[[str], int] = fingerprint) -> None:
        self._books = books
        self._fingerprint = fingerprint

    def __call__(
        self, connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
    ) -> Iterable[Finding]:
        """Count what the batch uses up and gives back; what goes beyond."""
        findings: list[Finding] = []
        counted = self._counted(connection, entries, folded, findings)
        leased = {key: each for key, each in counted.items() if each.terms.policy is Offline.LEASE}
        beyond: dict[str, dict[str, int]] = {}
        if leased:
            findings += _spend(connection, place, leased, beyond, now)
        opened = [entry.redemption for entry in entries if entry.kind is EntryKind.AUTHORISED]
        kept = take_up(connection, place.terminal, [each for each in opened if each in folded.changes])
        marks = {
            key: signed_fingerprint(key, self._fingerprint) for key, each in counted.items() if each.terms.personal_flag
        }
        findings += _count(connection, place, counted, kept, beyond, marks=marks)
        return findings

    def _counted(
        self, connection: Connection, entries: Sequence[Entry], folded: Folded, findings: list[Finding]
    ) -> dict[str, _Counted]:
        """The events of all entries that were taken, by key; keys that no limit counts citywide are left out."""
        taken = {sequence for change in folded.changes.values() for sequence in change.sequences}
        terms = _Terms(connection, self._books)
        counted: dict[str, _Counted] = {}
        for entry in entries:
            if entry.sequence not in taken:
                continue
            change = folded.changes[entry.redemption]
            for key, amount, max_told in _changes(entry):
                if not storable(key) or abs(amount) > AMOUNT_MAX or max_told > AMOUNT_MAX:
                    findings.append(Finding(entry.sequence, FlagCode.UNREADABLE, "claims: beyond bounds"))
                elif (found := terms.of(key, max_told, change)) is not None:
                    each = counted.setdefault(key, _Counted(found))
                    each.events.append(_Event(entry.sequence, entry.redemption, amount))
        return counted


class _Terms:
    """The terms of the keys of one batch; each book is looked up once."""

    def __init__(self, connection: Connection, books: Books) -> None:
        self._connection = connection
        self._books = books
        self._known: dict[tuple[int, str], LoadedBook | None] = {}

    def of(self, key: str, max_told: int, change: Change) -> KeyTerms | None:
        sale = change.redemption
        name = (sale.revision, sale.book_hash)
        if name not in self._known:
            self._known[name] = self._books.book_of(self._connection, *name) if sale.book_hash else None
        return terms_of(self._known[name], key, max_told)


def _changes(entry: Entry) -> list[tuple[str, int, int]]:
    """Key, amount and the terminal's own number of each claim (a give-back has none), as the entry says them.

    The body has been read by the projection already, so it has this form.
    """
    if entry.kind is EntryKind.AUTHORISED:
        return [(each["key"], each["amount"], each["max"]) for each in _list(entry, "claims")]
    return [(each["key"], -each["amount"], 0) for each in _list(entry, "gives_back")]


def _list(entry: Entry, name: str) -> list[Any]:
    found = entry.body.get(name, ())
    return list(found) if isinstance(found, (list, tuple)) else []


def _spend(
    connection: Connection,
    place: Place,
    leased: Mapping[str, _Counted],
    beyond: dict[str, dict[str, int]],
    now: datetime,
) -> list[Finding]:
    """Bring the terminal's allotments up to date; the entries that spent what had not been granted.

    What that adds to the pools goes into `beyond`: their rows are locked later, all in their order.
    """
    lease = rows.lock_lease(connection, place.terminal)
    held = rows.lock_allotments(connection, place.terminal, leased)
    findings: list[Finding] = []
    low = False
    for key, counted in sorted(leased.items()):
        mine = held.setdefault(key, rows.new_allotment(key, now))
        findings += _spent(mine, counted, now)
        excess = max(0, mine.used - mine.allotted)
        if excess != mine.excess:
            beyond[key] = {"excess": excess - mine.excess}
            mine.excess = excess
        mine.frozen = min(mine.frozen, max(0, mine.allotted - mine.used))  # sold before it was frozen, told after
        low = low or mine.unspent < mine.slice * GROW_BELOW
    rows.write_allotment(connection, place.terminal, list(held.values()))
    if low:
        asked = update(leases).where(leases.c.terminal == place.terminal).values(asked=lease["asked"] + 1)
        connection.execute(asked)
    return findings


def _spent(mine: Allotment, counted: _Counted, now: datetime) -> list[Finding]:
    """Take the events into an allotment, and name those that went beyond it.

    Only what the whole batch leaves beyond counts: a unit that was sold, given back and then returned to headquarters
    may be told in that order after the return.
    """
    findings = []
    beyond = mine.used + counted.sum > mine.allotted
    mine.recent, mine.recent_at = faded(mine.recent, mine.recent_at, now), now
    for event in counted.events:
        mine.used += event.amount
        mine.recent = max(0.0, mine.recent + event.amount)
        if beyond and event.amount > 0 and mine.used > mine.allotted:
            said = f"{counted.terms.offer} {counted.terms.limit} {mine.used}/{mine.allotted}"
            findings.append(Finding(event.sequence, FlagCode.AFTER_LEASE, said))
    return findings


def _count(
    connection: Connection,
    place: Place,
    counted: Mapping[str, _Counted],
    kept: Mapping[str, Mapping[str, int]],
    beyond: dict[str, dict[str, int]],
    *,
    marks: Mapping[str, int],
) -> list[Finding]:
    """Move the citywide counts, and name the entries that went beyond their limit without a hold.

    `beyond` is added to the pools along with it; `marks` are the fingerprints of the keys that terminals are told of.
    """
    others = {key: each for key, each in counted.items() if each.terms.policy is not Offline.LEASE}
    freed: dict[str, int] = {}
    for amounts in kept.values():
        for key, amount in amounts.items():
            freed[key] = freed.get(key, 0) + amount
    for key in freed.keys() - others.keys():
        beyond.setdefault(key, {})["held"] = -freed[key]
    if beyond:  # seldom; then all rows are taken in one order before any is changed
        known = rows.read_pools(connection, beyond)
        ours = {key: rows.pool_row(counted[key].terms) for key in {*others, *beyond} if key in counted}
        rows.take_pools(connection, {**known, **ours}.values())
    findings: list[Finding] = []
    if others:
        for row in _move(connection, others, freed, marks):
            gone = row.used + row.held + row.allotted + row.excess
            findings += _beyond(others[row.key], gone + freed.get(row.key, 0), kept)
        personal = [{"key": key, "used": others[key].sum} for key in sorted(marks)]
        if personal:
            spent = {"rows": json.dumps(personal), "terminal": place.terminal}
            connection.execute(_SPEND[connection.dialect.name], spent)
    rows.add_to_pools(connection, beyond)
    return findings


def _move(
    connection: Connection, others: Mapping[str, _Counted], freed: Mapping[str, int], marks: Mapping[str, int]
) -> Sequence[Row[Any]]:
    """Add to the counts of all keys in one statement; the pools as they are then.

    Raises `StorageUnavailable` when another transaction has just brought a key with the same fingerprint: the batch
    comes again, and finds it.
    """
    twice = repeated(marks)
    told = [
        {
            **rows.pool_row(each.terms),
            "used": each.sum,
            "held": -freed.get(key, 0),
            "fingerprint": None if key in twice else marks.get(key),
        }
        for key, each in sorted(others.items())
    ]
    version = next_version(connection)
    dialect = connection.dialect.name
    try:
        after = connection.execute(_COUNT[dialect], {"rows": json.dumps(told), "version": version}).all()
    except IntegrityError as error:
        raise StorageUnavailable("count", dialect, reason=type(error.orig).__name__) from error
    lost = [marks[row.key] for row in after if row.fingerprint is None and row.key in marks]
    note_collisions(connection, lost, version)
    return after


def _beyond(counted: _Counted, after: int, kept: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """The events that went beyond the limit. `after`: used and promised once they are in, their own holds still kept.

    A sale with a hold has its room already; whoever sold without one when the room was promised went beyond.
    """
    key, terms = counted.terms.key, counted.terms
    running = after - counted.sum
    findings = []
    for event in counted.events:
        promised = kept.get(event.redemption, {}).get(key, 0) if event.amount > 0 else 0
        running += event.amount - promised
        if event.amount > promised and running > terms.max:
            said = f"{terms.offer} {terms.limit} {running}/{terms.max}"
            findings.append(Finding(event.sequence, FlagCode.OVER_LIMIT, said))
    return findings

"""The grants in the ledger's file: read beside it, changed by its one writer, spent in the transaction of a sale.

The functions take `execute` and belong to an open transaction; `Allowances` is what the rest of the house calls. Their
arithmetic is `grants`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from terminal.ledger import database, projections
from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.ledger.clock import Clock
from terminal.ledger.database import Execute
from terminal.ledger.errors import HoldLate, LimitMoved
from terminal.ledger.grants import (
    GRANTS_MAX,
    Grant,
    Lease,
    LeaseWord,
    Report,
    Right,
    Standing,
    cap_of,
    taken_grant,
    taken_lease,
    topped_up,
)
from terminal.ledger.queries import Queries
from terminal.ledger.writer import Writer, WriterThread

RENOUNCED_MAX: Final = 1_000  # a hold is given back when two tabs raced for the last units: a few a year

_LEASE = "SELECT generation, boot, asked_ms, until_ms, version, ended, granted_once FROM lease"
_SET_LEASE = """
    INSERT INTO lease (one, generation, boot, asked_ms, until_ms, version, ended, granted_once)
    VALUES (1, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (one) DO UPDATE SET generation = excluded.generation, boot = excluded.boot,
        asked_ms = excluded.asked_ms, until_ms = excluded.until_ms, version = excluded.version,
        ended = excluded.ended, granted_once = excluded.granted_once
"""
_GRANT = "SELECT key, offer, limit_id, granted, returned, frozen FROM allowance WHERE key = ?"
# The lease, and the grant under one key or nothing: what each quote of a leased limit asks for.
_LEASE_AND_GRANT = """
    SELECT lease.generation, lease.boot, lease.asked_ms, lease.until_ms, lease.version, lease.ended,
        lease.granted_once,
        a.key, a.offer, a.limit_id, a.granted, a.returned, a.frozen
    FROM lease LEFT JOIN allowance a ON a.key = ?
"""
_GRANTS = """
    SELECT key, offer, limit_id, granted, returned, frozen,
        coalesce((SELECT used FROM usage WHERE usage.key = allowance.key), 0)
    FROM allowance ORDER BY key LIMIT ?
"""
# One statement, so that lease and grants are of one moment; a lease without grants gives one row of nothing.
_STANDING = """
    SELECT lease.generation, lease.boot, lease.asked_ms, lease.until_ms, lease.version, lease.ended,
        lease.granted_once,
        a.key, a.offer, a.limit_id, a.granted, a.returned, a.frozen,
        coalesce((SELECT used FROM usage WHERE usage.key = a.key), 0)
    FROM lease LEFT JOIN allowance a ON true ORDER BY a.key LIMIT ?
"""
_SET_GRANT = """
    INSERT INTO allowance (key, offer, limit_id, granted, returned, frozen) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET offer = excluded.offer, limit_id = excluded.limit_id,
        granted = excluded.granted, returned = excluded.returned, frozen = excluded.frozen
"""
_RENOUNCED = "SELECT attempt FROM renounced WHERE redemption = ?"
_RENOUNCE = """
    INSERT INTO renounced (redemption, attempt) VALUES (?, ?)
    ON CONFLICT (redemption) DO UPDATE SET attempt = max(attempt, excluded.attempt)
"""
_FORGET = "DELETE FROM renounced WHERE number <= (SELECT max(number) FROM renounced) - ?"


class Allowances:
    """What this terminal may spend. Made by `Ledger.open`; callable from any thread. Raises `LedgerStopped` kinds."""

    def __init__(self, writer: Writer, thread: WriterThread, queries: Queries) -> None:
        self._writing = writer
        self._thread = thread
        self._queries = queries
        self._clock = writer.clock

    def lease(self) -> Lease:
        """The lease as it stands; whether it is live depends on the moment."""
        with self._queries.executing() as execute:
            return read_lease(execute)

    def is_live(self, lease: Lease) -> bool:
        """Whether slices may be spent now."""
        return lease.live(self._clock.boot(), self._clock.monotonic_ms())

    def grant(self, key: str) -> Grant | None:
        """The grant under `key`, None when there is none."""
        with self._queries.executing() as execute:
            return read_grant(execute, key)

    def live_grant(self, key: str) -> Grant | None:
        """The grant under `key` while slices may be spent."""
        with self._queries.executing() as execute:
            row = execute(_LEASE_AND_GRANT, (key,)).fetchone()
        if row is None or row[7] is None or not self.is_live(_lease(row[:7])):
            return None
        return Grant(*row[7:])

    def standing(self) -> Standing:
        """The lease and every grant with what is used of it."""
        with self._queries.executing() as execute:
            return read_standing(execute)

    def report(self) -> Report:
        """What headquarters is to be told now, under the writer: no sale is half in it."""
        return self._thread.run(self._report)

    def take(self, word: LeaseWord) -> bool:
        """Take headquarters' word in, whole and durably; whether something was returned, which it should hear of.

        A word older than the last one changes nothing, not even the lease's end.
        """
        return self._thread.run(self._take, word)

    def surrender(self) -> bool:
        """Give up, durably, whatever is not spent; whether there was anything. For a terminal that stops."""
        return self._thread.run(self._surrender)

    def end(self, code: str) -> None:
        """Spend no slice any more until an exchange succeeds; `code` is that of the error which says why."""
        self._thread.run(self._end, code)

    def renounce(self, redemption: str, attempt: int) -> bool:
        """Never spend what was asked for `redemption` up to `attempt`, durably. False: the sale is made already."""
        return self._thread.run(self._renounce, redemption, attempt)

    def renounced(self, redemption: str) -> int:
        """Up to which attempt holds of this id were given back; 0: none was."""
        with self._queries.executing() as execute:
            return read_renounced(execute, redemption)

    def _report(self) -> Report:
        with self._writing.transaction("report", "leases") as step:
            returned = {grant.key: grant.returned for grant, _ in read_grants(step.execute) if grant.returned}
            return Report(read_lease(step.execute).generation, step.head.sequence, returned)

    def _take(self, word: LeaseWord) -> bool:
        with self._writing.transaction("take", "leases") as step:
            return take_word(step.execute, word)

    def _surrender(self) -> bool:
        with self._writing.transaction("surrender", "leases") as step:
            unspent = [(grant, left) for grant, used in read_grants(step.execute) if (left := grant.unspent(used))]
            for grant, left in unspent:
                write_grant(step.execute, replace(grant, returned=grant.returned + left))
            return bool(unspent)

    def _end(self, code: str) -> None:
        with self._writing.transaction("end", "lease") as step:
            lease = read_lease(step.execute)
            if lease.known and lease.ended != code:
                _write_lease(step.execute, replace(lease, ended=code))

    def _renounce(self, redemption: str, attempt: int) -> bool:
        with self._writing.transaction("renounce", redemption) as step:
            if projections.load(step.execute, redemption) is not None:
                return False
            step.execute(_RENOUNCE, (redemption, attempt))
            step.execute(_FORGET, (RENOUNCED_MAX,))
            return True


# --- within a transaction ---------------------------------------------------------------------------------------------


def read_lease(execute: Execute) -> Lease:
    """The lease as it stands."""
    row = execute(_LEASE, ()).fetchone()
    return Lease() if row is None else _lease(row)


def read_grant(execute: Execute, key: str) -> Grant | None:
    """The grant under `key`."""
    row = execute(_GRANT, (key,)).fetchone()
    return None if row is None else Grant(*row)


def read_standing(execute: Execute) -> Standing:
    """The lease and every grant, of one moment."""
    rows = execute(_STANDING, (GRANTS_MAX,)).fetchall()
    if not rows:
        return Standing(Lease())
    grants = tuple(_counted(row[7:]) for row in rows if row[7] is not None)
    return Standing(_lease(rows[0][:7]), grants)


def standing_in(path: Path) -> Standing:
    """The standing in the ledger at `path`, beside a running daemon. Raises what `database.snapshot` raises."""
    with database.snapshot(path) as connection:
        return read_standing(database.driver(connection))


def read_grants(execute: Execute) -> list[tuple[Grant, int]]:
    """Every grant, with what is used of it."""
    return [_counted(row) for row in execute(_GRANTS, (GRANTS_MAX,))]


def read_renounced(execute: Execute, redemption: str) -> int:
    """The last attempt that was given back, 0 when none was."""
    row = execute(_RENOUNCED, (redemption,)).fetchone()
    return 0 if row is None else int(row[0])


def take_word(execute: Execute, word: LeaseWord) -> bool:
    """Headquarters' word put in force; whether something was returned by it.

    A key that it no longer names is forgotten, and with it the right to spend there; should it come back,
    headquarters says what was returned.
    """
    after = taken_lease(read_lease(execute), word)
    if after is None:
        return False
    mine = {grant.key: grant for grant, _ in read_grants(execute)}
    returned = False
    for each in word.grants:
        now = taken_grant(
            mine.pop(each.key, None), each, word.recalls.get(each.key, 0), projections.used(execute, each.key)
        )
        returned = returned or now.returned > each.returned
        write_grant(execute, now)
    for key in mine:
        execute("DELETE FROM allowance WHERE key = ?", (key,))
    _write_lease(execute, after)
    return returned


def covered(execute: Execute, asked: Authorisation, right: Right, clock: Clock) -> Authorisation:
    """The sale with the caps that hold at this very moment, from slices that are live and from its own hold.

    Slices that the hold topped up are written. Raises `LimitMoved` where they do not suffice, `HoldLate` for a hold
    that ended or was given back.
    """
    if not right.leased and right.hold is None:
        return asked
    boot, now_ms, hold = clock.boot(), clock.monotonic_ms(), right.hold
    if hold is not None:
        late = boot != hold.boot or now_ms >= hold.until_ms
        if late or hold.attempt <= read_renounced(execute, asked.id):
            raise HoldLate("authorise", asked.id)
        for key, held in hold.keys.items():
            if held.grant is not None:
                write_grant(execute, topped_up(read_grant(execute, key), held.grant))
    lease = read_lease(execute)
    if hold is not None and not lease.granted_once and any(held.grant for held in hold.keys.values()):
        _write_lease(execute, replace(lease, granted_once=True))
    live = lease.live(boot, now_ms)
    claims = tuple(_covered(execute, claim, asked.id, right, live=live) for claim in asked.claims)
    return replace(asked, claims=claims, granted=right.granted or asked.granted)


def _covered(execute: Execute, claim: UsageClaim, redemption: str, right: Right, *, live: bool) -> UsageClaim:
    if claim.key not in right.leased:
        return claim
    held = right.hold.keys.get(claim.key) if right.hold else None
    if held is not None and held.grant is None and held.amount >= claim.amount:
        return claim
    cap = cap_of(read_grant(execute, claim.key), held, claim.amount, live=live)
    used = projections.used(execute, claim.key)
    if used + claim.amount > cap:
        raise LimitMoved("authorise", redemption, key=claim.key, used=used, max=cap)
    return replace(claim, max=cap)


def write_grant(execute: Execute, grant: Grant) -> None:
    """Store `grant` in place of what stands under its key."""
    execute(_SET_GRANT, (grant.key, grant.offer, grant.limit, grant.granted, grant.returned, grant.frozen))


def _write_lease(execute: Execute, lease: Lease) -> None:
    numbers = (lease.generation, lease.boot, lease.asked_ms, lease.until_ms)
    execute(_SET_LEASE, (*numbers, lease.version, lease.ended, lease.granted_once))


def _lease(row: tuple[Any, ...]) -> Lease:
    generation, boot, asked_ms, until_ms, version, ended, granted_once = row
    return Lease(generation, boot, asked_ms, until_ms, version, ended, bool(granted_once))


def _counted(row: tuple[Any, ...]) -> tuple[Grant, int]:
    return Grant(*row[:6]), int(row[6])

"""Slices: what a terminal reports, what it is granted, what is asked back, and when one is doubted.

    report(connection, place, told, now, books)   one exchange: credit what came back, grow or call back, answer
    current(connection, terminal, now)            the same numbers, nothing changed

Growing is done here and told afterwards: an answer that is lost does no harm, for totals are read again. Shrinking is
done by the terminal, which first puts it on its own disk: only what it gave up is granted to others. So no clock keeps
the sum of all allotments within the pool; `ends_at` only says from when on a person may write a lease off.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from sqlalchemy import Connection, select, update

from sync.headquarters.pools import rows
from sync.headquarters.pools.holds import release_dead
from sync.headquarters.pools.rows import Allotment
from sync.headquarters.pools.sizing import LIFE_S_PLENTY, Decision, SliceState, decide, faded, life_s
from sync.headquarters.pools.tables import leases, pools
from sync.headquarters.pools.terms import Books, leasable
from sync.headquarters.projection import Place
from sync.headquarters.tables import entries
from sync.wire import timestamp
from sync.wire_grants import LEASE_KEYS_MAX, Grant, LeaseAnswer, LeaseReport
from terminal.ledger.entry import parse_entry
from terminal.ledger.errors import EntryInvalid

logger = logging.getLogger(__name__)

# A machine that starts anew after so long without a word may come from a backup: what it sold meanwhile would be gone.
RESTORE_DOUBT_S: Final = 600
# Between a lease's end at the terminal and here: clocks that drift (100 ppm of 72 h are 26 s), an answer under way.
MARGIN_S: Final = 300
# A connected terminal exchanges this often, so that its lease is long whenever the line goes down.
RENEW_S: Final = 300
BOOTS_KEPT: Final = 8  # earlier boots, of which only messages that were long under way can still come

SUSPENDED_RESTORED: Final = "restored"


class Standing(Enum):
    """What a report is, next to what was heard before."""

    FRESH = "fresh"
    STALE = "stale"  # said before, or under way since before: nothing new
    RESTORED = "restored"  # the terminal has forgotten what it knew
    REBOOTED = "rebooted"  # fresh, from a machine that may have: it was away, and started anew


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What one report is worked on with."""

    connection: Connection
    place: Place
    told: LeaseReport
    now: datetime
    lease: dict[str, Any]
    allotments: dict[str, Allotment]


def report(connection: Connection, place: Place, told: LeaseReport, now: datetime, books: Books) -> LeaseAnswer:
    """One exchange, in the write transaction of `connection`; the terminal is known and has proven itself."""
    lease = rows.lock_lease(connection, place.terminal)
    held = rows.lock_open_allotments(connection, place.terminal, now)
    exchange = _Exchange(connection, place, told, now, lease, held)
    standing = standing_of(lease, told, {key: each.returned for key, each in held.items()}, now)
    if standing in (Standing.FRESH, Standing.REBOOTED) and _has_forgotten(connection, told):
        standing = Standing.RESTORED
    if standing is Standing.STALE:
        return _answer(lease, held, _names(connection, held), {}, now)
    if standing is Standing.RESTORED and not lease["suspended"]:
        logger.warning("terminal %s was restored: its grants are frozen", place.terminal)
        lease["suspended"] = SUSPENDED_RESTORED
    if lease["suspended"]:
        for each in held.values():
            each.frozen += each.unspent
        return _finish(exchange, {}, 0)
    freed = _credit(told, held)
    if standing is Standing.REBOOTED:
        for each in held.values():
            each.frozen += each.unspent
    decided, life = _resize(exchange, books, freed)
    release_dead(connection, place.terminal, told, now)
    return _finish(exchange, decided, life)


def current(connection: Connection, terminal: str, now: datetime) -> LeaseAnswer:
    """What the terminal was granted, as of its last report; it renews nothing and asks for nothing."""
    lease = connection.execute(select(leases).where(leases.c.terminal == terminal)).mappings().one_or_none()
    if lease is None:
        return LeaseAnswer(generation=0, life_s=0, version="0", time=timestamp(now))
    held = rows.open_allotments(connection, terminal, now)
    return _answer(dict(lease), held, _names(connection, held), {}, now)


def standing_of(lease: Mapping[str, Any], told: LeaseReport, returned: Mapping[str, int], now: datetime) -> Standing:
    """What this report is. `returned` as known here. Pure."""
    if lease["reported_at"] is None:
        return Standing.FRESH if told.generation == 0 else Standing.RESTORED
    if told.boot == lease["boot"]:
        if told.monotonic_ms <= lease["monotonic_ms"]:
            return Standing.STALE
    elif told.boot in lease["earlier_boots"].split():
        return Standing.STALE
    said = {each.key: each.returned for each in told.keys}
    if not lease["confirmed"] <= told.generation <= lease["generation"] or told.sequence < lease["sequence"]:
        return Standing.RESTORED
    listed = returned if len(returned) <= LEASE_KEYS_MAX else said  # of more, an answer leaves some out
    if any(said.get(key, 0) < returned.get(key, 0) for key in listed):
        return Standing.RESTORED
    away = now - lease["reported_at"] > timedelta(seconds=RESTORE_DOUBT_S)
    return Standing.REBOOTED if told.boot != lease["boot"] and away else Standing.FRESH


def _has_forgotten(connection: Connection, told: LeaseReport) -> bool:
    """Whether an entry is here that the terminal wrote before this report and no longer knows.

    One that it wrote afterwards, and that overtook the report, is none: the boot and its monotonic time tell.
    """
    columns = (entries.c.terminal == told.terminal, entries.c.sequence == told.sequence + 1)
    body = connection.scalar(select(entries.c.body).where(*columns))
    if body is None:
        return False
    try:
        entry = parse_entry(bytes(body))
    except EntryInvalid:
        return True
    return entry.boot != told.boot or entry.monotonic_ms < told.monotonic_ms


def _credit(told: LeaseReport, held: Mapping[str, Allotment]) -> dict[str, int]:
    """Take over what the terminal gave up; by key, how much that frees. What it cannot have is not believed."""
    freed: dict[str, int] = {}
    for each in told.keys:
        mine = held.get(each.key)
        if mine is not None and (gave := min(each.returned - mine.returned, mine.unspent)) > 0:
            mine.returned += gave
            freed[each.key] = gave
    return freed


def _resize(exchange: _Exchange, books: Books, freed: Mapping[str, int]) -> tuple[dict[str, Decision], int]:
    """Give back to the pools what was freed, and grow or call back each slice; how long the lease may live."""
    connection, now, held = exchange.connection, exchange.now, exchange.allotments
    book = books.book_for(connection, exchange.place)
    terms = {each.key: each for each in leasable(book, exchange.place, now)} if book else {}
    known = rows.read_pools(connection, {*terms, *held})
    if rows.outdated(known, terms.values()):
        known = rows.take_pools(connection, {**known, **{key: rows.pool_row(terms[key]) for key in terms}}.values())
    wanted = {each.key: each.wanted for each in exchange.told.keys}
    states = rows.states_of(connection, [known[key] for key in terms], now)
    decided = (
        {}
        if exchange.told.closing
        else {key: decide(states[key], _slice(held.get(key), wanted.get(key, 0), now)) for key in terms}
    )
    for key, mine in held.items():
        if key not in terms and mine.unspent:
            decided[key] = Decision(0, 0, mine.unspent)  # sold here no longer: others may have it
    touched = set(freed) | {key for key, each in decided.items() if each.grow}
    locked = rows.lock_pools(connection, touched)
    changes = {key: {"allotted": -gave} for key, gave in freed.items()}
    short = set()
    for key in sorted(decided):
        mine = held.get(key) or rows.new_allotment(key, now)
        decision = decided[key]
        if decision.grow:
            back = freed.get(key, 0)
            grown = min(decision.grow, max(0, free_of(locked[key]) + back))
            changes[key] = {"allotted": grown - back}
            mine.granted += grown
        mine.slice = decision.target
        if mine.granted:
            held[key] = mine
        if (key in terms and mine.unspent < decision.target) or wanted.get(key, 0):
            short.add(key)
    rows.add_to_pools(connection, changes)
    rows.sample(connection, states, now)
    rows.ask_to_return(connection, short, exchange.place.terminal, now)
    return decided, min((life_s(states[key]) for key in terms), default=LIFE_S_PLENTY)


def free_of(pool: Mapping[str, Any]) -> int:
    """What may still be granted of a locked pool; below nothing when facts went beyond it."""
    return int(pool["max"] - pool["allotted"] - pool["excess"] - pool["used"] - pool["held"])


def _slice(mine: Allotment | None, wanted: int, now: datetime) -> SliceState:
    if mine is None:
        return SliceState(0, 0.0, wanted)
    return SliceState(mine.unspent, faded(mine.recent, mine.recent_at, now), wanted)


def _finish(exchange: _Exchange, decided: Mapping[str, Decision], life: int) -> LeaseAnswer:
    """Write the exchange down and answer it."""
    lease, told, now = exchange.lease, exchange.told, exchange.now
    rows.write_allotment(exchange.connection, exchange.place.terminal, list(exchange.allotments.values()))
    confirmed = told.generation == lease["generation"]
    ends_at = now + timedelta(seconds=life + MARGIN_S)
    if not confirmed and lease["ends_at"] is not None:
        ends_at = max(ends_at, lease["ends_at"])  # the terminal may not have the shorter life yet
    if told.boot != lease["boot"]:
        lease["earlier_boots"] = " ".join([lease["boot"], *lease["earlier_boots"].split()][:BOOTS_KEPT]).strip()
    # What a doubted terminal shows to know counts as what it knows: only a person's word lets it spend again.
    known = told.generation if lease["suspended"] else max(lease["confirmed"], told.generation)
    lease.update(
        confirmed=known,
        generation=max(lease["generation"], known + 1),
        boot=told.boot,
        monotonic_ms=told.monotonic_ms,
        sequence=told.sequence,
        life_s=life,
        reported_at=now,
        ends_at=ends_at,
    )
    of_terminal = leases.c.terminal == exchange.place.terminal
    asked = lease["asked"] + told.closing  # one that stopped is asked to report as soon as it is back
    exchange.connection.execute(update(leases).where(of_terminal).values({**lease, "asked": asked}))
    held = exchange.allotments
    return _answer(lease, held, _names(exchange.connection, held), decided, now)


def _names(connection: Connection, keys: Mapping[str, Allotment]) -> dict[str, tuple[str, str]]:
    """Offer and limit of each key."""
    columns = (pools.c.key, pools.c.offer, pools.c.limit)
    found = connection.execute(select(*columns).where(pools.c.key.in_(sorted(keys)))) if keys else ()
    return {row.key: (row.offer, row.limit) for row in found}


def _answer(
    lease: Mapping[str, Any],
    held: Mapping[str, Allotment],
    names: Mapping[str, tuple[str, str]],
    decided: Mapping[str, Decision],
    now: datetime,
) -> LeaseAnswer:
    grants = [_grant(each, names[key], decided.get(key)) for key, each in _those_that_count(held)]
    recalls = any(each.recall > each.returned for each in grants)
    return LeaseAnswer(
        generation=lease["generation"],
        life_s=0 if lease["suspended"] else lease["life_s"],
        # Not what `news` will say, when something is to come back: so the terminal reports again once it has.
        version=f"{lease['asked']}.recall" if recalls else str(lease["asked"]),
        grants=tuple(grants),
        time=timestamp(now),
    )


def _those_that_count(held: Mapping[str, Allotment]) -> Sequence[tuple[str, Allotment]]:
    """Every allotment, by key; those of windows that are long over and given back go first when there are too many."""
    ordered = sorted(held.items(), key=lambda item: (item[1].allotted == 0, item[0]))
    return sorted(ordered[:LEASE_KEYS_MAX])


def _grant(mine: Allotment, names: tuple[str, str], decision: Decision | None) -> Grant:
    return Grant(
        key=mine.key,
        offer=names[0],
        limit=names[1],
        granted=mine.granted,
        returned=mine.returned,
        frozen=mine.frozen + mine.written_off,
        recall=mine.returned + decision.recall if decision and decision.recall else 0,
    )

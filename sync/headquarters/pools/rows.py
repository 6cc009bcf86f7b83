"""Reading and locking the rows of this room, in the one order that `tables` names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, case, func, or_, select, update

from config.zone import SHANGHAI
from sync.headquarters.pools.recalls import due
from sync.headquarters.pools.sizing import HALF_LIFE_H, PoolState
from sync.headquarters.pools.tables import allotments, leases, pool_samples, pools
from sync.headquarters.pools.terms import KeyTerms
from sync.headquarters.storage import among, insert_or

SAMPLE_MINUTES: Final = 5  # of the chart: a point each, 8,640 in a campaign of a month
# Sales older than this no longer count towards the rate of the city; what is left of them then is a sixteenth.
RECENT_HALF_LIVES: Final = 4
# Whoever lacks a unit asks at most so many others, those with the most unspent, and each at most every so often.
RECALLED_MAX: Final = 50
RECALL_EVERY_S: Final = 20

_ALLOTTED: Final = allotments.c.granted - allotments.c.returned - allotments.c.written_off

# A window that is over is settled with the terminal for some days more: entries come late.
WINDOW_DAYS_KEPT: Final = 7


@dataclass(slots=True)
class Allotment:
    """One terminal's part of one key; the counters that only grow, and what follows from them."""

    key: str
    granted: int
    returned: int
    written_off: int
    used: int
    frozen: int
    excess: int
    recent: float
    recent_at: datetime
    slice: int

    @property
    def allotted(self) -> int:
        """What of the pool is this terminal's, sold or not."""
        return self.granted - self.returned - self.written_off

    @property
    def unspent(self) -> int:
        """What it may still sell, as far as its entries are here; never below nothing."""
        return max(0, self.allotted - self.used - self.frozen)


_COUNTERS: Final = ("allotted", "excess", "held")
_NOTHING: Final = dict.fromkeys(("allotted", "excess", "used", "held"), 0)
_FROM_BOOK: Final = ("policy", "max", "revision", "shared", "ends_on")
_TOLD: Final = ("key", "offer", "limit", *_FROM_BOOK)
_ADD: Final = (
    update(pools)
    .where(pools.c.key == bindparam("of_key"))
    .values({name: pools.c[name] + bindparam(f"more_{name}") for name in _COUNTERS})
)
_LEASE: Final = select(leases).where(leases.c.terminal == bindparam("of_terminal")).with_for_update()
_OF_TERMINAL: Final = select(*(allotments.c[name] for name in Allotment.__slots__)).order_by(allotments.c.key)


def lock_lease(connection: Connection, terminal: str) -> dict[str, Any]:
    """The terminal's lease, ours until the transaction ends; a new one when it never had any."""
    found = connection.execute(_LEASE, {"of_terminal": terminal}).mappings().one_or_none()
    if found is None:
        row = {
            **dict.fromkeys(("generation", "confirmed", "monotonic_ms", "sequence", "asked", "life_s"), 0),
            **dict.fromkeys(("boot", "earlier_boots", "suspended"), ""),
            "terminal": terminal,
        }
        connection.execute(insert_or(connection, leases).values(row).on_conflict_do_nothing())
        found = connection.execute(_LEASE, {"of_terminal": terminal}).mappings().one()
    return dict(found)


def lock_allotments(connection: Connection, terminal: str, keys: Iterable[str]) -> dict[str, Allotment]:
    """The terminal's allotments of these keys, ours until the transaction ends."""
    query = _OF_TERMINAL.where(allotments.c.terminal == terminal, among(connection, allotments.c.key, sorted(keys)))
    return {row["key"]: Allotment(**row) for row in connection.execute(query.with_for_update()).mappings()}


def lock_open_allotments(connection: Connection, terminal: str, now: datetime) -> dict[str, Allotment]:
    """As `lock_allotments`: all of the terminal, but for windows that have been over for `WINDOW_DAYS_KEPT`."""
    return {
        row["key"]: Allotment(**row) for row in connection.execute(_open(terminal, now).with_for_update()).mappings()
    }


def open_allotments(connection: Connection, terminal: str, now: datetime) -> dict[str, Allotment]:
    """As `lock_open_allotments`, without a lock."""
    return {row["key"]: Allotment(**row) for row in connection.execute(_open(terminal, now)).mappings()}


def _open(terminal: str, now: datetime) -> Select[Any]:
    last = (now.astimezone(SHANGHAI).date() - timedelta(days=WINDOW_DAYS_KEPT)).isoformat()
    current = select(pools.c.key).where(
        pools.c.key == allotments.c.key, (pools.c.ends_on == "") | (pools.c.ends_on > last)
    )
    return _OF_TERMINAL.where(allotments.c.terminal == terminal, current.exists())


def write_allotment(connection: Connection, terminal: str, changed: Sequence[Allotment]) -> None:
    """Bring the rows up to date, or make them; they are locked, or new and the terminal's lease is."""
    if not changed:
        return
    statement = insert_or(connection, allotments)
    names = [name for name in Allotment.__slots__ if name != "key"]
    statement = statement.on_conflict_do_update(
        index_elements=[allotments.c.key, allotments.c.terminal],
        set_={name: statement.excluded[name] for name in names},
    )
    rows = [{"terminal": terminal, **{name: getattr(each, name) for name in Allotment.__slots__}} for each in changed]
    connection.execute(statement, sorted(rows, key=lambda row: str(row["key"])))


def new_allotment(key: str, now: datetime) -> Allotment:
    """Nothing granted yet."""
    return Allotment(key, 0, 0, 0, 0, 0, 0, 0.0, now, 0)


def lock_pools(connection: Connection, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The pools of these keys, ours until the transaction ends, locked by key."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    query = select(pools).where(among(connection, pools.c.key, wanted)).order_by(pools.c.key).with_for_update()
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()}


def read_pools(connection: Connection, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """As `lock_pools`, without a lock: to look whether there is anything to do."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    query = select(pools).where(among(connection, pools.c.key, wanted))
    return {row["key"]: dict(row) for row in connection.execute(query).mappings()}


def take_pools(connection: Connection, told: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pools of these rows (`pool_row`, or rows read before), made where they are missing; all of them ours.

    One statement makes and locks them by key: to lock what is there and make the rest afterwards would be two orders,
    and two transactions could wait for each other. The number of a later book takes the place of an earlier one's.
    """
    ordered = sorted(told, key=lambda row: str(row["key"]))
    if not ordered:
        return {}
    statement = insert_or(connection, pools)
    later = statement.excluded.revision >= pools.c.revision
    taken = {name: case((later, statement.excluded[name]), else_=pools.c[name]) for name in _FROM_BOOK}
    statement = statement.on_conflict_do_update(index_elements=[pools.c.key], set_=taken).returning(*pools.c)
    rows = [{name: row[name] for name in _TOLD} for row in ordered]
    found = connection.execute(statement, [{**row, **_NOTHING} for row in rows])
    return {row["key"]: dict(row) for row in found.mappings()}


def outdated(known: Mapping[str, Mapping[str, Any]], terms: Iterable[KeyTerms]) -> list[KeyTerms]:
    """Those of `terms` that have no pool yet, or one that a later book has changed; by key."""
    return [each for each in sorted(terms, key=lambda each: each.key) if _outdated(known.get(each.key), each)]


def pool_row(terms: KeyTerms) -> dict[str, Any]:
    """A pool of which nothing is used."""
    return {
        "key": terms.key,
        "offer": terms.offer,
        "limit": terms.limit,
        "policy": terms.policy.value,
        "max": terms.max,
        "revision": terms.revision,
        "shared": terms.shared,
        "ends_on": terms.ends_on,
        **_NOTHING,
    }


def add_to_pools(connection: Connection, changes: Mapping[str, Mapping[str, int]]) -> None:
    """Add to the counters of pools; their rows are locked already."""
    told = [
        {"of_key": key, **{f"more_{name}": changes[key].get(name, 0) for name in _COUNTERS}}
        for key in sorted(changes)
        if any(changes[key].values())
    ]
    if told:
        connection.execute(_ADD, told)


def states_of(connection: Connection, rows: Iterable[Mapping[str, Any]], now: datetime) -> dict[str, PoolState]:
    """How these pools stand citywide: their rows, and the sums over their allotments."""
    known = {row["key"]: row for row in rows}
    if not known:
        return {}
    since = now - timedelta(hours=RECENT_HALF_LIVES * HALF_LIFE_H)
    recent = func.sum(case((allotments.c.recent_at >= since, allotments.c.recent), else_=0.0))
    query = select(allotments.c.key, func.sum(allotments.c.used), recent, func.count()).group_by(allotments.c.key)
    sums = {
        key: (int(used), float(fading), int(count))
        for key, used, fading, count in connection.execute(query.where(allotments.c.key.in_(sorted(known))))
    }
    states = {}
    for key, row in known.items():
        used, fading, count = sums.get(key, (0, 0.0, 0))
        states[key] = PoolState(
            row["max"], row["allotted"] + row["used"] + row["held"], row["excess"], used + row["used"], fading, count
        )
    return states


def ask_to_return(connection: Connection, keys: Iterable[str], terminal: str, now: datetime) -> None:
    """Others are short of these keys: whoever has some unspent is asked to come and say so.

    Rows that somebody has at the moment are left out: they exchange just now. For each key at most one look in
    `recalls.ASK_EVERY_S`.
    """
    wanted = due(connection.engine, keys, now)
    if not wanted:
        return
    unspent = _ALLOTTED - allotments.c.used - allotments.c.frozen
    late = or_(leases.c.reported_at.is_(None), leases.c.reported_at < now - timedelta(seconds=RECALL_EVERY_S))
    query = (
        select(leases.c.terminal)
        .join(allotments, and_(allotments.c.terminal == leases.c.terminal, allotments.c.key.in_(wanted)))
        .where(unspent > 0, leases.c.terminal != terminal, late)
        .order_by(unspent.desc(), leases.c.terminal)
        .limit(RECALLED_MAX)
        .with_for_update(skip_locked=True, of=leases)
    )
    found = sorted(set(connection.scalars(query)))
    if found:
        asked = update(leases).where(leases.c.terminal.in_(found)).values(asked=leases.c.asked + 1)
        connection.execute(asked)


def sample(connection: Connection, states: Mapping[str, PoolState], now: datetime) -> None:
    """A point of each pool's chart, the first of its five minutes."""
    if not states:
        return
    at = now.replace(minute=now.minute - now.minute % SAMPLE_MINUTES, second=0, microsecond=0)
    known = set(
        connection.scalars(
            select(pool_samples.c.key).where(pool_samples.c.key.in_(sorted(states)), pool_samples.c.at == at)
        )
    )
    rows = [
        {"key": key, "at": at, "max": state.max, "used": state.used, "allotted": state.allotted, "held": 0}
        for key, state in sorted(states.items())
        if key not in known
    ]
    if rows:
        connection.execute(insert_or(connection, pool_samples).on_conflict_do_nothing(), rows)


def _outdated(row: Mapping[str, Any] | None, terms: KeyTerms) -> bool:
    if row is None:
        return True
    if terms.revision < row["revision"]:
        return False
    return any(row[name] != getattr(terms, name) for name in _FROM_BOOK)

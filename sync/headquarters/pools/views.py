"""Pools as people see them: how they run down, when the last unit will go, and at which terminals the slices lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from config.zone import SHANGHAI
from sync.headquarters.pools import rows
from sync.headquarters.pools.errors import PoolMissing
from sync.headquarters.pools.sizing import PoolState, rate_of
from sync.headquarters.pools.tables import allotments, leases, pool_samples, pools
from sync.headquarters.tables import terminals

POOLS_SHOWN_MAX: Final = 200  # pools that many share; a city has a few dozen at a time
SLICES_SHOWN_MAX: Final = 200  # terminals of one pool, those with the most unspent first
POINTS_MAX: Final = 2_000  # of one chart: a week at every five minutes
FORECAST_DAYS_MAX: Final = 366  # beyond that, a rate of now says nothing


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool. `unspent`: out in slices and not sold; `free`: what may still be granted; `rate`: units per hour.

    `last_at`: when the last unit will go, at the rate of now; None while nothing sells. `excess`: sold beyond grants.
    """

    key: str
    offer: str
    limit: str
    policy: str
    max: int
    used: int
    unspent: int
    frozen: int
    held: int
    free: int
    excess: int
    terminals: int
    rate: float
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class SliceView:
    """What lies at one terminal. `over`: its lease has ended, so a person may write it off."""

    terminal: str
    merchant: str
    site: str
    last_contact: datetime | None
    ends_at: datetime | None
    over: bool
    suspended: str
    granted: int
    used: int
    unspent: int
    frozen: int


@dataclass(frozen=True, slots=True)
class Point:
    """How a pool stood at a moment."""

    at: datetime
    max: int
    used: int
    allotted: int
    held: int


@dataclass(frozen=True, slots=True)
class PoolDetail:
    """A pool, its run so far, and where its slices are."""

    pool: PoolView
    points: list[Point]
    slices: list[SliceView]


def pools_shown(connection: Connection, now: datetime, offer: str | None = None) -> list[PoolView]:
    """The pools that many share and whose window is not over, by offer; `offer`: only its own."""
    today = now.astimezone(SHANGHAI).date().isoformat()
    current = or_(pools.c.ends_on == "", pools.c.ends_on > today)
    query = select(pools).where(pools.c.shared.is_(True), current).order_by(pools.c.offer, pools.c.key)
    if offer is not None:
        query = query.where(pools.c.offer == offer)
    found = [dict(row) for row in connection.execute(query.limit(POOLS_SHOWN_MAX)).mappings()]
    states = rows.states_of(connection, found, now)
    frozen = _frozen(connection, [row["key"] for row in found])
    return [_view(row, states[row["key"]], frozen.get(row["key"], 0), now) for row in found]


def detail_of(connection: Connection, offer: str, now: datetime) -> list[PoolDetail]:
    """Everything on the pools of an offer. Raises `PoolMissing`."""
    found = pools_shown(connection, now, offer)
    if not found:
        raise PoolMissing("look up", offer)
    return [PoolDetail(each, _points(connection, each, now), _slices(connection, each.key, now)) for each in found]


def forecast(pool: PoolState, now: datetime) -> datetime | None:
    """When the last unit goes at the rate of now; None when nothing sells, or not within a year. Pure."""
    rate = rate_of(pool.recent)
    if rate <= 0 or pool.left / rate > FORECAST_DAYS_MAX * 24:
        return None
    return now + timedelta(hours=pool.left / rate)


def _view(row: dict[str, Any], state: PoolState, frozen: int, now: datetime) -> PoolView:
    sold_of_slices = state.used - row["used"]
    return PoolView(
        key=row["key"],
        offer=row["offer"],
        limit=row["limit"],
        policy=row["policy"],
        max=row["max"],
        used=state.used,
        unspent=max(0, row["allotted"] - sold_of_slices - frozen),
        frozen=frozen,
        held=row["held"],
        free=state.free,
        excess=row["excess"],
        terminals=state.terminals,
        rate=round(rate_of(state.recent), 1),
        last_at=forecast(state, now),
    )


def _frozen(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    if not keys:
        return {}
    query = select(allotments.c.key, func.sum(allotments.c.frozen)).where(allotments.c.key.in_(keys))
    return {key: int(total) for key, total in connection.execute(query.group_by(allotments.c.key))}


def _points(connection: Connection, pool: PoolView, now: datetime) -> list[Point]:
    """The latest points in order of time, and how it stands now."""
    query = select(pool_samples).where(pool_samples.c.key == pool.key).order_by(pool_samples.c.at.desc())
    found = connection.execute(query.limit(POINTS_MAX)).all()
    past = [Point(row.at, row.max, row.used, row.allotted, row.held) for row in reversed(found)]
    allotted = pool.used + pool.unspent + pool.frozen
    return [*past, Point(now, pool.max, pool.used, allotted, pool.held)]


def _slices(connection: Connection, key: str, now: datetime) -> list[SliceView]:
    unspent = allotments.c.granted - allotments.c.returned - allotments.c.written_off - allotments.c.used
    joined = allotments.join(terminals, terminals.c.id == allotments.c.terminal).outerjoin(
        leases, and_(leases.c.terminal == allotments.c.terminal)
    )
    query = (
        select(
            allotments.c.terminal,
            terminals.c.merchant,
            terminals.c.site,
            terminals.c.last_contact,
            leases.c.ends_at,
            leases.c.suspended,
            (allotments.c.granted - allotments.c.returned - allotments.c.written_off).label("granted"),
            allotments.c.used,
            allotments.c.frozen,
        )
        .select_from(joined)
        .where(allotments.c.key == key)
        .order_by(unspent.desc(), allotments.c.terminal)
        .limit(SLICES_SHOWN_MAX)
    )
    return [
        SliceView(
            **{**row, "suspended": row["suspended"] or ""},
            unspent=max(0, row["granted"] - row["used"] - row["frozen"]),
            over=row["ends_at"] is not None and row["ends_at"] <= now,
        )
        for row in connection.execute(query).mappings()
    ]

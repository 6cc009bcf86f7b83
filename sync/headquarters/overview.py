"""What the overview shows of the city now: its terminals, the pace of sales, its pools, the money of some days.

Each is a query or a few over indexes and bounded: the page costs the same in a city of 5,000 terminals and a million
sales a day. Everything takes `now` and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from config.zone import SHANGHAI
from sync.headquarters.errors import PeriodTooLong
from sync.headquarters.money.sold import by_merchant
from sync.headquarters.money.tables import settlement_lines
from sync.headquarters.pools.tables import pool_samples
from sync.headquarters.pools.views import Point, PoolView, pools_shown
from sync.headquarters.reports import MERCHANTS_MAX, PERIOD_DAYS_MAX
from sync.headquarters.tables import OPEN_SALE, TerminalState, redemptions, terminals

# A terminal speaks every few seconds; one that has missed several turns is away.
AWAY_AFTER_S: Final = 20
MINUTES_SHOWN: Final = 60
POOLS_SHOWN: Final = 6  # those that go first; the others are a click away
RUN_SHOWN_H: Final = 24  # of a pool's run: today and the evening before
RUN_POINTS_MAX: Final = 300  # a day at every five minutes, and some

_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many terminals there are, by state; the active ones are up or away. `skewed`: active, with a clock far off.

    `waiting`: entries that they all still had to send when they last spoke.
    """

    up: int
    away: int
    quarantined: int
    revoked: int
    skewed: int
    waiting: int

    @property
    def count(self) -> int:
        """All that count: the revoked ones are history."""
        return self.up + self.away + self.quarantined


@dataclass(frozen=True, slots=True)
class Pace:
    """Sales by the minute in which they were made, the oldest first, the running minute last.

    By the counters' clocks: what a terminal brings late is put where it belongs.
    """

    first: datetime
    minutes: tuple[int, ...]

    @property
    def total(self) -> int:
        """All of the hour."""
        return sum(self.minutes)

    @property
    def most(self) -> int:
        """Of the busiest minute."""
        return max(self.minutes)

    @property
    def busiest(self) -> datetime:
        """The latest minute with the most sales."""
        last = len(self.minutes) - 1 - self.minutes[::-1].index(self.most)
        return self.first + last * _MINUTE


@dataclass(frozen=True, slots=True)
class PoolRun:
    """A pool and how it ran of late; the last point is now."""

    pool: PoolView
    points: list[Point]


@dataclass(frozen=True, slots=True)
class Sum:
    """Completed sales less what was voided of them; money in fen. `voids` counts voids, also of a part of a sale."""

    redemptions: int = 0
    voids: int = 0
    units: int = 0
    list: int = 0
    pay: int = 0
    saving: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some days: of all, of the merchants with the most sales, and of how many there are.

    `open`: sales of these days that were begun and neither completed nor cancelled.
    """

    whole: Sum
    merchants: list[tuple[str, Sum]] = field(default_factory=list)
    others: int = 0
    open: int = 0


def fleet_now(connection: Connection, now: datetime, skew_ms_max: int) -> Fleet:
    """The terminals, counted."""
    since = now - timedelta(seconds=AWAY_AFTER_S)
    query = select(
        terminals.c.state,
        func.count(),
        func.count().filter(terminals.c.last_contact >= since),
        func.count().filter(func.abs(terminals.c.skew_ms) > skew_ms_max),
        func.coalesce(func.sum(terminals.c.waiting), 0),
    ).group_by(terminals.c.state)
    found = {state: numbers for state, *numbers in connection.execute(query)}
    active, up, skewed, waiting = found.get(TerminalState.ACTIVE, (0, 0, 0, 0))
    return Fleet(
        up=up,
        away=active - up,
        quarantined=found.get(TerminalState.QUARANTINED, (0,))[0],
        revoked=found.get(TerminalState.REVOKED, (0,))[0],
        skewed=skewed,
        waiting=int(waiting),
    )


def pace(connection: Connection, now: datetime) -> Pace:
    """Sales a minute over the last hour, in one statement of ranges of the primary key: ids are in order of time."""
    last = now.replace(second=0, microsecond=0)
    begins = [last - step * _MINUTE for step in reversed(range(MINUTES_SHOWN))]
    column = redemptions.c.id
    counts = [
        select(func.count())
        .where(column >= first_id_at(begin), column < first_id_at(begin + _MINUTE))
        .scalar_subquery()
        .label(f"m{number}")
        for number, begin in enumerate(begins)
    ]
    return Pace(begins[0], tuple(connection.execute(select(*counts)).one()))


def first_id_at(moment: datetime) -> str:
    """The smallest UUIDv7 of a sale at `moment` (RFC 9562 section 5.7). Pure."""
    milliseconds = int(moment.timestamp() * 1000)
    return str(uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62)))


def pools_running(connection: Connection, now: datetime) -> tuple[list[PoolRun], int]:
    """The pools that go first, each with its run; and how many pools there are."""
    found = pools_shown(connection, now)
    far = datetime.max.replace(tzinfo=now.tzinfo)
    shown = sorted(found, key=lambda pool: (pool.last_at or far, pool.used >= pool.max, -pool.used / max(1, pool.max)))
    return [PoolRun(pool, _run(connection, pool, now)) for pool in shown[:POOLS_SHOWN]], len(found)


def _run(connection: Connection, pool: PoolView, now: datetime) -> list[Point]:
    since = now - timedelta(hours=RUN_SHOWN_H)
    query = select(pool_samples).where(pool_samples.c.key == pool.key, pool_samples.c.at >= since)
    rows = connection.execute(query.order_by(pool_samples.c.at.desc()).limit(RUN_POINTS_MAX)).all()
    past = [Point(row.at, row.max, row.used, row.allotted, row.held) for row in reversed(rows)]
    return [*past, Point(now, pool.max, pool.used, pool.used + pool.unspent + pool.frozen, pool.held)]


def totals(connection: Connection, first: date, last: date, shown: int) -> Totals:
    """Sums over the days from `first` to `last`, both included; the `shown` merchants with the most sales.

    From the lines that settlement keeps, not from the sales themselves. Raises `PeriodTooLong`.
    """
    if not 0 <= (last - first).days < PERIOD_DAYS_MAX:
        raise PeriodTooLong("add up", "redemptions", days_max=PERIOD_DAYS_MAX)
    lines = by_merchant(first, last)
    query = lines.order_by(lines.selected_columns.completed.desc(), settlement_lines.c.merchant).limit(MERCHANTS_MAX)
    merchants = [(row.merchant, _sum(row)) for row in connection.execute(query)]
    return Totals(
        whole=_whole([each for _, each in merchants]),
        merchants=merchants[:shown],
        others=max(0, len(merchants) - shown),
        open=_open_between(connection, first, last),
    )


def _open_between(connection: Connection, first: date, last: date) -> int:
    """Sales begun on these days that wait for their end; over an index of those alone."""
    days = redemptions.c.business_day.between(first.isoformat(), last.isoformat())
    return connection.scalar(select(func.count()).select_from(redemptions).where(OPEN_SALE, days)) or 0


def _sum(row: Row[Any]) -> Sum:
    """PostgreSQL adds BIGINTs up to a NUMERIC, hence int()."""
    return Sum(
        redemptions=int(row.completed),
        voids=int(row.voids),
        units=int(row.units),
        list=int(row.list_fen),
        pay=int(row.pay_fen),
        saving=int(row.saving_fen),
    )


def _whole(sums: Sequence[Sum]) -> Sum:
    return Sum(**{name: sum(getattr(each, name) for each in sums) for name in Sum.__dataclass_fields__})


def today(now: datetime) -> date:
    """The business day in Shanghai."""
    return now.astimezone(SHANGHAI).date()

"""Days that a terminal sold on and sent no statement for: a till that is away, broken, or older than day statements.

Asked of each terminal and day by two looks at an index (is it stated; was anything sold), never by reading the day's
sales; what the sales come to is added up for the rows that are shown alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, literal, select, tuple_, union_all

from config.zone import SHANGHAI
from sync.headquarters.money.steps import StepKind
from sync.headquarters.money.tables import day_statements, settlement_steps
from sync.headquarters.tables import terminals

# A till closes its day by itself at six in the morning at the latest; so long after, a line that was down at night is
# up again, and a manager who is at work can be called.
UNCLOSED_AFTER_H: Final = 12
# Days looked back on when none is named: two pairs of weekends, and a bound on what one look costs. Any older day can
# be asked for by itself.
UNCLOSED_DAYS: Final = 14
UNCLOSED_PAGE_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class UnclosedDay:
    """What headquarters has of a day that nobody closed: completed sales less what was voided, money in fen."""

    terminal: str
    merchant: str
    site: str
    day: str
    sales: int
    voids: int
    units: int
    pay: int


def latest_due(now: datetime) -> date:
    """The latest business day whose statement should be here: it is due at noon of the day after, in Shanghai."""
    return (now.astimezone(SHANGHAI) - timedelta(days=1, hours=UNCLOSED_AFTER_H)).date()


def days_due(now: datetime, day: date | None = None) -> list[str]:
    """The days to look at: `day` if it is due, without one the last `UNCLOSED_DAYS`; the latest first."""
    latest = latest_due(now)
    if day is not None:
        return [day.isoformat()] if day <= latest else []
    return [(latest - timedelta(days=back)).isoformat() for back in range(UNCLOSED_DAYS)]


def page_of_unclosed(
    connection: Connection, days: Sequence[str], *, merchant: str | None = None, after: str = "", limit: int
) -> tuple[list[UnclosedDay], str | None]:
    """Unclosed days among `days`, the latest first, and the `after` of the next page (None: there is none)."""
    if not days:
        return [], None
    last_day, _, last_terminal = after.partition("~")
    most = min(limit, UNCLOSED_PAGE_MAX)
    query = unclosed_query(days, merchant, (last_day, last_terminal) if after else None)
    rows = connection.execute(query.limit(most + 1)).all()
    shown = rows[:most]
    sums = _sums(connection, [(row.terminal, row.day) for row in shown])
    found = [UnclosedDay(**row._mapping, **sums[row.terminal, row.day]) for row in shown]
    return found, f"{found[-1].day}~{found[-1].terminal}" if len(rows) > most else None


def count_unclosed(connection: Connection, days: Sequence[str], count_max: int) -> int:
    """How many there are; `count_max`: at least that."""
    found = unclosed_query(days, None, None).order_by(None).limit(count_max).subquery()
    return connection.scalar(select(func.count()).select_from(found)) or 0


def unclosed_query(days: Sequence[str], merchant: str | None, after: tuple[str, str] | None) -> Select[Any]:
    """The silent terminals and days that were sold on, behind the day and terminal `after`."""
    looked_at = union_all(*(select(literal(day).label("day")) for day in days)).subquery("looked_at")
    day, terminal = looked_at.c.day, terminals.c.id
    of_day = (day_statements.c.terminal == terminal) & (day_statements.c.day == day)
    query = (
        select(terminal.label("terminal"), terminals.c.merchant, terminals.c.site, day)
        .join_from(terminals, looked_at, literal(1) == 1)
        .where(~exists().where(of_day))
    )
    if merchant is not None:
        query = query.where(terminals.c.merchant == merchant)
    if after is not None:
        query = query.where((day < after[0]) | ((day == after[0]) & (terminal > after[1])))
    # First the few that are not stated, then a look at the sales of each: the database must not turn it round, nor
    # make one pass over all sales of it.
    silent = query.cte("silent").prefix_with("MATERIALIZED")
    step = settlement_steps.c
    of_silent = (step.terminal == silent.c.terminal, step.business_day == silent.c.day)
    sold = select(step.sequence).where(*of_silent).limit(1).correlate(silent).scalar_subquery()
    return select(silent).where(sold.is_not(None)).order_by(silent.c.day.desc(), silent.c.terminal)


def _sums(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """What the days come to. PostgreSQL adds BIGINTs up to a NUMERIC, hence int()."""
    step = settlement_steps.c

    def count(kind: StepKind) -> ColumnElement[int]:
        return func.sum(case((step.kind == kind.value, 1), else_=0))

    query = select(
        step.terminal,
        step.business_day,
        count(StepKind.COMPLETED),
        count(StepKind.VOIDED),
        func.sum(step.units),
        func.sum(step.pay_fen),
    ).where(tuple_(step.terminal, step.business_day).in_(list(keys)))
    found = connection.execute(query.group_by(step.terminal, step.business_day)) if keys else ()
    names = ("sales", "voids", "units", "pay")
    return {(terminal, day): dict(zip(names, map(int, numbers), strict=True)) for terminal, day, *numbers in found}

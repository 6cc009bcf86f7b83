"""What merchants sold between two days, from the lines that settlement keeps and never from the sales themselves.

Lines count by the day that a sale is settled for, which is its business day unless the counter's clock ran ahead
(`months.effective_day`). The few steps of which that is so have an index of their own.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, or_, select

from sync.headquarters.money.steps import StepKind
from sync.headquarters.money.tables import MOVED_STEP, settlement_lines, settlement_steps

COUNTED: Final = ("units", "list_fen", "pay_fen", "saving_fen")


def by_merchant(first: date, last: date) -> Select[Any]:
    """Per merchant over the days from `first` to `last`, both included: `completed` and `voids` in steps, `COUNTED`
    less what was voided of it.
    """
    column = settlement_lines.c
    kinds = {kind: column.kind == kind.value for kind in StepKind}
    return (
        select(
            column.merchant,
            func.sum(case((kinds[StepKind.COMPLETED], column.steps), else_=0)).label("completed"),
            func.sum(case((kinds[StepKind.VOIDED], column.steps), else_=0)).label("voids"),
            *(func.sum(column[name]).label(name) for name in COUNTED),
        )
        # A day is settled in its own month or, when it came late, in a later one: never before.
        .where(column.month >= first.isoformat()[:7], column.day.between(first.isoformat(), last.isoformat()))
        .where(or_(*kinds.values()))
        .group_by(column.merchant)
    )


def by_business_day(connection: Connection, first: date, last: date) -> dict[str, dict[str, int]]:
    """As `by_merchant`, by the days that the counters named: merchant -> `completed`, `voids`, `COUNTED`.

    PostgreSQL adds BIGINTs up to a NUMERIC, hence int().
    """
    names = ("completed", "voids", *COUNTED)
    found = {row.merchant: _numbers(row, names) for row in connection.execute(by_merchant(first, last))}
    for row in connection.execute(_moved(first, last)):
        before = found.get(row.merchant, dict.fromkeys(names, 0))
        found[row.merchant] = {name: before[name] + number for name, number in _numbers(row, names).items()}
    return found


def _moved(first: date, last: date) -> Select[Any]:
    """What steps that count for another day than the counter's add to these days by the latter, or take from them."""
    column = settlement_steps.c
    days = (first.isoformat(), last.isoformat())
    named, counted = column.business_day.between(*days), column.day.between(*days)
    sign = case((named, 1), else_=0) - case((counted, 1), else_=0)

    def of_kind(kind: StepKind) -> ColumnElement[int]:
        return func.sum(case((column.kind == kind.value, sign), else_=0))

    return (
        select(
            column.merchant,
            of_kind(StepKind.COMPLETED).label("completed"),
            of_kind(StepKind.VOIDED).label("voids"),
            *(func.sum(sign * column[name]).label(name) for name in COUNTED),
        )
        .where(MOVED_STEP, or_(named, counted))
        .group_by(column.merchant)
    )


def _numbers(row: Row[Any], names: tuple[str, ...]) -> dict[str, int]:
    return {name: int(row._mapping[name]) for name in names}

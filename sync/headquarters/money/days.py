"""The terminals' day statements, beside headquarters' own count of the same entries.

Both count the same thing, the steps up to the statement's sequence, so any difference is a fault of one of them and is
named. What came after the statement (a late void, a sale settled after midnight) is told apart and is no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, case, func, select

from sync.errors import SequenceGap
from sync.headquarters.money.tables import day_statements, settlement_steps
from sync.headquarters.projection import Place
from sync.headquarters.storage import insert_or
from sync.headquarters.tables import entries, terminals
from sync.wire import parse_timestamp
from sync.wire_days import FEED, NONE_YET, DayStatement, StatedOffer, version_of

_Key = tuple[str, str, int]  # terminal, day, sequence

DAYS_PAGE_MAX: Final = 200
CHAIN: Final = "chain"  # what differs when the statement names another entry than headquarters has there
_NUMBERS: Final = ("sales", "units", "list", "pay", "voided_units", "voided_list", "voided_pay")


@dataclass(frozen=True, slots=True)
class Difference:
    """A number (`what`) of an offer on which the terminal and headquarters do not agree, up to the sequence."""

    offer: str
    what: str
    terminal: int
    headquarters: int


@dataclass(frozen=True, slots=True)
class After:
    """What came of the day after it was closed: money in fen; no difference."""

    offer: str
    completed: int
    voided: int
    units: int
    pay: int


@dataclass(frozen=True, slots=True)
class DayView:
    """A day statement and what headquarters makes of it. `superseded`: the terminal closed the day once more later."""

    terminal: str
    merchant: str
    site: str
    day: str
    sequence: int
    closed_at: datetime
    closed_by: str | None
    received_at: datetime
    unsettled: int
    sales: int
    units: int
    pay: int
    superseded: bool
    differences: list[Difference]
    after: list[After]


class DaysFeed:
    """`Feed`: names the latest day that headquarters has of a terminal, so that the terminal sends what is missing."""

    name: Final = FEED

    def version(self, connection: Connection, place: Place) -> str | None:
        """One look at the end of the key."""
        query = select(day_statements.c.day, day_statements.c.sequence).where(
            day_statements.c.terminal == place.terminal
        )
        order = (day_statements.c.day.desc(), day_statements.c.sequence.desc())
        found = connection.execute(query.order_by(*order).limit(1)).one_or_none()
        return version_of(found.day, found.sequence) if found else NONE_YET


def take_statement(connection: Connection, statement: DayStatement, now: datetime) -> int:
    """Keep a statement and say how many differences it has; a repeat is given the same answer.

    Raises `SequenceGap` when the entries that it covers are not here yet.
    """
    head = connection.scalar(select(terminals.c.last_sequence).where(terminals.c.id == statement.terminal)) or 0
    if head < statement.sequence:
        raise SequenceGap("state a day", statement.terminal, expected=head + 1)
    closed_at = parse_timestamp(statement.closed_at)
    row = {
        "terminal": statement.terminal,
        "day": statement.day,
        "sequence": statement.sequence,
        "hash": statement.hash,
        "closed_at": closed_at,
        "closed_by": statement.closed_by.replace("\0", ""),
        "received_at": now,
        "statement": statement.model_dump_json(),
        "differences": 0,
    }
    key = {name: row[name] for name in ("terminal", "day", "sequence")}
    of_key = and_(*(day_statements.c[name] == value for name, value in key.items()))
    connection.execute(insert_or(connection, day_statements).values(row).on_conflict_do_nothing())
    (view,) = _views(connection, connection.execute(_QUERY.where(of_key)).all())
    connection.execute(day_statements.update().where(of_key).values(differences=len(view.differences)))
    return len(view.differences)


def page_of_days(
    connection: Connection,
    *,
    day: str | None = None,
    terminal: str | None = None,
    merchant: str | None = None,
    differing: bool = False,
    after: str = "",
    limit: int,
) -> tuple[list[DayView], str | None]:
    """Statements, the latest day first, and the `after` of the next page (None: there is none)."""
    column = day_statements.c
    order = (column.day.desc(), column.terminal, column.sequence.desc())
    query = _QUERY.order_by(*order)
    for of, wanted in ((column.day, day), (column.terminal, terminal), (terminals.c.merchant, merchant)):
        if wanted is not None:
            query = query.where(of == wanted)
    if differing:
        query = query.where(column.differences > 0)
    if after:
        last_day, _, rest = after.partition("~")
        last_terminal, _, last_sequence = rest.partition("~")
        number = int(last_sequence) if last_sequence.isascii() and last_sequence.isdigit() else 0
        further = (column.terminal == last_terminal) & (column.sequence < number)
        same_day = (column.day == last_day) & ((column.terminal > last_terminal) | further)
        query = query.where((column.day < last_day) | same_day)
    most = min(limit, DAYS_PAGE_MAX)
    rows = connection.execute(query.limit(most + 1)).all()
    views = _views(connection, rows[:most])
    last = rows[most - 1] if len(rows) > most else None
    return views, None if last is None else f"{last.day}~{last.terminal}~{last.sequence}"


_QUERY: Final = select(
    *(day_statements.c[name] for name in ("terminal", "day", "sequence", "hash", "closed_at", "closed_by")),
    day_statements.c.received_at,
    day_statements.c.statement,
    terminals.c.merchant,
    terminals.c.site,
).join(terminals, terminals.c.id == day_statements.c.terminal)


def _views(connection: Connection, rows: Sequence[Any]) -> list[DayView]:
    """Each statement beside headquarters' count: two queries for all, and one for closings that came later."""
    keys = [(row.terminal, row.day, row.sequence) for row in rows]
    counted = _counted(connection, keys)
    hashes = _hashes(connection, keys)
    latest = _latest(connection, keys)
    return [_view(row, counted, hashes, latest) for row in rows]


def _view(row: Any, counted: dict[Any, Any], hashes: dict[Any, str], latest: dict[Any, int]) -> DayView:
    statement = DayStatement.model_validate_json(row.statement)
    key = (row.terminal, row.day, row.sequence)
    ours, after = counted.get(key, ({}, []))
    differences = [] if hashes.get(key) == row.hash else [Difference("", CHAIN, row.sequence, row.sequence)]
    stated = {each.offer: each for each in statement.offers}
    for offer in sorted(stated.keys() | ours.keys()):
        theirs, mine = _numbers(stated.get(offer)), ours.get(offer, dict.fromkeys(_NUMBERS, 0))
        differences += [
            Difference(offer, name, theirs[name], mine[name]) for name in _NUMBERS if theirs[name] != mine[name]
        ]
    return DayView(
        terminal=row.terminal,
        merchant=row.merchant,
        site=row.site,
        day=row.day,
        sequence=row.sequence,
        closed_at=row.closed_at,
        closed_by=row.closed_by or None,
        received_at=row.received_at,
        unsettled=statement.unsettled,
        sales=sum(each.sales for each in statement.offers),
        units=sum(each.units - each.voided_units for each in statement.offers),
        pay=sum(each.pay - each.voided_pay for each in statement.offers),
        superseded=latest[row.terminal, row.day] > row.sequence,
        differences=differences,
        after=after,
    )


def _numbers(stated: StatedOffer | None) -> dict[str, int]:
    return {name: getattr(stated, name) if stated else 0 for name in _NUMBERS}


def _counted(connection: Connection, keys: Sequence[_Key]) -> dict[Any, tuple[dict[str, Any], list[After]]]:
    """Headquarters' numbers by offer up to each statement's sequence, and what came after it."""
    step, stated = settlement_steps.c, day_statements.c
    covered = case((step.sequence <= stated.sequence, 1), else_=0).label("covered")
    completed = step.kind == "completed"

    def summed(name: str, *, voided: bool) -> Any:
        return func.sum(case((~completed if voided else completed, step[name]), else_=0))

    columns = (stated.terminal, stated.day, stated.sequence, covered, step.offer)
    sums = (
        func.sum(case((completed, 1), else_=0)).label("sales"),
        func.sum(case((~completed, 1), else_=0)).label("voids"),
        *(summed(name, voided=False).label(f"sold_{name}") for name in ("units", "list_fen", "pay_fen")),
        *(summed(name, voided=True).label(f"voided_{name}") for name in ("units", "list_fen", "pay_fen")),
    )
    query = (
        select(*columns, *sums)
        .join(settlement_steps, (step.terminal == stated.terminal) & (step.business_day == stated.day))
        .where(_among(keys))
        .group_by(*columns)
        .order_by(step.offer)
    )
    found: dict[_Key, tuple[dict[str, Any], list[After]]] = {}
    for row in connection.execute(query):
        ours, after = found.setdefault((row.terminal, row.day, row.sequence), ({}, []))
        sold = (int(row.sold_units), int(row.sold_list_fen), int(row.sold_pay_fen))
        voided = (-int(row.voided_units), -int(row.voided_list_fen), -int(row.voided_pay_fen))
        if row.covered:
            ours[row.offer] = dict(zip(_NUMBERS, (int(row.sales), *sold, *voided), strict=True))
        else:
            after.append(After(row.offer, int(row.sales), int(row.voids), sold[0] - voided[0], sold[2] - voided[2]))
    return found


def _hashes(connection: Connection, keys: Sequence[_Key]) -> dict[Any, str]:
    stated = day_statements.c
    query = select(stated.terminal, stated.day, stated.sequence, entries.c.hash).join(
        entries, (entries.c.terminal == stated.terminal) & (entries.c.sequence == stated.sequence)
    )
    return {(row.terminal, row.day, row.sequence): row.hash for row in connection.execute(query.where(_among(keys)))}


def _latest(connection: Connection, keys: Sequence[_Key]) -> dict[Any, int]:
    stated = day_statements.c
    wanted = sorted({key[0] for key in keys}), sorted({key[1] for key in keys})
    query = select(stated.terminal, stated.day, func.max(stated.sequence)).where(
        stated.terminal.in_(wanted[0]), stated.day.in_(wanted[1])
    )
    return {
        (terminal, day): last for terminal, day, last in connection.execute(query.group_by(stated.terminal, stated.day))
    }


def _among(keys: Sequence[_Key]) -> Any:
    from sqlalchemy import tuple_

    stated = day_statements.c
    return tuple_(stated.terminal, stated.day, stated.sequence).in_(list(keys))

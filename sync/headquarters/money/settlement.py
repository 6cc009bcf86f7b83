"""Settlements of a merchant, month by month: open and counted as things arrive, then closed, signed, and left alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, case, func, insert, select

from sync.headquarters.money.document import (
    FIRST,
    Line,
    Totals,
    canonical,
    content,
    digest,
    is_signed_by,
    lines_in,
    sign,
    totals_of,
)
from sync.headquarters.money.errors import EarlierMonthOpen, MonthNotOver, SettlementChanged
from sync.headquarters.money.months import month_of
from sync.headquarters.money.record import hold_alone
from sync.headquarters.money.recounts import is_recounting
from sync.headquarters.money.tables import settled_merchants, settlement_lines, settlements
from sync.headquarters.people import audit
from sync.headquarters.storage import insert_or
from sync.signing import DeviceKey
from terminal.ledger.entry import instant
from terminal.serving.people import Person

# A month has 31 days, and a merchant a handful of offers, each completed, voided and charged: a few hundred lines. One
# that has more (a terminal that invents offers) is closed all the same; a page shows so many and the files all.
LINES_SHOWN_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Settlement:
    """One month of one merchant. `digest` is over what it says, to be named when closing; the rest once it is closed.

    `state`: `open` may still change; `closed` is signed; `covered` had nothing when a later month was closed.
    """

    merchant: str
    month: str
    state: Literal["open", "closed", "covered"]
    lines: list[Line]
    totals: Totals
    digest: str
    previous: str
    closed_at: datetime | None = None
    closed_by: str | None = None
    hash: str | None = None
    key: str | None = None
    signature: str | None = None


def settlement(connection: Connection, merchant: str, month: str) -> Settlement:
    """The settlement as it stands; without any line where nothing counts in it."""
    signed = _signed(connection, merchant, month)
    if signed is not None:
        lines = lines_in(bytes(signed.document))
        return Settlement(
            merchant,
            month,
            "closed",
            lines,
            totals_of(lines),
            digest(canonical(content(merchant, month, lines, signed.previous))),
            signed.previous,
            signed.closed_at,
            signed.closed_by,
            signed.hash,
            signed.key,
            signed.signature,
        )
    through, last_hash = _closed(connection, merchant)
    lines = _lines(connection, merchant, month)
    state: Literal["open", "covered"] = "covered" if through is not None and month <= through else "open"
    seen = digest(canonical(content(merchant, month, lines, last_hash)))
    return Settlement(merchant, month, state, lines, totals_of(lines), seen, last_hash)


def close(
    connection: Connection,
    merchant: str,
    month: str,
    by: Person,
    key: DeviceKey,
    *,
    now: datetime,
    seen: str | None = None,
) -> Settlement:
    """Close the month, sign it, note it; a month that is closed stays as it is and is returned.

    `seen` is the `digest` that the person looked at; None: whatever is there. Raises `MonthNotOver`,
    `EarlierMonthOpen`, `SettlementChanged`.
    """
    if month >= month_of(now):
        raise MonthNotOver("close", merchant, month=month)
    hold_alone(connection, merchant)
    found = settlement(connection, merchant, month)
    if found.state != "open":
        return found
    earlier = _earliest_open(connection, merchant)
    if earlier is not None and earlier < month:
        raise EarlierMonthOpen("close", merchant, earlier=earlier)
    if is_recounting(connection, merchant) or (seen is not None and seen != found.digest):
        raise SettlementChanged("close", merchant, month=month)
    closing = {"closed_at": instant(now), "closed_by": by.id}
    document = canonical(content(merchant, month, found.lines, found.previous) | closing)
    hashed = digest(document)
    row = {
        "merchant": merchant,
        "month": month,
        "closed_at": now,
        "closed_by": by.id,
        "steps": found.totals.completed + found.totals.voided,
        "subsidy_fen": found.totals.subsidy,
        "document": document,
        "hash": hashed,
        "previous": found.previous,
        "key": key.public.hex(),
        "signature": sign(document, key),
    }
    connection.execute(insert(settlements).values(row))
    _close_through(connection, merchant, month, hashed)
    audit.note(connection, by, "settlement-closed", merchant, now=now, detail=f"{month} {found.totals.subsidy} fen")
    return settlement(connection, merchant, month)


def document_of(connection: Connection, merchant: str, month: str) -> dict[str, str] | None:
    """The signed form: the document as the text that was signed, its hash, signature and key; None while open."""
    signed = _signed(connection, merchant, month)
    if signed is None:
        return None
    return {
        "document": bytes(signed.document).decode(),
        "hash": signed.hash,
        "key": signed.key,
        "signature": signed.signature,
    }


def cut(found: Settlement, lines_max: int) -> Settlement:
    """The same with its first lines only: totals, hash and signature are still those of all."""
    return replace(found, lines=found.lines[:lines_max])


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """One merchant's month as a list shows it; money in fen."""

    merchant: str
    month: str
    state: Literal["open", "closed", "covered"]
    completed: int
    voided: int
    units: int
    list: int
    pay: int
    saving: int
    charged: int
    subsidy: int
    late: int  # steps of days before the month


MONTHS_PAGE_MAX: Final = 500


def month_totals(
    connection: Connection, *, month: str | None = None, merchant: str | None = None, after: str = "", limit: int
) -> list[MonthTotal]:
    """A month of every merchant (by name, those behind `after`), or every month of a merchant, latest first.

    At most `limit`, which is cut to `MONTHS_PAGE_MAX`.
    """
    column = settlement_lines.c

    def summed(name: str, *kinds: str) -> Any:
        value = case((column.kind.in_(kinds), column[name]), else_=0) if kinds else column[name]
        return func.sum(value)

    query = (
        select(
            column.merchant,
            column.month,
            settlements.c.hash,
            settled_merchants.c.closed_through,
            summed("steps", "completed").label("completed"),
            summed("steps", "voided").label("voided"),
            summed("units").label("units"),
            summed("list_fen").label("list_fen"),
            summed("pay_fen").label("pay_fen"),
            summed("saving_fen").label("saving_fen"),
            summed("subsidy_fen", "charge").label("charged"),
            summed("subsidy_fen").label("subsidy_fen"),
            func.sum(case((func.substr(column.day, 1, 7) < column.month, column.steps), else_=0)).label("late"),
        )
        .outerjoin(settlements, (settlements.c.merchant == column.merchant) & (settlements.c.month == column.month))
        .outerjoin(settled_merchants, settled_merchants.c.merchant == column.merchant)
        .group_by(column.merchant, column.month, settlements.c.hash, settled_merchants.c.closed_through)
        .limit(min(limit, MONTHS_PAGE_MAX))
    )
    if month is not None:
        query = query.where(column.month == month)
    if merchant is not None:
        query = query.where(column.merchant == merchant)
    if after:
        query = query.where(column.merchant > after)
    query = query.order_by(column.merchant, column.month.desc())
    return [_month_total(row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class MonthSums:
    """A month of the whole city: merchants with lines, how many of them are closed, and money in fen."""

    merchants: int
    closed: int
    list: int
    pay: int
    saving: int
    subsidy: int


def every_month(connection: Connection, month: str) -> list[MonthTotal]:
    """A month of every merchant, page by page until the last."""
    found: list[MonthTotal] = []
    while True:
        after = found[-1].merchant if found else ""
        page = month_totals(connection, month=month, after=after, limit=MONTHS_PAGE_MAX)
        found += page
        if len(page) < MONTHS_PAGE_MAX:
            return found


def merchants_with_lines(connection: Connection) -> list[str]:
    """Every merchant that has a line, in order."""
    column = settlement_lines.c.merchant
    return list(connection.scalars(select(column).distinct().order_by(column)))


def month_sums(connection: Connection, month: str) -> MonthSums:
    """What all merchants' lines of a month come to."""
    column = settlement_lines.c
    sums = [func.coalesce(func.sum(column[name]), 0) for name in ("list_fen", "pay_fen", "saving_fen", "subsidy_fen")]
    query = select(func.count(column.merchant.distinct()), *sums).where(column.month == month)
    merchants, *money = connection.execute(query).one()
    closed = connection.scalar(select(func.count()).select_from(settlements).where(settlements.c.month == month)) or 0
    return MonthSums(merchants, closed, *(int(each) for each in money))


def _month_total(row: Any) -> MonthTotal:
    covered = row.closed_through is not None and row.month <= row.closed_through
    state: Literal["open", "closed", "covered"] = "closed" if row.hash else "covered" if covered else "open"
    return MonthTotal(
        row.merchant,
        row.month,
        state,
        int(row.completed),
        int(row.voided),
        int(row.units),
        int(row.list_fen),
        int(row.pay_fen),
        int(row.saving_fen),
        -int(row.charged),
        int(row.subsidy_fen),
        int(row.late),
    )


def unsound(connection: Connection, merchant: str, keys: Collection[str]) -> list[str]:
    """What is wrong with a merchant's settlements, in words for a log; empty: every signature, hash and link holds,
    and every month says what its steps and charges say. `keys`: headquarters' public ones, present and former, hex.
    """
    found = []
    previous = FIRST
    rows = connection.execute(
        select(settlements).where(settlements.c.merchant == merchant).order_by(settlements.c.month)
    ).all()
    for row in rows:
        document = bytes(row.document)
        if row.key not in keys or not is_signed_by(document, row.signature, row.key):
            found.append(f"{row.month}: not signed by headquarters' key")
        if digest(document) != row.hash:
            found.append(f"{row.month}: its hash is another")
        if row.previous != previous or f'"previous":"{previous}"'.encode() not in document:
            found.append(f"{row.month}: does not follow the settlement before it")
        if lines_in(document) != _lines(connection, merchant, row.month):
            found.append(f"{row.month}: its lines were changed")
        previous = row.hash
    through, last_hash = _closed(connection, merchant)
    if rows and (through, last_hash) != (rows[-1].month, rows[-1].hash):
        found.append("the last settlement is missing")
    return found + _unfounded(connection, merchant)


def _unfounded(connection: Connection, merchant: str) -> list[str]:
    """Months whose lines are not the sums of their steps and charges."""
    from sync.headquarters.money.sums import counted_lines

    counted = counted_lines(connection, merchant)
    months = set(counted) | set(
        connection.scalars(select(settlement_lines.c.month).where(settlement_lines.c.merchant == merchant).distinct())
    )
    return [
        f"{month}: its lines are not the sums of its steps"
        for month in sorted(months)
        if sorted(counted.get(month, ())) != [line for line in _lines(connection, merchant, month) if line.steps]
    ]


def _lines(connection: Connection, merchant: str, month: str) -> list[Line]:
    query = _line_columns().where(settlement_lines.c.merchant == merchant, settlement_lines.c.month == month)
    return sorted(lines_of(connection.execute(query)))


def _line_columns() -> Select[Any]:
    column = settlement_lines.c
    names = ("day", "kind", "offer", "share_bp", "steps", "units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")
    return select(*(column[name] for name in names))


def lines_of(rows: Iterable[Any]) -> list[Line]:
    """Lines from rows of their ten columns, in order; PostgreSQL adds BIGINTs up to a NUMERIC, hence int()."""
    return [Line(day, kind, offer, *(int(number) for number in numbers)) for day, kind, offer, *numbers in rows]


def _signed(connection: Connection, merchant: str, month: str) -> Any:
    found = select(settlements).where(settlements.c.merchant == merchant, settlements.c.month == month)
    return connection.execute(found).one_or_none()


def _closed(connection: Connection, merchant: str) -> tuple[str | None, str]:
    """Up to where the merchant is closed, and the hash of its last settlement."""
    query = select(settled_merchants.c.closed_through, settled_merchants.c.last_hash)
    found = connection.execute(query.where(settled_merchants.c.merchant == merchant)).one_or_none()
    return (found.closed_through, found.last_hash) if found else (None, FIRST)


def _earliest_open(connection: Connection, merchant: str) -> str | None:
    """The first month with lines that is not closed."""
    through, _ = _closed(connection, merchant)
    query = select(func.min(settlement_lines.c.month)).where(
        settlement_lines.c.merchant == merchant, settlement_lines.c.month > (through or "")
    )
    earliest: str | None = connection.scalar(query)
    return earliest


def _close_through(connection: Connection, merchant: str, month: str, hashed: str) -> None:
    row = {"merchant": merchant, "closed_through": month, "last_hash": hashed}
    statement = insert_or(connection, settled_merchants).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["merchant"], set_={"closed_through": month, "last_hash": hashed}
        )
    )

"""Writing steps down: each in one month of one merchant, in the transaction that took in the entry.

Closing a month and adding to it exclude each other by a lock per merchant: whoever adds holds it shared until its
transaction ends, whoever closes holds it alone. PostgreSQL's advisory locks do that without writing anything, and a
waiting closer goes before those who come after it. On SQLite the one writer is lock enough.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, TextClause, bindparam, insert, select, text

from sync.headquarters.bulk import add_rows, can_copy, copying
from sync.headquarters.money.months import effective_day, month_of, month_to_count_in
from sync.headquarters.money.steps import Step, StepKind, Terms, share_on, steps_of, subsidy_of
from sync.headquarters.money.tables import charges, settled_merchants, settlement_lines, settlement_steps, subsidy_terms
from sync.headquarters.projection import Finding, Folded, Place
from sync.headquarters.storage import insert_of
from terminal.ledger.entry import Entry

LOCK_SPACE: Final = 5_180_021  # of this room's advisory locks; any number that nothing else in this database uses
CHARGE: Final = "charge"  # the third kind of line: what a decision takes from a merchant or gives back
KEYS: Final = ("merchant", "month", "day", "kind", "offer", "share_bp")
SUMS: Final = ("steps", "units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")

_SHARE: Final = text("SELECT pg_advisory_xact_lock_shared(:space, :number)")
_ALONE: Final = text("SELECT pg_advisory_xact_lock(:space, :number)")
_CLOSED: Final = select(settled_merchants.c.merchant, settled_merchants.c.closed_through).where(
    settled_merchants.c.merchant.in_(bindparam("merchants", expanding=True))
)
_TERMS: Final = select(subsidy_terms).where(subsidy_terms.c.merchant.in_(bindparam("merchants", expanding=True)))


def settle(
    connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
) -> Iterable[Finding]:
    """`Judge`: note what the fresh entries are worth. Finds fault with nothing."""
    steps = steps_of(place.terminal, entries, folded)
    if not steps:
        return ()
    merchants = sorted({step.merchant for step in steps})
    closed = hold_open(connection, merchants)
    terms = terms_of(connection, merchants)
    days = _days(connection, steps, now)
    rows = [_row(step, days[step.redemption], closed, terms, now) for step in steps]
    _add_steps(connection, rows)
    _add_sums(connection, ((_key(row), _sums(row)) for row in rows))
    _give_back_charges(connection, rows, closed, now)
    return ()


def hold_open(connection: Connection, merchants: Sequence[str]) -> dict[str, str]:
    """Nobody closes these merchants until the transaction ends; up to where each is closed, the never closed left out.

    The lock comes first and the look after it: in the other order a month might be closed in between.
    """
    _lock(connection, merchants, _SHARE)
    found = connection.execute(_CLOSED, {"merchants": merchants})
    return {each.merchant: each.closed_through for each in found}


def hold_alone(connection: Connection, *merchants: str) -> None:
    """Nobody else adds to these merchants or closes them until the transaction ends."""
    _lock(connection, merchants, _ALONE)


def terms_of(connection: Connection, merchants: Sequence[str]) -> dict[str, list[Terms]]:
    """What the centre owes each of these merchants."""
    found: dict[str, list[Terms]] = {}
    for each in connection.execute(_TERMS, {"merchants": merchants}):
        found.setdefault(each.merchant, []).append(Terms(each.offer, each.first_day, each.share_bp))
    return found


def add_lines(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add these amounts to the lines they belong to; sorted, so that two who add cannot wait for each other in a ring.

    Each row has `KEYS` and `SUMS`, and may have more.
    """
    _add_sums(connection, ((tuple(row[name] for name in KEYS), [row[name] for name in SUMS]) for row in rows))


def _add_sums(connection: Connection, amounts: Iterable[tuple[tuple[Any, ...], Sequence[int]]]) -> None:
    """Add amounts (in the order of `SUMS`) to the lines they belong to (`KEYS`)."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for key, values in amounts:
        line = sums.setdefault(key, [0] * len(SUMS))
        for at, value in enumerate(values):
            line[at] += value
    if sums:
        lines = [dict(zip((*KEYS, *SUMS), (*key, *sums[key]), strict=True)) for key in sorted(sums)]
        connection.execute(_added(connection.dialect.name), lines)


@lru_cache
def _added(dialect: str) -> Any:
    """The statement that adds to lines: built once for each dialect."""
    statement = insert_of(dialect, settlement_lines)
    added = {name: settlement_lines.c[name] + statement.excluded[name] for name in SUMS}
    return statement.on_conflict_do_update(index_elements=KEYS, set_=added)


def add_charge(connection: Connection, charge: Mapping[str, Any]) -> None:
    """Note a charge (negative) or what comes back of one, and its line. `charge` has the columns of `charges`."""
    connection.execute(insert(charges).values(**charge))
    line = {name: charge[name] for name in ("merchant", "month", "day", "offer")}
    nothing = {"units": 0, "list_fen": 0, "pay_fen": 0, "saving_fen": 0}
    add_lines(
        connection,
        [{**line, **nothing, "kind": CHARGE, "share_bp": 0, "steps": 1, "subsidy_fen": charge["amount_fen"]}],
    )


def month_now(closed: Mapping[str, str], merchant: str, now: datetime) -> str:
    """The month that something decided now counts in."""
    return month_to_count_in(month_of(now) + "-01", now, closed.get(merchant))


def _lock(connection: Connection, merchants: Iterable[str], statement: TextClause) -> None:
    if connection.dialect.name != "postgresql":
        return
    numbers = sorted({zlib.crc32(merchant.encode()) - 2**31 for merchant in merchants})  # a PostgreSQL INTEGER
    for number in numbers:
        connection.execute(statement, {"space": LOCK_SPACE, "number": number})


def _add_steps(connection: Connection, rows: Sequence[_Row]) -> None:
    if can_copy(connection, len(rows)):
        with copying(connection, settlement_steps, _Row._fields, rows):
            pass
    else:
        add_rows(connection, settlement_steps, _Row._fields, rows)


def _days(connection: Connection, steps: Sequence[Step], now: datetime) -> dict[str, str]:
    """The day that each redemption counts for: settled by its completion, so that voids follow it."""
    completed = {step.redemption for step in steps if step.kind is StepKind.COMPLETED}
    effective = {day: effective_day(day, now) for day in {step.business_day for step in steps}}  # few in a batch
    days = {step.redemption: effective[step.business_day] for step in steps}
    older = {step.redemption for step in steps} - completed
    if older:
        query = select(settlement_steps.c.redemption, settlement_steps.c.day).where(
            settlement_steps.c.redemption.in_(older), settlement_steps.c.kind == StepKind.COMPLETED.value
        )
        days |= {each.redemption: each.day for each in connection.execute(query)}
    return days


class _Row(NamedTuple):
    """A step as it stands in `settlement_steps`."""

    redemption: str
    sequence: int
    terminal: str
    kind: str
    merchant: str
    offer: str
    business_day: str
    day: str
    month: str
    arrived_at: datetime
    units: int
    list_fen: int
    pay_fen: int
    saving_fen: int
    kept_fen: int
    share_bp: int
    subsidy_fen: int


def _row(step: Step, day: str, closed: Mapping[str, str], terms: Mapping[str, Sequence[Terms]], now: datetime) -> _Row:
    share_bp = share_on(terms.get(step.merchant, ()), step.offer, day)
    return _Row(
        step.redemption,
        step.sequence,
        step.terminal,
        step.kind.value,
        step.merchant,
        step.offer,
        step.business_day,
        day,
        month_to_count_in(day, now, closed.get(step.merchant)),
        now,
        step.units,
        step.list_fen,
        step.pay_fen,
        step.saving_fen,
        step.kept_fen,
        share_bp,
        subsidy_of(step.kept_fen, step.saving_fen, share_bp),
    )


def _key(row: _Row) -> tuple[Any, ...]:
    """`KEYS` of a step."""
    return row.merchant, row.month, row.day, row.kind, row.offer, row.share_bp


def _sums(row: _Row) -> tuple[int, ...]:
    """`SUMS` of a step."""
    return 1, row.units, row.list_fen, row.pay_fen, row.saving_fen, row.subsidy_fen


def _give_back_charges(connection: Connection, rows: Sequence[_Row], closed: Mapping[str, str], now: datetime) -> None:
    """A charge stands for a subsidy; what a void takes back of that subsidy must not be taken twice."""
    taken = {row.redemption: 0 for row in rows if row.subsidy_fen < 0}
    if not taken:
        return
    for row in rows:
        if row.redemption in taken and row.subsidy_fen < 0:
            taken[row.redemption] -= row.subsidy_fen
    query = select(charges).where(charges.c.redemption.in_(taken), charges.c.follows_subsidy == 1)
    standing: dict[tuple[str, int, str], dict[str, Any]] = {}
    for each in connection.execute(query.order_by(charges.c.id)).mappings():
        key = (each["terminal"], each["sequence"], each["code"])
        before = standing.get(key, {"amount_fen": 0})["amount_fen"]
        standing[key] = {**each, "amount_fen": before + each["amount_fen"]}
    for charge in standing.values():
        back = min(-charge["amount_fen"], taken[charge["redemption"]])
        if back > 0:
            taken[charge["redemption"]] -= back
            month = month_now(closed, charge["merchant"], now)
            again = {name: charge[name] for name in charge if name != "id"}
            add_charge(connection, again | {"month": month, "amount_fen": back, "noted_at": now})

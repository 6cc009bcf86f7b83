"""The lines as the steps and charges make them, counted anew: what is proven against, and what a change of terms makes.

Set-based: one pass over a merchant's steps, by their index.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, literal, select, update

from sync.headquarters.money.document import Line
from sync.headquarters.money.record import CHARGE, KEYS, SUMS
from sync.headquarters.money.steps import WHOLE_BP, Terms, share_on
from sync.headquarters.money.tables import charges, settlement_lines, settlement_steps

_AMOUNTS: Final = ("units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")


def counted_lines(connection: Connection, merchant: str) -> dict[str, list[Line]]:
    """The lines of every month of a merchant, from its steps and charges."""
    from sync.headquarters.money.settlement import lines_of

    lines: dict[str, list[Line]] = {}
    column = settlement_steps.c
    keys = (column.month, column.day, column.kind, column.offer, column.share_bp)
    sums = (func.count(), *(func.sum(column[name]) for name in _AMOUNTS))
    stepped = select(*keys, *sums).where(column.merchant == merchant).group_by(*keys)
    for month, *rest in connection.execute(stepped):
        lines.setdefault(month, []).extend(lines_of([rest]))
    column = charges.c
    keys_of_charges = (column.month, column.day, column.offer)
    charged = select(*keys_of_charges, func.count(), func.sum(column.amount_fen)).where(column.merchant == merchant)
    for month, day, offer, count, amount in connection.execute(charged.group_by(*keys_of_charges)):
        lines.setdefault(month, []).extend(lines_of([(day, CHARGE, offer, 0, count, 0, 0, 0, 0, amount)]))
    return lines


def apply_terms(connection: Connection, merchant: str, terms: list[Terms], open_after: str) -> None:
    """Give every step after the month `open_after` the share that `terms` say, and write its lines anew.

    In a transaction that holds the merchant alone.
    """
    open_steps = (settlement_steps.c.merchant == merchant) & (settlement_steps.c.month > open_after)
    kept, saving, share = settlement_steps.c.kept_fen, settlement_steps.c.saving_fen, _share(terms)
    subsidy = _share_of(kept, share) - _share_of(kept - saving, share)
    changed = update(settlement_steps).where(open_steps, settlement_steps.c.share_bp != share)
    connection.execute(changed.values(share_bp=share, subsidy_fen=subsidy))
    of_steps = settlement_lines.c.kind != CHARGE
    old = (settlement_lines.c.merchant == merchant) & (settlement_lines.c.month > open_after) & of_steps
    connection.execute(delete(settlement_lines).where(old))
    column = settlement_steps.c
    keys = [column[name] for name in KEYS]
    sums = [func.count(), *(func.sum(column[name]) for name in _AMOUNTS)]
    counted = select(*keys, *sums).where(open_steps).group_by(*keys)
    connection.execute(insert(settlement_lines).from_select([*KEYS, *SUMS], counted))


def _share(terms: list[Terms]) -> Any:
    """The share of a step as an expression over its offer and day; the first condition that holds counts."""
    column = settlement_steps.c
    conditions: list[tuple[ColumnElement[bool], Any]] = []
    offers = sorted({each.offer for each in terms}, reverse=True)  # every offer's (the empty name) comes last
    for offer in offers:
        for day in sorted({each.first_day for each in terms if each.offer in (offer, "")}, reverse=True):
            begun = column.day >= day
            holds = begun if offer == "" else begun & (column.offer == offer)
            conditions.append((holds, literal(share_on(terms, offer, day))))
    return case(*conditions, else_=literal(0)) if conditions else literal(0)


def _share_of(amount: Any, share_bp: Any) -> Any:
    """`steps.share_of`, for the database to compute."""
    return (amount * share_bp + WHOLE_BP // 2) // WHOLE_BP

"""The lines as the steps and charges make them, counted anew: what is proven against, in one pass over a merchant's
steps by their index. And what terms make of a step, as expressions for the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, literal, select

from sync.headquarters.money.document import Line
from sync.headquarters.money.record import CHARGE
from sync.headquarters.money.steps import WHOLE_BP, Terms, share_on
from sync.headquarters.money.tables import charges, settlement_steps

AMOUNTS: Final = ("units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")


def counted_lines(connection: Connection, merchant: str) -> dict[str, list[Line]]:
    """The lines of every month of a merchant, from its steps and charges."""
    from sync.headquarters.money.settlement import lines_of

    lines: dict[str, list[Line]] = {}
    column = settlement_steps.c
    keys = (column.month, column.day, column.kind, column.offer, column.share_bp)
    sums = (func.count(), *(func.sum(column[name]) for name in AMOUNTS))
    stepped = select(*keys, *sums).where(column.merchant == merchant).group_by(*keys)
    for month, *rest in connection.execute(stepped):
        lines.setdefault(month, []).extend(lines_of([rest]))
    column = charges.c
    keys_of_charges = (column.month, column.day, column.offer)
    charged = select(*keys_of_charges, func.count(), func.sum(column.amount_fen)).where(column.merchant == merchant)
    for month, day, offer, count, amount in connection.execute(charged.group_by(*keys_of_charges)):
        lines.setdefault(month, []).extend(lines_of([(day, CHARGE, offer, 0, count, 0, 0, 0, 0, amount)]))
    return lines


def share_held(terms: Sequence[Terms]) -> Any:
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


def subsidy_at(share: Any) -> Any:
    """What a step at this share is worth, as an expression: `steps.subsidy_of`, for the database to compute."""
    kept, saving = settlement_steps.c.kept_fen, settlement_steps.c.saving_fen
    return _share_of(kept, share) - _share_of(kept - saving, share)


def _share_of(amount: Any, share_bp: Any) -> Any:
    """`steps.share_of`, for the database to compute."""
    return (amount * share_bp + WHOLE_BP // 2) // WHOLE_BP

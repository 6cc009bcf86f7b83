"""The merchants that headquarters knows: of the released book, of the fleet, of settlements, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, func, literal, select, union

from sync.headquarters.books import releases
from sync.headquarters.money.tables import settled_merchants, settlement_lines
from sync.headquarters.tables import terminals

MERCHANTS_PAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class MerchantView:
    """A merchant; the name and the agreement are the newest released book's, None where it does not know it.

    `agreement_ends` None beside `agreement_from`: it renews itself. `closed_through` is the last closed month.
    """

    merchant: str
    name: dict[str, str] | None
    terminals: int
    agreement_from: date | None
    agreement_ends: date | None
    agreement_valid: bool | None
    closed_through: str | None


def page_of_merchants(connection: Connection, today: date, *, after: str = "", limit: int) -> list[MerchantView]:
    """Merchants by id, those behind the id `after`; at most `limit` (which is cut to `MERCHANTS_PAGE_MAX`)."""
    revision = releases.newest(connection)
    known = releases.content_of(connection, revision).book.merchants if revision else ()
    of_book = {each.id: each for each in known}
    counts = select(terminals.c.merchant, func.count().label("terminals")).group_by(terminals.c.merchant).subquery()
    names = union(
        select(terminals.c.merchant.label("merchant")),
        select(settlement_lines.c.merchant),
        *(select(literal(each)) for each in of_book),
    ).subquery()
    query = (
        select(names.c.merchant, func.coalesce(counts.c.terminals, 0), settled_merchants.c.closed_through)
        .outerjoin(counts, counts.c.merchant == names.c.merchant)
        .outerjoin(settled_merchants, settled_merchants.c.merchant == names.c.merchant)
        .where(names.c.merchant > after)
        .order_by(names.c.merchant)
        .limit(min(limit, MERCHANTS_PAGE_MAX))
    )
    found = []
    for merchant, count, through in connection.execute(query):
        told = of_book.get(merchant)
        agreement = told.agreement if told else None
        found.append(
            MerchantView(
                merchant=merchant,
                name={"zh": told.name.zh, "en": told.name.en} if told else None,
                terminals=count,
                agreement_from=agreement.first_day if agreement else None,
                agreement_ends=agreement.ends() if agreement else None,
                agreement_valid=agreement.valid_on(today) if agreement else None,
                closed_through=through,
            )
        )
    return found

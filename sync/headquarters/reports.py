"""What people at headquarters ask the database: redemptions page by page, and totals per merchant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, TextClause, and_, func, select

from sync.headquarters.errors import PeriodTooLong
from sync.headquarters.money.sold import COUNTED, by_business_day
from sync.headquarters.money.tables import decisions
from sync.headquarters.tables import OPEN_SALE, VOIDED_SALE, flags, redemptions

REDEMPTIONS_PAGE_MAX: Final = 500  # one answer; about 200 kB as JSON
FLAGS_PAGE_MAX: Final = 500
MERCHANTS_MAX: Final = 5000  # twice the city's
PERIOD_DAYS_MAX: Final = 366  # a year, for the yearly review


@dataclass(frozen=True, slots=True)
class RedemptionView:
    """One redemption as people see it: money in fen, `list` and `pay` as authorised, `voided_*` what came back of it.

    `entry_mode` is how the card was read, `approved_by` the manager who let its number be typed. `authorised_at` is the
    counter's clock; `arrived_at` and `changed_at` are ours.
    """

    id: str
    terminal: str
    sequence: int
    merchant: str
    site: str
    offer: str
    offer_name: dict[str, str]
    state: str
    units: int
    voided_units: int
    list: int
    pay: int
    masked: str
    cashier: str
    granted: str
    entry_mode: str
    approved_by: str | None
    business_day: str
    authorised_at: datetime
    arrived_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class MerchantTotal:
    """One merchant in a period. Completed sales less what was voided of them; `open` are authorised and not settled.

    Money in fen; `saving` is what members paid less than the list price.
    """

    merchant: str
    redemptions: int
    open: int
    units: int
    list: int
    pay: int
    saving: int


def page_of_redemptions(
    connection: Connection, *, day: date | None, merchant: str | None, before: str | None, limit: int
) -> list[RedemptionView]:
    """At most `limit` redemptions (`REDEMPTIONS_PAGE_MAX` in any case), latest sale first, those before id `before`."""
    query = select(redemptions).order_by(redemptions.c.id.desc()).limit(min(limit, REDEMPTIONS_PAGE_MAX))
    if day is not None:
        query = query.where(redemptions.c.business_day == day.isoformat())
    if merchant is not None:
        query = query.where(redemptions.c.merchant == merchant)
    if before is not None:
        query = query.where(redemptions.c.id < before)
    return _views(connection, query)


def redemptions_of_cards(connection: Connection, tokens: Sequence[str], limit: int) -> list[RedemptionView]:
    """The latest redemptions with any of these cards."""
    query = select(redemptions).where(redemptions.c.member.in_(tokens)).order_by(redemptions.c.id.desc())
    return _views(connection, query.limit(min(limit, REDEMPTIONS_PAGE_MAX)))


def latest_arrivals(connection: Connection, limit: int) -> list[RedemptionView]:
    """The redemptions that came in or moved on last, by our clock."""
    order = (redemptions.c.changed_at.desc(), redemptions.c.id.desc())
    return _views(connection, select(redemptions).order_by(*order).limit(min(limit, REDEMPTIONS_PAGE_MAX)))


def totals(connection: Connection, first: date, last: date) -> list[MerchantTotal]:
    """Every merchant's total over the business days from `first` to `last`, both included; those that neither sold
    nor began a sale left out.

    From the lines that settlement keeps, and two indexes of few sales each. Raises `PeriodTooLong`.
    """
    if not 0 <= (last - first).days < PERIOD_DAYS_MAX:
        raise PeriodTooLong("add up", "redemptions", days_max=PERIOD_DAYS_MAX)
    sold = {key: each for key, each in by_business_day(connection, first, last).items() if each["completed"]}
    voided = _counted(connection, VOIDED_SALE, first, last)
    waiting = _counted(connection, OPEN_SALE, first, last)
    nothing = dict.fromkeys(("completed", *COUNTED), 0)
    found = []
    for merchant in sorted(sold.keys() | waiting.keys())[:MERCHANTS_MAX]:
        each = sold.get(merchant, nothing)
        found.append(
            MerchantTotal(
                merchant=merchant,
                redemptions=each["completed"] - voided.get(merchant, 0),
                open=waiting.get(merchant, 0),
                units=each["units"],
                list=each["list_fen"],
                pay=each["pay_fen"],
                saving=each["list_fen"] - each["pay_fen"],
            )
        )
    return found


def _counted(connection: Connection, state: TextClause, first: date, last: date) -> dict[str, int]:
    """How many sales of these days are in a `state` that has an index of its own, by merchant."""
    days = redemptions.c.business_day.between(first.isoformat(), last.isoformat())
    query = (
        select(redemptions.c.merchant, func.count().label("of_it")).where(state, days).group_by(redemptions.c.merchant)
    )
    return {row.merchant: row.of_it for row in connection.execute(query)}


def _views(connection: Connection, query: Select[Any]) -> list[RedemptionView]:
    return [_view(row) for row in connection.execute(query)]


def _view(row: Row[Any]) -> RedemptionView:
    found = row._mapping
    same = {name: found[name] for name in RedemptionView.__dataclass_fields__ if name in found}
    record = json.loads(found["record"])
    return RedemptionView(
        **same,
        offer_name=record["offer_name"],
        list=found["list_fen"],
        pay=found["pay_fen"],
        entry_mode=record["entry_mode"],
        approved_by=record.get("approved_by"),  # not in records of before there were any
    )


@dataclass(frozen=True, slots=True)
class FlagView:
    """One finding on one entry, for a person to settle."""

    terminal: str
    sequence: int
    code: str
    detail: str
    noted_at: datetime


def latest_flags(connection: Connection, limit: int) -> list[FlagView]:
    """The findings noted last that nobody has settled yet."""
    order = (flags.c.noted_at.desc(), flags.c.terminal, flags.c.sequence.desc())
    same = and_(*(decisions.c[name] == flags.c[name] for name in ("terminal", "sequence", "code")))
    query = select(flags).outerjoin(decisions, same).where(decisions.c.decision.is_(None))
    found = connection.execute(query.order_by(*order).limit(min(limit, FLAGS_PAGE_MAX)))
    return [FlagView(**each) for each in found.mappings()]

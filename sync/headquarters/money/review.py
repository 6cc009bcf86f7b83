"""The yearly review of a merchant: what its agreement asks the centre to look at once a calendar year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, case, func, select

from sync.headquarters.money.complaints import COMPLAINTS_PAGE_MAX, ComplaintView, page_of_complaints
from sync.headquarters.money.tables import complaints, settlement_lines
from sync.headquarters.tables import flags, redemptions, terminals
from terminal.ledger.project import RedemptionState

YEAR_MIN: Final = 2009  # the programme's first card
YEAR_MAX: Final = 9998


@dataclass(frozen=True, slots=True)
class Part:
    """A month's or an offer's part: completed and voided steps, what is left of them, money in fen."""

    completed: int
    voided: int
    units: int
    list: int
    pay: int
    saving: int
    subsidy: int


@dataclass(frozen=True, slots=True)
class MonthPart:
    """The part of the sales of one month (YYYY-MM)."""

    month: str
    sums: Part


@dataclass(frozen=True, slots=True)
class OfferPart:
    """The part of one offer."""

    offer: str
    sums: Part


@dataclass(frozen=True, slots=True)
class FindingCount:
    """How many findings of a code were noted."""

    code: str
    count: int


@dataclass(frozen=True, slots=True)
class YearReview:
    """One merchant, one calendar year, by the day of the sale, however late it arrived.

    `members` counts cards that were served at least once (a replaced card counts anew); `charged` is what decisions on
    sales of the year took off. The complaints listed are the latest; `complaint_count` counts all.
    """

    merchant: str
    year: int
    total: Part
    members: int
    charged: int
    months: list[MonthPart]
    offers: list[OfferPart]
    findings: list[FindingCount]
    complaint_count: int
    complaints_open: int
    complaints: list[ComplaintView]


def year_review(connection: Connection, merchant: str, year: int) -> YearReview:
    """The review; all zero for a year without sales."""
    first, last = date(year, 1, 1).isoformat(), date(year, 12, 31).isoformat()
    of_year = settlement_lines.c.day.between(first, last) & (settlement_lines.c.merchant == merchant)
    month = func.substr(settlement_lines.c.day, 1, 7)
    months = [MonthPart(key, part) for key, part in _parts(connection, month, of_year)]
    offers = [OfferPart(key, part) for key, part in _parts(connection, settlement_lines.c.offer, of_year)]
    charged = connection.scalar(
        select(func.sum(settlement_lines.c.subsidy_fen)).where(of_year, settlement_lines.c.kind == "charge")
    )
    total = [sum(values) for values in zip(*(_values(each.sums) for each in months), strict=True)] or [0] * 7
    of_complaints = (complaints.c.merchant == merchant) & complaints.c.day.between(first, last)
    count, unsettled = connection.execute(
        select(func.count(), func.count().filter(complaints.c.outcome == "")).where(of_complaints)
    ).one()
    return YearReview(
        merchant=merchant,
        year=year,
        total=Part(*total),
        members=_members(connection, merchant, first, last),
        charged=-int(charged or 0),
        months=months,
        offers=offers,
        findings=_findings(connection, merchant, year),
        complaint_count=count,
        complaints_open=unsettled,
        complaints=page_of_complaints(connection, merchant=merchant, first=first, last=last, limit=COMPLAINTS_PAGE_MAX),
    )


def _parts(connection: Connection, key: Any, where: Any) -> list[tuple[str, Part]]:
    column = settlement_lines.c
    sums = (
        func.sum(case((column.kind == "completed", column.steps), else_=0)),
        func.sum(case((column.kind == "voided", column.steps), else_=0)),
        *(func.sum(column[name]) for name in ("units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")),
    )
    query = select(key, *sums).where(where).group_by(key).order_by(key)
    return [(name, Part(*(int(number) for number in numbers))) for name, *numbers in connection.execute(query)]


def _values(part: Part) -> tuple[int, ...]:
    return tuple(getattr(part, name) for name in Part.__dataclass_fields__)


def _members(connection: Connection, merchant: str, first: str, last: str) -> int:
    """Cards with a completed sale, over the redemptions of this merchant by their index."""
    column = redemptions.c
    of_year = (column.merchant == merchant) & column.business_day.between(first, last)
    served = column.state == RedemptionState.COMPLETED.value
    return connection.scalar(select(func.count(column.member.distinct())).where(of_year, served)) or 0


def _findings(connection: Connection, merchant: str, year: int) -> list[FindingCount]:
    from datetime import datetime

    from config.zone import SHANGHAI

    begin, end = datetime(year, 1, 1, tzinfo=SHANGHAI), datetime(year + 1, 1, 1, tzinfo=SHANGHAI)
    query = (
        select(flags.c.code, func.count())
        .join(terminals, terminals.c.id == flags.c.terminal)
        .where(terminals.c.merchant == merchant, flags.c.noted_at >= begin, flags.c.noted_at < end)
        .group_by(flags.c.code)
        .order_by(flags.c.code)
    )
    return [FindingCount(code, count) for code, count in connection.execute(query)]

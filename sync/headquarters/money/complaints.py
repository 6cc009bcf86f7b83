"""Complaints about a merchant's service, as people at headquarters write them down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection, insert, select, update

from sync.headquarters.enrolment import PlainLabel
from sync.headquarters.money.errors import ComplaintMissing
from sync.headquarters.money.tables import complaints
from sync.headquarters.people import audit
from sync.wire import TerminalId
from terminal.ledger.bodies import refuse_card_numbers
from terminal.serving.people import Person

COMPLAINTS_PAGE_MAX: Final = 200
TEXT_CHARS_MAX: Final = 1000  # a telephone call in a few sentences

Told = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=TEXT_CHARS_MAX, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$"
    ),
]
"""Sentences; line breaks and tabs, no other control characters."""


class NewComplaint(BaseModel):
    """Who is complained about, the day it happened, and what was said: without a card number."""

    model_config = ConfigDict(extra="forbid")

    merchant: PlainLabel
    terminal: TerminalId | None = None
    day: date
    text: Told


class Outcome(BaseModel):
    """What came of a complaint."""

    model_config = ConfigDict(extra="forbid")

    outcome: Told


@dataclass(frozen=True, slots=True)
class ComplaintView:
    """A complaint; open while `outcome` is None."""

    id: Annotated[int, Field(ge=1)]
    merchant: str
    terminal: str | None
    day: str
    text: str
    outcome: str | None
    noted_by: str
    noted_at: datetime


def note_complaint(connection: Connection, new: NewComplaint, by: Person, *, now: datetime) -> ComplaintView:
    """Write a complaint down. Raises `CardNumberTyped`."""
    refuse_card_numbers("note", "complaint", "text", new.text)
    row = {
        "merchant": new.merchant,
        "terminal": new.terminal or "",
        "day": new.day.isoformat(),
        "text": new.text,
        "outcome": "",
        "noted_by": by.id,
        "noted_at": now,
    }
    number = connection.execute(insert(complaints).values(row).returning(complaints.c.id)).scalar_one()
    audit.note(connection, by, "complaint-noted", new.merchant, now=now, detail=str(number))
    return _one(connection, number)


def settle_complaint(connection: Connection, number: int, said: Outcome, by: Person, *, now: datetime) -> ComplaintView:
    """Write down what came of it; a later word takes the place of an earlier one.

    Raises `ComplaintMissing`, `CardNumberTyped`.
    """
    refuse_card_numbers("settle", "complaint", "outcome", said.outcome)
    changed = connection.execute(
        update(complaints)
        .where(complaints.c.id == number)
        .values(outcome=said.outcome)
        .returning(complaints.c.merchant)
    )
    merchant = changed.scalar()
    if merchant is None:
        raise ComplaintMissing("settle", str(number))
    audit.note(connection, by, "complaint-settled", merchant, now=now, detail=f"{number}: {said.outcome}")
    return _one(connection, number)


def page_of_complaints(
    connection: Connection,
    *,
    merchant: str | None = None,
    first: str | None = None,
    last: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[ComplaintView]:
    """Complaints noted last first: of a merchant, of the days from `first` to `last`, those before the id `before`."""
    query = select(complaints).order_by(complaints.c.id.desc()).limit(min(limit, COMPLAINTS_PAGE_MAX))
    if merchant is not None:
        query = query.where(complaints.c.merchant == merchant)
    if first is not None:
        query = query.where(complaints.c.day >= first)
    if last is not None:
        query = query.where(complaints.c.day <= last)
    if before is not None:
        query = query.where(complaints.c.id < before)
    return [_view(row) for row in connection.execute(query).mappings()]


def _one(connection: Connection, number: int) -> ComplaintView:
    return _view(connection.execute(select(complaints).where(complaints.c.id == number)).mappings().one())


def _view(row: object) -> ComplaintView:
    fields = dict(row)  # type: ignore[call-overload]
    return ComplaintView(**fields | {"terminal": fields["terminal"] or None, "outcome": fields["outcome"] or None})

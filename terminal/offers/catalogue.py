"""What stands around the offers: categories, the counter's questions, merchants with sites and agreements."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import MAXYEAR, date
from typing import Annotated, Literal

from pydantic import Field

from terminal.offers.values import AMOUNT_FEN_MAX, Day, Fen, Id, Part, Wording

SITES_MAX = 500  # of one merchant, and named by one offer
OPTIONS_MAX = 50  # answers to one question on the cashier's form
NOTICE_DAYS_MAX = 366  # an objection a year ahead


class Category(Part):
    """Something that is sold: its name, what one is called, and its list price where everyone charges the same."""

    name: Wording
    unit: Wording
    list_fen: Fen | None = None


class ChoiceAttribute(Part):
    """A question with a closed list of answers."""

    kind: Literal["choice"]
    label: Wording
    options: Annotated[Mapping[Id, Wording], Field(min_length=1, max_length=OPTIONS_MAX)]


class TextAttribute(Part):
    """A question with a free answer (a showing's number)."""

    kind: Literal["text"]
    label: Wording


class MoneyAttribute(Part):
    """A question for an amount, answered in fen."""

    kind: Literal["money"]
    label: Wording


class NumberAttribute(Part):
    """A question for a whole number (a row, a visitor's count)."""

    kind: Literal["number"]
    label: Wording
    min: Annotated[int, Field(ge=0, le=AMOUNT_FEN_MAX)] = 0
    max: Annotated[int, Field(ge=0, le=AMOUNT_FEN_MAX)] = AMOUNT_FEN_MAX


class DateAttribute(Part):
    """A question for a day, answered YYYY-MM-DD, from 1900 to 2199."""

    kind: Literal["date"]
    label: Wording


Attribute = Annotated[
    ChoiceAttribute | TextAttribute | MoneyAttribute | NumberAttribute | DateAttribute, Field(discriminator="kind")
]


class Site(Part):
    """One shop of a merchant."""

    id: Id
    name: Wording


class Renewal(Part):
    """Renewed by itself for a year at each end, unless a side objected in writing `notice_days` before it."""

    notice_days: Annotated[int, Field(ge=0, le=NOTICE_DAYS_MAX)]
    objected_on: Day | None = None


class Agreement(Part):
    """The merchant's agreement with the centre, valid on both days named; without one no offer holds."""

    first_day: Day
    last_day: Day
    renewal: Renewal | None = None

    def ends(self) -> date | None:
        """The last day on which the agreement is valid; None: it renews itself without an end in sight."""
        if self.renewal is None:
            return self.last_day
        if self.renewal.objected_on is None:
            return None
        in_time = self.renewal.objected_on.toordinal() + self.renewal.notice_days
        years = max(0, self.renewal.objected_on.year - self.last_day.year - 1)  # no earlier end can be in time
        while (end := _years_later(self.last_day, years)) is not None:
            if end.toordinal() >= in_time:
                return end
            years += 1
        return None

    def valid_on(self, day: date) -> bool:
        """Whether the agreement covers `day`."""
        end = self.ends()
        return self.first_day <= day and (end is None or day <= end)


def _years_later(day: date, years: int) -> date | None:
    """The same day `years` later; 28 February for a leap day in a common year, None beyond the calendar."""
    if day.year + years > MAXYEAR:
        return None
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


class Merchant(Part):
    """A partner merchant with its sites and its agreement."""

    id: Id
    name: Wording
    agreement: Agreement
    sites: Annotated[tuple[Site, ...], Field(min_length=1, max_length=SITES_MAX)]

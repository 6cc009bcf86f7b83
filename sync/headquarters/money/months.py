"""Months of settlement, and in which one a step counts. Pure.

A step counts in the month of its business day while that is open. Once it is closed, the step counts in the month in
which it arrives: a late one, with its day beside it. A day after the arrival (a clock that runs ahead) or in no
calendar counts as the day of arrival.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import StringConstraints

from config.zone import SHANGHAI

MONTH_PATTERN: Final = r"^[0-9]{4}-(0[1-9]|1[0-2])$"
Month = Annotated[str, StringConstraints(pattern=MONTH_PATTERN)]
"""YYYY-MM; months in this form sort as they follow each other."""

_MONTH: Final = re.compile(MONTH_PATTERN)


def is_month(text: str) -> bool:
    """Whether `text` is YYYY-MM."""
    return _MONTH.fullmatch(text) is not None


def day_of(moment: datetime) -> str:
    """The day in Shanghai at `moment`, YYYY-MM-DD."""
    return moment.astimezone(SHANGHAI).date().isoformat()


def month_of(moment: datetime) -> str:
    """The month in Shanghai at `moment`."""
    return day_of(moment)[:7]


def following(month: str) -> str:
    """The month after `month`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def preceding(month: str) -> str:
    """The month before `month`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year:04d}-{number - 1:02d}" if number > 1 else f"{year - 1:04d}-12"


def effective_day(business_day: str, arrived: datetime) -> str:
    """The day that a sale counts for: its business day, or the day of arrival where that cannot be."""
    arrival = day_of(arrived)
    try:
        real = date.fromisoformat(business_day).isoformat() == business_day
    except ValueError:
        real = False
    return min(business_day, arrival) if real else arrival


def month_to_count_in(day: str, arrived: datetime, closed_through: str | None) -> str:
    """The month for a step of `day` that arrives now, where everything up to `closed_through` is closed."""
    natural = day[:7]
    if closed_through is None or natural > closed_through:
        return natural
    return max(month_of(arrived), following(closed_through))

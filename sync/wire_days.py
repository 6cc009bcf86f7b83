"""What a terminal says of a day that is over at its counter, and what headquarters answers: `POST …/days`.

A statement covers the ledger up to `sequence`, whose chain hash is `hash`: so it is bound to exactly those entries, and
both ends can count them again at any time. What is sold or voided afterwards is no part of it.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.wire import (
    SEQUENCE_MAX,
    Answer,
    Hash,
    Label,
    Request,
    Sequence,
    TerminalId,
    Timestamp,
    Watermark,
    feed_path,
)

FEED: Final = "days"  # in `news`, and in the address
STATED_OFFERS_MAX: Final = 2_000  # sold at one counter on one day: all of two books, of some 200 bytes each
AMOUNT_MAX: Final = SEQUENCE_MAX // 1024  # sums of a day fit a BIGINT with room

BusinessDay = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Amount = Annotated[int, Bounded(ge=0, le=AMOUNT_MAX)]


class StatedOffer(Request):
    """What the day came to for one offer: completed sales as sold, and what was voided of them; money in fen."""

    offer: Label
    sales: Amount
    units: Amount
    list: Amount
    pay: Amount
    voided_units: Amount
    voided_list: Amount
    voided_pay: Amount


class DayStatement(Request):
    """A day as it was closed. `unsettled` sales were authorised and nothing more; `closed_by` empty: by itself."""

    terminal: TerminalId
    day: BusinessDay
    sequence: Sequence
    hash: Hash
    closed_at: Timestamp
    closed_by: Annotated[str, StringConstraints(max_length=64)]
    unsettled: Amount
    offers: Annotated[tuple[StatedOffer, ...], Bounded(max_length=STATED_OFFERS_MAX)]


class DayAnswer(Answer):
    """Headquarters has the statement; `differences`: how many of its numbers are other than headquarters' own."""

    day: BusinessDay
    sequence: Sequence
    differences: Watermark
    time: Timestamp


def days_path(terminal: str) -> str:
    """Where this terminal's statements go."""
    return feed_path(terminal, FEED)


def version_of(day: str, sequence: int) -> str:
    """The version of the feed: the latest statement that headquarters has."""
    return f"{day}/{sequence}"


NONE_YET: Final = "none"  # the version while headquarters has no statement of a terminal

"""An offer as data, in nine parts: who, where, what, when, how much, how often and how many in total, what proof, how
it combines. Every part is strict (no guessing of types), frozen, and refuses keys it does not know.

Money is integer fen. Days are calendar days of the book's zone, both ends included. Hours are [start, end).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from terminal.membership.standing import MemberClass
from terminal.offers.catalogue import OPTIONS_MAX, SITES_MAX, Attribute, Category, Merchant
from terminal.offers.counts import Limit, Opens, Takes
from terminal.offers.prices import Fee, Price
from terminal.offers.proofs import Proof
from terminal.offers.values import Day, Fen, Id, Part, SiteReference, Text, TimeOfDay, Wording, Zone

OFFERS_MAX = 1_000  # a book of 500 is the largest planned
MERCHANTS_MAX = 5_000
PARTS_MAX = 16  # limits, proofs, fees, categories or windows of one offer
BLACKOUT_DAYS_MAX = 366
RELATIVE_MAX = 3_660  # days or months of a relative window

# Who, where, what, when ---------------------------------------------------------------------------------------------


class Who(Part):
    """Members with an active card always; `classes`, when given, narrows it to these classes.

    `genuine_chip` asks for a card whose chip has just proved itself (`Member.genuine`): no stripe, no typed number.
    """

    classes: Annotated[tuple[MemberClass, ...], Field(max_length=PARTS_MAX)] = ()
    genuine_chip: bool = False


class Where(Part):
    """Whole merchants, single sites as `merchant/site`, or neither for every merchant of the book."""

    merchants: Annotated[tuple[Id, ...], Field(max_length=MERCHANTS_MAX)] = ()
    sites: Annotated[tuple[SiteReference, ...], Field(max_length=SITES_MAX)] = ()


AnswerSets = Mapping[Id, Annotated[tuple[Text, ...], Field(min_length=1, max_length=OPTIONS_MAX)]]


class What(Part):
    """Categories, and answers a line must have (`any`) or must not have (`none`); without an answer it is refused.

    `asks` names further questions: their answers decide nothing, and are kept with the sale.
    """

    categories: Annotated[tuple[Id, ...], Field(min_length=1, max_length=PARTS_MAX)]
    any: AnswerSets = Field(default_factory=dict)
    none: AnswerSets = Field(default_factory=dict)
    asks: Annotated[tuple[Id, ...], Field(max_length=PARTS_MAX)] = ()
    min_spend_fen: Fen | None = None  # of the whole bill, at list price


class Weekday(StrEnum):
    """Days of the week, in `date.weekday()` order."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class DayKind(StrEnum):
    """Days as China's State Council orders them each year, with its make-up workdays."""

    WORKDAY = "workday"  # a day on which people work, some Saturdays and Sundays among them
    DAY_OFF = "day-off"  # any other day
    PUBLIC_HOLIDAY = "public-holiday"  # a day off because of a named holiday


class OpenWindow(Part):
    """Hours [start, end) of the weekdays named, or of every day; an end at or before the start is on the next morning.

    Without `start` from midnight, without `end` until midnight. The hours after midnight belong to the day they began.
    """

    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    start: TimeOfDay = time.min
    end: TimeOfDay | None = None

    @property
    def over_midnight(self) -> bool:
        """Whether it ends on the morning after it began."""
        return self.end is not None and time.min < self.end < self.start

    @model_validator(mode="after")
    def _some_time(self) -> OpenWindow:
        if self.start == self.end:
            raise PydanticCustomError("window_empty", "a window that ends when it starts is never open")
        return self


class Since(Part):
    """A window that begins with the member: so many months or days from the card's issue, or from an earlier offer."""

    event: Literal["card-issued", "redeemed"]
    offer: Id | None = None
    months: Annotated[int, Field(ge=1, le=RELATIVE_MAX)] | None = None
    days: Annotated[int, Field(ge=1, le=RELATIVE_MAX)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Since:
        if (self.months is None) == (self.days is None):
            raise PydanticCustomError("since_length", "either months or days")
        if (self.event == "redeemed") != (self.offer is not None):
            raise PydanticCustomError("since_offer", "an offer belongs to the event redeemed, and only to it")
        return self


class When(Part):
    """First and last day, both included and both optional; kinds of day, windows and blackout days within them."""

    first_day: Day | None = None
    last_day: Day | None = None
    days: Annotated[tuple[DayKind, ...], Field(max_length=len(DayKind))] = ()
    windows: Annotated[tuple[OpenWindow, ...], Field(max_length=PARTS_MAX)] = ()
    blackout: Annotated[tuple[Day, ...], Field(max_length=BLACKOUT_DAYS_MAX)] = ()
    since: Since | None = None


# How it combines -----------------------------------------------------------------------------------------------------


class Combines(Part):
    """Offers of one group never share a bill: the best for the member wins. By default: the first category's name."""

    group: Id | None = None


class Offer(Part):
    """One offer. Usage hangs on `id` (and on `campaign` for limits per campaign), so both outlive revisions."""

    id: Id
    name: Wording
    campaign: Id
    who: Who = Field(default_factory=Who)
    where: Where
    what: What
    when: When = Field(default_factory=When)
    price: Price
    saving_max_fen: Annotated[Fen, Field(ge=1)] | None = None  # per sale; what would be more is paid
    fees: Annotated[tuple[Fee, ...], Field(max_length=PARTS_MAX)] = ()
    limits: Annotated[tuple[Limit, ...], Field(max_length=PARTS_MAX)] = ()
    opens: Opens | None = None
    takes: Takes | None = None
    proof: Annotated[tuple[Proof, ...], Field(max_length=PARTS_MAX)] = ()
    combines: Combines = Field(default_factory=Combines)

    @property
    def group(self) -> str:
        """The combination group, spelt out or by default."""
        return self.combines.group or self.what.categories[0]


# The book -------------------------------------------------------------------------------------------------------------


class Book(Part):
    """One immutable, numbered revision of all offers and of the words they need."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    tz: Zone
    categories: Annotated[Mapping[Id, Category], Field(max_length=OFFERS_MAX)]
    attributes: Annotated[Mapping[Id, Attribute], Field(max_length=OFFERS_MAX)] = Field(default_factory=dict)
    merchants: Annotated[tuple[Merchant, ...], Field(max_length=MERCHANTS_MAX)]
    offers: Annotated[tuple[Offer, ...], Field(max_length=OFFERS_MAX)]

    def offer(self, offer_id: str) -> Offer | None:
        """The offer of this id, None when there is none."""
        return next((offer for offer in self.offers if offer.id == offer_id), None)

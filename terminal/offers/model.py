"""An offer as data, in nine parts: who, where, what, when, how much, how often and how many in total, what proof, how
it combines. Every part is strict (no guessing of types), frozen, and refuses keys it does not know.

Money is integer fen. Days are calendar days of the book's zone, both ends included. Hours are [start, end).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from terminal.membership.standing import MemberClass
from terminal.offers.values import (
    BasisPoints,
    Day,
    Fen,
    Id,
    Part,
    SiteReference,
    Text,
    TimeOfDay,
    Wording,
    Zone,
)

LIMIT_MAX = 1_000_000_000_000  # a budget of ten thousand million yuan, in fen
OFFERS_MAX = 1_000  # a book of 500 is the largest planned
MERCHANTS_MAX = 5_000
SITES_MAX = 500  # of one merchant, and named by one offer
PARTS_MAX = 16  # limits, proofs, fees, categories or windows of one offer
BLACKOUT_DAYS_MAX = 366
OPTIONS_MAX = 50  # answers to one question on the cashier's form

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
    """Categories, and answers a line must have (`any`) or must not have (`none`); without an answer it is refused."""

    categories: Annotated[tuple[Id, ...], Field(min_length=1, max_length=PARTS_MAX)]
    any: AnswerSets = Field(default_factory=dict)
    none: AnswerSets = Field(default_factory=dict)


class Weekday(StrEnum):
    """Days of the week, in `date.weekday()` order."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class OpenWindow(Part):
    """Hours [start, end) of the days of the week named, or of every day."""

    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    start: TimeOfDay
    end: TimeOfDay

    @model_validator(mode="after")
    def _start_first(self) -> OpenWindow:
        if self.start >= self.end:
            raise PydanticCustomError("window_backwards", "a window starts before it ends, on the same day")
        return self


class When(Part):
    """First and last day, both included and both optional; windows and blackout days within them."""

    first_day: Day | None = None
    last_day: Day | None = None
    windows: Annotated[tuple[OpenWindow, ...], Field(max_length=PARTS_MAX)] = ()
    blackout: Annotated[tuple[Day, ...], Field(max_length=BLACKOUT_DAYS_MAX)] = ()


# How much -----------------------------------------------------------------------------------------------------------


class FixedUnit(Part):
    """Every unit at one price."""

    kind: Literal["fixed_unit"]
    unit_fen: Fen


class FlatUpTo(Part):
    """The whole bill for `pay_fen` as far as it is worth up to `covers_fen`; what exceeds it at list price."""

    kind: Literal["flat_up_to"]
    pay_fen: Fen
    covers_fen: Fen


class PayPercent(Part):
    """The member pays this part of each line, rounded half up to the fen."""

    kind: Literal["pay_percent"]
    pay_bp: BasisPoints


class Free(Part):
    """Nothing to pay."""

    kind: Literal["free"]


class LowestListed(Part):
    """The lowest price listed for the same thing (a film's showing), which the cashier reads off and types."""

    kind: Literal["lowest_listed"]
    attribute: Id


Price = Annotated[FixedUnit | FlatUpTo | PayPercent | Free | LowestListed, Field(discriminator="kind")]


class Fee(Part):
    """Charged once per sale on top of the price, unless a named proof was brought."""

    id: Id
    name: Wording
    amount_fen: Fen
    unless_proof: Id | None = None


# How often and how many in total ------------------------------------------------------------------------------------


class Count(StrEnum):
    """What a limit counts."""

    UNITS = "units"
    USES = "uses"  # one per sale (per showing when the limit is per showing)
    FEN = "fen"  # what the member saves: the campaign's money


class Scope(StrEnum):
    """What shares one counter; a limit's set of scopes is its key."""

    CARD = "card"
    PERSON = "person"
    VOUCHER = "voucher"
    SHOWING = "showing"
    SITE = "site"
    MERCHANT = "merchant"
    TERMINAL = "terminal"
    CAMPAIGN = "campaign"  # everyone, citywide
    SALE = "sale"  # this one bill: nothing to remember


class Window(StrEnum):
    """How long a counter runs before it starts again at nothing."""

    SALE = "sale"
    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"
    YEAR = "year"
    CAMPAIGN = "campaign"  # as long as the offer's `campaign` keeps its name
    EVER = "ever"


class Offline(StrEnum):
    """What holds while headquarters is away (DESIGN, "Rules live once")."""

    LOCAL = "local"  # this terminal's own count decides
    LEASE = "lease"  # only from the slice that headquarters granted this terminal
    FLAG = "flag"  # go on by the own count; headquarters flags an excess
    REFUSE = "refuse"  # only with a grant from headquarters


class Limit(Part):
    """At most `max` of `count` per `per` and `window`. Its `id` stays the same when a revision changes the number."""

    id: Id
    max: Annotated[int, Field(ge=1, le=LIMIT_MAX)]
    count: Count
    per: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))]
    window: Window
    offline: Offline

    @property
    def momentary(self) -> bool:
        """Whether it concerns one bill only, so that nothing has to be remembered."""
        return self.window is Window.SALE or Scope.SALE in self.per

    @property
    def personal(self) -> bool:
        """Whether it hangs on this card, person or voucher, and not on a pool that others empty."""
        return not {Scope.CARD, Scope.PERSON, Scope.VOUCHER}.isdisjoint(self.per)


# What proof, how it combines ----------------------------------------------------------------------------------------


class SeenProof(Part):
    """Shown to the cashier; that it was seen is all that is kept."""

    kind: Literal["seen"]
    name: Id
    label: Wording
    optional: bool = False


class NumberProof(Part):
    """A document whose number the cashier types; only a keyed hash of it is kept (a plain one can be guessed)."""

    kind: Literal["number"]
    name: Id
    label: Wording
    optional: bool = False


class VoucherProof(Part):
    """A voucher with a code; void after its last day."""

    kind: Literal["voucher"]
    name: Id
    label: Wording
    last_day: Day | None = None
    optional: Literal[False] = False


Proof = Annotated[SeenProof | NumberProof | VoucherProof, Field(discriminator="kind")]


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
    fees: Annotated[tuple[Fee, ...], Field(max_length=PARTS_MAX)] = ()
    limits: Annotated[tuple[Limit, ...], Field(max_length=PARTS_MAX)] = ()
    proof: Annotated[tuple[Proof, ...], Field(max_length=PARTS_MAX)] = ()
    combines: Combines = Field(default_factory=Combines)

    @property
    def group(self) -> str:
        """The combination group, spelt out or by default."""
        return self.combines.group or self.what.categories[0]


# The book around the offers -----------------------------------------------------------------------------------------


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


Attribute = Annotated[ChoiceAttribute | TextAttribute | MoneyAttribute, Field(discriminator="kind")]


class Site(Part):
    """One shop of a merchant."""

    id: Id
    name: Wording


class Agreement(Part):
    """The merchant's agreement with the centre, valid on both days named; without one no offer holds."""

    first_day: Day
    last_day: Day


class Merchant(Part):
    """A partner merchant with its sites and its agreement."""

    id: Id
    name: Wording
    agreement: Agreement
    sites: Annotated[tuple[Site, ...], Field(min_length=1, max_length=SITES_MAX)]


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

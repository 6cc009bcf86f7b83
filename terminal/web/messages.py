"""What the terminal's API takes and gives (`/api/v1`): JSON, money in fen, unknown keys refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from terminal.ledger.bodies import TEXT_CHARS_MAX
from terminal.offers.sale import ANSWER_CHARS_MAX, SALE_LINES_MAX

ATTRIBUTES_MAX = 32  # of one line; an offer asks a handful
PROOFS_MAX = 32  # the ledger's own bound
INTEGER_MAX = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, 6)

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# One more than the rules allow, so that too long an answer meets their refusal, which says it in words.
Answer = Annotated[str, StringConstraints(max_length=ANSWER_CHARS_MAX + 1)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARS_MAX, strip_whitespace=True)]
PosReference = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{12}$")
]  # ISO 8583 field 37, as the bank's POS prints it
Number = Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]


class Message(BaseModel):
    """Strict: `"2"` is no number and an unknown key no mistake to overlook."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SignIn(Message):
    """Who signs in."""

    cashier: Annotated[str, StringConstraints(max_length=64)]
    pin: Annotated[str, StringConstraints(max_length=64)]


class SignedIn(Message):
    """Who is signed in now."""

    cashier: str
    name: str
    role: str


class CardTyped(Message):
    """A card number read off the card: `expiry` is month and year as on its face; `manager` and `pin` approve it."""

    number: Annotated[SecretStr, Field(max_length=64)]
    expiry: Annotated[str, StringConstraints(max_length=16)] | None = None
    manager: Annotated[str, StringConstraints(max_length=64)]
    pin: Annotated[SecretStr, Field(max_length=64)]


class LineWanted(Message):
    """One line of a bill; `list_price` is the list price of one unit."""

    category: Name
    quantity: Number
    list_price: Number
    attributes: Annotated[dict[Name, Answer], Field(max_length=ATTRIBUTES_MAX)] = Field(default_factory=dict)


class QuoteWanted(Message):
    """A sale to be priced for the card presented; writes nothing. `proofs`: true for one seen, else what was typed."""

    presentation: Id
    offer: Id
    lines: Annotated[list[LineWanted], Field(max_length=SALE_LINES_MAX + 1)]
    proofs: Annotated[dict[Name, Answer | bool], Field(max_length=PROOFS_MAX)] = Field(default_factory=dict)


class RedemptionWanted(Message):
    """A quote to be made durable under an id (UUIDv7) that was minted when the sale opened."""

    id: Id
    quote: Id


class Completion(Message):
    """The bank's POS took the money."""

    pos_reference: PosReference | None = None


class Cancellation(Message):
    """The POS did not take the money."""

    reason: Reason = "not-paid"


class Voiding(Message):
    """A mistake found later; `units` is how many shall be void in all, none means every one."""

    reason: Reason
    units: Annotated[int, Field(ge=1, le=INTEGER_MAX)] | None = None


class RefusalTold(BaseModel):
    """One reason why not: its code, a sentence for the customer, its numbers beside them.

    `remedy` is a sentence about what would make it possible; empty when nothing would, or nothing is known.
    """

    model_config = ConfigDict(extra="allow")

    code: str
    text: str
    remedy: str


class OfferTold(Message):
    """An offer of this place for the card presented; `remaining` null: not limited."""

    offer: str
    revision: int
    name: str
    eligible: bool
    refusals: list[RefusalTold]
    remaining: int | None
    asks: list[dict[str, Any]]
    categories: list[str]


class PresentationTold(Message):
    """The card on the reader. With a `notice` it could not be read, or is not sold to, and `standing` is null.

    `authenticity_reason` says why a chip is `unverified` or `failed`; `approved_by` who let a number be typed.
    """

    id: str
    masked: str
    standing: str | None
    standing_text: str | None
    member_class: str | None
    entry_mode: str | None
    reader: str
    authenticity: str | None
    authenticity_reason: str | None
    approved_by: str | None
    offers: list[OfferTold]
    notice: dict[str, str] | None


class LineTold(Message):
    """One line as quoted: `list_price` of one unit, `pay` for the whole line."""

    category: str
    quantity: int
    list_price: int
    pay: int
    attributes: dict[str, str]
    trace: str


class FeeTold(Message):
    """A fee on top of the price."""

    name: str
    label: str
    amount: int


class QuoteTold(Message):
    """What the sale costs: `pay` is what to take on the POS, fees included. With refusals it cannot be redeemed."""

    quote: str
    offer: str
    revision: int
    lines: list[LineTold]
    fees: list[FeeTold]
    list_fen: int = Field(serialization_alias="list")
    pay: int
    saving: int
    granted: Literal["local", "lease", "hold", "flag"]
    refusals: list[RefusalTold]


class RedemptionTold(Message):
    """A redemption as it stands; instants are RFC 3339 UTC."""

    id: str
    state: str
    list_fen: int = Field(serialization_alias="list")
    pay: int
    sequence: int
    granted: str
    offer: str
    name: str
    units: int
    masked: str
    cashier: str
    day: str
    authorised_at: str
    completed_at: str | None
    pos_reference: str | None
    reason: str | None
    voided_units: int


class RedemptionsTold(Message):
    """The redemptions of one business day, in the order of their sale."""

    day: str
    redemptions: list[RedemptionTold]

"""How much: the price of an offer as data, one small class per kind. Money is integer fen.

What each kind means for a bill stands in `pricing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from terminal.offers.values import AMOUNT_FEN_MAX, BasisPoints, Fen, Id, Part, Wording

STEPS_MAX = 16  # of a tiered price; a person reads them off a poster
RATES_MAX = 16  # categories priced by one offer
EVERY_MAX = 1_000  # "every thousandth is free"


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


Rate = Annotated[FixedUnit | FlatUpTo | PayPercent | Free, Field(discriminator="kind")]


class ByCategory(Part):
    """One bill over several categories, each at its own rate (a hospital's drugs, treatment and examinations)."""

    kind: Literal["by_category"]
    rates: Annotated[Mapping[Id, Rate], Field(min_length=1, max_length=RATES_MAX)]


class Step(Part):
    """From this many units (or this much money, in fen) on, the member pays `pay_bp`."""

    from_: Annotated[int, Field(alias="from", ge=1, le=AMOUNT_FEN_MAX)]
    pay_bp: BasisPoints


class Tiers(Part):
    """The more the bill holds, the less of it is paid: the last step reached decides for every line."""

    kind: Literal["tiers"]
    by: Literal["units", "list_fen"]
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _ascending(self) -> Tiers:
        begins = [step.from_ for step in self.steps]
        if any(later <= earlier for earlier, later in pairwise(begins)):
            raise PydanticCustomError("steps_unordered", "each step begins above the one before it")
        return self


class NthFree(Part):
    """Every n-th unit is free: of one sale, or of all that the person ever bought here under this offer (stamps)."""

    kind: Literal["nth_free"]
    every: Annotated[int, Field(ge=2, le=EVERY_MAX)]
    over: Literal["sale", "person"]

    @property
    def stamped(self) -> bool:
        """Whether units are counted over sales, so that one without a free unit is still worth recording."""
        return self.over == "person"


Price = Annotated[
    FixedUnit | FlatUpTo | PayPercent | Free | LowestListed | ByCategory | Tiers | NthFree,
    Field(discriminator="kind"),
]


class Fee(Part):
    """Charged once per sale on top of the price, unless a named proof was brought."""

    id: Id
    name: Wording
    amount_fen: Fen
    unless_proof: Id | None = None

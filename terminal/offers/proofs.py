"""What the member must bring, as data. Nothing shown is ever photographed or copied."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from terminal.offers.values import Day, Id, Part, Wording


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
    """A voucher with a code; void after its last day, the voucher's own or the one named here, whichever is first.

    `registered`: only codes that stand in headquarters' register are good.
    """

    kind: Literal["voucher"]
    name: Id
    label: Wording
    last_day: Day | None = None
    registered: bool = False
    optional: Literal[False] = False


Proof = Annotated[SeenProof | NumberProof | VoucherProof, Field(discriminator="kind")]

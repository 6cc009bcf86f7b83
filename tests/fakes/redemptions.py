"""Redemptions as the ledger hands them out, in any state, without a ledger."""

from __future__ import annotations

import dataclasses
from typing import Any

from terminal.ledger.project import Redemption, RedemptionState
from tests.fakes.sales import sale


def redemption(sequence: int = 1, state: RedemptionState = RedemptionState.COMPLETED, **changes: Any) -> Redemption:
    """Two winter tickets at 10:30 in Beijing; `voided_units` take list and pay value pro rata, as the ledger does."""
    sold = sale(sequence)
    fields = {field.name: getattr(sold, field.name) for field in dataclasses.fields(sold)} | changes
    voided = fields["units"] if state is RedemptionState.VOIDED else fields.get("voided_units", 0)
    fields |= {
        "voided_units": voided,
        "voided_list_fen": fields["list_fen"] * voided // fields["units"],
        "voided_pay_fen": fields["pay_fen"] * voided // fields["units"],
    }
    fields.setdefault("authorised_at", "2012-12-25T02:30:00.000Z")
    return Redemption(**fields, state=state, sequence=sequence, last_sequence=sequence)

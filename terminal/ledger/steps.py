"""What a cashier's wish means for a redemption as it stands: the body of the next entry, or nothing because it was done
before, or a conflict. Pure; the ledger writes what comes out.

Repeats are harmless at each step: a wish that is already true gives None, and the caller answers with what is recorded.
"""

from __future__ import annotations

from terminal.ledger.bodies import Authorisation, Cancellation, Completion, GiveBack, UsageClaim, Voiding
from terminal.ledger.errors import RedemptionConflict
from terminal.ledger.project import Redemption, RedemptionState

# The sale itself. Not the cashier, reader or limits of the moment: the second tab may be another colleague's.
_CONTENT = ("token", "person", "offer", "revision", "lines", "fees", "list_fen", "pay_fen", "units", "proofs")


def check_same_sale(recorded: Redemption, asked: Authorisation) -> None:
    """Raise `RedemptionConflict` when the id of `recorded` is asked for another sale."""
    for field in _CONTENT:
        if getattr(recorded, field) != getattr(asked, field):
            raise _conflict("authorise", recorded, f"the id belongs to a sale with other {field}")


def completion(current: Redemption, pos_reference: str | None) -> Completion | None:
    """The POS took the money. A repeat may leave out the reference, but not bring another one."""
    if current.state is RedemptionState.AUTHORISED:
        return Completion(pos_reference)
    if current.state is RedemptionState.CANCELLED:
        raise _conflict("complete", current, "it was cancelled; make a new sale")
    if pos_reference is not None and pos_reference != current.pos_reference:
        raise _conflict("complete", current, "it was completed with another POS reference")
    return None


def cancellation(current: Redemption, reason: str) -> Cancellation | None:
    """The POS did not take the money; everything is given back."""
    if current.state is RedemptionState.AUTHORISED:
        return Cancellation(reason, tuple(GiveBack(claim.key, claim.amount) for claim in current.claims))
    if current.state is RedemptionState.CANCELLED:
        return None
    raise _conflict("cancel", current, "it was completed; void it instead")


def voiding(current: Redemption, reason: str, units: int | None) -> Voiding | None:
    """`units` of the sale shall be void in all (None: every one).

    The number is the aim, not a step: asking twice for 1 of 3 leaves 1 void. Each claim gives back, of its amount, the
    share of the void units rounded down: per-unit claims exactly, money to the fen with the rest at the last unit, and
    a claim of one use only when every unit is void.
    """
    if current.state not in (RedemptionState.COMPLETED, RedemptionState.VOIDED):
        raise _conflict("void", current, "only a completed sale can be voided")
    aim = current.units if units is None else units
    if not 1 <= aim <= current.units:
        raise _conflict("void", current, f"{aim} of {current.units} units")
    if aim <= current.voided_units:
        return None
    return Voiding(
        reason,
        aim - current.voided_units,
        _share(current.list_fen, aim, current) - current.voided_list_fen,
        _share(current.pay_fen, aim, current) - current.voided_pay_fen,
        _given_back(current.claims, aim, current),
    )


def _given_back(claims: tuple[UsageClaim, ...], aim: int, current: Redemption) -> tuple[GiveBack, ...]:
    shares = (
        (claim.key, _share(claim.amount, aim, current) - _share(claim.amount, current.voided_units, current))
        for claim in claims
    )
    return tuple(GiveBack(key, amount) for key, amount in shares if amount)


def _share(amount: int, units: int, current: Redemption) -> int:
    return amount * units // current.units


def _conflict(operation: str, current: Redemption, reason: str) -> RedemptionConflict:
    return RedemptionConflict(operation, current.id, state=current.state.value, reason=reason)

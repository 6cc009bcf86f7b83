"""From entries to what a redemption is now. Pure, and the only place of these rules: the writer, the rebuild, the
verification and headquarters all go through `apply` and `usage_changes`.

    (nothing) ── authorised ──► AUTHORISED ── completed ──► COMPLETED ── voided, all units ──► VOIDED
                                    │                           └─ voided, some units: COMPLETED still, less them
                                    └─ cancelled ──► CANCELLED
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter, ValidationError

from terminal.ledger.bodies import ENVELOPE, Authorisation, Body, Cancellation, Completion, Voiding, parse_body
from terminal.ledger.entry import Entry, EntryKind
from terminal.ledger.errors import RedemptionConflict


class RedemptionState(StrEnum):
    """Where a redemption stands."""

    AUTHORISED = "authorised"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption(Authorisation):
    """An authorisation and what became of it.

    `sequence` is the authorising entry's, `last_sequence` that of the latest step; instants are RFC 3339 UTC.
    `settled_by` is the cashier of the latest step, `reason` that of the cancellation or latest void. `repeat` is True
    on the answer to a call that had been made before.
    """

    state: RedemptionState
    sequence: int
    last_sequence: int
    authorised_at: str
    completed_at: str | None = None
    cancelled_at: str | None = None
    voided_at: str | None = None
    pos_reference: str | None = None
    reason: str | None = None
    settled_by: str | None = None
    voided_units: int = 0
    voided_list_fen: int = 0
    voided_pay_fen: int = 0
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class UsageChange:
    """What an entry does to the count under `key`: `amount` more (negative: given back), never beyond `max`."""

    key: str
    amount: int
    max: int | None


_AUTHORISATION_FIELDS = tuple(field.name for field in dataclasses.fields(Authorisation))
_FIELDS = tuple(field.name for field in dataclasses.fields(Redemption))
_authorised = attrgetter(*_AUTHORISATION_FIELDS)
_values = attrgetter(*_FIELDS)
# The slots themselves: a frozen dataclass's own constructor takes twice as long to fill them.
_SLOTS = tuple((name, getattr(Redemption, name).__set__) for name in _FIELDS)
_OPENED = TypeAdapter(Redemption)
_NOT_OF_A_BODY = frozenset(_FIELDS) - frozenset(_AUTHORISATION_FIELDS) | frozenset(ENVELOPE)


def apply(state: Redemption | None, entry: Entry) -> Redemption:
    """The redemption after `entry`, given what it was before.

    Raises `EntryInvalid` for a faulty body and `RedemptionConflict` when the step does not follow from the state.
    """
    opened = _opened(entry) if state is None and entry.kind is EntryKind.AUTHORISED else None
    return opened or advance(state, entry, parse_body(entry))


def usage_changes(entry: Entry) -> tuple[UsageChange, ...]:
    """What `entry` uses up or gives back, in the order in which it says so. Raises `EntryInvalid`."""
    return changes_of(parse_body(entry))


def advance(state: Redemption | None, entry: Entry, body: Body) -> Redemption:
    """`apply` for one who has the body of `entry` in hand already."""
    if isinstance(body, Authorisation):
        if state is not None:
            raise _out_of_place(state, entry, "authorised twice")
        return begin(body, entry)
    if state is None:
        raise RedemptionConflict("apply", entry.redemption, state="unknown", reason=f"{entry.kind} before authorised")
    if isinstance(body, Completion):
        _require(state, entry, RedemptionState.AUTHORISED)
        became = RedemptionState.COMPLETED
        return _stepped(state, entry, state=became, completed_at=entry.at, pos_reference=body.pos_reference)
    if isinstance(body, Cancellation):
        _require(state, entry, RedemptionState.AUTHORISED)
        return _stepped(state, entry, state=RedemptionState.CANCELLED, cancelled_at=entry.at, reason=body.reason)
    _require(state, entry, RedemptionState.COMPLETED)
    return _voided(state, body, entry)


def begin(body: Authorisation, entry: Entry) -> Redemption:
    """The redemption that the authorising `entry` with `body` opens."""
    fields: dict[str, Any] = dict(zip(_AUTHORISATION_FIELDS, _authorised(body), strict=True))
    return Redemption(
        **fields,
        state=RedemptionState.AUTHORISED,
        sequence=entry.sequence,
        last_sequence=entry.sequence,
        authorised_at=entry.at,
    )


def _opened(entry: Entry) -> Redemption | None:
    """`begin` of a body checked and built in one go, in compiled code; None for one that is at fault."""
    if not _NOT_OF_A_BODY.isdisjoint(entry.body):
        return None
    fields = {
        **entry.body,
        "id": entry.redemption,
        "cashier": entry.cashier,
        "state": RedemptionState.AUTHORISED,
        "sequence": entry.sequence,
        "last_sequence": entry.sequence,
        "authorised_at": entry.at,
    }
    try:
        return _OPENED.validate_python(fields)
    except ValidationError:
        return None


def changes_of(body: Body) -> tuple[UsageChange, ...]:
    """`usage_changes` for one who has the body in hand already."""
    if isinstance(body, Authorisation):
        return tuple(UsageChange(claim.key, claim.amount, claim.max) for claim in body.claims)
    if isinstance(body, Completion):
        return ()
    return tuple(UsageChange(back.key, -back.amount, None) for back in body.gives_back)


def _stepped(before: Redemption, entry: Entry, **changes: Any) -> Redemption:
    """`before` as `entry` changes it: `dataclasses.replace` in a quarter of its time; headquarters does little else."""
    changes |= {"last_sequence": entry.sequence, "settled_by": entry.cashier}
    after = object.__new__(Redemption)
    for (name, fill), value in zip(_SLOTS, _values(before), strict=True):
        fill(after, changes.get(name, value))
    return after


def _voided(before: Redemption, body: Voiding, entry: Entry) -> Redemption:
    units = before.voided_units + body.units
    list_fen = before.voided_list_fen + body.list_fen
    pay_fen = before.voided_pay_fen + body.pay_fen
    if units > before.units or list_fen > before.list_fen or pay_fen > before.pay_fen:
        raise _out_of_place(before, entry, "more void than was sold")
    return _stepped(
        before,
        entry,
        state=RedemptionState.VOIDED if units == before.units else RedemptionState.COMPLETED,
        voided_at=entry.at,
        voided_units=units,
        voided_list_fen=list_fen,
        voided_pay_fen=pay_fen,
        reason=body.reason,
    )


def _require(state: Redemption, entry: Entry, needed: RedemptionState) -> None:
    if state.state is not needed:
        raise _out_of_place(state, entry, f"cannot become {entry.kind}")


def _out_of_place(state: Redemption, entry: Entry, reason: str) -> RedemptionConflict:
    return RedemptionConflict("apply", entry.redemption, state=state.state.value, reason=reason)

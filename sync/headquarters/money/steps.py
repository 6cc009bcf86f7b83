"""What the steps of redemptions are worth. Pure.

A completion earns the saving (list price and fees, less what the member paid); a void takes back of it. Shares are
taken of what is *left* of a redemption's saving, before and after each step, and the step is the difference: so all
steps of a redemption together come to the share of what it has left, to the fen, and one voided whole comes to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sync.headquarters.projection import AMOUNT_MAX, Change, Folded
from terminal.ledger.entry import Entry, EntryKind
from terminal.ledger.project import Redemption

WHOLE_BP: Final = 10_000  # all of it, in basis points


class StepKind(StrEnum):
    """The steps that move money. Authorisations and cancellations do not."""

    COMPLETED = "completed"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Step:
    """One completion or void. A void's units and amounts (fen) are negative; `kept_fen` is the saving left after it."""

    redemption: str
    sequence: int
    terminal: str
    kind: StepKind
    merchant: str
    offer: str
    business_day: str
    units: int
    list_fen: int
    pay_fen: int
    saving_fen: int
    kept_fen: int


@dataclass(frozen=True, slots=True)
class Terms:
    """From `first_day` on the centre owes `share_bp` of the saving on `offer` (empty: on every other offer too)."""

    offer: str
    first_day: str
    share_bp: int


def share_of(amount_fen: int, share_bp: int) -> int:
    """The share of an amount (0 or more), half up to the fen."""
    return (amount_fen * share_bp + WHOLE_BP // 2) // WHOLE_BP


def subsidy_of(kept_fen: int, saving_fen: int, share_bp: int) -> int:
    """What a step adds to the subsidy, when it changed the saving by `saving_fen` to `kept_fen`."""
    return share_of(kept_fen, share_bp) - share_of(kept_fen - saving_fen, share_bp)


def share_on(terms: Iterable[Terms], offer: str, day: str) -> int:
    """The share that holds on `day`: the offer's own terms before those for every offer, the latest first day wins."""
    holding = [each for each in terms if each.offer in (offer, "") and each.first_day <= day]
    best = max(holding, key=lambda each: (each.offer != "", each.first_day), default=None)
    return best.share_bp if best else 0


def steps_of(terminal: str, entries: Sequence[Entry], folded: Folded) -> list[Step]:
    """The steps of one batch that were taken into redemptions, in order."""
    voids: dict[str, list[Entry]] = {}
    steps: list[Step] = []
    for entry in entries:
        change = folded.changes.get(entry.redemption)
        if change is None or entry.sequence not in change.sequences:
            continue
        if entry.kind is EntryKind.COMPLETED:
            steps.append(_completion(terminal, entry, change.redemption))
        elif entry.kind is EntryKind.VOIDED:
            voids.setdefault(entry.redemption, []).append(entry)
    for redemption, found in voids.items():
        steps += _voids(terminal, found, folded.changes[redemption])
    return sorted(steps, key=lambda step: step.sequence)


def saving_left(redemption: Redemption, units: int, list_fen: int, pay_fen: int) -> int:
    """The saving left when so much was voided. Fees come back pro rata, rounded down, as at the terminal."""
    fees = _fees_fen(redemption.fees)
    fees_left = fees - fees * units // redemption.units
    return max(0, redemption.list_fen - list_fen + fees_left - (redemption.pay_fen - pay_fen))


def _completion(terminal: str, entry: Entry, redemption: Redemption) -> Step:
    saving = saving_left(redemption, 0, 0, 0)
    money = (redemption.units, redemption.list_fen, redemption.pay_fen, saving, saving)
    return _step(terminal, entry, StepKind.COMPLETED, redemption, money)


def _voids(terminal: str, entries: Sequence[Entry], change: Change) -> list[Step]:
    """Forward from what had been voided before this batch, which is what is voided now less the batch's own."""
    redemption = change.redemption
    bodies: list[Mapping[str, Any]] = [entry.body for entry in entries]  # checked when they were taken
    units = redemption.voided_units - sum(body["units"] for body in bodies)
    list_fen = redemption.voided_list_fen - sum(body["list_fen"] for body in bodies)
    pay_fen = redemption.voided_pay_fen - sum(body["pay_fen"] for body in bodies)
    steps = []
    before = saving_left(redemption, units, list_fen, pay_fen)
    for entry, body in zip(entries, bodies, strict=True):
        units, list_fen, pay_fen = units + body["units"], list_fen + body["list_fen"], pay_fen + body["pay_fen"]
        kept = saving_left(redemption, units, list_fen, pay_fen)
        money = (-body["units"], -body["list_fen"], -body["pay_fen"], kept - before, kept)
        steps.append(_step(terminal, entry, StepKind.VOIDED, redemption, money))
        before = kept
    return steps


def _step(
    terminal: str, entry: Entry, kind: StepKind, redemption: Redemption, money: tuple[int, int, int, int, int]
) -> Step:
    place = (redemption.merchant, redemption.offer, redemption.business_day)
    return Step(redemption.id, entry.sequence, terminal, kind, *place, *money)


def _fees_fen(fees: Iterable[Mapping[str, Any]]) -> int:
    """The fees that a terminal names. What is no amount counts as none: a finding elsewhere, never a fault here."""
    amounts = (fee.get("amount_fen") for fee in fees)
    return sum(amount for amount in amounts if type(amount) is int and 0 <= amount <= AMOUNT_MAX)

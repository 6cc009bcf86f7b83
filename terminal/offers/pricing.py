"""How much: from lines and a price to what the member pays, line by line. Integer fen throughout.

No line ever pays more than its list price. A percentage rounds half up, once per line; a flat price is split over the
lines by largest remainder, so that the parts are the whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from terminal.offers.model import FixedUnit, FlatUpTo, Free, LowestListed, PayPercent, Price
from terminal.offers.sale import SaleLine
from terminal.offers.values import AMOUNT_FEN_MAX

FULL_BP = 10_000  # basis points of the whole
_AMOUNT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class PricedLine:
    """What one line costs without and with the offer, in fen, and how that came about."""

    list_fen: int
    pay_fen: int
    trace: str


def amount_fen(text: str) -> int | None:
    """An amount in fen as typed into a money field; None when it is none or beyond `AMOUNT_FEN_MAX`."""
    if not _AMOUNT.fullmatch(text) or int(text) > AMOUNT_FEN_MAX:
        return None
    return int(text)


def price_lines(price: Price, lines: Sequence[SaleLine]) -> tuple[PricedLine, ...] | None:
    """Every line priced, in order; None when an answer that the price needs is missing or unreadable."""
    match price:
        case FixedUnit(unit_fen=unit):
            return tuple(_per_unit(line, unit, price.kind) for line in lines)
        case PayPercent(pay_bp=pay_bp):
            return tuple(_percent(line, pay_bp) for line in lines)
        case Free():
            return tuple(_per_unit(line, 0, price.kind) for line in lines)
        case LowestListed(attribute=attribute):
            lowest = [amount_fen(line.attributes.get(attribute, "")) for line in lines]
            known = [amount for amount in lowest if amount is not None]
            if len(known) < len(lines):
                return None
            return tuple(_per_unit(line, unit, price.kind) for line, unit in zip(lines, known, strict=True))
        case FlatUpTo():
            return _flat(price, lines)


def at_list(lines: Sequence[SaleLine]) -> tuple[PricedLine, ...]:
    """Every line at its list price: what a refused sale costs."""
    return tuple(PricedLine(total, total, f"list: {total}") for total in map(_total, lines))


def _total(line: SaleLine) -> int:
    return line.quantity * line.list_fen


def _per_unit(line: SaleLine, unit_fen: int, kind: str) -> PricedLine:
    unit = min(unit_fen, line.list_fen)
    pay = line.quantity * unit
    return PricedLine(_total(line), pay, f"{kind}: {line.quantity} x {unit} = {pay} of {_total(line)}")


def _percent(line: SaleLine, pay_bp: int) -> PricedLine:
    total = _total(line)
    pay = (total * pay_bp + FULL_BP // 2) // FULL_BP
    return PricedLine(total, pay, f"pay_percent: {pay_bp} bp of {total} = {pay}")


def _flat(price: FlatUpTo, lines: Sequence[SaleLine]) -> tuple[PricedLine, ...]:
    totals = [_total(line) for line in lines]
    covered: list[int] = []
    left = price.covers_fen
    for total in totals:
        covered.append(min(total, left))
        left -= covered[-1]
    shares = _split(min(price.pay_fen, sum(covered)), covered)
    return tuple(
        PricedLine(
            total,
            share + total - part,
            f"flat_up_to: {share} for {part}, {total - part} beyond = {share + total - part}",
        )
        for total, part, share in zip(totals, covered, shares, strict=True)
    )


def _split(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` in parts proportional to `weights`, whole fen, largest remainder first, the earlier line on a tie."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts

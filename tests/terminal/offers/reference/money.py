"""How much, the slow way: fractions of a fen, and every unit of the bill in hand."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from terminal.offers.prices import (
    ByCategory,
    FixedUnit,
    FlatUpTo,
    Free,
    LowestListed,
    NthFree,
    PayPercent,
    Price,
    Tiers,
)
from terminal.offers.sale import SaleLine
from terminal.offers.values import AMOUNT_FEN_MAX

HALF = Fraction(1, 2)


def typed_fen(text: str) -> int | None:
    """An amount in fen as a cashier types it: plain digits, at most a million yuan."""
    if not text or any(character not in "0123456789" for character in text) or len(text) > 9:
        return None
    return int(text) if int(text) <= AMOUNT_FEN_MAX else None


def list_fen(line: SaleLine) -> int:
    return sum(line.list_fen for _ in range(line.quantity))


def pay(price: Price, saving_max_fen: int | None, lines: Sequence[SaleLine], stamps: int) -> list[int]:
    """What the member pays for each line, in fen. `stamps`: units of this offer that the person bought before."""
    due = _before_the_cap(price, lines, stamps)
    savings = [list_fen(line) - amount for line, amount in zip(lines, due, strict=True)]
    if saving_max_fen is None or sum(savings) <= saving_max_fen:
        return due
    back = in_proportion(sum(savings) - saving_max_fen, savings)
    return [amount + more for amount, more in zip(due, back, strict=True)]


def _before_the_cap(price: Price, lines: Sequence[SaleLine], stamps: int) -> list[int]:
    match price:
        case FixedUnit():
            return [sum(min(price.unit_fen, line.list_fen) for _ in range(line.quantity)) for line in lines]
        case LowestListed():
            lowest = [typed_fen(line.attributes[price.attribute]) for line in lines]
            return [
                sum(min(unit or 0, line.list_fen) for _ in range(line.quantity))
                for unit, line in zip(lowest, lines, strict=True)
            ]
        case PayPercent():
            return [_percent(line, price.pay_bp) for line in lines]
        case Free():
            return [0 for _ in lines]
        case FlatUpTo():
            return _flat(price, lines)
        case ByCategory():
            return _by_category(price, lines)
        case Tiers():
            return _tiers(price, lines)
        case NthFree():
            return _nth_free(price, lines, stamps)


def _percent(line: SaleLine, pay_bp: int) -> int:
    """Half up, to the fen, once per line."""
    return floor(Fraction(list_fen(line) * pay_bp, 10_000) + HALF)


def _flat(price: FlatUpTo, lines: Sequence[SaleLine]) -> list[int]:
    """Line by line, the flat price covers what is left of `covers_fen`; the rest of the line is paid at list price."""
    left, covered = price.covers_fen, []
    for line in lines:
        covered.append(min(left, list_fen(line)))
        left -= covered[-1]
    flat = in_proportion(min(price.pay_fen, sum(covered)), covered)
    return [share + list_fen(line) - part for share, line, part in zip(flat, lines, covered, strict=True)]


def _by_category(price: ByCategory, lines: Sequence[SaleLine]) -> list[int]:
    due = [0 for _ in lines]
    for category, rate in price.rates.items():
        own = [index for index, line in enumerate(lines) if line.category == category]
        for index, amount in zip(own, _before_the_cap(rate, [lines[index] for index in own], 0), strict=True):
            due[index] = amount
    return due


def _tiers(price: Tiers, lines: Sequence[SaleLine]) -> list[int]:
    reached = sum(line.quantity if price.by == "units" else list_fen(line) for line in lines)
    pay_bp = 10_000
    for step in price.steps:
        if reached >= step.from_:
            pay_bp = step.pay_bp
    return [_percent(line, pay_bp) for line in lines]


def _nth_free(price: NthFree, lines: Sequence[SaleLine], stamps: int) -> list[int]:
    """Count the units aloud; each time N is said, the cheapest unit that is not free yet becomes so."""
    units = [(line.list_fen, index) for index, line in enumerate(lines) for _ in range(line.quantity)]
    before = stamps if price.over == "person" else 0
    free = sum((before + number) % price.every == 0 for number in range(1, len(units) + 1))
    due = [0 for _ in lines]
    for unit_fen, index in sorted(units)[free:]:
        due[index] += unit_fen
    return due


def in_proportion(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` in whole fen, in proportion to the weights; what is left over goes to the largest remainders."""
    whole = sum(weights)
    if whole == 0:
        return [0 for _ in weights]
    exact = [Fraction(amount * weight, whole) for weight in weights]
    parts = [floor(share) for share in exact]
    while sum(parts) < amount:
        remainders = [share - part for share, part in zip(exact, parts, strict=True)]
        parts[remainders.index(max(remainders))] += 1  # the earlier line on a tie
    return parts

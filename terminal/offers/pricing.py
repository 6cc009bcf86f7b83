"""How much: from lines and a price to what the member pays, line by line. Integer fen throughout.

No line ever pays more than its list price. A percentage rounds half up, once per line; a flat price is split over the
lines by largest remainder, so that the parts are the whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terminal.offers.prices import (
    ByCategory,
    FixedUnit,
    FlatUpTo,
    Free,
    LowestListed,
    NthFree,
    PayPercent,
    Price,
    Rate,
    Tiers,
)
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


@dataclass(frozen=True, slots=True)
class Basket:
    """What a price looks at: the lines, and how many units the person had bought before (for stamps)."""

    lines: Sequence[SaleLine]
    stamped: int = 0


def price_lines(price: Price, basket: Basket) -> tuple[PricedLine, ...] | None:
    """Every line priced, in order; None when an answer that the price needs is missing or unreadable."""
    lines = basket.lines
    match price:
        case LowestListed(attribute=attribute):
            lowest = [amount_fen(line.attributes.get(attribute, "")) for line in lines]
            known = [amount for amount in lowest if amount is not None]
            if len(known) < len(lines):
                return None
            return tuple(_per_unit(line, unit, price.kind) for line, unit in zip(lines, known, strict=True))
        case ByCategory(rates=rates):
            return _by_category(rates, lines)
        case Tiers():
            return _tiered(price, lines)
        case NthFree():
            return _nth_free(price, basket)
        case _:
            return _rated(price, lines)


def _rated(rate: Rate, lines: Sequence[SaleLine]) -> tuple[PricedLine, ...]:
    match rate:
        case FixedUnit(unit_fen=unit):
            return tuple(_per_unit(line, unit, rate.kind) for line in lines)
        case PayPercent(pay_bp=pay_bp):
            return tuple(_percent(line, pay_bp, rate.kind) for line in lines)
        case Free():
            return tuple(_per_unit(line, 0, rate.kind) for line in lines)
        case FlatUpTo():
            return _flat(rate, lines)


def _by_category(rates: Mapping[str, Rate], lines: Sequence[SaleLine]) -> tuple[PricedLine, ...] | None:
    """Each category's lines together at that category's rate."""
    if any(line.category not in rates for line in lines):
        return None
    priced: dict[int, PricedLine] = {}
    for category, rate in rates.items():
        places = [place for place, line in enumerate(lines) if line.category == category]
        priced.update(zip(places, _rated(rate, [lines[place] for place in places]), strict=True))
    return tuple(priced[place] for place in range(len(lines)))


def _tiered(price: Tiers, lines: Sequence[SaleLine]) -> tuple[PricedLine, ...]:
    reached = sum(line.quantity if price.by == "units" else _total(line) for line in lines)
    steps = [step for step in price.steps if step.from_ <= reached]
    if not steps:
        return at_list(lines)
    return tuple(_percent(line, steps[-1].pay_bp, f"tiers from {steps[-1].from_}") for line in lines)


def _nth_free(price: NthFree, basket: Basket) -> tuple[PricedLine, ...]:
    """Every n-th unit free, the cheapest of this bill: nobody buys a dear thing to have it for nothing."""
    units = sum(line.quantity for line in basket.lines)
    before = basket.stamped if price.stamped else 0
    free = (before + units) // price.every - before // price.every
    places = sorted(range(len(basket.lines)), key=lambda place: (basket.lines[place].list_fen, place))
    given = dict.fromkeys(places, 0)
    for place in places:
        given[place] = min(free, basket.lines[place].quantity)
        free -= given[place]
    return tuple(
        PricedLine(
            _total(line),
            (line.quantity - given[place]) * line.list_fen,
            f"nth_free: {given[place]} of {line.quantity} free, every {price.every} (had {before})",
        )
        for place, line in enumerate(basket.lines)
    )


def capped(priced: Sequence[PricedLine], saving_max_fen: int | None) -> tuple[PricedLine, ...]:
    """The lines with what they save beyond `saving_max_fen` in all added back, in proportion to each line's saving."""
    savings = [line.list_fen - line.pay_fen for line in priced]
    if saving_max_fen is None or sum(savings) <= saving_max_fen:
        return tuple(priced)
    back = _split(sum(savings) - saving_max_fen, savings)
    return tuple(
        PricedLine(line.list_fen, line.pay_fen + more, f"{line.trace}; {more} back, saving at most {saving_max_fen}")
        for line, more in zip(priced, back, strict=True)
    )


def at_list(lines: Sequence[SaleLine]) -> tuple[PricedLine, ...]:
    """Every line at its list price: what a refused sale costs."""
    return tuple(PricedLine(total, total, f"list: {total}") for total in map(_total, lines))


def _total(line: SaleLine) -> int:
    return line.quantity * line.list_fen


def _per_unit(line: SaleLine, unit_fen: int, kind: str) -> PricedLine:
    unit = min(unit_fen, line.list_fen)
    pay = line.quantity * unit
    return PricedLine(_total(line), pay, f"{kind}: {line.quantity} x {unit} = {pay} of {_total(line)}")


def _percent(line: SaleLine, pay_bp: int, kind: str) -> PricedLine:
    total = _total(line)
    pay = (total * pay_bp + FULL_BP // 2) // FULL_BP
    return PricedLine(total, pay, f"{kind}: {pay_bp} bp of {total} = {pay}")


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

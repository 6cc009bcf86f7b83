"""What the cashier wants to sell, as the rules see it. A leaf: imports nothing of the house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

SALE_LINES_MAX = 50  # of one bill; the longest a counter types by hand
QUANTITY_MAX = 999  # of one line
ANSWER_CHARS_MAX = 64  # of a typed answer or document number
# Days that a counter asks for: births, cards, bookings. A browser's date field takes "0501" for a year.
DAY_FIRST = date(1900, 1, 1)
DAY_LAST = date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sale happens, by the ids of the offer book and of the fleet."""

    merchant: str
    site: str
    terminal: str


@dataclass(frozen=True, slots=True)
class SaleLine:
    """One line of the bill. `list_fen` is the list price of ONE unit, in fen; attributes are the cashier's answers."""

    category: str
    quantity: int
    list_fen: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sale:
    """A bill and the offer it asks for; `offer` None asks for the best one for the member.

    `proofs` holds, by the proof's name in the book, `True` for one that was seen or the text that was typed.
    """

    place: Place
    offer: str | None
    lines: tuple[SaleLine, ...]
    proofs: Mapping[str, str | bool]

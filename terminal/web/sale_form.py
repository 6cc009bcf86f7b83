"""The sale form: from the fields that an offer asks for to inputs of a page, and back to the lines of a sale. Pure.

Input names are `<line>.<part>.<name>` for lines and `proofs.<name>` for proofs; money is typed in yuan.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from config.errors import Language
from terminal.offers.overview import Ask, OfferView
from terminal.offers.sale import SaleLine

# What yuan may look like: up to eight digits, at most two decimals. More digits than any price of the programme has.
MONEY = re.compile(r"(\d{1,8})(?:\.(\d{1,2}))?")
INTEGER = re.compile(r"\d{1,9}")
FORM_LINES_MAX = 12  # what a person types at a counter; longer bills come through the API (50 lines)
FORM_FIELDS_MAX = 256  # FORM_LINES_MAX lines of an offer that asks sixteen things, and its proofs
CONFIRMED = "yes"  # the value of a ticked box


@dataclass(frozen=True, slots=True)
class Input:
    """One field as the page draws it; `value` is what stands in it now."""

    name: str
    ask: Ask
    label: str
    value: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SaleForm:
    """The whole form: inputs line by line, then proofs. `growable`: a bill of this offer may have more lines."""

    offer: str
    lines: tuple[tuple[Input, ...], ...]
    proofs: tuple[Input, ...]
    growable: bool

    @property
    def first_open(self) -> str:
        """The first required input that is still empty: where the cursor belongs. Empty when all are filled."""
        fields = [field for line in self.lines for field in line] + list(self.proofs)
        return next((field.name for field in fields if field.ask.required and not field.value), "")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was typed. `unreadable` are the labels of numbers that are missing or are none: no price yet."""

    lines: tuple[SaleLine, ...]
    proofs: Mapping[str, str | bool]
    unreadable: tuple[str, ...]


def draw(view: OfferView, typed: Mapping[str, str], count: int, language: Language) -> SaleForm:
    """The form of `view` with `count` lines, holding what was typed before or the defaults."""
    asks = [ask for ask in view.asks if ask.part != "proofs"]
    proofs = [ask for ask in view.asks if ask.part == "proofs"]
    count = max(1, min(count, FORM_LINES_MAX))
    return SaleForm(
        offer=view.offer,
        lines=tuple(
            tuple(_input(f"{line}.{ask.part}.{ask.name}", ask, typed, language) for ask in asks)
            for line in range(count)
        ),
        proofs=tuple(_input(f"proofs.{ask.name}", ask, typed, language) for ask in proofs),
        growable=len(view.categories) > 1 and count < FORM_LINES_MAX,
    )


def read(view: OfferView, typed: Mapping[str, str], count: int, language: Language) -> Filled:
    """The sale that was typed. Missing answers are left out: the rules have the words for them."""
    unreadable: list[str] = []
    lines = tuple(_line(view, line, typed, unreadable, language) for line in range(max(1, min(count, FORM_LINES_MAX))))
    proofs: dict[str, str | bool] = {}
    for ask in view.asks:
        value = typed.get(f"proofs.{ask.name}", "").strip()
        if ask.part == "proofs" and value:
            proofs[ask.name] = value == CONFIRMED if ask.kind == "confirm" else value
    return Filled(lines, proofs, tuple(dict.fromkeys(unreadable)))


def fen_of(text: str) -> int | None:
    """Yuan as typed, full-width digits of a Chinese keyboard too: `１２．５` is 1250. None when it is no amount."""
    found = MONEY.fullmatch(plain_text(text))
    if found is None:
        return None
    yuan, decimals = found.groups(default="")
    return int(yuan) * 100 + int(decimals.ljust(2, "0"))


def integer_of(text: str) -> int | None:
    """A whole number as typed, None when it is none."""
    plain = plain_text(text)
    return int(plain) if INTEGER.fullmatch(plain) else None


def yuan_text(fen: int) -> str:
    """Fen as one would type it: 1000 is `10`, 1250 is `12.50`."""
    whole, rest = divmod(fen, 100)
    return f"{whole}.{rest:02d}" if rest else str(whole)


def _line(view: OfferView, line: int, typed: Mapping[str, str], unreadable: list[str], language: Language) -> SaleLine:
    numbers = {"quantity": 1, "list_price": 0}
    category = view.categories[0]
    attributes: dict[str, str] = {}
    for ask in view.asks:
        if ask.part == "proofs":
            continue
        value = typed.get(f"{line}.{ask.part}.{ask.name}", "").strip()
        number = {"money": fen_of, "integer": integer_of}.get(ask.kind, lambda _: None)(value)
        if ask.kind in ("money", "integer") and number is None:
            unreadable.append(ask.label.text(language))
        elif ask.part == "attributes" and value:
            attributes[ask.name] = str(number) if ask.kind == "money" else value
        elif ask.name == "category":
            category = value  # an empty or foreign one is refused by the rules
        elif number is not None:
            numbers[ask.name] = number
    return SaleLine(category, numbers["quantity"], numbers["list_price"], attributes)


def _input(name: str, ask: Ask, typed: Mapping[str, str], language: Language) -> Input:
    options = tuple((value, words.text(language)) for value, words in ask.options)
    default = ""
    if ask.default is not None:
        default = yuan_text(ask.default) if ask.kind == "money" else str(ask.default)
    return Input(name, ask, ask.label.text(language), typed.get(name, default), options)


def plain_text(text: str) -> str:
    """Text as typed, with the full-width digits and signs of a Chinese keyboard made plain, without a leading ¥."""
    return unicodedata.normalize("NFKC", text).strip().removeprefix("¥").strip()

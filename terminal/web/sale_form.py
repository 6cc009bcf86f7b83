"""The sale form: from the fields that an offer asks for to inputs of a page, and back to the lines of a sale. Pure.

Input names are `<line>.<part>.<name>` for lines and `proofs.<name>` for proofs; money is typed in yuan.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from config.errors import Language
from terminal.offers.form import Ask
from terminal.offers.overview import OfferView
from terminal.offers.sale import SaleLine

# What yuan may look like: up to eight digits, at most two decimals. More digits than any price of the programme has.
MONEY = re.compile(r"(\d{1,8})(?:\.(\d{1,2}))?")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
INTEGER = re.compile(r"\d{1,9}")
FORM_LINES_MAX = 12  # what a person types at a counter; longer bills come through the API (50 lines)
FORM_FIELDS_MAX = 256  # FORM_LINES_MAX lines of an offer that asks sixteen things, and its proofs
CONFIRMED = "yes"  # the value of a ticked box
LINE_FIELD = re.compile(r"(\d{1,3})\.(.+)")  # `<line>.<part>.<name>`


@dataclass(frozen=True, slots=True)
class Input:
    """One field as the page draws it; `value` is what stands in it now."""

    name: str
    ask: Ask
    label: str
    value: str
    options: tuple[tuple[str, str], ...]

    @property
    def fixed(self) -> bool:
        """A list price that everyone charges, by the book: nothing to ask."""
        return _fixed(self.ask)


@dataclass(frozen=True, slots=True)
class SaleForm:
    """The whole form: inputs line by line, then proofs. `growable`: a bill of this offer may have more lines."""

    offer: str
    lines: tuple[tuple[Input, ...], ...]
    proofs: tuple[Input, ...]
    growable: bool

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs in their order on the page."""
        return (*(field for line in self.lines for field in line), *self.proofs)

    @property
    def values(self) -> dict[str, str]:
        """What stands in the form, as it would be sent."""
        return {field.name: field.value for field in self.inputs if field.value}

    @property
    def first_open(self) -> str:
        """The first required input that is still empty: where the cursor belongs. Empty when all are filled."""
        return next((field.name for field in self.inputs if field.ask.required and not field.value), "")

    @property
    def to_correct(self) -> str:
        """Where the cursor belongs when all is filled and still refused: a code to scan anew, else the first input."""
        asked = [field for field in self.inputs if not field.fixed]
        scanned = [field for field in asked if field.ask.scanned]
        return next((field.name for field in scanned + asked), "")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was typed. `unreadable` are the labels of numbers and days that cannot be read: no price yet."""

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


def without_line(typed: Mapping[str, str], line: int) -> dict[str, str]:
    """What was typed, less one line; the lines after it move up."""
    kept: dict[str, str] = {}
    for name, value in typed.items():
        found = LINE_FIELD.fullmatch(name)
        if found is None:
            kept[name] = value
        elif (number := int(found[1])) != line:
            kept[f"{number - (number > line)}.{found[2]}"] = value
    return kept


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


def day_of(text: str) -> str | None:
    """A day as typed or as a browser's calendar gives it, `YYYY-MM-DD`; None when it is none."""
    plain = plain_text(text)
    if not DAY.fullmatch(plain):
        return None
    try:
        return date.fromisoformat(plain).isoformat()
    except ValueError:
        return None


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
        answer = str(ask.default) if _fixed(ask) else _plain_answer(ask, value)
        if answer is None:
            unreadable.append(ask.label.text(language))
        elif ask.part == "attributes" and answer:
            attributes[ask.name] = answer
        elif ask.name == "category":
            category = answer  # an empty or foreign one is refused by the rules
        elif ask.name in numbers:
            numbers[ask.name] = int(answer)
    return SaleLine(category, numbers["quantity"], numbers["list_price"], attributes)


def _fixed(ask: Ask) -> bool:
    return ask.part == "line" and ask.name == "list_price" and ask.default is not None


def _plain_answer(ask: Ask, value: str) -> str | None:
    """What was typed as the rules read it: amounts in fen, plain digits. None when it cannot be read."""
    if ask.kind == "money":
        return _digits(fen_of(value))
    if ask.kind == "integer":
        return _digits(integer_of(value))
    return day_of(value) if ask.kind == "date" and value else value


def _digits(number: int | None) -> str | None:
    return None if number is None else str(number)


def _input(name: str, ask: Ask, typed: Mapping[str, str], language: Language) -> Input:
    options = tuple((value, words.text(language)) for value, words in ask.options)
    default = ""
    if ask.default is not None:
        default = yuan_text(ask.default) if ask.kind == "money" else str(ask.default)
    return Input(name, ask, ask.label.text(language), typed.get(name, default), options)


def plain_text(text: str) -> str:
    """Text as typed, with the full-width digits and signs of a Chinese keyboard made plain, without a leading ¥."""
    return unicodedata.normalize("NFKC", text).strip().removeprefix("¥").strip()

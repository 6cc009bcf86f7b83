"""What the cashier must be asked about a line of an offer: the fields of its form, worked out from the book alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from config.errors import Words
from terminal.offers.catalogue import (
    Attribute,
    Category,
    ChoiceAttribute,
    DateAttribute,
    NumberAttribute,
    TextAttribute,
)
from terminal.offers.counts import Count
from terminal.offers.model import Offer
from terminal.offers.proofs import Proof, SeenProof, VoucherProof
from terminal.offers.sale import ANSWER_CHARS_MAX, QUANTITY_MAX
from terminal.offers.values import AMOUNT_FEN_MAX

Kind = Literal["integer", "money", "choice", "text", "date", "confirm"]
Part = Literal["line", "attributes", "proofs"]

CATEGORY_LABEL = Words("项目", "item")
QUANTITY_LABEL = Words("数量", "quantity")
LIST_PRICE_LABEL = Words("单价（原价）", "list price each")


@dataclass(frozen=True, slots=True)
class Ask:
    """One field of the cashier's form. `part` says where the answer goes in a quote request.

    `minimum`, `maximum` and `default` are numbers (fen for money); `maximum` of a text counts characters.
    """

    name: str
    part: Part
    kind: Kind
    label: Words
    required: bool = True
    minimum: int | None = None
    maximum: int | None = None
    default: int | None = None
    options: tuple[tuple[str, Words], ...] = ()
    scanned: bool = False  # may come from a scanner that types for the cashier

    def as_dict(self) -> dict[str, Any]:
        """The field as JSON-able values; what does not apply is left out."""
        numbers = {"min": self.minimum, "max": self.maximum, "default": self.default}
        answer: dict[str, Any] = {
            "name": self.name,
            "part": self.part,
            "kind": self.kind,
            "label": {"zh": self.label.zh, "en": self.label.en},
            "required": self.required,
            **{name: number for name, number in numbers.items() if number is not None},
        }
        if self.scanned:
            answer["scanned"] = True
        if self.options:
            answer["options"] = [{"value": value, "label": {"zh": w.zh, "en": w.en}} for value, w in self.options]
        return answer


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of one offer in the order asked; only the most that may be asked for differs from card to card."""

    before: tuple[Ask, ...]  # the quantity
    after: tuple[Ask, ...]
    most: int  # units of one line, whatever is left

    def asks(self, left: int) -> tuple[Ask, ...]:
        """The fields for one who has `left` units left of the tightest limit."""
        return (*self.before, _quantity_ask(max(1, min(self.most, left))), *self.after)


def form_of(offer: Offer, categories: Mapping[str, Category], attributes: Mapping[str, Attribute]) -> Form:
    """The form of an offer with its own categories and the attributes that it reads."""
    usual = {category.list_fen for category in categories.values()}
    default = usual.pop() if len(usual) == 1 else None
    return Form(
        before=(_category_ask(categories),) if len(categories) > 1 else (),
        after=(
            Ask("list_price", "line", "money", LIST_PRICE_LABEL, minimum=0, maximum=AMOUNT_FEN_MAX, default=default),
            *(_attribute_ask(name, attribute) for name, attribute in attributes.items()),
            *(_proof_ask(proof) for proof in offer.proof),
        ),
        most=min([QUANTITY_MAX, *(limit.max for limit in offer.limits if limit.count is Count.UNITS)]),
    )


def _category_ask(categories: Mapping[str, Category]) -> Ask:
    options = tuple((name, category.name.words) for name, category in categories.items())
    return Ask("category", "line", "choice", CATEGORY_LABEL, options=options)


@lru_cache(maxsize=QUANTITY_MAX)
def _quantity_ask(most: int) -> Ask:
    return Ask("quantity", "line", "integer", QUANTITY_LABEL, minimum=1, maximum=most, default=1)


def _attribute_ask(name: str, attribute: Attribute) -> Ask:
    label = attribute.label.words
    if isinstance(attribute, ChoiceAttribute):  # excluded answers stay on the form: the refusal says why not
        options = tuple((option, wording.words) for option, wording in attribute.options.items())
        return Ask(name, "attributes", "choice", label, options=options)
    if isinstance(attribute, TextAttribute):
        return Ask(name, "attributes", "text", label, maximum=ANSWER_CHARS_MAX)
    if isinstance(attribute, NumberAttribute):
        return Ask(name, "attributes", "integer", label, minimum=attribute.min, maximum=attribute.max)
    if isinstance(attribute, DateAttribute):
        return Ask(name, "attributes", "date", label)
    return Ask(name, "attributes", "money", label, minimum=0, maximum=AMOUNT_FEN_MAX)


def _proof_ask(proof: Proof) -> Ask:
    if isinstance(proof, SeenProof):
        return Ask(proof.name, "proofs", "confirm", proof.label.words, required=not proof.optional)
    return Ask(
        proof.name,
        "proofs",
        "text",
        proof.label.words,
        required=not proof.optional,
        maximum=ANSWER_CHARS_MAX,
        scanned=isinstance(proof, VoucherProof),
    )

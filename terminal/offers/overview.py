"""What a card just presented may have here, and what the cashier must then ask. Pure and total, like `quote`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.catalogue import ChoiceAttribute, DateAttribute, NumberAttribute, TextAttribute
from terminal.offers.conditions import (
    ANSWER_CHARS_MAX,
    QUANTITY_MAX,
    since_refusals,
    when_refusals,
    where_refusals,
    who_refusals,
)
from terminal.offers.counts import Count, Scope
from terminal.offers.limits import Room, Usage, best_remaining, claim_on, room_of, scope_values
from terminal.offers.opening import moment_of, offer_day
from terminal.offers.prepared import PreparedOffer
from terminal.offers.proofs import Proof, SeenProof, VoucherProof
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Place
from terminal.offers.values import AMOUNT_FEN_MAX
from terminal.offers.visits import visit_claims, visits_left

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
class OfferView:
    """One offer of this place for this card: whether a plain valid line would pass, why not, what is left, what to ask.

    `categories` are what a line may be of; a single one need not be asked. `remaining` counts units (uses for an offer
    that limits only those); None is unbounded. `visits`: left of a pack that this offer takes from, None for no pack.
    """

    offer: str
    revision: int
    name: Words
    categories: tuple[str, ...]
    eligible: bool
    refusals: tuple[Refusal, ...]
    remaining: int | None
    asks: tuple[Ask, ...]
    visits: int | None = None


def overview(place: Place, member: Member, book: LoadedBook, usage: Usage, now: datetime) -> tuple[OfferView, ...]:
    """Every offer that names this place, in the book's order."""
    moment = moment_of(now, book.zone)
    views = []
    for prepared in book.offers.values():
        if not prepared.holds_at(place):
            continue
        offer = prepared.offer
        day = offer_day(offer.when, moment)
        visits = visits_left(offer, member, usage)
        values = scope_values(offer, member, place, None, None)
        standing = [room_of(offer, limit, values, usage, day.day) for limit in offer.limits]
        rooms = [room for room in standing if room is not None]  # a voucher's own limit shows when the voucher is typed
        category = next(iter(prepared.categories.values()))
        claims = [claim_on(offer, room, 1, category, day.day) for room in rooms]
        refusals = (
            *who_refusals(prepared, member),
            *where_refusals(prepared, place, day.day),
            *when_refusals(prepared, place, moment, day),
            *since_refusals(prepared, member, usage, day.day),
            *(claim for claim in claims if isinstance(claim, Refusal)),
            *(claim for claim in visit_claims(prepared, member, 1, usage, day.day) if isinstance(claim, Refusal)),
        )
        views.append(
            OfferView(
                offer=offer.id,
                revision=book.revision,
                name=offer.name.words,
                categories=tuple(prepared.categories),
                eligible=not refusals,
                refusals=refusals,
                remaining=_remaining(prepared, rooms, visits),
                asks=_asks(prepared, rooms),
                visits=visits,
            )
        )
    return tuple(views)


def _remaining(prepared: PreparedOffer, rooms: Sequence[Room], visits: int | None) -> int | None:
    unknown = [
        Room(limit, None, 0, limit.max)  # a voucher or showing not named yet is untouched
        for limit in prepared.offer.limits
        if not {Scope.VOUCHER, Scope.SHOWING}.isdisjoint(limit.per)
    ]
    left = best_remaining([*rooms, *unknown])
    return left if visits is None else min(visits, visits if left is None else left)


def _asks(prepared: PreparedOffer, rooms: Sequence[Room]) -> tuple[Ask, ...]:
    return (
        *_line_asks(prepared, rooms),
        *(_attribute_ask(prepared, name) for name in prepared.attributes),
        *(_proof_ask(proof) for proof in prepared.offer.proof),
    )


def _line_asks(prepared: PreparedOffer, rooms: Sequence[Room]) -> list[Ask]:
    asks = []
    if len(prepared.categories) > 1:
        options = tuple((name, category.name.words) for name, category in prepared.categories.items())
        asks.append(Ask("category", "line", "choice", CATEGORY_LABEL, options=options))
    units = [limit.max for limit in prepared.offer.limits if limit.count is Count.UNITS]
    units += [room.remaining for room in rooms if room.limit.count is Count.UNITS]
    most = max(1, min([QUANTITY_MAX, *units]))
    asks.append(Ask("quantity", "line", "integer", QUANTITY_LABEL, minimum=1, maximum=most, default=1))
    usual = {category.list_fen for category in prepared.categories.values()}
    default = usual.pop() if len(usual) == 1 else None
    price = Ask("list_price", "line", "money", LIST_PRICE_LABEL, minimum=0, maximum=AMOUNT_FEN_MAX, default=default)
    return [*asks, price]


def _attribute_ask(prepared: PreparedOffer, name: str) -> Ask:
    attribute = prepared.attributes[name]
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

"""What a card just presented may have here, and what the cashier must then ask. Pure and total, like `quote`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.conditions import since_refusals, when_refusals, where_refusals, who_refusals
from terminal.offers.counts import Count, Scope
from terminal.offers.form import Ask
from terminal.offers.limits import Room, Usage, best_remaining, campaign_value, common_values, refusal_of, room_of
from terminal.offers.opening import moment_of, offer_day
from terminal.offers.prepared import PreparedOffer
from terminal.offers.refusal import Refusal
from terminal.offers.sale import QUANTITY_MAX, Place
from terminal.offers.visits import visit_claims, visits_left


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
    common = common_values(member, place, None, None)
    views = []
    for prepared in book.offers.values():
        if not prepared.holds_at(place):
            continue
        offer = prepared.offer
        day = offer_day(offer.when, moment)
        visits = visits_left(offer, member, usage)
        values = {**common, Scope.CAMPAIGN: campaign_value(offer)}
        standing = [room_of(offer, limit, values, usage, day.day) for limit in offer.limits]
        rooms = [room for room in standing if room is not None]  # a voucher's own limit shows when the voucher is typed
        category = next(iter(prepared.categories.values()))
        refusals = (
            *who_refusals(prepared, member),
            *where_refusals(prepared, place, day.day),
            *when_refusals(prepared, place, moment, day),
            *since_refusals(prepared, member, usage, day.day),
            *(no for room in rooms if (no := refusal_of(offer, room, 1, category, day.day))),
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
                asks=prepared.form.asks(_units_left(rooms)),
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


def _units_left(rooms: Sequence[Room]) -> int:
    return min((room.remaining for room in rooms if room.limit.count is Count.UNITS), default=QUANTITY_MAX)

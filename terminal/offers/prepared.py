"""Offers made ready for quoting: what follows from the data alone is worked out once, when the book is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from terminal.offers.model import (
    Attribute,
    Book,
    Category,
    ChoiceAttribute,
    LowestListed,
    Merchant,
    Offer,
    Scope,
    VoucherProof,
)
from terminal.offers.sale import Place

SHOWING_ATTRIBUTE = "showing"  # the answer that a limit per showing hangs on


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on the book's own calendar and clock."""

    day: date
    time: time


@dataclass(frozen=True, slots=True)
class PreparedOffer:
    """An offer with its derived sets: where it holds, what is asked, which answers pass."""

    offer: Offer
    merchants: Mapping[str, Merchant]  # all of the book, by id
    everywhere: bool
    merchant_ids: frozenset[str]
    site_references: frozenset[str]
    categories: Mapping[str, Category]  # those of the offer, in its order
    attributes: Mapping[str, Attribute]  # those that a line of this offer must answer, in the order asked
    allowed: Mapping[str, frozenset[str]]  # by attribute: the answers that pass
    voucher: VoucherProof | None

    def holds_at(self, place: Place) -> bool:
        """Whether the offer names this place, agreement aside."""
        merchant = self.merchants.get(place.merchant)
        if merchant is None or all(site.id != place.site for site in merchant.sites):
            return False
        return (
            self.everywhere
            or place.merchant in self.merchant_ids
            or f"{place.merchant}/{place.site}" in self.site_references
        )


def prepare(book: Book) -> dict[str, PreparedOffer]:
    """All offers of a checked book by id, in the book's order."""
    merchants = {merchant.id: merchant for merchant in book.merchants}
    return {offer.id: _prepare(offer, book, merchants) for offer in book.offers}


def _prepare(offer: Offer, book: Book, merchants: Mapping[str, Merchant]) -> PreparedOffer:
    attributes = {name: book.attributes[name] for name in attributes_read(offer)}
    return PreparedOffer(
        offer=offer,
        merchants=merchants,
        everywhere=not offer.where.merchants and not offer.where.sites,
        merchant_ids=frozenset(offer.where.merchants),
        site_references=frozenset(offer.where.sites),
        categories={category: book.categories[category] for category in offer.what.categories},
        attributes=attributes,
        allowed={
            name: allowed_answers(offer, name, attribute)
            for name, attribute in attributes.items()
            if isinstance(attribute, ChoiceAttribute)
        },
        voucher=next((proof for proof in offer.proof if isinstance(proof, VoucherProof)), None),
    )


def attributes_read(offer: Offer) -> tuple[str, ...]:
    """The attributes that the offer's conditions, price and limits read; a line must answer each."""
    names = [*offer.what.any, *offer.what.none]
    if isinstance(offer.price, LowestListed):
        names.append(offer.price.attribute)
    if any(Scope.SHOWING in limit.per for limit in offer.limits):
        names.append(SHOWING_ATTRIBUTE)
    return tuple(dict.fromkeys(names))


def allowed_answers(offer: Offer, name: str, attribute: ChoiceAttribute) -> frozenset[str]:
    """The options of a choice that the offer lets pass."""
    wanted = offer.what.any.get(name, tuple(attribute.options))
    return frozenset(attribute.options) & frozenset(wanted) - frozenset(offer.what.none.get(name, ()))


def moment_of(now: datetime, zone: ZoneInfo) -> Moment:
    """`now` on the book's calendar. A moment without a zone is read as the book's own.

    At the two ends of the calendar, where a zone cannot be applied, the moment is taken as it stands.
    """
    try:
        there = now.astimezone(zone) if now.tzinfo else now
    except OverflowError:
        there = now
    return Moment(there.date(), there.time())

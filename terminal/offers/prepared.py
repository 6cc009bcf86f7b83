"""Offers made ready for quoting: what follows from the data alone is worked out once, when the book is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from config.errors import Words
from terminal.offers.catalogue import Attribute, Category, ChoiceAttribute, Merchant
from terminal.offers.counts import Scope
from terminal.offers.form import Form, form_of
from terminal.offers.model import Book, Offer
from terminal.offers.prices import LowestListed
from terminal.offers.proofs import VoucherProof
from terminal.offers.sale import Place

SHOWING_ATTRIBUTE = "showing"  # the answer that a limit per showing hangs on


@dataclass(frozen=True)
class PreparedOffer:
    """An offer with its derived sets: where it holds, what is asked, which answers pass."""

    offer: Offer
    merchants: Mapping[str, Merchant]  # all of the book, by id
    sites: frozenset[str]  # all of the book, as `merchant/site`
    everywhere: bool
    merchant_ids: frozenset[str]
    site_references: frozenset[str]
    categories: Mapping[str, Category]  # those of the offer, in its order
    attributes: Mapping[str, Attribute]  # those that a line of this offer must answer, in the order asked
    allowed: Mapping[str, frozenset[str]]  # by attribute: the answers that pass
    voucher: VoucherProof | None
    names: Mapping[str, Words]  # of all offers of the book, by id
    anchors: bool  # another offer's window begins with a redemption of this one, so its days are counted

    @cached_property
    def form(self) -> Form:
        """What a line of it asks; worked out when a card first meets the offer, so that no start waits for it."""
        return form_of(self.offer, self.categories, self.attributes)

    def holds_at(self, place: Place) -> bool:
        """Whether the offer names this place, agreement aside."""
        reference = f"{place.merchant}/{place.site}"
        if reference not in self.sites:
            return False
        return self.everywhere or place.merchant in self.merchant_ids or reference in self.site_references


def prepare(book: Book) -> dict[str, PreparedOffer]:
    """All offers of a checked book by id, in the book's order."""
    merchants = {merchant.id: merchant for merchant in book.merchants}
    sites = frozenset(f"{merchant.id}/{site.id}" for merchant in book.merchants for site in merchant.sites)
    names = {offer.id: offer.name.words for offer in book.offers}
    anchors = {offer.when.since.offer for offer in book.offers if offer.when.since}
    return {
        offer.id: _prepare(offer, book, merchants, sites=sites, names=names, anchors=anchors) for offer in book.offers
    }


def _prepare(
    offer: Offer,
    book: Book,
    merchants: Mapping[str, Merchant],
    *,
    sites: frozenset[str],
    names: Mapping[str, Words],
    anchors: set[str | None],
) -> PreparedOffer:
    attributes = {name: book.attributes[name] for name in attributes_read(offer)}
    return PreparedOffer(
        offer=offer,
        merchants=merchants,
        sites=sites,
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
        names=names,
        anchors=offer.id in anchors,
    )


def attributes_read(offer: Offer) -> tuple[str, ...]:
    """The attributes that the offer reads (conditions, price, limits) or asks besides; a line must answer each."""
    names = [*offer.what.any, *offer.what.none]
    if isinstance(offer.price, LowestListed):
        names.append(offer.price.attribute)
    if any(Scope.SHOWING in limit.per for limit in offer.limits):
        names.append(SHOWING_ATTRIBUTE)
    names += offer.what.asks
    return tuple(dict.fromkeys(names))


def allowed_answers(offer: Offer, name: str, attribute: ChoiceAttribute) -> frozenset[str]:
    """The options of a choice that the offer lets pass."""
    wanted = offer.what.any.get(name, tuple(attribute.options))
    return frozenset(attribute.options) & frozenset(wanted) - frozenset(offer.what.none.get(name, ()))

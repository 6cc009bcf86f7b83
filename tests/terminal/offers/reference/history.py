"""What was sold, kept whole; usage is found by reading all of it again, never by a counter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from terminal.membership.standing import Member
from terminal.offers.counts import Count, Limit, Scope, Window
from terminal.offers.model import Offer
from terminal.offers.sale import Place
from tests.terminal.offers.reference.days import same_window


@dataclass(frozen=True, slots=True)
class SoldLine:
    """One line; `counted`: whether limits take notice of it."""

    quantity: int
    saving_fen: int
    showing: str | None
    counted: bool


@dataclass(slots=True)
class Sold:
    """One sale, with what became of it since."""

    offer: Offer
    day: date  # the offer day
    member: Member
    place: Place
    voucher: str | None
    lines: tuple[SoldLine, ...]
    void_units: int = 0
    cancelled: bool = False

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)

    def still(self, amount: int) -> int:
        """What still stands of an amount: each void unit gives back its share, rounded down in all."""
        return 0 if self.cancelled else amount - amount * self.void_units // self.units


def scope_value(scope: Scope, offer: Offer, member: Member, place: Place, voucher: str | None) -> str | None:
    """What a scope means, showings aside. A card is its holder: a replaced one carries its usage along."""
    match scope:
        case Scope.CARD | Scope.PERSON:
            return member.person
        case Scope.VOUCHER:
            return voucher
        case Scope.SITE:
            return f"{place.merchant}/{place.site}"
        case Scope.MERCHANT:
            return place.merchant
        case Scope.TERMINAL:
            return place.terminal
        case Scope.CAMPAIGN:
            return offer.campaign
        case Scope.SALE | Scope.SHOWING:
            return None


def amount(limit: Limit, lines: tuple[SoldLine, ...], showing: str | None) -> int:
    """What lines use of a limit; of a limit per showing, those of one showing."""
    own = [line for line in lines if line.counted and (Scope.SHOWING not in limit.per or line.showing == showing)]
    match limit.count:
        case Count.UNITS:
            return sum(line.quantity for line in own)
        case Count.USES:
            return 1 if own else 0
        case Count.FEN:
            return sum(line.saving_fen for line in own)


def showings(limit: Limit, lines: tuple[SoldLine, ...]) -> list[str | None]:
    """The showings that a limit counts one by one; `[None]` for a limit that does not."""
    if Scope.SHOWING not in limit.per:
        return [None] if any(line.counted for line in lines) else []
    found: list[str | None] = []
    for line in lines:
        if line.counted and line.showing not in found:
            found.append(line.showing)
    return found


@dataclass
class History:
    """Every sale so far, in order."""

    sales: list[Sold] = field(default_factory=list)

    def used(self, offer: Offer, limit: Limit, values: Mapping[Scope, str | None], day: date) -> int:
        """Used of a limit by all sales that share these values and the window that holds `day`."""
        used = 0
        for sold in self._of(offer.id):
            if limit.window is Window.CAMPAIGN and sold.offer.campaign != offer.campaign:
                continue
            if not same_window(limit.window, sold.day, day):
                continue
            shared = {
                scope: scope_value(scope, sold.offer, sold.member, sold.place, sold.voucher)
                for scope in limit.per
                if scope is not Scope.SHOWING
            }
            if any(values[scope] != value for scope, value in shared.items()):
                continue
            used += sold.still(amount(limit, sold.lines, values.get(Scope.SHOWING)))
        return used

    def units_of(self, offer_id: str, person: str) -> int:
        """Units that a person bought under an offer."""
        return sum(sold.still(sold.units) for sold in self._of(offer_id) if sold.member.person == person)

    def opened(self, offer_id: str, person: str) -> int:
        """Visits that a person bought."""
        return sum(
            sold.still(sold.units * sold.offer.opens.visits)
            for sold in self._of(offer_id)
            if sold.offer.opens and sold.member.person == person
        )

    def taken(self, pack_id: str, person: str) -> int:
        """Visits of a pack that a person took, under whatever offer."""
        return sum(
            sold.still(sold.units)
            for sold in self.sales
            if sold.offer.takes and sold.offer.takes.offer == pack_id and sold.member.person == person
        )

    def last_redeemed(self, offer_id: str, person: str) -> date | None:
        """The latest day of a person's redemption of an offer that still stands."""
        days = [sold.day for sold in self._of(offer_id) if sold.member.person == person and sold.still(sold.units) > 0]
        return max(days, default=None)

    def _of(self, offer_id: str) -> Iterator[Sold]:
        return (sold for sold in self.sales if sold.offer.id == offer_id)

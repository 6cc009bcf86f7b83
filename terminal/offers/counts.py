"""How often and how many in total: limits and packs of visits, as data; what they mean stands in `limits`, `visits`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from terminal.offers.values import Id, Part

LIMIT_MAX = 1_000_000_000_000  # a budget of ten thousand million yuan, in fen
VISITS_MAX = 1_000  # of one pack


class Count(StrEnum):
    """What a limit counts."""

    UNITS = "units"
    USES = "uses"  # one per sale (per showing when the limit is per showing)
    FEN = "fen"  # what the member saves: the campaign's money


class Scope(StrEnum):
    """What shares one counter; a limit's set of scopes is its key."""

    CARD = "card"
    PERSON = "person"
    VOUCHER = "voucher"
    SHOWING = "showing"
    SITE = "site"
    MERCHANT = "merchant"
    TERMINAL = "terminal"
    CAMPAIGN = "campaign"  # everyone, citywide
    SALE = "sale"  # this one bill: nothing to remember


class Window(StrEnum):
    """How long a counter runs before it starts again at nothing."""

    SALE = "sale"
    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"
    YEAR = "year"
    CAMPAIGN = "campaign"  # as long as the offer's `campaign` keeps its name
    EVER = "ever"


class Offline(StrEnum):
    """What holds while headquarters is away (DESIGN, "Rules live once")."""

    LOCAL = "local"  # this terminal's own count decides
    LEASE = "lease"  # only from the slice that headquarters granted this terminal
    FLAG = "flag"  # go on by the own count; headquarters flags an excess
    REFUSE = "refuse"  # only with a grant from headquarters


class Limit(Part):
    """At most `max` of `count` per `per` and `window`. Its `id` stays the same when a revision changes the number."""

    id: Id
    max: Annotated[int, Field(ge=1, le=LIMIT_MAX)]
    count: Count
    per: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))]
    window: Window
    offline: Offline

    @property
    def momentary(self) -> bool:
        """Whether it concerns one bill only, so that nothing has to be remembered."""
        return self.window is Window.SALE or Scope.SALE in self.per

    @property
    def personal(self) -> bool:
        """Whether it hangs on this card, person or voucher, and not on a pool that others empty."""
        return not {Scope.CARD, Scope.PERSON, Scope.VOUCHER}.isdisjoint(self.per)


class Opens(Part):
    """Each unit sold opens this many visits for the member, to be taken under another offer (a gym's pack)."""

    visits: Annotated[int, Field(ge=1, le=VISITS_MAX)]


class Takes(Part):
    """Each unit takes one visit that `offer` opened for this member."""

    offer: Id

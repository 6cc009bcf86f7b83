"""Packs of visits and stamps: counters of one person that no limit declares, and what a sale does to them."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias

from config.errors import Words
from terminal.membership.standing import Member
from terminal.offers.counts import LIMIT_MAX, Offline, Window
from terminal.offers.limits import LimitClaim, Usage, encoded
from terminal.offers.model import Offer
from terminal.offers.prepared import PreparedOffer
from terminal.offers.prices import NthFree
from terminal.offers.refusal import Refusal, RefusalCode, fitting

COUNTER_MAX = LIMIT_MAX  # of a counter that limits nothing
VISITS = Words("次", "visit(s)")

Answer: TypeAlias = LimitClaim | Refusal


def visit_key(offer_id: str, counter: Literal["_opened", "_taken", "_stamps"], person: str) -> str:
    """A counter of one person that runs for ever."""
    return f"{offer_id}|{counter}|person={encoded(person)}|{Window.EVER}=all"


def redeemed_prefix(offer_id: str, person: str) -> str:
    """What the counters of a person's redemptions of an offer, one per business day, begin with; the day follows."""
    return f"{offer_id}|_redeemed|person={encoded(person)}|{Window.DAY}="


def day_of(key: str | None) -> date | None:
    """The day that such a counter's key ends with; None for None."""
    return None if key is None else date.fromisoformat(key.rpartition("=")[2])


def visit_claims(prepared: PreparedOffer, member: Member, units: int, usage: Usage, day: date) -> list[Answer]:
    """What a sale of `units` does to the member's visits, stamps and windows, or why there are not enough visits."""
    offer, person = prepared.offer, member.person
    found: list[Answer] = []
    if prepared.anchors:
        key = redeemed_prefix(offer.id, person) + day.isoformat()
        found.append(LimitClaim(key, units, COUNTER_MAX, offer.id, "_redeemed", str(Offline.LOCAL)))
    if offer.opens:
        key = visit_key(offer.id, "_opened", person)
        found.append(LimitClaim(key, units * offer.opens.visits, COUNTER_MAX, offer.id, "_opened", str(Offline.LOCAL)))
    if offer.takes:
        opened = max(0, usage.used(visit_key(offer.takes.offer, "_opened", person)))
        key = visit_key(offer.takes.offer, "_taken", person)
        taken = max(0, usage.used(key))
        if units > opened - taken:
            numbers: dict[str, int | str] = {
                "offer": offer.takes.offer,
                "opened": opened,
                "used": taken,
                "remaining": max(0, opened - taken),
                "asked": units,
            }
            words = {"fitting": fitting(opened - taken, VISITS)} if opened > taken else {}
            found.append(Refusal(RefusalCode.NO_VISITS_LEFT, numbers, words))
        else:
            found.append(LimitClaim(key, units, opened, offer.id, "_taken", str(Offline.LOCAL)))
    if isinstance(offer.price, NthFree) and offer.price.stamped:
        # Pinned to what was counted now: a stamp made meanwhile would change which unit is free.
        max_now = stamps(offer, member, usage) + units
        key = visit_key(offer.id, "_stamps", person)
        found.append(LimitClaim(key, units, max_now, offer.id, "_stamps", str(Offline.LOCAL)))
    return found


def stamps(offer: Offer, member: Member, usage: Usage) -> int:
    """Units that this person bought so far under an offer whose every n-th is free; 0 for any other offer."""
    if not (isinstance(offer.price, NthFree) and offer.price.stamped):
        return 0
    return max(0, usage.used(visit_key(offer.id, "_stamps", member.person)))


def visits_left(offer: Offer, member: Member, usage: Usage) -> int | None:
    """Visits that this member may still take under an offer that takes them; None for any other offer."""
    if offer.takes is None:
        return None
    opened, taken = (
        usage.used(visit_key(offer.takes.offer, counter, member.person)) for counter in ("_opened", "_taken")
    )
    return max(0, opened - max(0, taken))

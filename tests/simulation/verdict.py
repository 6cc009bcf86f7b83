"""Whether a city's promises held in the end, asked when every line is up and quiet."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.city import City
from tests.simulation.story import Ticket
from tests.simulation.till import OFFER

POOL_KEY = f"{OFFER}|pool|"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    sold: int
    pool: int
    stranded: int  # units left though a customer was sent away for want of one, within the campaign
    frozen: int
    over_limit: int  # members who got more than their limit, all of them flagged

    @property
    def stranded_share(self) -> float:
        return self.stranded / self.pool


def judge(city: City) -> Verdict:
    """Every promise. Raises `Broken` with the story."""
    _arrived_once(city)
    over = _excess_is_flagged(city)
    sums = _sums_agree(city)
    left = city.plan.pool - city.story.out
    return Verdict(
        sold=city.story.out,
        pool=city.plan.pool,
        stranded=min(left, city.story.unserved),
        frozen=sums.get("frozen", 0),
        over_limit=over,
    )


def _arrived_once(city: City) -> None:
    """Headquarters has each till's ledger, byte for byte; of one that lost its disk, all that was acknowledged."""
    for till in city.tills:
        if till.restored:
            continue  # what it had before is what `_sums_agree` looks at
        mine = [(entry.sequence, entry.hash) for entry in till.ledger.entries(0, 1_000_000)]
        theirs = city.headquarters.hashes(till.place.terminal)
        if mine != theirs:
            city.story.fail(f"{till.place.terminal}: {len(mine)} entries here, {len(theirs)} at headquarters")
    standing = city.headquarters.standing()
    restored = {till.place.terminal for till in city.tills if till.restored}
    for ticket in city.story.tickets.values():
        if ticket.terminal in restored:
            continue
        if standing.get(ticket.redemption) != ticket.units:
            told = standing.get(ticket.redemption)
            city.story.fail(f"{ticket.redemption} stands at {ticket.units}, headquarters says {told}")
    for redemption in standing:
        if redemption not in city.story.tickets:
            city.story.fail(f"headquarters has {redemption}, which was never sold")


def _excess_is_flagged(city: City) -> int:
    """Whoever got more than a card may have got it where nobody could ask, and headquarters says so."""
    codes: dict[str, set[str]] = {}
    for terminal, sequence, code, _ in city.headquarters.flags():
        codes.setdefault(f"{terminal}/{sequence}", set()).add(code)
    standing, places = city.headquarters.standing(), city.headquarters.places()
    by_member: dict[int, list[Ticket]] = {}
    for ticket in city.story.tickets.values():
        by_member.setdefault(ticket.member, []).append(ticket)
    over = 0
    for member, mine in by_member.items():
        known = [ticket for ticket in mine if standing.get(ticket.redemption, 0) > 0]
        if sum(standing[ticket.redemption] for ticket in known) <= city.story.per_card:
            continue
        over += 1
        if not any(ticket.granted in ("flag", "lease") for ticket in known):
            city.story.fail(f"member {member} got too much, and each time by a hold")
        if not any("over-limit" in codes.get(places[ticket.redemption], set()) for ticket in known):
            city.story.fail(f"member {member} got too much, and nobody was told")
    for where, found in codes.items():
        if "after-lease" in found:
            city.story.fail(f"{where} spent more than was granted")
    return over


def _sums_agree(city: City) -> dict[str, int]:
    """The pool's own books: never more out than there is, and its sums are those of its parts."""
    sums = city.headquarters.pool(POOL_KEY)
    if not sums:
        return {}
    if sums["allotted"] != sums["sum of allotments"]:
        city.story.fail(f"the pool says {sums['allotted']} are out, its parts {sums['sum of allotments']}")
    if sums["allotted"] + sums["excess"] + sums["held"] > sums["max"]:
        city.story.fail(f"more is granted than there is: {sums}")
    known = sum(city.headquarters.standing().values())
    if sums["used"] != known:
        city.story.fail(f"the pool counts {sums['used']} sold, the redemptions {known}")
    return sums

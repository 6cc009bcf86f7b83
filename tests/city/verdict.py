"""Whether a city's promises held, asked when every line is up, all is pushed, and every terminal is stopped."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter as Tally
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from config.places import LEDGER_FILE
from sync.headquarters.pools.tables import allotments, pools
from sync.headquarters.storage import open_storage
from sync.headquarters.tables import entries, flags, redemptions
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.city.customers import World
from tests.fakes.city import OFFER, PER_CARD, POOL, City

POOL_KEY = f"{OFFER}|{POOL}|"
ENTRIES_MAX = 1_000_000


@dataclass(slots=True)
class Known:
    """What one side says: of each terminal its entries, of each redemption its state and the units that stand."""

    entries: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    redemptions: dict[str, tuple[str, str, int, int]] = field(default_factory=dict)  # terminal, state, units, void


@dataclass(slots=True)
class AtHeadquarters(Known):
    """Beside that, the flags of each entry, which entry authorised what, and the pool's numbers."""

    flags: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    opened_by: dict[str, tuple[str, int]] = field(default_factory=dict)
    pool: dict[str, int] = field(default_factory=dict)

    def standing(self, redemption: str) -> int:
        """The units of a redemption that are neither cancelled nor void."""
        _, state, units, void = self.redemptions[redemption]
        return 0 if state == "cancelled" else units - void


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to, in units of tickets, and cards that got more than their limit (all of them flagged)."""

    sold: int
    over_limit_cards: int
    flags: Tally[str]


def judge(city: City, world: World) -> Verdict:
    """Every promise; an assertion error names the one that was broken."""
    assert not world.broken, world.broken
    tills, headquarters = of_the_tills(city), of_headquarters(city)
    assert world.out <= city.pool
    assert headquarters.entries == tills.entries, "headquarters has other entries than the tills"
    assert headquarters.redemptions == tills.redemptions, "headquarters knows other states than the tills"
    _as_the_sellers_were_told(world, tills)
    over = _excess_is_flagged(world, headquarters)
    _sums_agree(city, world, headquarters)
    found = Tally(code for codes in headquarters.flags.values() for code in codes)
    assert set(found) <= {"over-limit"}, f"flags that nothing here should cause: {found}"
    return Verdict(world.out, over, found)


def of_the_tills(city: City) -> Known:
    """Read from the files of terminals that are stopped."""
    known = Known()
    for terminal in city.terminals:
        ledger = Ledger.open(terminal.directory / LEDGER_FILE, terminal.name, SystemClock())
        try:
            known.entries[terminal.name] = [(entry.sequence, entry.hash) for entry in ledger.entries(0, ENTRIES_MAX)]
            for redemption in _ids(terminal.directory):
                found = ledger.redemption(redemption)
                assert found is not None
                assert redemption not in known.redemptions, f"{redemption} is in two ledgers"
                known.redemptions[redemption] = (terminal.name, found.state.value, found.units, found.voided_units)
        finally:
            ledger.close()
    return known


def _ids(directory: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(directory / LEDGER_FILE)) as file:
        return [redemption for (redemption,) in file.execute("SELECT id FROM redemption")]


def of_headquarters(city: City) -> AtHeadquarters:
    """Read from its database."""
    known = AtHeadquarters(entries={terminal.name: [] for terminal in city.terminals})
    storage = open_storage(city.database_url, city.headquarters_dir)
    with storage.read() as connection:
        query = select(entries.c.terminal, entries.c.sequence, entries.c.hash)
        for row in connection.execute(query.order_by(entries.c.terminal, entries.c.sequence)):
            known.entries[row.terminal].append((row.sequence, row.hash))
        for row in connection.execute(select(redemptions)):
            known.redemptions[row.id] = (row.terminal, row.state, row.units, row.voided_units)
            known.opened_by[row.id] = (row.terminal, row.sequence)
        for row in connection.execute(select(flags.c.terminal, flags.c.sequence, flags.c.code)):
            known.flags[row.terminal, row.sequence].add(row.code)
        pool = connection.execute(select(pools).where(pools.c.key.startswith(POOL_KEY))).mappings().one()
        allotted = allotments.c.granted - allotments.c.returned - allotments.c.written_off
        sums = select(func.sum(allotted), func.sum(allotments.c.used)).where(allotments.c.key == pool["key"])
        known.pool = {name: pool[name] for name in ("max", "allotted", "excess", "used", "held")}
        known.pool["sum allotted"], known.pool["sum used"] = (int(each) for each in connection.execute(sums).one())
    storage.close()
    return known


def _as_the_sellers_were_told(world: World, tills: Known) -> None:
    """Each ledger says of each ticket what its seller was told; what nobody was told of does not stand."""
    for redemption, ticket in world.tickets.items():
        assert redemption in tills.redemptions, f"{redemption} was handed over and is in no ledger"
        terminal, state, units, void = tills.redemptions[redemption]
        stands = 0 if state == "cancelled" else units - void
        assert (terminal, stands) == (ticket.terminal, ticket.units), f"{ticket} is {state}, {stands} stand"
        assert state == ticket.state.removesuffix(" in part").replace("voided", state), f"{ticket} is {state}"
    strangers = tills.redemptions.keys() - world.tickets.keys()
    assert not strangers, f"in the ledgers, and nobody was told: {strangers}"


def _excess_is_flagged(world: World, headquarters: AtHeadquarters) -> int:
    """Who got more than a card may have got it where nobody could be asked, and headquarters says so."""
    by_card: dict[int, list[str]] = defaultdict(list)
    for redemption, ticket in world.tickets.items():
        if headquarters.standing(redemption):
            by_card[ticket.card].append(redemption)
    over = 0
    for card, mine in by_card.items():
        got = sum(headquarters.standing(redemption) for redemption in mine)
        if got <= PER_CARD and len(mine) <= 1:
            continue
        over += 1
        granted = {world.tickets[redemption].granted for redemption in mine}
        assert granted & {"flag", "lease"}, f"card {card} got {got} by {len(mine)} sales, each of them held"
        codes = set().union(*(headquarters.flags[headquarters.opened_by[each]] for each in mine))
        assert "over-limit" in codes, f"card {card} got {got} by {len(mine)} sales ({granted}), and nobody was told"
    return over


def _sums_agree(city: City, world: World, headquarters: AtHeadquarters) -> None:
    """The pool's own books: never more out than there is, and its sums are those of its parts."""
    pool = headquarters.pool
    assert pool["max"] == city.pool
    assert pool["allotted"] == pool["sum allotted"], pool
    assert pool["allotted"] + pool["excess"] + pool["held"] + pool["used"] <= pool["max"], pool
    assert pool["excess"] == 0, pool
    assert pool["sum used"] + pool["used"] == world.out, f"{pool}, and {world.out} are out"

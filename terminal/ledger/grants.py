"""What headquarters lets this terminal spend, and the arithmetic of it. Pure; `allowances` keeps it in the file.

Per counter key two totals only ever grow: `granted`, which headquarters raises, and `returned`, which this terminal
raises. What its sales used up is spending, so it may spend `granted - returned - frozen - used` more. A message that is
lost, doubled or late does no harm: whoever reads a total keeps the larger.

None of this is made of entries: `rebuild` leaves it alone, and headquarters says it again at the next exchange.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

GRANTS_MAX: Final = 4_096  # keys at one terminal: what headquarters lists (512), and what holds add between two lists


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be spent under `key`; numbers in units, uses or fen, as the limit counts.

    `frozen` is what headquarters counts as spent until a person has looked at this terminal.
    """

    key: str
    offer: str
    limit: str
    granted: int = 0
    returned: int = 0
    frozen: int = 0

    @property
    def allowance(self) -> int:
        """How much may be used up here in all; never below nothing."""
        return max(0, self.granted - self.returned - self.frozen)

    def unspent(self, used: int) -> int:
        """What is left after `used`."""
        return max(0, self.allowance - used)


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when slices may be spent: `until_ms` of the monotonic clock of the boot `boot`, and of no other boot.

    `generation` counts headquarters' exchanges, 0 before the first. `version` is the feed's, as of the last answer.
    `ended` is the code of the error that ended the lease early; nothing is spent until an exchange succeeds.
    `granted_once`: headquarters granted something here, now or ever; then its word alone counts, and no setting.
    """

    generation: int = 0
    boot: str = ""
    asked_ms: int = 0
    until_ms: int = 0
    version: str = ""
    ended: str | None = None
    granted_once: bool = False

    @property
    def known(self) -> bool:
        """Whether headquarters ever answered for leases."""
        return self.generation > 0

    def left_ms(self, boot: str, now_ms: int) -> int:
        """How long slices may still be spent; 0 in another boot, for nobody knows how long the machine was off."""
        if not self.known or self.ended is not None or boot != self.boot:
            return 0
        return max(0, self.until_ms - now_ms)

    def live(self, boot: str, now_ms: int) -> bool:
        """Whether slices may be spent at this moment."""
        return self.left_ms(boot, now_ms) > 0

    def due(self, boot: str, now_ms: int) -> bool:
        """Whether half of the lease is over, or all of it: time to ask again."""
        return self.left_ms(boot, now_ms) * 2 <= self.until_ms - self.asked_ms


@dataclass(frozen=True, slots=True)
class LeaseWord:
    """One answer of headquarters. `asked_ms` of the boot `boot` is from before the request went out; life 0: no lease.

    A grant's `returned` is what headquarters knows of it; `recalls` says by key which total it asks it to reach.
    """

    generation: int
    version: str
    life_ms: int
    asked_ms: int
    boot: str
    grants: tuple[Grant, ...]
    recalls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What headquarters is told, of one moment: `sequence` is the ledger's head, `returned` the total by key."""

    generation: int
    sequence: int
    returned: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HeldKey:
    """What a hold gives under one key: `amount` for this sale; `grant` is this terminal's slice with it, if it has one.

    Only `granted` of `grant` counts, and it is kept for good: a slice that was topped up. Without `grant` headquarters
    counts the key sale by sale: it has no slices of that limit, by its book.
    """

    amount: int
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What headquarters granted to one sale; spent before `until_ms` of the boot `boot`, or not at all."""

    attempt: int
    keys: Mapping[str, HeldKey]
    boot: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Right:
    """What a sale rests on beside its own claims.

    `leased`: the keys that may be spent only out of a slice. `granted`: the word in the entry (None: as it was quoted).
    """

    leased: frozenset[str] = frozenset()
    hold: Hold | None = None
    granted: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The lease and all grants, each with what is used of it here, at one moment."""

    lease: Lease
    grants: tuple[tuple[Grant, int], ...] = ()

    def unspent(self) -> dict[tuple[str, str], int]:
        """What is left of each (offer, limit), over all its keys."""
        left: dict[tuple[str, str], int] = {}
        for grant, used in self.grants:
            name = (grant.offer, grant.limit)
            left[name] = left.get(name, 0) + grant.unspent(used)
        return left


def taken_lease(lease: Lease, word: LeaseWord) -> Lease | None:
    """The lease after `word`; None when it is older than what is known already."""
    if word.generation < lease.generation:
        return None
    granted_once = lease.granted_once or bool(word.grants)
    until_ms = word.asked_ms + word.life_ms
    return Lease(word.generation, word.boot, word.asked_ms, until_ms, word.version, granted_once=granted_once)


def taken_grant(mine: Grant | None, word: Grant, recall: int, used: int) -> Grant:
    """The grant after headquarters' word on it; what it recalls is given up, as far as it is not spent."""
    now = replace(
        word,
        granted=max(word.granted, mine.granted if mine else 0),
        returned=max(word.returned, mine.returned if mine else 0),
    )
    return replace(now, returned=min(max(recall, now.returned), now.returned + now.unspent(used)))


def topped_up(mine: Grant | None, held: Grant) -> Grant:
    """The grant after a hold raised it."""
    return held if mine is None else replace(mine, granted=max(mine.granted, held.granted))


def cap_of(grant: Grant | None, held: HeldKey | None, amount: int, *, live: bool) -> int:
    """How much may be used in all under a leased key by a sale of `amount`; `grant` is topped up already.

    Without a live lease only a hold over the whole amount counts.
    """
    whole = held is not None and held.amount >= amount
    return grant.allowance if grant is not None and (live or whole) else 0


def total_unspent(grants: Iterable[tuple[Grant, int]]) -> int:
    """All that is left, over grants and what is used of each."""
    return sum(grant.unspent(used) for grant, used in grants)


# --- holds: what a sale asks for while its cashier waits --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WishedKey:
    """`amount` wanted under `key`, of which `max` is the limit's number in this terminal's book."""

    key: str
    amount: int
    max: int


@dataclass(frozen=True, slots=True)
class Wish:
    """Room for one redemption. Another sale under the same id comes with a higher `attempt`."""

    redemption: str
    attempt: int
    offer: str
    revision: int
    book_hash: str
    units: int
    keys: tuple[WishedKey, ...]


@dataclass(frozen=True, slots=True)
class KeyWord:
    """Headquarters' word on one key, citywide: `used` of `max`; `granted` is this terminal's total of a leased key."""

    used: int
    max: int
    granted: int = 0

    @property
    def left(self) -> int:
        """What headquarters has left to give."""
        return max(0, self.max - self.used)


@dataclass(frozen=True, slots=True)
class HoldWord:
    """Headquarters' answer to a wish; when `granted`, good before `until_ms` of the boot `boot`."""

    granted: bool
    keys: Mapping[str, KeyWord]
    boot: str
    until_ms: int


def hold_of(wish: Wish, word: HoldWord, leased: Mapping[str, tuple[str, str]]) -> Hold:
    """The hold that a granted `wish` gives; `leased` names offer and limit of each key that has a slice."""
    keys = {}
    for wished in wish.keys:
        told, names = word.keys.get(wished.key), leased.get(wished.key)
        grant = Grant(wished.key, *names, granted=told.granted) if told and told.granted and names else None
        keys[wished.key] = HeldKey(wished.amount, grant)
    return Hold(wish.attempt, keys, word.boot, word.until_ms)

"""The right to one sale: local where the book says so, out of a slice, or held at headquarters while the cashier waits.

Lives on the daemon's event loop. Headquarters is asked only for what nothing here covers; when it does not answer in
time, each limit's `offline` rule holds: `flag` goes on, `lease` and `refuse` do not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from config.errors import JingkaError
from terminal.held_quotes import HeldQuote
from terminal.ledger.clock import Clock
from terminal.ledger.errors import HoldLate, LedgerStopped, LimitMoved
from terminal.ledger.grants import HoldWord, Right, Wish, WishedKey, hold_of
from terminal.ledger.ledger import Ledger
from terminal.offers.counts import Offline
from terminal.offers.limits import GRANTED_ONLY, LimitClaim, Room, refusal_of
from terminal.offers.refusal import Refusal, RefusalCode
from terminal.usage import LedgerUsage

logger = logging.getLogger(__name__)

# After a wish without an answer the next sales do not wait for one; by then the agent knows how the line is.
SILENT_MS: Final = 3_000
ATTEMPTS_KEPT: Final = 200  # sales under way; a counter has a handful
TRIES_MAX: Final = 2  # of one sale: once more when a slice that sufficed was spent in another tab meanwhile

Done = TypeVar("Done")


class Holder(Protocol):
    """Who asks headquarters; `sync.holds.Holds` is one."""

    @property
    def ready(self) -> bool:
        """Whether asking makes sense now: enrolled, and the line is up."""

    async def ask(self, wish: Wish) -> HoldWord | None:
        """Headquarters' answer; None when there is none in time. Raises nothing."""

    def give_back(self, redemption: str, attempt: int) -> None:
        """Say, as well as it can be done, that a hold will not be used. Returns at once."""


class HoldRefused(Exception):
    """Headquarters said no; it is remembered, so that a quote made now says why."""

    def __init__(self, wish: Wish, word: HoldWord) -> None:
        super().__init__(wish.redemption)
        self.wish = wish
        self.word = word


class GrantLacking(Exception):
    """Nothing here covers the sale, and headquarters does not answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sale's claims need: `leased` keys with offer and limit, what to ask for, which of it there must be."""

    leased: dict[str, tuple[str, str]]
    wishes: tuple[WishedKey, ...]
    must: frozenset[str]


class Rights:
    """One till's rights. `holder` None: headquarters is never asked. `want`: told of what a slice lacked."""

    def __init__(
        self,
        ledger: Ledger,
        usage: LedgerUsage,
        clock: Clock,
        holder: Holder | None = None,
        want: Callable[[str, int], None] = lambda _key, _amount: None,
    ) -> None:
        self._ledger = ledger
        self._usage = usage
        self._clock = clock
        self._holder = holder
        self._want = want
        self._silent_until_ms = 0
        self._attempts: OrderedDict[str, tuple[tuple[object, ...], int]] = OrderedDict()

    @property
    def asks(self) -> bool:
        """Whether headquarters can be asked at this moment."""
        return self._holder is not None and self._holder.ready and self._clock.monotonic_ms() >= self._silent_until_ms

    async def spend(self, redemption: str, held: HeldQuote, write: Callable[[Right], Done]) -> Done:
        """`write` on the ledger's thread, with the right that the sale has.

        Raises `HoldRefused`, `GrantLacking`, and what `write` raises; a hold that was granted is then given back.
        """
        for tries_left in reversed(range(TRIES_MAX)):
            right = await self._obtain(redemption, held)
            try:
                return await self._on_writer(lambda right=right: write(right))  # type: ignore[misc]
            except (LimitMoved, HoldLate) as error:
                await self._give_back(redemption, right)
                again = isinstance(error, HoldLate) or error.key in right.leased
                if not (again and tries_left):
                    raise
            except LedgerStopped:
                raise  # nothing can be noted now; headquarters lets go of the hold by itself
            except JingkaError:
                await self._give_back(redemption, right)
                raise
        raise AssertionError("the last try returns or raises")

    def cap(self, claim: LimitClaim, right: Right) -> int:
        """How much of this claim's key may be used here in all: what others used is not ours to use."""
        if claim.offline in GRANTED_ONLY or (right.hold is not None and claim.key in right.hold.keys):
            return claim.max
        return max(0, claim.max - self._usage.elsewhere(claim.key))

    def give_back_late(self, redemption: str, attempt: int) -> None:
        """A hold was granted after its sale had gone on without it. On the event loop."""
        task = asyncio.get_running_loop().create_task(self._renounce(redemption, attempt))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())

    async def _obtain(self, redemption: str, held: HeldQuote) -> Right:
        plan = self._plan(held)
        leased = frozenset(plan.leased)
        if plan.wishes and self.asks and self._ledger.redemption(redemption) is None:
            assert self._holder is not None
            wish = self._wish(redemption, held, plan)
            word = await self._holder.ask(wish)
            if word is None:
                self._silent_until_ms = self._clock.monotonic_ms() + SILENT_MS
            elif word.granted:
                return Right(leased, hold_of(wish, word, plan.leased), "hold")
            else:
                for key, told in word.keys.items():
                    self._usage.tell(key, told, pool=key in plan.leased)
                raise HoldRefused(wish, word)
        if plan.must and self._ledger.redemption(redemption) is None:
            for wished in plan.wishes:
                if wished.key in plan.leased:
                    self._want(wished.key, wished.amount)
            raise GrantLacking(redemption)
        return Right(leased)

    def _plan(self, held: HeldQuote) -> Plan:
        limits = {limit.id: limit for limit in held.book.offers[held.quote.offer].offer.limits}
        leased: dict[str, tuple[str, str]] = {}
        wishes: list[WishedKey] = []
        must: set[str] = set()
        for claim in held.quote.claims:
            if claim.offline == Offline.LOCAL or claim.limit not in limits:
                continue
            lacking = claim.amount
            if claim.offline in GRANTED_ONLY:
                if self._usage.slice_by_hand(claim.offer, claim.limit) is not None:
                    continue
                if claim.offline == Offline.LEASE:
                    leased[claim.key] = (claim.offer, claim.limit)
                    lacking = self._usage.lacking(claim.key, claim.amount)
                if lacking:
                    must.add(claim.key)
            if lacking:
                wishes.append(WishedKey(claim.key, lacking, limits[claim.limit].max))
        return Plan(leased, tuple(wishes), frozenset(must))

    def _wish(self, redemption: str, held: HeldQuote, plan: Plan) -> Wish:
        """The wish under its attempt: the same as before for the same content, so that a repeat is one."""
        due = held.quote
        units = sum(line.quantity for line in due.lines)
        content = (due.offer, due.book_hash, units, plan.wishes)
        known, attempt = self._attempts.get(redemption, ((), 0))
        renounced = self._ledger.allowances.renounced(redemption)
        if known != content or attempt <= renounced:
            attempt = max(attempt, renounced) + 1
            self._attempts[redemption] = (content, attempt)
            while len(self._attempts) > ATTEMPTS_KEPT:
                self._attempts.popitem(last=False)
        return Wish(redemption, attempt, due.offer, due.revision, due.book_hash, units, plan.wishes)

    async def _give_back(self, redemption: str, right: Right) -> None:
        if right.hold is not None:
            await self._renounce(redemption, right.hold.attempt)

    async def _renounce(self, redemption: str, attempt: int) -> None:
        """Durably first: once headquarters may have given the room to somebody else, it must never be spent here."""
        try:
            unused = await self._on_writer(lambda: self._ledger.allowances.renounce(redemption, attempt))
        except JingkaError as error:
            logger.warning("a hold stays until headquarters lets go of it: %s", error)
            return
        if unused and self._holder is not None:
            self._holder.give_back(redemption, attempt)

    async def _on_writer(self, work: Callable[[], Done]) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._ledger.writer, work)


def refusals_of(refused: HoldRefused, held: HeldQuote, usage: LedgerUsage) -> tuple[Refusal, ...]:
    """Headquarters' numbers as reasons, for a quote that knows none: by another revision of the book, say."""
    prepared = held.book.offers[held.quote.offer]
    limits = {limit.id: limit for limit in prepared.offer.limits}
    category = next(iter(prepared.categories.values()))
    reasons = []
    for claim in held.quote.claims:
        told = refused.word.keys.get(claim.key)
        if told is None or claim.limit not in limits:
            continue
        room = Room(limits[claim.limit], claim.key, told.used, told.max, usage.elsewhere(claim.key))
        reasons.append(refusal_of(prepared.offer, room, claim.amount, category, held.at.date()))
    found = tuple(reason for reason in reasons if reason is not None)
    return found or (Refusal(RefusalCode.NEEDS_HQ, {"offer": prepared.offer.id}, {"name": prepared.offer.name.words}),)

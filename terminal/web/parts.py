"""What the terminal's pages and API are joined to; the daemon fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from fastapi import FastAPI

from config.errors import JingkaError, Language, Words
from drivers.outcomes import ReadHistory
from drivers.reader import ReaderState, ReaderStatus
from terminal.counter import Counter
from terminal.ledger.health import LedgerHealth
from terminal.reports.day_close import DayCloses
from terminal.serving.hub import Hub
from terminal.serving.people import People

WORKING = frozenset({ReaderState.READY, ReaderState.CARD})  # states of a reader that a cashier can use


class SyncNow(Protocol):
    """How sync stands; `sync.agent.SyncStatus` is one."""

    @property
    def enrolled(self) -> bool:
        """Whether headquarters knows this terminal."""

    @property
    def online(self) -> bool:
        """Whether headquarters has just taken what was sent."""

    @property
    def waiting(self) -> int:
        """Entries that headquarters has not acknowledged."""

    @property
    def oldest_s(self) -> int | None:
        """How long the oldest of them has waited."""

    @property
    def last_contact(self) -> datetime | None:
        """When headquarters last answered."""

    @property
    def skew_ms(self) -> int | None:
        """How far the PC's clock is ahead of headquarters'."""

    @property
    def last_error(self) -> JingkaError | None:
        """Why it is not online."""


class HoldShown(Protocol):
    """One wish for a hold; `sync.holds.HoldTold` is one."""

    @property
    def at(self) -> datetime:
        """When it was asked."""

    @property
    def took_ms(self) -> int:
        """How long the cashier waited for it."""

    @property
    def answer(self) -> str:
        """`granted`, `refused`, `late`, or the code of an error."""


@dataclass(frozen=True, slots=True)
class UnspentSlice:
    """What is left of a limit's slices at this terminal; `name` is the offer's, None when the book lacks it."""

    offer: str
    limit: str
    name: Words | None
    left: int


@dataclass(frozen=True, slots=True)
class GrantsNow:
    """What headquarters lets this terminal spend, and what it told of other shops.

    `leased`: whether it ever leased anything. `left_s`: how long the slices may still be spent, 0 for not at all, and
    `ended` the code of the error that ended them early. `usage_as_of`: up to when what others used is known.
    """

    leased: bool
    left_s: int
    ended: str | None
    unspent: Sequence[UnspentSlice]
    usage_keys: int
    usage_as_of: datetime | None
    holds: Sequence[HoldShown]


@dataclass(frozen=True, slots=True)
class VouchersNow:
    """The register of vouchers in force; `version` is headquarters' name for it, empty for one handed out by hand."""

    count: int
    version: str
    built: datetime


@dataclass(frozen=True, slots=True)
class StatusNow:
    """Everything the status page and `/healthz` tell, of one moment.

    `headquarters` None: no address is set. `book_revision`, `roll_cards` None: not loaded, and `faults` says why.
    `vouchers` None: there is no register here. `jumped_ms`: how far the wall clock was moved since the daemon began.
    """

    terminal: str
    merchant: str
    site: str
    version: str
    readers: Sequence[ReaderStatus]
    headquarters: SyncNow | None
    ledger: LedgerHealth
    book_revision: int | None
    book_offers: int
    roll_cards: int | None
    roll_revision: str
    jumped_ms: int
    faults: Sequence[JingkaError] = ()
    reads: ReadHistory = field(default_factory=ReadHistory)
    vouchers: VouchersNow | None = None
    grants: GrantsNow | None = None  # None: no address of a headquarters is set

    @property
    def ok(self) -> bool:
        """Whether nothing needs anybody's attention."""
        readers = all(reader.state in WORKING for reader in self.readers)
        line = self.headquarters is None or self.headquarters.online
        return readers and line and self.ledger.ok and not self.faults


class DemoCards(Protocol):
    """The virtual cards of the demonstration."""

    def names(self) -> list[dict[str, str]]:
        """The cards there are, each with its `name`."""

    async def present(self, name: str) -> None:
        """Hold the card of that name to the reader. Raises a `JingkaError` when there is none."""

    async def remove(self) -> None:
        """Take the card away; harmless when there is none."""


@dataclass(frozen=True, slots=True)
class WebParts:
    """The parts behind the pages. `demo` None: not a demonstration, and nothing of it is served."""

    counter: Counter
    people: People
    hub: Hub
    status: Callable[[], StatusNow]
    language: Language
    session_idle_s: float
    today: Callable[[], date]
    closes: DayCloses
    on_close: Callable[[], None]
    demo: DemoCards | None = None
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, object] | None]] | None = None

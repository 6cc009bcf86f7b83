"""What a terminal fetches from headquarters: one feed each for the book, the roll, usage and leases.

Headquarters names the version of every feed in its acknowledgements; the agent asks a feed to fetch when that is not
the version it has. Upload comes first: a feed is fetched only when no entry waits. A feed that fails is tried again
later and holds up neither the entries nor the other feeds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from config.errors import JingkaError
from sync.errors import AnswerUnverified, SignatureInvalid, SignatureMissing
from sync.line import STEP_S_MAX
from sync.refusals import is_proven, refusal
from sync.signing import verify_response
from sync.wire import ANSWER_BYTES_MAX

if TYPE_CHECKING:
    from sync.enrolment import Enrolment
    from sync.line import Exchange, Line

logger = logging.getLogger(__name__)

# Of one call; new entries wait that long at most.
FETCH_S_MAX: Final = 2.0
# Of each step of an exchange while the terminal stops: systemd, and whoever shuts the shop, wait for it.
LEAVE_STEP_S: Final = 1.0
# A feed that failed: first soon, for most failures are a line that is just gone, then seldom.
RETRY_S_MIN: Final = 1.0
RETRY_S_MAX: Final = 60.0


class Feed(Protocol):
    """One thing that headquarters hands out. Called from the agent's thread only."""

    @property
    def name(self) -> str:
        """As in `news` and in the address."""

    def version(self) -> str:
        """What this terminal has; empty: nothing."""

    def fetch(self, source: Source, wanted: str) -> None:
        """Fetch what is newer and put it in force, wholly or not at all. `wanted` is the version in `news`.

        Entries wait meanwhile, so one call takes `FETCH_S_MAX` at most; what is bigger is fetched over several calls,
        and `version` stays the old one until it is whole.
        """


@runtime_checkable
class Leaving(Protocol):
    """A feed with something to say when the terminal stops."""

    def leave(self, source: Source) -> None:
        """Say it, once; the line is up. Raises what the line raises."""


@dataclass(frozen=True, slots=True)
class Source:
    """Headquarters as a feed sees it: signed requests whose answers are proven before anybody looks at them."""

    line: Line
    enrolment: Enrolment
    now: Callable[[], datetime]  # headquarters' time, as far as this terminal knows it
    step_s: float = STEP_S_MAX  # of each step of an exchange

    @property
    def terminal(self) -> str:
        """The id that headquarters knows this terminal by."""
        return self.enrolment.terminal

    def get(self, path: str, *, answer_bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """The body of a proven answer. Raises `LineDown`, `AnswerUnverified`, the refusals of `sync.refusals`."""
        exchange = self.line.get(path, now=self.now(), step_s=self.step_s, answer_bytes_max=answer_bytes_max)
        return self._proven(exchange, "fetch")

    def post(self, path: str, plain: bytes, *, answer_bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """As `get`, with a body."""
        exchange = self.line.post(path, plain, now=self.now(), step_s=self.step_s, answer_bytes_max=answer_bytes_max)
        return self._proven(exchange, "ask")

    def delete(self, path: str) -> bytes:
        """As `get`, for what is not wanted any more."""
        return self._proven(self.line.delete(path, now=self.now(), step_s=self.step_s), "give back")

    def _proven(self, exchange: Exchange, operation: str) -> bytes:
        key = self.enrolment.headquarters_key
        if exchange.response.status != 200:
            proven = is_proven(exchange.response, exchange.request, key)
            raise refusal(exchange.response, self.line.url, operation, proven=proven)
        try:
            verify_response(exchange.response, exchange.request, headquarters_key=key)
        except (SignatureInvalid, SignatureMissing) as error:
            raise AnswerUnverified(operation, self.line.url, reason=error.what_text("en")) from error
        return exchange.response.body


@dataclass(slots=True)
class _Trouble:
    """A feed that failed, and when it may be tried again (monotonic seconds)."""

    error: JingkaError
    failures: int
    again_s: float


@dataclass(slots=True)
class Feeds:
    """All feeds of one terminal; not thread-safe, the agent's thread owns it."""

    feeds: tuple[Feed, ...]
    monotonic_s: Callable[[], float]
    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    def faults(self) -> dict[str, JingkaError]:
        """What each feed last failed with, until it succeeds."""
        return {name: trouble.error for name, trouble in self._troubles.items()}

    def follow(self, news: Mapping[str, str], source: Source) -> bool:
        """Fetch what is newer; whether anything was. Raises nothing of a feed's: see `faults`."""
        fetched = False
        for feed in self.feeds:
            wanted = news.get(feed.name)
            trouble = self._troubles.get(feed.name)
            if wanted is None or wanted == feed.version():
                self._troubles.pop(feed.name, None)
            elif trouble is None or self.monotonic_s() >= trouble.again_s:
                fetched = self._fetch(feed, source, wanted, trouble) or fetched
        return fetched

    def leave(self, source: Source) -> None:
        """The terminal stops while the line is up: every feed says what it has to. Raises nothing of a feed's."""
        parting = replace(source, step_s=LEAVE_STEP_S)
        for feed in self.feeds:
            if isinstance(feed, Leaving):
                try:
                    feed.leave(parting)
                except JingkaError as error:
                    logger.info("feed %s could not take its leave: %s", feed.name, error)

    def _fetch(self, feed: Feed, source: Source, wanted: str, trouble: _Trouble | None) -> bool:
        try:
            feed.fetch(source, wanted)
        except JingkaError as error:
            failures = trouble.failures + 1 if trouble else 1
            wait_s = min(RETRY_S_MAX, RETRY_S_MIN * 2.0 ** min(failures - 1, 10))
            self._troubles[feed.name] = _Trouble(error, failures, self.monotonic_s() + wait_s)
            return False
        self._troubles.pop(feed.name, None)
        return True

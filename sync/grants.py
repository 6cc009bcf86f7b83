"""The feeds `leases` and `usage`: what this terminal may spend, and what was used elsewhere. On the agent's thread.

An exchange of leases reports first (everything is pushed by then), takes the answer in, and reports once more when the
answer asked something back: so headquarters hears of what was given up at once, and lets others have it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from config.errors import JingkaError
from sync.elsewhere import Pair, UsageElsewhere, UsageSet
from sync.errors import HeadquartersRefused, LeaseFrozen, LeaseOutdated, TerminalRevoked, TerminalUnknown
from terminal.ledger.errors import LedgerError
from terminal.ledger.grants import Grant, Lease, LeaseWord, Report

if TYPE_CHECKING:
    from sync import wire_grants
    from sync.feeds import Source

logger = logging.getLogger(__name__)

# Report, hear a recall, report again; a third only when headquarters changed its mind in between.
EXCHANGES_MAX: Final = 3
WANTED_KEYS_MAX: Final = 128  # keys that lacked something since the last exchange; a hint, so the rest may be dropped
# Of one call: pages of 120 kB, at 20 ms each to decode; entries wait no longer than `FETCH_S_MAX` for the next turn.
USAGE_PAGES_MAX: Final = 8
USAGE_S_MAX: Final = 1.0
CLIENT_ERRORS: Final = range(400, 500)


class Store(Protocol):
    """What an exchange needs of the ledger; `terminal.ledger.allowances.Allowances` is one."""

    def lease(self) -> Lease:
        """The lease as it stands."""

    def report(self) -> Report:
        """What headquarters is to be told, of one moment."""

    def take(self, word: LeaseWord) -> bool:
        """Take headquarters' word in; whether something was returned."""

    def surrender(self) -> bool:
        """Give up what is not spent; whether there was anything."""

    def end(self, code: str) -> None:
        """Spend no slice any more until an exchange succeeds."""


class Clock(Protocol):
    """The clock that leases end by."""

    def monotonic_ms(self) -> int:
        """Milliseconds since boot."""

    def boot(self) -> str:
        """Which boot that is."""


class Wants:
    """What slices lacked since the last exchange, by key. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lacked: dict[str, int] = {}

    def note(self, key: str, amount: int) -> None:
        """`amount` under `key` had to be refused."""
        with self._lock:
            if key in self._lacked or len(self._lacked) < WANTED_KEYS_MAX:
                self._lacked[key] = self._lacked.get(key, 0) + amount

    def __bool__(self) -> bool:
        return bool(self._lacked)

    def seen(self) -> dict[str, int]:
        """All of it, as it is now."""
        with self._lock:
            return dict(self._lacked)

    def told(self, seen: dict[str, int]) -> None:
        """Headquarters has heard of `seen`."""
        with self._lock:
            for key, amount in seen.items():
                left = self._lacked.pop(key, 0) - amount
                if left > 0:
                    self._lacked[key] = left


def report_message(
    terminal: str, report: Report, wanted: dict[str, int], boot: str, now_ms: int, *, closing: bool = False
) -> wire_grants.LeaseReport:
    """The report as it goes on the wire. Pure."""
    from sync.wire_grants import LEASE_KEYS_MAX, KeyReport, LeaseReport

    keys = sorted(report.returned.keys() | wanted.keys(), key=lambda key: (key not in report.returned, key))
    return LeaseReport(
        terminal=terminal,
        generation=report.generation,
        boot=boot,
        monotonic_ms=now_ms,
        sequence=report.sequence,
        keys=tuple(
            KeyReport(key=key, returned=report.returned.get(key, 0), wanted=wanted.get(key, 0))
            for key in keys[:LEASE_KEYS_MAX]
        ),
        closing=closing,
    )


def lease_word(answer: wire_grants.LeaseAnswer, boot: str, asked_ms: int) -> LeaseWord:
    """What an answer to a request sent at `asked_ms` means here. Pure."""
    return LeaseWord(
        generation=answer.generation,
        version=answer.version,
        life_ms=answer.life_s * 1000,
        asked_ms=asked_ms,
        boot=boot,
        grants=tuple(
            Grant(each.key, each.offer, each.limit, each.granted, each.returned, each.frozen) for each in answer.grants
        ),
        recalls={each.key: each.recall for each in answer.grants if each.recall},
    )


class Leases:
    """The feed of slices. `on_taken` is called when what may be spent has changed."""

    name: Final = "leases"

    def __init__(
        self, store: Store, clock: Clock, wants: Wants | None = None, on_taken: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._clock = clock
        self._wants = Wants() if wants is None else wants
        self._on_taken = on_taken

    def version(self) -> str:
        """What `news` says while there is nothing to exchange; empty when this end has a reason to."""
        try:
            lease = self._store.lease()
        except LedgerError:
            return ""  # the exchange meets the same fault, where it is told
        due = self._wants or lease.due(self._clock.boot(), self._clock.monotonic_ms())
        return "" if due else lease.version

    def fetch(self, source: Source, wanted: str) -> None:
        """Exchange until nothing more is asked back. Raises `LeaseFrozen`, `LeaseOutdated`, and what the line raises;
        a refusal that is provably headquarters' ends the lease.
        """
        for _ in range(EXCHANGES_MAX):
            try:
                again = self.exchange(source)
            except (TerminalRevoked, TerminalUnknown, HeadquartersRefused) as error:
                if error.details.get("proven"):
                    self._store.end(error.code)
                raise
            if not again:
                return

    def leave(self, source: Source) -> None:
        """The terminal stops: give back what is unspent, so that others have it overnight.

        Else a machine that is switched off each evening would come back in doubt each morning: see `report` at
        headquarters. Raises what `exchange` does; what was given up is told at the next start at the latest.
        """
        if self._store.surrender():
            self.exchange(source, closing=True)

    def exchange(self, source: Source, *, closing: bool = False) -> bool:
        """One report and its answer; whether something was returned that headquarters should hear of."""
        from sync.wire import encode_message, parse_message
        from sync.wire_grants import LEASE_ANSWER_BYTES_MAX, LeaseAnswer, leases_path

        boot, asked_ms = self._clock.boot(), self._clock.monotonic_ms()  # before the request: the lease runs from here
        wanted = self._wants.seen()
        said = self._store.report()
        report = report_message(source.terminal, said, wanted, boot, asked_ms, closing=closing)
        body = source.post(
            leases_path(source.terminal), encode_message(report), answer_bytes_max=LEASE_ANSWER_BYTES_MAX
        )
        answer = parse_message(LeaseAnswer, body)
        self._wants.told(wanted)
        if answer.generation < report.generation:
            raise LeaseOutdated("exchange", "leases", ours=report.generation, theirs=answer.generation)
        returned = self._store.take(lease_word(answer, boot, asked_ms))
        self._on_taken()
        if answer.life_s == 0:
            self._store.end(LeaseFrozen.code)
            raise LeaseFrozen("exchange", "leases")
        return returned


@dataclass(slots=True)
class _Fetching:
    """A fetch that takes several turns: the version of its first page, and what the next one is asked with."""

    after: str
    version: str = ""
    told: str = ""
    snapshot: bool = False
    cursor: str | None = None
    pairs: list[Pair] = field(default_factory=list)


class UsageFeed:
    """The feed of what was used elsewhere. `on_taken` is called when the set has changed."""

    name: Final = "usage"

    def __init__(
        self,
        elsewhere: UsageElsewhere,
        monotonic_s: Callable[[], float],
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._elsewhere = elsewhere
        self._monotonic_s = monotonic_s
        self._on_taken = on_taken
        self._fetching: _Fetching | None = None

    def version(self) -> str:
        """Of the set in force; empty: none."""
        return self._elsewhere.now.version

    def fetch(self, source: Source, wanted: str) -> None:
        """The pages of a snapshot, or of what changed; over several calls when they are many."""
        until_s = self._monotonic_s() + USAGE_S_MAX
        try:
            for _ in self._pages(source):
                if self._monotonic_s() > until_s:
                    return
        except JingkaError:
            self._fetching = None  # begun anew: pages may come twice
            raise

    def _pages(self, source: Source) -> Iterator[None]:
        """One page each; ends when the set is whole, or after `USAGE_PAGES_MAX` of them."""
        from sync.wire_usage import USAGE_BYTES_MAX, decode_usage, usage_path

        for _ in range(USAGE_PAGES_MAX):
            state = self._fetching or _Fetching(self._elsewhere.now.version)
            path = usage_path(source.terminal, state.after, state.cursor)
            head, pairs = decode_usage(source.get(path, answer_bytes_max=USAGE_BYTES_MAX))
            if not state.version or head.snapshot != state.snapshot:
                # The first page; or headquarters tells everything anew where changes were asked for.
                after = "" if head.snapshot else state.after
                state = _Fetching(after, head.version, head.time, head.snapshot)
            state.pairs += pairs
            state.cursor = head.next
            self._fetching = state
            if head.next is None:
                self._take(state)
                return
            yield

    def _take(self, state: _Fetching) -> None:
        before = self._elsewhere.now
        after = (
            UsageSet.of(((key, amount) for key, amount in state.pairs if amount), state.version, state.told)
            if state.snapshot
            else before.changed(state.pairs, state.version, state.told)
        )
        self._fetching = None
        self._elsewhere.replace(after)
        self._on_taken()

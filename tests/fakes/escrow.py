"""A headquarters on paper: one pool, its terminals' totals, and holds; the wire's arithmetic without the service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from sync.feeds import Source
from sync.wire import encode_message, parse_message
from sync.wire_grants import Grant, LeaseAnswer, LeaseReport
from terminal.ledger.grants import HoldWord, KeyWord, Wish

TIME = "2012-12-25T02:30:00.000Z"
HOLD_MS = 30_000


@dataclass
class Account:
    """One terminal's totals of the pool."""

    granted: int = 0
    returned: int = 0
    recall: int = 0
    generation: int = 0

    @property
    def out(self) -> int:
        return self.granted - self.returned


@dataclass
class PaperHeadquarters:
    """Grants `slice_units` to whoever has less unspent than that, as long as the pool lasts."""

    key: str
    units: int
    slice_units: int = 3
    life_s: int = 600
    offer: str = "film"
    limit: str = "pool"
    accounts: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    used_by: dict[str, int] = field(default_factory=dict)  # keys of other limits, citywide
    holds: dict[tuple[str, int], bool] = field(default_factory=dict)
    given_back: list[tuple[str, int]] = field(default_factory=list)
    reports: list[LeaseReport] = field(default_factory=list)

    @property
    def out(self) -> int:
        """What terminals may have spent or may still spend."""
        return sum(account.out for account in self.accounts.values())

    def exchange(self, body: bytes, used: int, *, more: bool = True) -> bytes:
        """A report and its answer. `used`: what this terminal's entries say; `more`: let it have more."""
        report = parse_message(LeaseReport, body)
        self.reports.append(report)
        account = self.accounts[report.terminal]
        for each in report.keys:
            if each.key == self.key:
                account.returned = max(account.returned, each.returned)
        if more:
            lacking = self.slice_units - (account.out - used)
            account.granted += max(0, min(lacking, self.units - self.out))
        account.generation = max(account.generation, report.generation) + 1
        return encode_message(self.answer(report.terminal))

    def answer(self, terminal: str) -> LeaseAnswer:
        account = self.accounts[terminal]
        grant = Grant(
            key=self.key,
            offer=self.offer,
            limit=self.limit,
            granted=account.granted,
            returned=account.returned,
            recall=account.recall,
        )
        return LeaseAnswer(
            generation=account.generation,
            life_s=self.life_s,
            version=f"v{account.generation}",
            grants=(grant,) if account.granted else (),
            time=TIME,
        )

    def hold(self, terminal: str, wish: Wish, boot: str, now_ms: int) -> HoldWord:
        """Room for one sale: of the pool, and of every other key by its own `max`."""
        granted = self.holds.get((wish.redemption, wish.attempt))
        if granted is None:
            granted = all(self._room(each.key, each.max) >= each.amount for each in wish.keys)
            self.holds[wish.redemption, wish.attempt] = granted
            for each in wish.keys if granted else ():
                if each.key == self.key:
                    self.accounts[terminal].granted += each.amount
                else:
                    self.used_by[each.key] = self.used_by.get(each.key, 0) + each.amount
        words = {each.key: self._word(terminal, each.key, each.max) for each in wish.keys}
        return HoldWord(granted, words, boot, now_ms + HOLD_MS)

    def _room(self, key: str, limit: int) -> int:
        return self.units - self.out if key == self.key else limit - self.used_by.get(key, 0)

    def _word(self, terminal: str, key: str, limit: int) -> KeyWord:
        if key == self.key:
            return KeyWord(self.out, self.units, self.accounts[terminal].granted)
        return KeyWord(self.used_by.get(key, 0), limit)


@dataclass
class PaperSource:
    """What a feed asks, answered by `reply`; the last bodies are kept."""

    terminal: str
    reply: Callable[[str, bytes], bytes]
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, **_: Any) -> bytes:
        self.asked.append(path)
        return self.reply(path, b"")

    def post(self, path: str, plain: bytes, **_: Any) -> bytes:
        self.asked.append(path)
        return self.reply(path, plain)


def source(terminal: str, reply: Callable[[str, bytes], bytes]) -> Source:
    """A source without a line."""
    return cast("Source", PaperSource(terminal, reply))

"""How fast PINs may be tried: waits per number that grow, and a bound on all tries together.

    lockouts.begin("c01", now)      # before a PIN is checked: counts the try, or says to wait
    lockouts.succeeded("c01")       # the PIN was right: as if nobody had tried

A try counts from before the hash is made, so what fails half-way has still been a try. Invented numbers are counted
like real ones, or a wait would tell which numbers exist.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from config.errors import Retry, Words
from terminal.serving.problems import WebError

TRIES_BEFORE_WAIT: Final = 5  # a tired cashier's slips
WAIT_FIRST_S: Final = 30
WAIT_S_MAX: Final = 15 * 60  # 96 tries a day: 10,000 four-digit PINs last over three months
TRACKED_IDS_MAX: Final = 1024  # above PEOPLE_MAX; pushing a real person's count out takes half an hour of tries
GLOBAL_TRIES_MAX: Final = 30
GLOBAL_WINDOW_S: Final = 60
_DOUBLINGS_MAX: Final = 10


class PinLocked(WebError):
    """Too many wrong tries: the next one has to wait."""

    code = "pin-locked"
    retry = Retry.RETRY
    status = 429
    what = Words("输错次数过多，请等 {wait_s} 秒", "too many wrong tries: wait {wait_s} seconds")
    hint = Words("请稍后再试；忘记密码请找店长", "wait and try again; ask the manager if the PIN is forgotten")


class Lockouts(Protocol):
    """Counts tries; called one at a time by one process, and by several at once where they share a database."""

    def begin(self, person: str, now: float) -> None:
        """Count a try. `now` is elapsed seconds of any clock that never goes back. Raises `PinLocked`."""

    def succeeded(self, person: str) -> None:
        """The try just begun was right: forget the wrong ones before it."""


def wait_after_s(wrong: int) -> float:
    """How long the next try has to wait after `wrong` wrong ones in a row."""
    if wrong < TRIES_BEFORE_WAIT:
        return 0.0
    return float(min(WAIT_FIRST_S * 2 ** min(wrong - TRIES_BEFORE_WAIT, _DOUBLINGS_MAX), WAIT_S_MAX))


@dataclass(slots=True)
class _Tries:
    """Wrong tries of one number in a row, and when the next may be made."""

    wrong: int = 0
    free_at: float = 0.0


class LocalLockouts:
    """`Lockouts` in the memory of one process: for a server that is alone."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._recent: list[float] = []

    @property
    def tracked(self) -> int:
        """How many numbers are remembered."""
        return len(self._tries)

    def begin(self, person: str, now: float) -> None:
        """See `Lockouts`."""
        tries = self._tries.setdefault(person, _Tries())
        self._tries.move_to_end(person)
        while len(self._tries) > TRACKED_IDS_MAX:
            self._tries.popitem(last=False)
        self._recent = [at for at in self._recent if now - at < GLOBAL_WINDOW_S]
        wait_s = tries.free_at - now
        if len(self._recent) >= GLOBAL_TRIES_MAX:
            wait_s = max(wait_s, self._recent[0] + GLOBAL_WINDOW_S - now)
        if wait_s > 0:
            raise PinLocked("sign in", "person", wait_s=int(wait_s) + 1)
        self._recent.append(now)
        tries.wrong += 1
        tries.free_at = now + wait_after_s(tries.wrong)

    def succeeded(self, person: str) -> None:
        """See `Lockouts`."""
        self._recent.pop()
        del self._tries[person]

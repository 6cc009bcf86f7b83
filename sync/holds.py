"""Holds: room for one sale, asked of headquarters while the cashier waits, on a line and a thread of their own.

The event loop waits `HOLD_S_MAX` at most. What comes later is too late for its sale: it is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from config.errors import JingkaError
from terminal.ledger.grants import HoldWord, KeyWord, Wish

if TYPE_CHECKING:
    import httpx

    from sync.feeds import Source

logger = logging.getLogger(__name__)

HOLD_S_MAX: Final = 0.8  # in all, as promised (DESIGN, "HQ API"): a cashier does not notice much more
STEP_S_MAX: Final = 0.8  # connect, write, wait and read: each ends with the wait at the latest
WAITING_MAX: Final = 4  # wishes in the queue; one counter has two tabs at most
LAST_HOLDS_MAX: Final = 20  # shown on the status page


class Clock(Protocol):
    """What holds ask about time."""

    def wall(self) -> datetime:
        """The PC's clock, aware, UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds since boot."""

    def boot(self) -> str:
        """Which boot that is."""

    @property
    def skew_ms(self) -> int | None:
        """How far the wall clock is ahead of headquarters'."""


@dataclass(frozen=True, slots=True)
class HoldTold:
    """What became of one wish: `answer` is `granted`, `refused`, `late`, or the code of an error."""

    at: datetime
    took_ms: int
    answer: str


class _Wanted:
    """One wish under way, and whether its sale still waits. Exactly one side decides what happens to the answer."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self._lock = threading.Lock()
        self._over = False

    def close(self) -> bool:
        """The sale has its answer, or goes on without; whether this call is the first."""
        with self._lock:
            first, self._over = not self._over, True
        return first

    @property
    def over(self) -> bool:
        """Whether nobody waits any more."""
        return self._over


class Holds:
    """Asks for holds. `on_late` is told, from the thread here, of a hold that was granted after its sale went on."""

    def __init__(
        self,
        *,
        data_dir: Path,
        url: str,
        clock: Clock,
        online: Callable[[], bool],
        on_late: Callable[[str, int], None] = lambda _redemption, _attempt: None,
        transport: httpx.BaseTransport | None = None,
        wait_s: float = HOLD_S_MAX,
    ) -> None:
        self._data_dir = data_dir
        self._url = url
        self._clock = clock
        self._online = online
        self._on_late = on_late
        self._transport = transport
        self._wait_s = wait_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="holds")
        self._waiting = 0
        self._source: Source | None = None
        self._stamp: object = None  # of the key and the enrolment in use
        self._on_close = contextlib.ExitStack()
        self._last: deque[HoldTold] = deque(maxlen=LAST_HOLDS_MAX)

    @property
    def ready(self) -> bool:
        """Whether asking makes sense now: the agent reaches headquarters."""
        return bool(self._url) and self._online()

    @property
    def last(self) -> tuple[HoldTold, ...]:
        """The last wishes, newest first."""
        return tuple(reversed(self._last))

    async def ask(self, wish: Wish) -> HoldWord | None:
        """Headquarters' answer; None when there is none within `HOLD_S_MAX`. Raises nothing."""
        if self._waiting >= WAITING_MAX:
            return None
        self._waiting += 1
        wanted, began_ms = _Wanted(wish), self._clock.monotonic_ms()
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, wanted)
        work.add_done_callback(self._finished)
        try:
            word = await asyncio.wait_for(asyncio.shield(work), self._wait_s)
        except TimeoutError:
            if not wanted.close():
                return await work  # it came in this very moment
            self._note(began_ms, "late")
            return None
        except JingkaError as error:
            self._note(began_ms, error.code)
            return None
        except asyncio.CancelledError:
            wanted.close()  # nobody will use it
            raise
        self._note(began_ms, "granted" if word and word.granted else "refused")
        return word

    def give_back(self, redemption: str, attempt: int) -> None:
        """Tell headquarters that a hold will not be used, as well as it can be done. Returns at once."""
        with contextlib.suppress(RuntimeError):  # closed: headquarters lets go of it by itself
            self._thread.submit(self._delete, redemption, attempt)

    def close(self) -> None:
        """End the thread after the exchange in hand, and the line."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._on_close.close()

    # --- on the thread ------------------------------------------------------------------------------------------------

    def _exchange(self, wanted: _Wanted) -> HoldWord | None:
        from sync.wire import encode_message, parse_message
        from sync.wire_grants import HOLDS_PATH, HoldAnswer, HoldKey, HoldRequest

        if wanted.over:  # its sale went on while another one's wish hung here
            return None
        wish, source = wanted.wish, self._opened()
        boot, asked_ms = self._clock.boot(), self._clock.monotonic_ms()  # before the request: the hold runs from here
        request = HoldRequest(
            terminal=source.terminal,
            redemption=wish.redemption,
            attempt=wish.attempt,
            boot=boot,
            monotonic_ms=asked_ms,
            offer=wish.offer,
            revision=wish.revision,
            book_hash=wish.book_hash,
            units=wish.units,
            keys=tuple(HoldKey(key=each.key, amount=each.amount, max=each.max) for each in wish.keys),
        )
        answer = parse_message(HoldAnswer, source.post(HOLDS_PATH, encode_message(request)))
        word = HoldWord(
            answer.granted,
            {each.key: KeyWord(each.used, each.max, each.granted) for each in answer.keys},
            boot,
            asked_ms + answer.life_s * 1000,
        )
        if not wanted.close() and word.granted:
            self._on_late(wish.redemption, wish.attempt)
        return word

    def _delete(self, redemption: str, attempt: int) -> None:
        from sync.wire_grants import hold_path

        try:
            source = self._opened()
            source.delete(hold_path(redemption, source.terminal, attempt))
        except JingkaError as error:
            logger.info("a hold is left to headquarters to let go of: %s", error)

    def _opened(self) -> Source:
        """The line, made at the first wish and after a change of keys. Imports late: httpx and pydantic are no part of
        the daemon's start.
        """
        from sync.rotation import stamp_of

        stamp = stamp_of(self._data_dir)
        if self._source is None or stamp != self._stamp:
            self._on_close.close()
            self._stamp = stamp
            from sync.enrolment import KEY_FILE, load_enrolment
            from sync.feeds import Source
            from sync.line import Line
            from sync.signing import DeviceKey

            enrolment = load_enrolment(self._data_dir)
            key = DeviceKey.load(self._data_dir / KEY_FILE)
            line = Line(self._url, key=key, key_id=enrolment.terminal, transport=self._transport)
            self._on_close.callback(line.close)
            self._source = Source(line, enrolment, self._now, STEP_S_MAX)
        return self._source

    def _now(self) -> datetime:
        """Headquarters' time, as far as this terminal knows it: what a request is signed with."""
        return self._clock.wall() - timedelta(milliseconds=self._clock.skew_ms or 0)

    def _finished(self, work: asyncio.Future[HoldWord | None]) -> None:
        self._waiting -= 1
        if not work.cancelled():
            work.exception()  # looked at: a late failure is nobody's any more

    def _note(self, began_ms: int, answer: str) -> None:
        self._last.append(HoldTold(self._clock.wall(), self._clock.monotonic_ms() - began_ms, answer))

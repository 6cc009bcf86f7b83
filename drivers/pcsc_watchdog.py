"""Notices that pcscd itself has stopped answering: no PC/SC call can be interrupted, so another thread must say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

SILENCE_S = 5.0  # every call of the watch ends within half a second unless pcscd hangs; leaves a loaded machine room
_CHECKS = 10  # looks at the time per `silence_s`


class Watchdog:
    """Calls `bark` once, on a thread of its own, when no `beat` has come for `silence_s`; for a `with` block."""

    def __init__(self, bark: Callable[[], None], name: str, silence_s: float = SILENCE_S) -> None:
        self._bark = bark
        self._silence_s = silence_s
        self._lock = threading.Lock()  # a beat waits for a bark under way, so that what is told stays in order
        self._last = time.monotonic()
        self._barked = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watchdog {name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def beat(self) -> bool:
        """All is well; True when silence had been told meanwhile and so must be taken back."""
        with self._lock:
            self._last = time.monotonic()
            barked, self._barked = self._barked, False
            return barked

    def _run(self) -> None:
        while not self._end.wait(self._silence_s / _CHECKS):
            with self._lock:
                if not self._barked and time.monotonic() - self._last > self._silence_s:
                    self._barked = True
                    self._bark()

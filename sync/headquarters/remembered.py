"""Answers that many pages ask for at once: one page pays for the question, the others share what it was told."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

# A question that costs 50 ms is put once a second, however many pages are open: a twentieth of one core at most.
SHARE_OF_COST: Final = 20
HELD_S_MAX: Final = 60.0  # older numbers would no longer be called live
ANSWERS_MAX: Final = 32  # periods that people look at side by side; each some hundred kB at the most


T = TypeVar("T")


class Remembered:
    """Keeps each answer for `SHARE_OF_COST` times as long as it took. Safe from any thread.

    Two pages that ask the same at the same moment both ask: nobody waits for another's query.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, held_s_min: float = 0.0) -> None:
        """`held_s_min`: for what changes seldom, so that even a cheap question is not put over and over."""
        self._clock = clock
        self._held_s_min = held_s_min
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def answer(self, question: Hashable, ask: Callable[[], T]) -> T:
        """What was told of `question` a moment ago, else what `ask` says now."""
        began = self._clock()
        with self._lock:
            until, known = self._answers.get(question, (began, None))
        if began < until:
            found: T = known
            return found
        fresh = ask()
        ended = self._clock()
        held_s = max(self._held_s_min, min(HELD_S_MAX, SHARE_OF_COST * (ended - began)))
        with self._lock:
            self._answers[question] = (ended + held_s, fresh)
            self._answers.move_to_end(question)
            while len(self._answers) > ANSWERS_MAX:
                self._answers.popitem(last=False)
        return fresh

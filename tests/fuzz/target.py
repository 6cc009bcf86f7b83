"""What is asked of every reading of foreign bytes: it ends with a result or with one of its own typed errors.

Time is counted in calls of Python functions, not in seconds, so the same bytes are judged alike on every machine.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from config.errors import LANGUAGES, JingkaError

OCTETS_MAX = 4096  # of one input; far more than any single answer, so that every bound can be passed
DIGITS_MAX = 7  # a shorter run of digits is a count or a date; a longer one in an error may be a card's
_DIGITS = re.compile(rf"\d{{{DIGITS_MAX + 1},}}")
_CARD_DIGITS = re.compile(r"\d{13,}")  # ISO/IEC 7812-1: the shortest card number


@dataclass(frozen=True, slots=True)
class Target:
    """One reading of foreign bytes.

    `read` takes any octets, of which there are at most `octets_max`, and may raise `allowed`, nothing else. It may make
    `calls` calls and `calls_per_octet` more for each octet. `seeds` are octets that get far. `bare`: its errors promise
    a traceback without the card; `card_data`: what is read may hold a card number, so no error may tell digits.
    """

    name: str
    read: Callable[[bytes], object]
    allowed: tuple[type[JingkaError], ...]
    seeds: Callable[[], Sequence[bytes]]
    calls: int = 500
    calls_per_octet: int = 20
    bare: bool = False
    card_data: bool = True
    octets_max: int = OCTETS_MAX

    def __call__(self, data: bytes) -> None:
        """Read `data`; an `AssertionError` or any untyped error is a finding."""
        data = data[: self.octets_max]
        try:
            with calls_at_most(self.calls + self.calls_per_octet * len(data)):
                self.read(data)
        except self.allowed as error:
            if self.card_data:
                assert_tells_no_digits(error)
            if self.bare:
                assert_traceback_holds_no_card(error)


@contextmanager
def calls_at_most(limit: int) -> Iterator[None]:
    """Fails in the middle of a block that calls more than `limit` Python functions, also of an endless one."""
    made = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal made
        if event == "call":
            made += 1
            assert made <= limit, f"more than {limit} calls"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def assert_tells_no_digits(error: JingkaError) -> None:
    """Nothing that a page, a log or a problem document may take from `error` holds a run of a card's digits."""
    told = [str(error), repr(error), error.operation, error.subject, repr(error.details)]
    told += [text for language in LANGUAGES for text in (error.what_text(language), error.hint_text(language))]
    for text in told:
        found = _DIGITS.search(text)
        assert found is None, f"{type(error).__name__} tells {len(found[0]) if found else 0} digits"


def assert_traceback_holds_no_card(error: BaseException) -> None:
    """No frame of ours that a crash report would print holds a card's digits, as text or packed two an octet."""
    seen: BaseException | None = error
    while seen is not None:
        for frame in _frames(seen.__traceback__):
            if frame.f_globals.get("__name__", "").startswith("drivers."):
                for name, value in frame.f_locals.items():
                    assert not _holds_card(value), f"{frame.f_code.co_qualname} keeps a card in {name}"
        seen = seen.__cause__ or seen.__context__


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _holds_card(value: object) -> bool:
    if isinstance(value, bytes | bytearray):
        return _holds_card(value.decode("latin-1")) or _CARD_DIGITS.search(value.hex()) is not None
    return isinstance(value, str) and _CARD_DIGITS.search(value) is not None

"""A card that has a chip is read by its chip: the rule that stands between the readers and those who hear of cards.

A stripe copies freely, so where a chip reader works the stripe of a chip card (ISO/IEC 7813: the service code begins
with 2 or 6) is not taken; the cashier is asked for the chip. Two ways remain for a card whose chip is dead:

- A chip that could not be read permits one swipe within `fallback_s`; that read says `fallback`. A good chip read
  takes the permit back. Whose swipe it is nobody can tell, for the chip gave no number: hence once, and soon.
- While no chip reader works, every chip card may be swiped; these reads say `fallback` too.

A counter without any chip reader reads stripes as it always did: `stripe`.

Which failures permit a swipe: those in which the chip, or its contact, did not do its work (silent, garbled, cut off).
Not those in which something answered clearly: a bank's blocked application must not be passed by way of the stripe, and
a door badge or a telephone says nothing about the chip of the card swiped next. Removed too early is haste the first
time; twice in a row may be a worn contact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from config.errors import JingkaError, Words
from drivers.card import CardError, CardRead, CardRefused, CardRemoved, DeviceCard, EntryMode, NotACard, Step
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

CHIP_ONLY_KINDS: Final = frozenset({"pcsc", "pn532"})
CHIP_KINDS: Final = CHIP_ONLY_KINDS | {"virtual"}  # the virtual reader plays both: its failures tell by their steps
WORKING: Final = frozenset({ReaderState.READY, ReaderState.CARD})
CLEAR_ANSWERS: Final = (NotACard, CardRefused, DeviceCard)  # no fault of the chip: no swipe in its place
REMOVALS_BEFORE_FALLBACK: Final = 2


class UseTheChip(CardError):
    """The stripe of a card that has a chip, while its chip can be read here."""

    code = "use-the-chip"
    what = Words("这张卡带芯片，请用芯片", "this card has a chip: use the chip")
    hint = Words(
        "请插卡或挥卡；芯片读不出时再刷磁条", "insert or tap the card; if the chip cannot be read, swipe again"
    )


class ChipFirst:
    """A `ReaderListener` before `listener`. `chip_readers`: whether the settings name a reader that reads chips.

    `fallback_s` and `now` are seconds; `now` never goes back. Safe from several readers' threads.
    """

    def __init__(
        self,
        listener: ReaderListener,
        *,
        fallback_s: float,
        chip_readers: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._fallback_s = fallback_s
        self._chip_readers = chip_readers
        self._now = now
        self._lock = threading.Lock()
        self._working: dict[str, str] = {}  # chip readers that work now: their kinds by name
        self._permitted_at: float | None = None  # when a chip failed that has not been swiped for
        self._removals = 0  # in a row, with no other answer between

    def card_read(self, read: CardRead) -> None:
        """Passed on as it is, as a fallback, or answered with `UseTheChip`."""
        mode = self._mode(read)
        if mode is None:
            self._listener.card_failed(read.reader, UseTheChip("read stripe", read.reader))
        else:
            self._listener.card_read(read if mode is read.entry_mode else replace(read, entry_mode=mode))

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        """Passed on; a chip's failure may permit a swipe."""
        with self._lock:
            if steps or self._working.get(reader) in CHIP_ONLY_KINDS:
                self._chip_failed(error)
        self._listener.card_failed(reader, error, steps)

    def card_removed(self, reader: str) -> None:
        """Passed on."""
        self._listener.card_removed(reader)

    def reader_changed(self, status: ReaderStatus) -> None:
        """Passed on."""
        with self._lock:
            if status.kind in CHIP_KINDS and status.state in WORKING:
                self._working[status.name] = status.kind
            else:
                self._working.pop(status.name, None)
        self._listener.reader_changed(status)

    def _mode(self, read: CardRead) -> EntryMode | None:
        """How the read counts; None: not at all."""
        with self._lock:
            if read.entry_mode is not EntryMode.STRIPE:
                self._permitted_at, self._removals = None, 0
                return read.entry_mode
            if not self._chip_readers or not has_chip(read.service_code):
                return EntryMode.STRIPE
            if not self._working or self._take_permit():
                return EntryMode.FALLBACK
            return None

    def _take_permit(self) -> bool:
        permitted_at, self._permitted_at = self._permitted_at, None
        return permitted_at is not None and self._now() - permitted_at <= self._fallback_s

    def _chip_failed(self, error: JingkaError) -> None:
        self._removals = self._removals + 1 if isinstance(error, CardRemoved) else 0
        hasty = 0 < self._removals < REMOVALS_BEFORE_FALLBACK
        if isinstance(error, CardError) and not isinstance(error, CLEAR_ANSWERS) and not hasty:
            self._permitted_at, self._removals = self._now(), 0


def has_chip(service_code: str | None) -> bool:
    """Whether a stripe with this service code is that of a chip card."""
    return service_code is not None and service_code[:1] in tuple(CardRead.SERVICE_CODE_CHIP)

"""One card's visit on a PC/SC reader: read it, and if that fails find out why.

A card pulled in the middle of a command shows as any of several errors; so the error is not asked, pcscd is: is the
card still there? Gone means "removed too early", there means one more try from the first command.
"""

from __future__ import annotations

import re
import threading
import time

from drivers.card import (
    CardError,
    CardRead,
    CardRefused,
    CardRemoved,
    NotACard,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
    ReaderServiceDown,
    Step,
)
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.exchange import CommandForbidden
from drivers.pcsc_link import CardLinks
from drivers.pcsc_service import CardReset, CardSilent, PcscService, Sight

ATTEMPTS_MAX = 2  # one retry: a card badly held gets a second chance, a cashier no long wait
RESETS_MAX = 3  # other programs' resets in one visit before we give up on them
RETRY_WAIT_S = 0.2
PRESENCE_WAIT_S = 0.5  # pcscd polls a reader without interrupts every 0.4 s: a pulled card shows this late

# Readers that name their contactless side; the ATR decides where the name says nothing.
_CONTACTLESS_NAME = re.compile(r"PICC|contactless|\bNFC\b|\bCL\b", re.IGNORECASE)


def is_contactless(atr: bytes, reader: str) -> bool:
    """Whether the card lies on a contactless reader, by the ATR that PC/SC part 3 makes up for one or by its name."""
    made_up = len(atr) >= 4 and atr[0] == 0x3B and atr[1] & 0xF0 == 0x80 and atr[2:4] == b"\x80\x01"
    return made_up or _CONTACTLESS_NAME.search(reader) is not None


class CardVisit:
    """The card that `sight` showed, until it is read or given up."""

    def __init__(
        self,
        service: PcscService,
        links: CardLinks,
        sight: Sight,
        terms: ChipTerms,
        stop: threading.Event,
    ) -> None:
        self._service = service
        self._links = links
        self._sight = sight
        self._terms = terms
        self._stop = stop
        self.steps: tuple[Step, ...] = ()  # of the last attempt

    def read(self, busy_wait_s: float) -> CardRead:
        """The card's data, waiting at most `busy_wait_s` for another program to let go of it.

        Raises a `CardError` (`CardRemoved` when it has gone); `ReaderBusy`, `ReaderForbidden` and `ReaderServiceDown`
        when the card was never reached.
        """
        if self._sight.mute:
            raise CardSilent("read card", self._sight.reader)
        resets = 0
        failures = 0
        while True:
            try:
                return self._attempt(busy_wait_s)
            except (NotACard, CardRefused, CardSilent, CommandForbidden):
                raise  # the card's own clear answer, or ours: another try gives the same
            except (ReaderBusy, ReaderForbidden, ReaderServiceDown):
                raise  # not about this card
            except CardReset as error:
                resets += 1
                if resets > RESETS_MAX:
                    raise self._unreadable(error) from None
            except (CardError, ReaderError) as error:
                failures += 1
                if self._gone(wait_s=PRESENCE_WAIT_S if isinstance(error, ReaderError) else 0.0):
                    raise CardRemoved("read card", self._sight.reader) from None
                if failures == ATTEMPTS_MAX or self._stop.wait(RETRY_WAIT_S):
                    raise self._unreadable(error) from None

    def _attempt(self, busy_wait_s: float) -> CardRead:
        with self._links.link(self._sight.reader, busy_wait_s) as link:
            reading = ChipReading(
                link.transmit,
                link.protocol,
                contactless=is_contactless(self._sight.atr, self._sight.reader),
                reader=self._sight.reader,
                terms=self._terms,
            )
            try:
                return reading.read()
            finally:
                self.steps = reading.steps

    def _gone(self, wait_s: float) -> bool:
        """Whether the card has left, or another has come, within `wait_s`."""
        deadline = time.monotonic() + wait_s
        known = Sight(self._sight.reader)  # nothing known: the first look answers at once
        left_s = wait_s
        while True:
            try:
                (known,) = self._service.look([known], left_s)
            except ReaderMissing:
                return True
            if known.lost or not known.present or known.events != self._sight.events:
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stop.is_set():
                return False

    def _unreadable(self, error: CardError | ReaderError) -> CardError:
        """The fault as the card's: what a cashier can act on."""
        if isinstance(error, CardError):
            return error
        return CardError("read card", self._sight.reader, **error.details)

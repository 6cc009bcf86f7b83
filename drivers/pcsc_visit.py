"""One card's visit on a PC/SC reader, on a thread of its own: read it, and if that fails find out why.

A thread of its own, because neither connecting nor a command can be interrupted: another program may hold the card, a
reader may never answer. Whoever waits for the visit can so give it up, and other readers never wait for this one.

A card pulled in the middle of a command shows as any of several errors; so the error is not asked, pcscd is: is the
card still there? Gone means "removed too early", there means one more try from the first command.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from config.errors import Words
from drivers.card import (
    Authenticity,
    CardError,
    CardRead,
    CardRefused,
    CardRemoved,
    DeviceCard,
    NotACard,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
    ReaderServiceDown,
    Step,
)
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.apdu import StatusWord
from drivers.pboc.exchange import CommandForbidden
from drivers.pcsc_link import CardLink
from drivers.pcsc_service import CardReset, CardSilent, PcscService, Scard, Sight

ATTEMPTS_MAX = 2  # one retry: a card badly held gets a second chance, a cashier no long wait
RESETS_MAX = 3  # other programs' resets in one visit before we give up on them
RETRY_WAIT_S = 0.2
PRESENCE_WAIT_S = 0.5  # pcscd polls a reader without interrupts every 0.4 s: a pulled card shows this late
BUSY_RETRY_S = 0.1  # while another program has the card for itself: how soon we ask again

# Readers that name their contactless side; the ATR decides where the name says nothing.
_CONTACTLESS_NAME = re.compile(r"PICC|contactless|\bNFC\b|\bCL\b", re.IGNORECASE)


class CardTooSlow(CardError):
    """The card answers, but so slowly that no cashier would wait for the end."""

    code = "card-too-slow"
    what = Words("卡片应答过慢", "the card answers too slowly")
    hint = Words("请擦净芯片后重新插卡；仍然很慢请改刷磁条", "wipe the chip and insert it again; then try the stripe")


class ReaderStuck(ReaderError):
    """The reader took a command and never answered; nothing can interrupt it from here."""

    code = "reader-stuck"
    what = Words("读卡器无响应", "the reader has stopped answering")
    hint = Words("请取下卡片，拔下读卡器重新插上", "take the card off, unplug the reader and plug it in again")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a reading may take before it is given up.

    ISO/IEC 7816-3 lets a T=0 card ask for more time again and again; real commands take 20 to 200 ms, whole reads under
    2 s. `read_s` is looked at between commands, so that a stuck command ends at `command_s` and all others by `read_s`.
    """

    command_s: float = 5.0
    read_s: float = 10.0


def is_contactless(atr: bytes, reader: str) -> bool:
    """Whether the card lies on a contactless reader, by the ATR that PC/SC part 3 makes up for one or by its name."""
    made_up = len(atr) >= 4 and atr[0] == 0x3B and atr[1] & 0xF0 == 0x80 and atr[2:4] == b"\x80\x01"
    return made_up or _CONTACTLESS_NAME.search(reader) is not None


class CardVisit:
    """The card that `sight` showed, until it is read or given up. `news` is set when the visit is over."""

    def __init__(self, scard: Scard, sight: Sight, terms: ChipTerms, bounds: Bounds, news: threading.Event) -> None:
        self._scard = scard
        self._sight = sight
        self._terms = terms
        self._bounds = bounds
        self._news = news
        self._given_up = threading.Event()
        self._over = threading.Event()
        self._outcome: CardRead | None = None
        self._end = _End()
        self._reading: ChipReading | None = None
        self._read_since: float | None = None  # monotonic seconds; None: the card is not yet reached
        self._command_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"visit {sight.reader}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the thread has let go of card and service; from then on there is an `outcome`."""
        return self._over.is_set()

    @property
    def reached(self) -> bool:
        """Whether the card is ours: no other program holds it."""
        return self._read_since is not None

    @property
    def stuck(self) -> bool:
        """Whether a command has been without an answer for longer than any card may take."""
        since = self._command_since
        return since is not None and time.monotonic() - since > self._bounds.command_s

    @property
    def steps(self) -> tuple[Step, ...]:
        """How far the last attempt came."""
        return () if self._reading is None else self._reading.steps

    @property
    def outcome(self) -> CardRead | CardError | ReaderError:
        """What came of it: the card's data; a `CardError` (`CardRemoved` when it has gone); or a `ReaderError`.

        An error comes without the frames it went through and what caused it: they hold the card's octets. Raises what a
        defect raised.
        """
        error = self._end.error
        if error is None:
            assert self._outcome is not None, "asked before the visit was over"
            return self._outcome
        if not isinstance(error, (CardError, ReaderError)):
            raise error  # a defect: whoever runs the reader tells it, without the text that may hold the card's octets
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)

    def give_up(self) -> None:
        """Nobody waits any more: let go of the card at the next chance, and send it nothing from now on."""
        self._given_up.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether the visit is over, after waiting at most `timeout_s`; its thread, too, has then ended."""
        self._thread.join(timeout_s)
        return self.over

    def _run(self) -> None:
        with self._end, PcscService(self._scard, self._sight.reader) as service:
            self._outcome = self._read(service)
        self._over.set()
        self._news.set()

    def _read(self, service: PcscService) -> CardRead:
        resets = 0
        failures = 0
        while True:
            try:
                return self._attempt(service)
            except (NotACard, CardRefused, DeviceCard, CardSilent, CardTooSlow, CommandForbidden):
                raise  # the card's own clear answer, or ours: another try gives the same
            except ReaderForbidden:
                service.readers()  # raises when it was but the hanging up of a pcscd that ends
                raise
            except (ReaderServiceDown, ReaderStuck):
                raise  # not about this card
            except ReaderBusy:
                if self._given_up.wait(BUSY_RETRY_S):
                    raise
            except CardReset as error:
                resets += 1
                if resets > RESETS_MAX:
                    raise self._unreadable(error) from None
            except (CardError, ReaderError) as error:
                failures += 1
                if self._gone(service, wait_s=PRESENCE_WAIT_S if isinstance(error, ReaderError) else 0.0):
                    raise CardRemoved("read card", self._sight.reader) from None
                if failures == ATTEMPTS_MAX or self._given_up.wait(RETRY_WAIT_S):
                    raise self._unreadable(error) from None

    def _attempt(self, service: PcscService) -> CardRead:
        if self._sight.mute:
            raise CardSilent("read card", self._sight.reader)
        read = self._converse(service)
        # No chip is called false, or unproven, for an answer that was cut short when it was pulled.
        doubtful = read.authenticity is Authenticity.FAILED or read.steps[-1].status != StatusWord.OK
        if doubtful and self._gone(service, wait_s=PRESENCE_WAIT_S):
            raise CardRemoved("read card", self._sight.reader)
        return read

    def _converse(self, service: PcscService) -> CardRead:
        with CardLink(service, self._sight.reader) as link:
            if self._gone(service, wait_s=0.0):
                raise CardRemoved(
                    "read card", self._sight.reader
                )  # swapped before we reached it: not this visit's card
            if self._read_since is None:
                self._read_since = time.monotonic()
            self._reading = ChipReading(
                lambda command: self._transmit(link, command),
                link.protocol,
                contactless=is_contactless(self._sight.atr, self._sight.reader),
                reader=self._sight.reader,
                terms=self._terms,
            )
            return self._reading.read()

    def _transmit(self, link: CardLink, command: bytes) -> bytes:
        """One command within the bounds: those of the whole read are held here, the command's own by who waits."""
        assert self._read_since is not None
        if self._given_up.is_set():
            raise ReaderStuck("send command", self._sight.reader)
        self._command_since = time.monotonic()
        if self._command_since - self._read_since > self._bounds.read_s:
            raise CardTooSlow("send command", self._sight.reader)
        try:
            return link.transmit(command)
        finally:
            self._command_since = None

    def _gone(self, service: PcscService, wait_s: float) -> bool:
        """Whether the card has left, or another has come, within `wait_s`."""
        deadline = time.monotonic() + wait_s
        known = Sight(self._sight.reader)  # nothing known: the first look answers at once
        left_s = wait_s
        while True:
            try:
                (known,) = service.look([known], left_s)
            except ReaderMissing:
                return True
            if known.lost or not known.present or known.events != self._sight.events:
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._given_up.is_set():
                return False

    def _unreadable(self, error: CardError | ReaderError) -> CardError:
        """The fault as the card's: what a cashier can act on."""
        if isinstance(error, CardError):
            return error
        return CardError("read card", self._sight.reader, **error.details)


class _End:
    """Keeps the error that ended a thread's work, for the thread that waits for it: none is lost, none printed."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self.error = error
        return True

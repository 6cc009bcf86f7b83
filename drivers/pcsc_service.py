"""The PC/SC service (pcscd) as typed calls: each answers or raises, and every wait has an end.

pyscard's low-level `scard` returns result codes; here, and only here, a code becomes an error of ours. Codes without a
meaning to us become a `ReaderError` that names them, so nothing unexpected can pass as success.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType
from typing import Any, Protocol, Self

from config.errors import Words
from drivers.card import (
    CardError,
    NotACard,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
    ReaderServiceDown,
)

PLUG_EVENTS = "\\\\?PnP?\\Notification"  # pcsc-lite's pseudo-reader: it "changes" when a reader comes or goes

_COUNT_SHIFT = 16  # the upper half of a reader's state counts its card events
_WORD = 0xFFFFFFFF  # pyscard gives codes signed or unsigned, by platform


class Code(IntEnum):
    """Result codes with a meaning to us (winscard.h); the rest are told by number."""

    SUCCESS = 0
    CANCELLED = 0x80100002
    INVALID_HANDLE = 0x80100003
    UNKNOWN_READER = 0x80100009
    TIMEOUT = 0x8010000A
    SHARING_VIOLATION = 0x8010000B
    NO_SMARTCARD = 0x8010000C
    PROTO_MISMATCH = 0x8010000F
    COMM_ERROR = 0x80100013
    READER_UNAVAILABLE = 0x80100017
    SERVICE_STOPPED = 0x8010001E
    NO_SERVICE = 0x8010001D
    NO_ACCESS = 0x80100027
    NO_READERS_AVAILABLE = 0x8010002E
    UNSUPPORTED_CARD = 0x80100065
    UNRESPONSIVE_CARD = 0x80100066
    RESET_CARD = 0x80100068
    REMOVED_CARD = 0x80100069
    SECURITY_VIOLATION = 0x8010006A


class State(IntEnum):
    """Bits of a reader's state (winscard.h)."""

    IGNORE = 0x0001
    CHANGED = 0x0002
    UNKNOWN = 0x0004
    UNAVAILABLE = 0x0008
    EMPTY = 0x0010
    PRESENT = 0x0020
    MUTE = 0x0200


_NEVER_ASKED = State.CHANGED | State.IGNORE | State.UNKNOWN  # answers only; IGNORE would blind us to the reader


class CardSilent(CardError):
    """A card is there and gives no answer to reset: the wrong way round, or dead."""

    code = "card-silent"
    what = Words("卡片无应答", "the card does not answer")
    hint = Words("请检查插卡方向（芯片朝上、朝里）后重新插卡", "check which way round the card is and insert it again")


class CardReset(ReaderError):
    """Another program reset the card under us: begin again from the first command. Never leaves the room."""

    code = "card-reset"
    what = Words("其他程序重置了卡片", "another program reset the card")
    hint = Words("请重新插卡", "present the card again")


_ERRORS: dict[int, type[ReaderError]] = {
    Code.NO_SERVICE: ReaderServiceDown,
    Code.SERVICE_STOPPED: ReaderServiceDown,
    Code.INVALID_HANDLE: ReaderServiceDown,  # the context of a service that has been restarted
    Code.COMM_ERROR: ReaderServiceDown,
    Code.NO_ACCESS: ReaderForbidden,
    Code.SECURITY_VIOLATION: ReaderForbidden,  # polkit
    Code.SHARING_VIOLATION: ReaderBusy,
    Code.UNKNOWN_READER: ReaderMissing,
    Code.READER_UNAVAILABLE: ReaderMissing,
    Code.NO_READERS_AVAILABLE: ReaderMissing,
    Code.RESET_CARD: CardReset,
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What pcscd sees on one reader: state bits, card events counted so far, and the card's answer to reset."""

    reader: str
    bits: int = 0  # 0 = "tell me at once"
    atr: bytes = field(default=b"", repr=False)

    @property
    def present(self) -> bool:
        """Whether a card is on the reader."""
        return bool(self.bits & State.PRESENT)

    @property
    def mute(self) -> bool:
        """Whether the card on the reader does not answer."""
        return bool(self.bits & State.MUTE)

    @property
    def lost(self) -> bool:
        """Whether the reader itself is going or gone."""
        return bool(self.bits & (State.IGNORE | State.UNKNOWN | State.UNAVAILABLE))

    @property
    def events(self) -> int:
        """Cards put on and taken off so far; the same card on the same visit has the same number."""
        return self.bits >> _COUNT_SHIFT


class Scard(Protocol):
    """The part of pyscard's `smartcard.scard` in use."""

    def SCardEstablishContext(self, scope: int, /) -> tuple[int, Any]: ...  # noqa: N802
    def SCardReleaseContext(self, context: Any, /) -> int: ...  # noqa: N802
    def SCardListReaders(self, context: Any, groups: list[str], /) -> tuple[int, list[str]]: ...  # noqa: N802
    def SCardGetStatusChange(  # noqa: N802
        self, context: Any, timeout_ms: int, states: list[tuple[str, int]], /
    ) -> tuple[int, list[tuple[str, int, list[int]]]]: ...
    def SCardConnect(  # noqa: N802
        self, context: Any, reader: str, share: int, protocols: int, /
    ) -> tuple[int, Any, int]: ...
    def SCardDisconnect(self, card: Any, disposition: int, /) -> int: ...  # noqa: N802
    def SCardBeginTransaction(self, card: Any, /) -> int: ...  # noqa: N802
    def SCardEndTransaction(self, card: Any, disposition: int, /) -> int: ...  # noqa: N802
    def SCardTransmit(self, card: Any, protocol: int, command: list[int], /) -> tuple[int, list[int]]: ...  # noqa: N802


SCOPE_SYSTEM = 2  # pcsc-lite knows no other
REFUSAL_RETRY_S = 0.2  # a pcscd that is about to end hangs up once, one that may not serve us (polkit) always
# What libpcsclite makes of a connection that pcscd closes: which one depends on its version and on who was quicker.
_HUNG_UP = frozenset({Code.COMM_ERROR, Code.NO_ACCESS, Code.SECURITY_VIOLATION})


def load_scard() -> Scard:
    """pyscard's module, imported late: it costs start-up time."""
    import smartcard.scard

    module: Scard = smartcard.scard
    return module


class PcscService:
    """One context with pcscd, for a `with` block. Raises `ReaderServiceDown` or `ReaderForbidden` on entering."""

    def __init__(self, scard: Scard, subject: str) -> None:
        self.scard = scard
        self.context: Any = None
        self._subject = subject

    def __enter__(self) -> Self:
        code, self.context = self.scard.SCardEstablishContext(SCOPE_SYSTEM)
        if code & _WORD in _HUNG_UP:
            time.sleep(REFUSAL_RETRY_S)
            code, self.context = self.scard.SCardEstablishContext(SCOPE_SYSTEM)
        if code & _WORD in _HUNG_UP:
            code = Code.SECURITY_VIOLATION
        check(code, "reach pcscd", self._subject)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.scard.SCardReleaseContext(self.context)  # its code says at most that the service went first

    def readers(self) -> tuple[str, ...]:
        """The readers plugged in now."""
        code, names = self.scard.SCardListReaders(self.context, [])
        if code & _WORD == Code.NO_READERS_AVAILABLE:
            return ()
        self._check_open(code, "list readers")
        return tuple(names)

    def look(self, known: Sequence[Sight], wait_s: float) -> tuple[Sight, ...]:
        """Wait until one of the readers differs from what is `known` of it, at most `wait_s`; how all stand then.

        Raises `ReaderMissing` when one of them is no longer there.
        """
        asked = [(sight.reader, sight.bits & ~_NEVER_ASKED) for sight in known]
        code, seen = self.scard.SCardGetStatusChange(self.context, int(wait_s * 1000), asked)
        if code & _WORD in (Code.TIMEOUT, Code.CANCELLED):
            return tuple(known)
        self._check_open(code, "watch readers")
        return tuple(Sight(reader, bits, bytes(atr)) for reader, bits, atr in seen)

    def _check_open(self, code: int, operation: str) -> None:
        """As `check`, once the context stands: whoever was let in and is then hung up on has lost the service."""
        if code & _WORD in _HUNG_UP:
            code = Code.NO_SERVICE
        check(code, operation, self._subject)


def check(code: int, operation: str, subject: str) -> None:
    """Return on success, raise the code's error otherwise: `CardSilent`, `NotACard` or a `ReaderError`."""
    code &= _WORD
    if code == Code.SUCCESS:
        return
    if code == Code.UNRESPONSIVE_CARD:
        raise CardSilent(operation, subject)
    if code in (Code.PROTO_MISMATCH, Code.UNSUPPORTED_CARD):
        raise NotACard(operation, subject, reason_zh="不支持 T=0 和 T=1", reason_en="neither T=0 nor T=1")
    raise _ERRORS.get(code, ReaderError)(operation, subject, reason=_name(code))


def _name(code: int) -> str:
    try:
        return f"{code:#010x} {Code(code).name}"
    except ValueError:
        return f"{code:#010x}"

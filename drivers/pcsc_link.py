"""A connection to one card: shared, inside one transaction, and the card left as it was."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from drivers.card import ReaderError
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pcsc_service import PcscService, check

_SHARE_SHARED = 2
_PROTOCOL_T0, _PROTOCOL_T1 = 1, 2
_STATUS_OCTETS = frozenset({*range(0x61, 0x70), *range(0x90, 0xA0)})  # SW1 by ISO/IEC 7816-3 section 10.3.3
_LEAVE_CARD = 0  # a visitor that only reads leaves the card powered, as it was


class CardLink:
    """The card on `reader`, for a `with` block.

    Entering connects and begins the transaction, however long that takes: pcscd lets a connection wait without end, and
    without a way to cancel, while another program has a transaction on the card. Raises what `check` makes of pcscd's
    codes, `ReaderBusy` among them when another program has the card for itself.
    """

    def __init__(self, service: PcscService, reader: str) -> None:
        self._scard = service.scard
        self._context = service.context
        self._reader = reader
        self._protocol = 0
        self._card: Any = None

    def __enter__(self) -> Self:
        code, card, self._protocol = self._scard.SCardConnect(
            self._context, self._reader, _SHARE_SHARED, _PROTOCOL_T0 | _PROTOCOL_T1
        )
        check(code, "connect to card", self._reader)
        self._card = card
        code = self._scard.SCardBeginTransaction(card)
        if code != 0:
            self._scard.SCardDisconnect(card, _LEAVE_CARD)
        check(code, "connect to card", self._reader)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go. The codes can only say that card or service went first: the next look tells that."""
        self._scard.SCardEndTransaction(self._card, _LEAVE_CARD)
        self._scard.SCardDisconnect(self._card, _LEAVE_CARD)

    @property
    def protocol(self) -> TransmissionProtocol:
        """What reader and card agreed on."""
        return TransmissionProtocol.T0 if self._protocol == _PROTOCOL_T0 else TransmissionProtocol.T1

    def transmit(self, command: bytes, /) -> bytes:
        """One command's answer; a `Transmit` for `drivers.pboc`.

        Some drivers hand up what they have when a card leaves in the middle of its answer, or nothing: what ends in no
        status word is not the card's word, and raises a `ReaderError`.
        """
        code, answer = self._scard.SCardTransmit(self._card, self._protocol, list(command))
        check(code, "send command", self._reader)
        if len(answer) < 2 or answer[-2] not in _STATUS_OCTETS:
            raise ReaderError("send command", self._reader, reason="an answer cut short")
        return bytes(answer)

"""A connection to one card: shared, inside one transaction, and the card left as it was.

pcscd lets a connection wait, without end and without a way to cancel, while another program has a transaction on the
card. So connecting is done on a thread and a context of its own; the reader waits for it as long as it likes. At most
one such thread exists per reader: whoever comes next waits for the same one.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

from drivers.card import ReaderBusy
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pcsc_service import SCOPE_SYSTEM, Code, Scard, check

STOP_POLL_S = 0.05  # how soon a wait for another program notices that we are to stop

_SHARE_SHARED = 2
_PROTOCOL_T0, _PROTOCOL_T1 = 1, 2
_LEAVE_CARD = 0  # a visitor that only reads leaves the card powered, as it was


class CardLinks:
    """The ways to the cards on any reader; one per run of a reader."""

    def __init__(self, scard: Scard, stop: threading.Event) -> None:
        self._scard = scard
        self._stop = stop
        self._reaching: dict[str, _Reaching] = {}

    def link(self, reader: str, wait_s: float) -> CardLink:
        """A link to the card on `reader`.

        Raises `ReaderBusy` when another program keeps the card longer than `wait_s`, and what `check` makes of any
        other code.
        """
        reaching = self._reaching.pop(reader, None)
        if reaching is None or not reaching.want():
            reaching = _Reaching(self._scard, reader)
        deadline = time.monotonic() + wait_s
        while not reaching.done.wait(STOP_POLL_S):
            if (time.monotonic() >= deadline or self._stop.is_set()) and not reaching.give_up():
                self._reaching[reader] = reaching
                raise ReaderBusy("connect to card", reader, reason="held by another program")
        return reaching.link()


class CardLink:
    """A card within reach, for a `with` block."""

    def __init__(self, scard: Scard, reader: str) -> None:
        self._scard = scard
        self._reader = reader
        self._protocol = 0
        self._context: Any = None
        self._card: Any = None
        self._in_transaction = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def protocol(self) -> TransmissionProtocol:
        """What reader and card agreed on."""
        return TransmissionProtocol.T0 if self._protocol == _PROTOCOL_T0 else TransmissionProtocol.T1

    def transmit(self, command: bytes, /) -> bytes:
        """One command's answer; a `Transmit` for `drivers.pboc`."""
        code, answer = self._scard.SCardTransmit(self._card, self._protocol, list(command))
        check(code, "send command", self._reader)
        return bytes(answer)

    def open(self) -> int:
        """Connect and begin the transaction, however long that takes; the code of the first step that failed."""
        code, context = self._scard.SCardEstablishContext(SCOPE_SYSTEM)
        if code != Code.SUCCESS:
            return code
        self._context = context
        code, card, self._protocol = self._scard.SCardConnect(
            context, self._reader, _SHARE_SHARED, _PROTOCOL_T0 | _PROTOCOL_T1
        )
        if code != Code.SUCCESS:
            return code
        self._card = card
        code = self._scard.SCardBeginTransaction(card)
        self._in_transaction = code == Code.SUCCESS
        return code

    def close(self) -> None:
        """Undo what `open` did. The codes can only say that card or service went first: the next look tells that."""
        if self._in_transaction:
            self._scard.SCardEndTransaction(self._card, _LEAVE_CARD)
        if self._card is not None:
            self._scard.SCardDisconnect(self._card, _LEAVE_CARD)
        if self._context is not None:
            self._scard.SCardReleaseContext(self._context)


class _Reaching:
    """One try to reach a card, on its own thread. Given up, it lets go of the card as soon as it gets hold of it."""

    def __init__(self, scard: Scard, reader: str) -> None:
        self.done = threading.Event()
        self._reader = reader
        self._link = CardLink(scard, reader)
        self._code = 0
        self._wanted = True
        self._lock = threading.Lock()  # orders `done` and `_wanted`
        threading.Thread(target=self._run, name=f"reach {reader}", daemon=True).start()

    def want(self) -> bool:
        """Wait for this try again; False when it has ended by itself meanwhile."""
        with self._lock:
            self._wanted = not self.done.is_set()
            return self._wanted

    def give_up(self) -> bool:
        """Stop waiting; True when the card was reached at this very moment, so that there is a link after all."""
        with self._lock:
            self._wanted = self.done.is_set()
            return self._wanted

    def link(self) -> CardLink:
        """The link, or the error that was met."""
        if self._code != Code.SUCCESS:
            self._link.close()
        check(self._code, "connect to card", self._reader)
        return self._link

    def _run(self) -> None:
        code = self._link.open()
        with self._lock:
            self._code = code
            self.done.set()
            if self._wanted:
                return
        self._link.close()

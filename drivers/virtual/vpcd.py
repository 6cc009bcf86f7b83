"""A virtual card in a real pcscd, through the vpcd reader driver of vsmartcard.

The card is a TCP client; its connection is its being on the reader. Both ways every message is a two-octet big-endian
length and that many octets. One octet from the driver is an order (off, on, reset, "your ATR?"), more are a command;
only the ATR and commands are answered.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import IntEnum

from drivers.card import ReaderMissing
from drivers.virtual.card import ChipKind, VirtualCard
from drivers.virtual.chip import Chip
from drivers.virtual.demo_authority import chip_of

VPCD_PORT = 35963  # 0x8C7B, the driver's first slot; the second is one higher
CONNECT_WAIT_S = 2.0  # the driver is on this machine: it answers at once or not at all
END_WAIT_S = 2.0  # closing the socket ends the card's thread at once; a chip under test may be slow
_LENGTH = struct.Struct(">H")  # bounds a message to 65,535 octets


class Order(IntEnum):
    """One-octet messages from the driver."""

    OFF = 0
    ON = 1
    RESET = 2
    ATR = 4


class VpcdCard:
    """A `CardPresenter` that plays cards into the reader slot at `host:port`."""

    def __init__(self, host: str = "127.0.0.1", port: int = VPCD_PORT) -> None:
        self._address = (host, port)
        self._lock = threading.Lock()
        self._insertion: _Insertion | None = None

    def present(self, card: VirtualCard) -> None:
        """Insert `card`, which must have a chip. Raises `ReaderMissing` when no driver listens there."""
        assert card.chip is not ChipKind.NONE, "a stripe card cannot be put into a chip reader"
        self.present_chip(chip_of(card))

    def present_chip(self, chip: Chip) -> None:
        """Insert any chip, for instance one that answers a recorded transcript."""
        with self._lock:
            self._take_out()
            self._insertion = _Insertion(self._connect(), chip)

    def remove(self) -> None:
        """Pull the card, also in the middle of a command."""
        with self._lock:
            self._take_out()

    def _take_out(self) -> None:
        insertion, self._insertion = self._insertion, None
        if insertion is not None:
            insertion.end()

    def _connect(self) -> socket.socket:
        try:
            connection = socket.create_connection(self._address, CONNECT_WAIT_S)
        except OSError as error:
            host, port = self._address
            raise ReaderMissing("insert card", f"vpcd {host}:{port}", reason=error.strerror) from error
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class _Insertion:
    """One stay of one chip on the reader, served by a thread until either side closes the connection."""

    def __init__(self, connection: socket.socket, chip: Chip) -> None:
        self._connection = connection
        self._chip = chip
        self._orders: dict[int, Callable[[], None]] = {
            Order.OFF: chip.reset,
            Order.ON: chip.reset,
            Order.RESET: chip.reset,
        }
        self._thread = threading.Thread(target=self._serve, name="vpcd card", daemon=True)
        self._thread.start()

    def end(self) -> None:
        with contextlib.suppress(OSError):  # the driver closed first: the card is out already
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes the thread; close() alone would not
        self._thread.join(END_WAIT_S)

    def _serve(self) -> None:
        with self._connection:
            try:
                while (message := self._receive()) is not None:
                    self._answer(message)
            except OSError:
                return  # the driver is gone, or the card was pulled in the middle of a message: both end the stay

    def _answer(self, message: bytes) -> None:
        if len(message) != 1:
            self._send(self._chip.transmit(message))
        elif message[0] == Order.ATR:
            self._send(self._chip.atr)
        elif message[0] in self._orders:
            self._orders[message[0]]()

    def _receive(self) -> bytes | None:
        head = self._exactly(_LENGTH.size)
        return None if head is None else self._exactly(_LENGTH.unpack(head)[0])

    def _exactly(self, count: int) -> bytes | None:
        """`count` octets, however they arrive; None when the driver has closed."""
        received = b""
        while len(received) < count:
            # vpcd 3.3 sends length and data apart; without this each command waits 40 ms for a delayed ACK.
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = self._connection.recv(count - len(received))
            if not part:
                return None
            received += part
        return received

    def _send(self, answer: bytes) -> None:
        self._connection.sendall(_LENGTH.pack(len(answer)) + answer)

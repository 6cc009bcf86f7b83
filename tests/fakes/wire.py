"""The line between a virtual card and vpcd, through a small proxy that carries messages as badly as a test wants.

    with Wire(pcscd.host, pcscd.port, Delayed) as wire:
        VpcdCard(wire.host, wire.port).present(card)

Both ways a message is a two-octet big-endian length and that many octets; each presentation is a connection of its own
and gets a road of its own.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

DELAY_S = 0.03  # as long as a real contactless card's radio link takes for one message
SEEN_MESSAGES = 8  # by then pcscd has seen the card: before that nobody could tell of its loss
LOSS_MESSAGES = 30  # a reading has 12 to 40 messages: the line is lost in the middle of most
_LENGTH = struct.Struct(">H")


class Road(Protocol):
    """How one connection's messages travel. Raises `ConnectionAbortedError` to lose the connection."""

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        """Bring `message`, its length in front, to the other side."""


class Direct:
    """Everything arrives as it was sent."""

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        send(message)


class ByteAtATime:
    """Every octet is a packet of its own."""

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        for octet in message:
            send(bytes([octet]))


class Delayed:
    """Every message takes its time."""

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        time.sleep(DELAY_S)
        send(message)


class Lossy:
    """The connection breaks at some message, half of which still arrives."""

    def __init__(self, choice: random.Random) -> None:
        self._left = choice.randrange(SEEN_MESSAGES, LOSS_MESSAGES)

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        if self._left == 0:
            send(message[: len(message) // 2])
            raise ConnectionAbortedError("lost")
        self._left -= 1
        send(message)


class CutAnswer:
    """The connection breaks in the middle of the answer to the `at`-th command, counted from 1."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._command = False

    def carry(self, message: bytes, to_card: bool, send: Callable[[bytes], None]) -> None:
        if to_card:
            self._command = len(message) > _LENGTH.size + 1  # one octet is an order of the driver
            self._left -= self._command
        elif self._command and self._left == 0:
            send(message[: len(message) // 2])
            raise ConnectionAbortedError("cut")
        send(message)


class Wire:
    """A proxy before the slot at `host:port`, for a `with` block; `road()` is asked for each card that comes."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int, road: Callable[[], Road]) -> None:
        self._target = (host, port)
        self._road = road
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="wire")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for end in [self._listener, *self._ends]:
            _shut(end)
        for thread in self._threads:
            thread.join()
        for end in [self._listener, *self._ends]:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut
            while True:
                card, _ = self._listener.accept()
                try:
                    slot = socket.create_connection(self._target)
                except OSError:
                    card.close()  # no driver there at the moment
                    continue
                for end in (card, slot):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [card, slot]
                road = self._road()
                for source, target, to_card in ((slot, card, True), (card, slot, False)):
                    thread = threading.Thread(target=_pump, args=(source, target, road, to_card), name="wire")
                    self._threads.append(thread)
                    thread.start()


def _pump(source: socket.socket, target: socket.socket, road: Road, to_card: bool) -> None:
    """Carry messages one way until either side closes; then both are closed."""
    try:
        for message in _messages(source):
            road.carry(message, to_card, target.sendall)
    except OSError:
        pass  # a side has gone, or the road has lost the connection: both end it
    finally:
        _shut(source)
        _shut(target)


def _messages(source: socket.socket) -> Iterator[bytes]:
    while head := _exactly(source, _LENGTH.size):
        yield head + _exactly(source, _LENGTH.unpack(head)[0])


def _exactly(source: socket.socket, count: int) -> bytes:
    """`count` octets; none when the other side has closed."""
    received = b""
    while len(received) < count:
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # vpcd sends length and data apart
        part = source.recv(count - len(received))
        if not part:
            return b""
        received += part
    return received


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

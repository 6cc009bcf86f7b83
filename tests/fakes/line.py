"""Serial lines of every quality: how a swipe's bytes get from a virtual reader to the port."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from drivers.framing import SILENCE_MS
from drivers.virtual.pty import PtyPresenter

BYTE_S = 0.001  # one byte at 9600 baud, 8N1
GAP_S = 0.005  # between the bytes of a slow reader: a byte at 2400 baud
DELAY_S = 0.05  # a USB bridge that hands over in blocks; well within a frame's silence
LOSS = 0.03  # share of the bytes that a bad cable swallows: about every second swipe arrives whole
SWIPE_PAUSE_S = 1.2 * SILENCE_MS / 1000  # nobody swipes twice without such a pause; the framing counts on it

Line = Callable[[PtyPresenter, bytes], None]


def direct(reader: PtyPresenter, data: bytes) -> None:
    """All at once."""
    reader.send(data)


def byte_at_a_time(reader: PtyPresenter, data: bytes) -> None:
    """At the pace of the wire."""
    for byte in data:
        reader.send(bytes((byte,)))
        time.sleep(BYTE_S)


def with_gaps(reader: PtyPresenter, data: bytes) -> None:
    """One byte at a time, each a while after the other."""
    for byte in data:
        reader.send(bytes((byte,)))
        time.sleep(GAP_S)


def delayed(reader: PtyPresenter, data: bytes) -> None:
    """In blocks with pauses between them."""
    for start in range(0, len(data), 7):
        time.sleep(DELAY_S)
        reader.send(data[start : start + 7])


def lossy(seed: int) -> Line:
    """A line that loses single bytes, the same ones for the same `seed`."""
    chance = random.Random(seed)

    def lose(reader: PtyPresenter, data: bytes) -> None:
        reader.send(bytes(byte for byte in data if chance.random() >= LOSS))

    return lose


def flipping(seed: int) -> Line:
    """A line that turns single bits over, the same ones for the same `seed`."""
    chance = random.Random(seed)

    def flip(reader: PtyPresenter, data: bytes) -> None:
        reader.send(bytes(byte ^ (1 << chance.randrange(8) if chance.random() < LOSS else 0) for byte in data))

    return flip

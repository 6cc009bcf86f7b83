"""What all framings share: one bounded body, the silence that ends a burst, and one fault told per burst.

A framing is fed whatever slices arrive, with the time, and gives whole frames and typed faults. It never blocks, never
grows past its `bytes_max`, and finds its way back by itself: at a start mark, at a frame's end, or after a silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import ClassVar, Literal

from config.errors import Words
from drivers.card import ReaderNoise
from drivers.framing.faults import FrameParity, FrameUnreadable

FRAME_BYTES_MAX = 256  # all three tracks of ISO/IEC 7811 with their sentinels are 79 + 40 + 107 characters
SILENCE_MS = 500  # within a frame bytes are 5 ms apart at 2400 baud; a USB bridge or a busy PC may add 100 ms or more
STRAY_BYTES_MIN = 4  # fewer bytes outside a frame are a plug's or power-up's glitch, not a swipe to speak of
PARITY_BYTES_MIN = 16  # chance gives so many bytes of one parity once in 65 000 bursts; a stripe has more
STRANGE_BYTES_MAX = 1  # a frame's own check byte may have any value

STX, ETX, LF, CR, DLE, ESC = 0x02, 0x03, 0x0A, 0x0D, 0x10, 0x1B
PRINTABLE = range(0x20, 0x7F)  # a reader sends printable ASCII; at a wrong baud rate most bytes are not
_MARKS = frozenset((STX, ETX, LF, CR, DLE, ESC))
_TOP_BIT = 0x80


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One whole frame without its marks: card data, so it never shows them, and `wipe` overwrites them after use.

    `took_ms` is the time from the frame's first byte to its last. `burst` counts the silences before it: frames of one
    burst came from one swipe.
    """

    payload: bytearray
    took_ms: int
    burst: int

    def wipe(self) -> None:
        """Overwrite the payload."""
        wipe(self.payload)

    def __repr__(self) -> str:
        return f"Frame({len(self.payload)} bytes)"


class ParityTally:
    """Counts what the top bits of a burst's bytes say: whether it was sent with seven data bits and a parity bit."""

    def __init__(self) -> None:
        self._bytes = self._even = self._top = 0
        self._strange = 0  # bytes that, their top bit aside, no reader sends in a line of text

    def note(self, byte: int) -> None:
        """One byte more of the burst."""
        self._bytes += 1
        self._even += byte.bit_count() % 2 == 0
        self._top += byte >= _TOP_BIT
        self._strange += not (byte & ~_TOP_BIT in PRINTABLE or byte & ~_TOP_BIT in _MARKS)

    def parity(self) -> Literal["E", "O"] | None:
        """The parity that every byte of the burst keeps; None when its top bits carry none."""
        if self._strange > STRANGE_BYTES_MAX or not self._top or self._bytes < PARITY_BYTES_MIN:
            return None
        if self._even == self._bytes:
            return "E"
        return "O" if self._even == 0 else None


class Framing(ABC):
    """One kind of frame; `words` describes it in a line, `bytes_max` bounds its payload.

    `dropped` counts the bytes that came so far and belong to no frame; marks are no such bytes.
    """

    name: ClassVar[str]
    words: ClassVar[Words]
    bytes_max: ClassVar[int] = FRAME_BYTES_MAX

    def __init__(self) -> None:
        self.dropped = 0
        self.burst = 0
        self._body = bytearray()
        self._began_ms = 0
        self._last_ms = 0
        self._faulted = False  # in this burst a fault was told already
        self._tally = ParityTally()

    def feed(self, data: bytes, now_ms: int) -> list[Frame | ReaderNoise]:
        """Frames that `data` completes, in order, and at most one fault for this burst and one for the burst before.

        `now_ms` is any clock that only goes forward. Feed `b""` while the line is quiet, so that a frame that never
        ends is told.
        """
        found: list[Frame | ReaderNoise] = []
        if now_ms - self._last_ms > SILENCE_MS:
            self._collect(self._after_silence(), found)
            self.burst += 1
            self._faulted = False
            self._tally = ParityTally()
        if data:
            self._last_ms = now_ms
        for byte in data:
            self._tally.note(byte)
            self._collect(self._take(byte), found)
        return found

    @staticmethod
    @abstractmethod
    def wrap(payload: bytes) -> bytes:
        """The bytes a reader would send for `payload`."""

    @abstractmethod
    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        """One byte more; what it completes."""

    @abstractmethod
    def _after_silence(self) -> Frame | ReaderNoise | None:
        """Give up what was under way and say what it was, or give what the silence completes."""

    def _collect(self, outcome: Frame | ReaderNoise | None, found: list[Frame | ReaderNoise]) -> None:
        if isinstance(outcome, Frame):
            found.append(outcome)
        elif outcome is not None and not self._faulted:
            self._faulted = True
            parity = self._tally.parity()
            found.append(outcome if parity is None else FrameParity("read frame", "serial line", parity=parity))

    def _begin(self) -> None:
        self.dropped += len(self._body)
        wipe(self._body)
        self._began_ms = self._last_ms

    def _keep(self, byte: int) -> None:
        if not self._body:
            self._began_ms = self._last_ms
        self._body.append(byte)
        assert len(self._body) <= self.bytes_max

    def _full(self) -> bool:
        return len(self._body) >= self.bytes_max

    def _whole(self) -> Frame:
        frame = Frame(bytearray(self._body), self._last_ms - self._began_ms, self.burst)
        wipe(self._body)
        return frame


def unreadable() -> FrameUnreadable:
    """The fault of bytes that fit nothing."""
    return FrameUnreadable("read frame", "serial line")


def xor_of(data: bytes | bytearray | memoryview) -> int:
    """All bytes of `data` exclusive-ored."""
    return reduce(xor, data, 0)


def wipe(buffer: bytearray) -> None:
    """Overwrite in place, then empty: `clear` alone would leave the old bytes in freed memory."""
    buffer[:] = bytes(len(buffer))
    buffer.clear()

"""From a serial line's bytes to whole frames, pure: one small class per frame, chosen by its name in the settings.

A framing is fed whatever slices arrive, with the time, and gives whole frames and typed faults. It never blocks, never
grows past `FRAME_BYTES_MAX`, and finds its way back by itself: at a start mark, at a frame's end, or after a silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import ClassVar, Literal

from config.errors import Retry, Words
from drivers.card import ReaderError, ReaderNoise

FRAME_BYTES_MAX = 256  # all three tracks of ISO/IEC 7811 with their sentinels are 79 + 40 + 107 characters
SILENCE_MS = 500  # within a frame bytes are 5 ms apart at 2400 baud; a USB bridge or a busy PC may add 100 ms or more
STRAY_BYTES_MIN = 4  # fewer bytes outside a frame are a plug's or power-up's glitch, not a swipe to speak of

STX, ETX, LF, CR = 0x02, 0x03, 0x0A, 0x0D
TRACK2_START = ord(";")
PRINTABLE = range(0x20, 0x7F)  # a reader sends printable ASCII; at a wrong baud rate most bytes are not


class FrameUnreadable(ReaderNoise):
    """Bytes that no reader sends: nearly always a wrong baud rate, parity or frame kind."""

    code = "frame-unreadable"
    what = Words("读卡器送来乱码", "the reader's bytes are garbled")
    hint = Words(
        "请重刷；若一直乱码，请检查波特率、校验位和帧格式设置",
        "swipe again; if it persists check baud, parity and frame",
    )


class FrameCutOff(ReaderNoise):
    """A frame began and never ended."""

    code = "frame-cut-off"
    what = Words("读卡器数据中断", "the reader stopped in the middle of a card")
    hint = Words(
        "请重刷；若一直如此，请检查连线、波特率和帧格式设置", "swipe again; if it persists check cable, baud and frame"
    )


class FrameTooLong(ReaderNoise):
    """More bytes than any stripe holds without the frame's end."""

    code = "frame-too-long"
    what = Words("读卡器数据超过 {bytes_max} 字节仍未结束", "no end of frame within {bytes_max} bytes")
    hint = Words("请重刷；若一直如此，请检查帧格式设置", "swipe again; if it persists check the frame kind")


class FrameCheckFailed(ReaderNoise):
    """The frame's check byte does not fit its data: a byte was changed or lost on the line."""

    code = "frame-check-failed"
    what = Words("读卡器数据校验不符", "the reader's check byte does not fit its data")
    hint = Words("请重刷；若一直如此，请检查读卡器连线", "swipe again; if it persists check the cable")


class FrameUnknown(ReaderError):
    """The settings name a frame kind that does not exist."""

    code = "frame-unknown"
    retry = Retry.STOP
    what = Words("没有名为 {subject} 的帧格式", "there is no frame kind {subject}")
    hint = Words("请在设置中改为：{known}", "set it to one of: {known}")


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
        _wipe(self.payload)

    def __repr__(self) -> str:
        return f"Frame({len(self.payload)} bytes)"


class Framing(ABC):
    """What all framings share: one bounded body, the silence that ends a burst, and one fault told per burst."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._body = bytearray()
        self._began_ms = 0
        self._last_ms = 0
        self._burst = 0
        self._faulted = False  # in this burst a fault was told already

    def feed(self, data: bytes, now_ms: int) -> list[Frame | ReaderNoise]:
        """Frames that `data` completes, in order, and at most one fault for this burst and one for the burst before.

        `now_ms` is any clock that only goes forward. Feed `b""` while the line is quiet, so that a frame that never
        ends is told.
        """
        found: list[Frame | ReaderNoise] = []
        if now_ms - self._last_ms > SILENCE_MS:
            fault = self._after_silence()
            if fault is not None and not self._faulted:
                found.append(fault)
            self._burst += 1
            self._faulted = False
        if data:
            self._last_ms = now_ms
        for byte in data:
            outcome = self._take(byte)
            if isinstance(outcome, Frame) or (outcome is not None and not self._faulted):
                found.append(outcome)
            self._faulted = self._faulted or isinstance(outcome, ReaderNoise)
        return found

    @staticmethod
    @abstractmethod
    def wrap(payload: bytes) -> bytes:
        """The bytes a reader would send for `payload`."""

    @abstractmethod
    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        """One byte more; what it completes."""

    @abstractmethod
    def _after_silence(self) -> ReaderNoise | None:
        """Give up what was under way and say what it was."""

    def _begin(self) -> None:
        _wipe(self._body)
        self._began_ms = self._last_ms

    def _keep(self, byte: int) -> None:
        if not self._body:
            self._began_ms = self._last_ms
        self._body.append(byte)
        assert len(self._body) <= FRAME_BYTES_MAX

    def _full(self) -> bool:
        return len(self._body) >= FRAME_BYTES_MAX

    def _whole(self) -> Frame:
        frame = Frame(bytearray(self._body), self._last_ms - self._began_ms, self._burst)
        _wipe(self._body)
        return frame


class PlainLine(Framing):
    """Printable characters up to CR or LF or both: what most stripe readers send as they leave the factory."""

    name = "plain"

    def __init__(self) -> None:
        super().__init__()
        self._garbled = False  # the body holds a byte that is not printable
        self._skipping = False  # too long, already told: wait for a start sentinel or a line end

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return payload + bytes((CR,))

    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        if byte in (CR, LF):
            return self._line_end()
        if byte == TRACK2_START and (self._garbled or self._skipping):
            self._reset()  # the start of a card after noise
        if self._skipping:
            return None
        if self._full():
            garbled = self._garbled
            self._reset()
            self._skipping = True
            return _unreadable() if garbled else FrameTooLong("read frame", self.name, bytes_max=FRAME_BYTES_MAX)
        self._keep(byte)
        self._garbled = self._garbled or byte not in PRINTABLE
        return None

    def _line_end(self) -> Frame | ReaderNoise | None:
        if self._garbled:
            told = len(self._body) >= STRAY_BYTES_MIN
            self._reset()
            return _unreadable() if told else None
        whole = self._whole() if self._body else None  # CR LF: the second ends an empty line
        self._reset()
        return whole

    def _after_silence(self) -> ReaderNoise | None:
        garbled, length = self._garbled, len(self._body)
        self._reset()
        if length < STRAY_BYTES_MIN:
            return None
        return _unreadable() if garbled else FrameCutOff("read frame", self.name)

    def _reset(self) -> None:
        self._begin()
        self._garbled = self._skipping = False


class StxEtxLrc(Framing):
    """`STX data ETX LRC`; LRC is the XOR of the data and ETX. A line end behind it is let pass."""

    name = "stx-etx-lrc"

    def __init__(self) -> None:
        super().__init__()
        self._state: Literal["hunt", "body", "check"] = "hunt"
        self._stray = 0  # bytes outside a frame since the last frame or silence

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return bytes((STX, *payload, ETX, _xor(payload) ^ ETX))

    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        if self._state == "check":
            return self._check(byte)
        if byte == STX:  # also inside a body: the frame before it lost its end
            self._begin()
            self._state = "body"
            return None
        if self._state == "hunt":
            return self._hunt(byte)
        if byte == ETX:
            self._state = "check"
            return None
        if self._full():
            self._reset()
            return FrameTooLong("read frame", self.name, bytes_max=FRAME_BYTES_MAX)
        self._keep(byte)
        return None

    def _hunt(self, byte: int) -> ReaderNoise | None:
        if byte in (CR, LF):
            return None
        self._stray += 1
        if self._stray < FRAME_BYTES_MAX:
            return None
        self._reset()  # noise without a pause is told too, once per FRAME_BYTES_MAX
        return _unreadable()

    def _check(self, byte: int) -> Frame | ReaderNoise:
        if byte == _xor(self._body) ^ ETX:
            whole = self._whole()
            self._reset()
            return whole
        self._reset()
        if byte == STX:  # the check byte was lost and the next frame begins
            self._state = "body"
        return FrameCheckFailed("read frame", self.name)

    def _after_silence(self) -> ReaderNoise | None:
        state, stray = self._state, self._stray
        self._reset()
        if state != "hunt":
            return FrameCutOff("read frame", self.name)
        return _unreadable() if stray >= STRAY_BYTES_MIN else None

    def _reset(self) -> None:
        self._begin()
        self._state = "hunt"
        self._stray = 0


FRAMINGS: dict[str, type[Framing]] = {framing.name: framing for framing in (PlainLine, StxEtxLrc)}


def framing_named(name: str) -> Framing:
    """A new framing of the kind that the settings call `name`; raises `FrameUnknown`."""
    if name not in FRAMINGS:
        raise FrameUnknown("choose frame", name, known=", ".join(FRAMINGS))
    return FRAMINGS[name]()


def _unreadable() -> FrameUnreadable:
    return FrameUnreadable("read frame", "serial line")


def _xor(data: bytes | bytearray) -> int:
    return reduce(xor, data, 0)


def _wipe(buffer: bytearray) -> None:
    """Overwrite in place, then empty: `clear` alone would leave the old bytes in freed memory."""
    buffer[:] = bytes(len(buffer))
    buffer.clear()

"""The frame with a start mark, an end mark and a check byte."""

from __future__ import annotations

from typing import Literal

from config.errors import Words
from drivers.card import ReaderNoise
from drivers.framing.base import (
    CR,
    ETX,
    FRAME_BYTES_MAX,
    LF,
    STRAY_BYTES_MIN,
    STX,
    Frame,
    Framing,
    unreadable,
    xor_of,
)
from drivers.framing.faults import FrameCheckFailed, FrameCutOff, FrameTooLong


class StxEtxLrc(Framing):
    """`STX data ETX LRC`; LRC is the XOR of the data and ETX. A line end behind it is let pass."""

    name = "stx-etx-lrc"
    words = Words("STX 数据 ETX 加校验字节（LRC）", "STX data ETX and a check byte (LRC)")

    def __init__(self) -> None:
        super().__init__()
        self._state: Literal["hunt", "body", "check"] = "hunt"
        self._stray = 0  # bytes outside a frame since the last frame or silence

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return bytes((STX, *payload, ETX, xor_of(payload) ^ ETX))

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
            return FrameTooLong("read frame", self.name, bytes_max=self.bytes_max)
        self._keep(byte)
        return None

    def _hunt(self, byte: int) -> ReaderNoise | None:
        if byte in (CR, LF):
            return None
        self._stray += 1
        self.dropped += 1
        if self._stray < FRAME_BYTES_MAX:
            return None
        self._reset()  # noise without a pause is told too, once per FRAME_BYTES_MAX
        return unreadable()

    def _check(self, byte: int) -> Frame | ReaderNoise:
        if byte == xor_of(self._body) ^ ETX:
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
        return unreadable() if stray >= STRAY_BYTES_MIN else None

    def _reset(self) -> None:
        self._begin()
        self._state = "hunt"
        self._stray = 0

"""Printable characters up to an end mark: what plain, ID TECH and MagTek readers have in common."""

from __future__ import annotations

from typing import ClassVar

from drivers.card import ReaderNoise
from drivers.framing.base import PRINTABLE, STRAY_BYTES_MIN, Frame, Framing, unreadable
from drivers.framing.faults import FrameCutOff, FrameTooLong

SENTINELS = frozenset(b";%")  # a card's first character, with which a line begins anew after noise
END_SENTINEL = ord("?")


class TextLine(Framing):
    """A body of printable characters; the subclass says what begins it and what ends it."""

    begins: ClassVar[frozenset[int]] = frozenset()  # marks that begin a body, wherever they come
    ends: ClassVar[frozenset[int]]  # marks that end a body; one behind another ends nothing
    passed_over: ClassVar[frozenset[int]] = frozenset()  # marks without a meaning for us
    silence_ends: ClassVar[bool] = False  # the reader may send no end mark: after `?` a silence ends the body

    def __init__(self) -> None:
        super().__init__()
        self._garbled = False  # the body holds a byte that is not printable
        self._skipping = False  # too long, already told: wait for a start sentinel or an end mark
        self._noise = 0  # unprintable bytes since the last whole frame or silence

    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        if byte in self.ends:
            return self._end()
        if byte in self.passed_over:
            return None
        if byte in self.begins or (byte in SENTINELS and (self._garbled or self._skipping)):
            self._reset()  # a card after noise, or after one that lost its end
        if byte in self.begins:
            return None
        if self._skipping:
            self.dropped += 1
            return None
        if self._full():
            garbled = self._garbled
            self._reset()
            self._skipping = True
            return unreadable() if garbled else FrameTooLong("read frame", self.name, bytes_max=self.bytes_max)
        self._keep(byte)
        if byte not in PRINTABLE:
            self._garbled = True
            self._noise += 1
        return None

    def _end(self) -> Frame | ReaderNoise | None:
        if self._garbled:
            told = max(len(self._body), self._noise) >= STRAY_BYTES_MIN
            self._reset()
            return unreadable() if told else None
        if not self._body:  # CR LF: the second ends an empty line
            self._reset()
            return None
        whole = self._whole()
        self._reset()
        self._noise = 0  # what preceded a whole frame is the swipe's own crackle
        return whole

    def _after_silence(self) -> Frame | ReaderNoise | None:
        if self.silence_ends and not self._garbled and END_SENTINEL in self._body[-2:]:  # a check character may follow
            return self._end()
        length, noise = len(self._body), self._noise
        garbled = self._garbled or noise >= STRAY_BYTES_MIN
        self._reset()
        self._noise = 0
        if max(length, noise) < STRAY_BYTES_MIN:
            return None
        return unreadable() if garbled else FrameCutOff("read frame", self.name)

    def _reset(self) -> None:
        self._begin()
        self._garbled = self._skipping = False

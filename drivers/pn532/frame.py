"""The PN532's frames, pure (NXP UM0701-02, section 6.2.1): octets in any slices become signals and data.

    normal    00 00 FF LEN LCS TFI data DCS 00                 LEN + LCS = 0 (mod 256), LEN counts TFI and data
    extended  00 00 FF FF FF LENM LENL LCS TFI data DCS 00     LENM + LENL + LCS = 0
    ACK       00 00 FF 00 FF 00        NACK  00 00 FF FF 00 00        error  00 00 FF 01 FF 7F 81 00

TFI and data and DCS sum to nothing. TFI is D4 towards the module, D5 from it, 7F alone for a command that it could not
make out. The parser never blocks, holds at most one frame, and finds the next start by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

DATA_OCTETS_MAX = 265  # UM0701-02: TFI and the data behind it
NORMAL_OCTETS_MAX = 255  # what one length octet can say
FRAME_OCTETS_MAX = 7 + DATA_OCTETS_MAX + 1  # from the start code to DCS, extended
START = b"\x00\xff"
_EXTENDED = b"\xff\xff"  # in place of length and check
_NORMAL_HEAD, _EXTENDED_HEAD = 4, 7  # start code, length, its check


class Sender(IntEnum):
    """TFI: who speaks."""

    HOST = 0xD4
    MODULE = 0xD5
    ERROR = 0x7F


class Signal(Enum):
    """Frames that carry no data."""

    ACK = b"\x00\x00\xff\x00\xff\x00"
    NACK = b"\x00\x00\xff\xff\x00\x00"


@dataclass(frozen=True, slots=True)
class DataFrame:
    """A whole frame: who speaks (TFI) and what. The data may be a card's, so they never show."""

    sender: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A frame whose check does not fit; `check` is `length` or `data`."""

    check: str


_SIGNALS = {signal.value[3:5]: signal for signal in Signal}
Outcome = DataFrame | Signal | Damaged


def encode(sender: Sender, data: bytes) -> bytes:
    """The octets of one frame, normal when it fits, with preamble and postamble."""
    body = bytes((sender, *data))
    assert len(body) <= DATA_OCTETS_MAX, "more than the module takes"
    if len(body) <= NORMAL_OCTETS_MAX:
        head = bytes((len(body), -len(body) & 0xFF))
    else:
        high, low = divmod(len(body), 0x100)
        head = bytes((0xFF, 0xFF, high, low, -(high + low) & 0xFF))
    return b"\x00" + START + head + body + bytes((-sum(body) & 0xFF, 0x00))


class FrameParser:
    """Fed with what arrives; gives frames in order. `strays` counts octets outside frames since the last `reset`."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.strays = 0

    def reset(self) -> None:
        """Forget a frame under way."""
        _wipe(self._held, len(self._held))
        self.strays = 0

    def feed(self, data: bytes) -> list[Outcome]:
        """The frames that `data` completes."""
        self._held += data
        found: list[Outcome] = []
        while (outcome := self._next()) is not None:
            found.append(outcome)
        assert len(self._held) <= FRAME_OCTETS_MAX
        return found

    def _next(self) -> Outcome | None:
        """The next frame, or None while it is not whole."""
        self._hunt()
        held = self._held
        if len(held) < _NORMAL_HEAD:
            return None
        signal = _SIGNALS.get(bytes(held[2:4]))
        if signal is not None:
            _wipe(held, _NORMAL_HEAD)
            return signal
        extended = held[2:4] == _EXTENDED
        head = _EXTENDED_HEAD if extended else _NORMAL_HEAD
        if len(held) < head:
            return None
        length = int.from_bytes(held[4:6]) if extended else held[2]
        if sum(held[4:head] if extended else held[2:head]) & 0xFF or not 0 < length <= DATA_OCTETS_MAX:
            _wipe(held, 1)  # leaves the FF behind: the hunt goes on right after this start code
            return Damaged("length")
        return self._body(head, length)

    def _hunt(self) -> None:
        """Drop what stands before a start code; zeros are preamble and postamble, the rest is noise."""
        at = self._held.find(START)
        if at < 0:
            at = len(self._held) - self._held.endswith(b"\x00")  # the first half of a start code, perhaps
        self.strays += at - self._held.count(0, 0, at)
        _wipe(self._held, at)

    def _body(self, head: int, length: int) -> Outcome | None:
        if len(self._held) < head + length + 1:
            return None
        body = self._held[head : head + length + 1]
        _wipe(self._held, head + length + 1)
        if sum(body) & 0xFF:
            return Damaged("data")
        return DataFrame(body[0], bytes(body[1:-1]))


def _wipe(held: bytearray, count: int) -> None:
    """Overwrite the first `count` octets, then drop them: card data do not stay in freed memory."""
    held[:count] = bytes(count)
    del held[:count]

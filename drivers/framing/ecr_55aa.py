"""The `55AA…CC33` packet that payment terminals use on their till port."""

from __future__ import annotations

from config.errors import Words
from drivers.card import ReaderNoise
from drivers.framing.base import FRAME_BYTES_MAX, STRAY_BYTES_MIN, Frame, Framing, unreadable, xor_of
from drivers.framing.faults import FrameCheckFailed, FrameCutOff, FrameTooLong

START = b"\x55\xaa"
END = b"\xcc\x33"
HEADER_BYTES = 7  # start 2, type 1, acknowledged id 1, own id 1, length of the data 2 (high byte first)
TRAILER_BYTES = 3  # check byte 1, end 2
PACKET_BYTES_MAX = 1024
TYPE_DATA = 0x00
TYPES = range(3)  # data, handshake, handshake confirmed
FIRST_ID = 0x01


class Ecr55Aa(Framing):
    """`55AA type ack id length data check CC33`; the check byte is the XOR of everything from type to data.

    As PayCloud and CodePay publish it ("Serial communication protocol": 115200 8N1, packets of at most 1024 bytes).
    Packets without data (handshake, heartbeat every 2 s, acknowledgement) are let pass. The publication leaves the
    data to the application and knows no card message: here the data are the track's text. Nothing is ever sent, so the
    device must be set to send unasked.
    """

    name = "ecr-55aa"
    words = Words("55AA…CC33 数据包，数据为磁道文本", "the 55AA…CC33 packet with the track's text as its data")
    bytes_max = PACKET_BYTES_MAX - HEADER_BYTES - TRAILER_BYTES

    def __init__(self) -> None:
        super().__init__()
        self._stray = 0  # bytes outside a packet since the last packet or silence

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        checked = bytes((TYPE_DATA, 0, FIRST_ID)) + len(payload).to_bytes(2) + payload
        return START + checked + bytes((xor_of(checked),)) + END

    def _take(self, byte: int) -> Frame | ReaderNoise | None:
        if not self._body:
            self._began_ms = self._last_ms
        self._body.append(byte)
        assert len(self._body) <= PACKET_BYTES_MAX
        return self._scan()

    def _after_silence(self) -> Frame | ReaderNoise | None:
        cut_off, stray = len(self._body) > len(START), self._stray + len(self._body)
        found: Frame | ReaderNoise | None = None
        while self._body and not isinstance(found, Frame):
            self._skip_to_start()  # what stood first never ended; a whole packet may stand behind it
            found = self._scan()
        self._begin()
        self._stray = 0
        if isinstance(found, Frame):
            return found
        if stray < STRAY_BYTES_MIN:
            return None
        return FrameCutOff("read frame", self.name) if cut_off else unreadable()

    def _scan(self) -> Frame | ReaderNoise | None:
        """What the body holds now; it always begins with (the beginning of) a start mark afterwards."""
        fault: ReaderNoise | None = None
        while (refused := self._refused()) is not None:
            fault = fault or refused[0]
            self._skip_to_start()
        if self._stray >= FRAME_BYTES_MAX:  # noise without a pause is told too, once per FRAME_BYTES_MAX
            self._stray = 0
            fault = fault or unreadable()
        if len(self._body) < HEADER_BYTES or len(self._body) < self._packet_bytes():
            return fault
        return self._packet() or fault

    def _refused(self) -> tuple[ReaderNoise | None] | None:
        """None while the body may still become a packet; else the fault to tell, if it is more than stray bytes."""
        body = self._body
        kind = body[len(START) : len(START) + 1]
        if not START.startswith(body[: len(START)]) or (kind and kind[0] not in TYPES):
            return (None,)
        if len(body) < HEADER_BYTES:
            return None
        if self._packet_bytes() > PACKET_BYTES_MAX:
            return (FrameTooLong("read frame", self.name, bytes_max=self.bytes_max),)
        if len(body) < self._packet_bytes() or self._fits():
            return None
        return (FrameCheckFailed("read frame", self.name),)

    def _fits(self) -> bool:
        """Whether a packet that has come in full ends as it must; the end first, so that a flood stays cheap."""
        packet = memoryview(self._body)[: self._packet_bytes()]
        return packet[-len(END) :] == END and xor_of(packet[len(START) : -TRAILER_BYTES]) == packet[-TRAILER_BYTES]

    def _packet(self) -> Frame | None:
        """The whole packet that the body begins with; None for one that carries no data."""
        length, took_ms = self._packet_bytes(), self._last_ms - self._began_ms
        data, kind = self._body[HEADER_BYTES : length - TRAILER_BYTES], self._body[len(START)]
        self._let_go(length)
        self._stray = 0
        if kind != TYPE_DATA or not data:
            return None
        return Frame(data, took_ms, self.burst)

    def _packet_bytes(self) -> int:
        return HEADER_BYTES + int.from_bytes(self._body[HEADER_BYTES - 2 : HEADER_BYTES]) + TRAILER_BYTES

    def _skip_to_start(self) -> None:
        """Drop the first byte, and what follows it up to the next start mark or the beginning of one at the end."""
        at = self._body.find(START, 1)
        if at < 0:
            at = len(self._body) - (self._body[-1] == START[0] and len(self._body) > 1)
        self._let_go(at)
        self._stray += at
        self.dropped += at

    def _let_go(self, length: int) -> None:
        self._body[:length] = bytes(length)  # overwritten first: they may be a card's
        del self._body[:length]
        self._began_ms = self._last_ms

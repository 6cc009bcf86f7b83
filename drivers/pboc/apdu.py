"""Commands and responses of ISO/IEC 7816-4 in their short form, and the status words that cards answer with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from drivers.card import MalformedCard

COMMAND_DATA_MAX = 255  # one Lc octet
RESPONSE_OCTETS_MAX = 258  # 256 data octets and the status word: one Le octet
LE_ALL = 256  # written as 00: "whatever there is"


class Instruction(IntEnum):
    """The INS octet; the ones that change a card are named so that a refusal can name them."""

    SELECT = 0xA4
    READ_RECORD = 0xB2
    GET_PROCESSING_OPTIONS = 0xA8
    GET_RESPONSE = 0xC0
    GET_DATA = 0xCA
    INTERNAL_AUTHENTICATE = 0x88
    VERIFY = 0x20
    GENERATE_AC = 0xAE
    EXTERNAL_AUTHENTICATE = 0x82
    PUT_DATA = 0xDA
    UPDATE_RECORD = 0xDC


class StatusWord(IntEnum):
    """SW1 SW2 with a meaning fixed by ISO/IEC 7816-4 or EMV Book 3."""

    OK = 0x9000
    FILE_DEACTIVATED = 0x6283  # EMV: the application or the directory is blocked
    FILE_TERMINATED = 0x6285
    WRONG_LENGTH = 0x6700
    SECURITY_NOT_SATISFIED = 0x6982
    METHOD_BLOCKED = 0x6983
    DATA_INVALIDATED = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    WRONG_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81  # EMV, answering SELECT: the card is blocked
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    WRONG_PARAMETERS = 0x6A86
    DATA_NOT_FOUND = 0x6A88
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00
    UNKNOWN = 0x6F00  # "no precise diagnosis"


# Answers to SELECT and GET PROCESSING OPTIONS that mean "here, and will not": blocked, terminated, locked, not for use
# in this place (EMV Book 1 sections 12.3 and 12.4, Book 3 section 10.1; 6A81: the whole card). Any other error may be
# about how we asked.
REFUSALS = frozenset(
    {
        StatusWord.FILE_DEACTIVATED,
        StatusWord.FILE_TERMINATED,
        StatusWord.METHOD_BLOCKED,
        StatusWord.DATA_INVALIDATED,
        StatusWord.CONDITIONS_NOT_SATISFIED,
        StatusWord.COMMAND_NOT_ALLOWED,
        StatusWord.FUNCTION_NOT_SUPPORTED,
    }
)

SW1_MORE_DATA = 0x61  # SW2 octets wait for GET RESPONSE
SW1_WRONG_LE = 0x6C  # ask again with Le = SW2


def status_text(status: int) -> str:
    """`6A82 FILE_NOT_FOUND`, or the bare number of a status without a fixed meaning."""
    try:
        return f"{status:04X} {StatusWord(status).name}"
    except ValueError:
        return f"{status:04X}"


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """One short command. `le`: octets wanted, 256 = all there are, None = none."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None

    def __post_init__(self) -> None:
        assert len(self.data) <= COMMAND_DATA_MAX
        assert self.le is None or 1 <= self.le <= LE_ALL

    def encode(self) -> bytes:
        """The octets on the wire: header, Lc and data when there are data, Le when it is wanted."""
        body = bytes([len(self.data)]) + self.data if self.data else b""
        tail = b"" if self.le is None else bytes([self.le % LE_ALL])
        return bytes([self.cla, self.ins, self.p1, self.p2]) + body + tail

    @classmethod
    def parse(cls, octets: bytes) -> CommandApdu:
        """The command in `octets`; `ValueError` when they are none. For the card's side of the exchange."""
        if len(octets) < 4:
            raise ValueError("a command has four header octets")
        (cla, ins, p1, p2), body = octets[:4], octets[4:]
        if len(body) <= 1:
            return cls(cla, ins, p1, p2, le=(body[0] or LE_ALL) if body else None)
        data, tail = body[1 : 1 + body[0]], body[1 + body[0] :]
        if not body[0] or len(data) != body[0] or len(tail) > 1:
            raise ValueError("Lc does not fit the data")
        return cls(cla, ins, p1, p2, data, le=(tail[0] or LE_ALL) if tail else None)

    def __str__(self) -> str:
        try:
            name = Instruction(self.ins).name.replace("_", " ")
        except ValueError:
            name = f"INS {self.ins:02X}"
        return f"{name} {self.p1:02X}{self.p2:02X}"


@dataclass(frozen=True, slots=True)
class ResponseApdu:
    """What the card answered; `data` may hold a card number, so it never shows."""

    data: bytes = field(repr=False)
    status: int

    @property
    def ok(self) -> bool:
        """Whether the status is 9000."""
        return self.status == StatusWord.OK

    @classmethod
    def parse(cls, octets: bytes) -> ResponseApdu:
        """Split data and status word; `MalformedCard` when the card answered too little or too much."""
        if not 2 <= len(octets) <= RESPONSE_OCTETS_MAX:
            length = len(octets)
            raise MalformedCard(
                "read card", "chip answer", reason_zh=f"应答 {length} 字节", reason_en=f"answer of {length} octets"
            )
        return cls(octets[:-2], int.from_bytes(octets[-2:]))

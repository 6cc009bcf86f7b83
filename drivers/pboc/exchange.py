"""From a command to its whole answer: the read-only guard, the rules of T=0 and T=1, and chained answers.

Small processors around the port, outermost first; the inner ones take octets and give octets, as the port itself does:

    ChainedAnswers  61xx -> GET RESPONSE, 6Cxx -> the same command with Le = xx, until neither
    LengthRule      T=0: no Le on a command that carries data
    CommandBudget   ends a read that a faulty card would keep going
    ReadOnlyGuard   refuses every command that is not on the list of reading ones

The guard is next to the port: no sequence, however wrong, gets a command past it that could change or lock a card.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from config.errors import Retry, Words
from drivers.card import CardError, MalformedCard
from drivers.pboc.apdu import (
    LE_ALL,
    SW1_MORE_DATA,
    SW1_WRONG_LE,
    CommandApdu,
    Instruction,
    ResponseApdu,
)

CHAIN_STEPS_MAX = 16  # port calls for one command: a real card needs three; 16 full parts are 4096 octets (tlv's bound)
COMMANDS_MAX = 100  # port calls for one read: published ones take 3 to 20; at 20 ms each this ends after 2 s

# Commands that only read. INTERNAL AUTHENTICATE lets the chip sign a number of ours (dynamic data authentication).
READ_ONLY_COMMANDS = frozenset(
    {
        (0x00, Instruction.SELECT),
        (0x00, Instruction.READ_RECORD),
        (0x00, Instruction.GET_RESPONSE),
        (0x00, Instruction.INTERNAL_AUTHENTICATE),
        (0x80, Instruction.GET_PROCESSING_OPTIONS),
        (0x80, Instruction.GET_DATA),
    }
)


class CommandForbidden(CardError):
    """Our own program tried a command that may change a card; the card never saw it."""

    code = "command-forbidden"
    retry = Retry.STOP
    what = Words(
        "程序试图发送非只读指令 {subject}，已拦截", "the program tried a command that does not only read, {subject}"
    )
    hint = Words("卡片未受影响；请联系技术支持", "the card is unharmed; call support")


class TransmissionProtocol(StrEnum):
    """How octets travel between reader and card (ISO/IEC 7816-3); contactless cards count as T=1."""

    T0 = "T=0"
    T1 = "T=1"


class Transmit(Protocol):
    """A port to one card: a command's octets go in, the answer's octets and status word come out."""

    def __call__(self, command: bytes, /) -> bytes: ...


class ReadOnlyGuard:
    """Lets only `READ_ONLY_COMMANDS` through, whole and alone in their short form; raises `CommandForbidden` otherwise.

    CLA counts whole: the same INS under another CLA (secure messaging, a logical channel, the issuer's own) is another
    command. Octets that are more or less than one command might become a second one on the way to the card.
    """

    def __init__(self, below: Transmit) -> None:
        self._below = below

    def __call__(self, command: bytes, /) -> bytes:
        command = bytes(command)  # what was looked at is what is sent
        if tuple(command[:2]) not in READ_ONLY_COMMANDS or not _well_formed(command):
            raise CommandForbidden("send command", command[:2].hex().upper())
        return self._below(command)


def _well_formed(command: bytes) -> bool:
    try:
        CommandApdu.parse(command)
    except ValueError:
        return False
    return True


class CommandBudget:
    """Counts the port calls of one read; raises `MalformedCard` past `COMMANDS_MAX`."""

    def __init__(self, below: Transmit) -> None:
        self._below = below
        self._left = COMMANDS_MAX

    def __call__(self, command: bytes, /) -> bytes:
        if self._left == 0:
            raise MalformedCard("read card", "chip", reason_zh="指令过多", reason_en="too many commands")
        self._left -= 1
        return self._below(command)


class LengthRule:
    """ISO/IEC 7816-3 section 12.2: T=0 cannot carry data and Le in one command; the answer is fetched afterwards."""

    def __init__(self, below: Transmit, protocol: TransmissionProtocol) -> None:
        self._below = below
        self._protocol = protocol

    def __call__(self, command: bytes, /) -> bytes:
        has_data_and_le = len(command) > 5 and len(command) == 4 + 1 + command[4] + 1
        if self._protocol is TransmissionProtocol.T0 and has_data_and_le:
            command = command[:-1]
        return self._below(command)


class ChainedAnswers:
    """Fetches an answer that comes in parts or under another length. Raises `MalformedCard` past the bounds."""

    def __init__(self, below: Transmit) -> None:
        self._below = below

    def __call__(self, command: CommandApdu) -> ResponseApdu:
        data = b""
        step = command
        for _ in range(CHAIN_STEPS_MAX):
            response = ResponseApdu.parse(self._below(step.encode()))
            sw1, sw2 = divmod(response.status, 0x100)
            if sw1 == SW1_WRONG_LE:
                step = CommandApdu(step.cla, step.ins, step.p1, step.p2, step.data, le=sw2 or LE_ALL)
                continue
            data += response.data
            if sw1 != SW1_MORE_DATA:
                return ResponseApdu(data, response.status)
            step = CommandApdu(0x00, Instruction.GET_RESPONSE, 0x00, 0x00, le=sw2 or LE_ALL)
        raise MalformedCard("read card", str(command), reason_zh="应答没完没了", reason_en="endless answer")


class Exchange:
    """One conversation with one card: `exchange(command)` gives the whole answer, whatever the protocol."""

    def __init__(self, transmit: Transmit, protocol: TransmissionProtocol) -> None:
        self._answers = ChainedAnswers(LengthRule(CommandBudget(ReadOnlyGuard(transmit)), protocol))

    def __call__(self, command: CommandApdu) -> ResponseApdu:
        return self._answers(command)

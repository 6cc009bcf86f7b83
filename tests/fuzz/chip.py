"""The chip's side: TLV, data object lists, processing options, file locators, and a whole read of a scripted card.

A scripted card is octets: the first says how we talk to it, the rest are its answers one after the other, each behind
one octet that gives its length. What it answers when the script has ended the first octet says too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from datetime import date

from drivers.card import Authenticity, CardError, CardRemoved, Pan
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc import tlv
from drivers.pboc.apdu import COMMAND_DATA_MAX, CommandApdu, Instruction, ResponseApdu
from drivers.pboc.authenticity.keys import SchemeKey, SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey
from drivers.pboc.dol import DOL_VALUES_MAX, TerminalData, fill_dol, parse_dol
from drivers.pboc.exchange import COMMANDS_MAX, READ_ONLY_COMMANDS, TransmissionProtocol
from drivers.pboc.read import AFL_RECORDS_MAX, SFI_MAX, parse_locator, parse_options
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import TLV_DEPTH_MAX, TLV_NODES_MAX, Tlv
from drivers.virtual.card import DEMO_CARDS, ChipKind, ChipProof
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import DEMO_AUTHORITY, chip_of
from tests.fuzz.target import Target

TERMINAL = TerminalData(date(2026, 1, 2), bytes.fromhex("01020304"))
COMMAND_OCTETS_MAX = 4 + 1 + COMMAND_DATA_MAX + 1  # header, Lc, data, Le
LONG_ANSWER = 0xFF  # a length octet that stands for an answer longer than any card may give
LONG_ANSWER_OCTETS = 300
SIGNED = frozenset(card.pan for card in DEMO_CARDS.values() if card.proof is not ChipProof.NONE)
CHIPS = tuple(card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE)

T1, CONTACTLESS, REPEATS, PULLED = 1, 2, 4, 8  # bits of a script's first octet


class ScriptedCard:
    """Answers what `script` says, and checks that it is only ever read, and not for ever."""

    def __init__(self, script: bytes) -> None:
        how = script[0] if script else 0
        self.protocol = TransmissionProtocol.T1 if how & T1 else TransmissionProtocol.T0
        self.contactless = bool(how & CONTACTLESS)
        self._repeats, self._pulled = how & REPEATS, how & PULLED
        self._script, self._at = script, 1
        self._last = b"\x6a\x82"
        self.commands = 0

    def transmit(self, command: bytes, /) -> bytes:
        """The next answer."""
        self.commands += 1
        assert self.commands <= COMMANDS_MAX, "more commands than one read may take"
        assert len(command) <= COMMAND_OCTETS_MAX
        assert tuple(command[:2]) in READ_ONLY_COMMANDS
        CommandApdu.parse(command)
        if self._at < len(self._script):
            self._last = self._next()
        elif self._pulled:
            raise CardRemoved("send command", "scripted card")
        elif not self._repeats:
            self._last = b"\x6a\x82"
        return self._last

    def _next(self) -> bytes:
        length = self._script[self._at]
        begin = self._at + 1
        self._at = begin + (LONG_ANSWER_OCTETS if length == LONG_ANSWER else length)
        return self._script[begin : self._at]


def conversation(chip: VirtualChip) -> list[tuple[bytes, bytes]]:
    """Every command of a read of `chip` with its answer."""
    said: list[tuple[bytes, bytes]] = []

    def heard(command: bytes, /) -> bytes:
        said.append((command, chip.transmit(command)))
        return said[-1][1]

    reading = ChipReading(heard, chip.protocol, contactless=chip.contactless, reader="seed", terms=fixed_terms())
    with contextlib.suppress(CardError):
        reading.read()
    return said


def script_of(chip: VirtualChip) -> bytes:
    """The script of what `chip` answers to a read."""
    how = (T1 if chip.protocol is TransmissionProtocol.T1 else 0) | (CONTACTLESS if chip.contactless else 0)
    return bytes([how]) + b"".join(bytes([len(answer)]) + answer for _, answer in conversation(chip))


@functools.cache
def fixed_terms() -> ChipTerms:
    """Terms with the demonstration's keys, on one day with one number: the same script gives the same read."""
    authority = DEMO_AUTHORITY
    key = PublicKey(authority.scheme.modulus, authority.scheme.octets, authority.scheme.exponent)
    keys = SchemeKeys([SchemeKey(authority.rid, authority.index, key, date(2049, 12, 31))])
    return ChipTerms(terminal_data=lambda: TERMINAL, keys=keys)


def good_answers(chip: VirtualChip) -> Iterator[tuple[Instruction, bytes]]:
    """Every good answer of `chip` to a read, without its status word, and what it answers."""
    asked = Instruction.SELECT
    for command, answer in conversation(chip):
        if command[1] != Instruction.GET_RESPONSE:
            asked = Instruction(command[1])
        if answer.endswith(b"\x90\x00"):
            yield asked, answer[:-2]


def read_tlv(data: bytes) -> None:
    """Parse; what was accepted keeps its bounds and lies within the input."""
    nodes = tlv.parse(data)
    every = list(tlv.walk(nodes))
    assert len(every) <= TLV_NODES_MAX
    assert _depth(nodes) <= TLV_DEPTH_MAX
    assert all(node.value in data for node in every)
    assert sum(len(node.value) for node in nodes) <= len(data)
    assert all(node.value.hex() not in repr(node) for node in every if len(node.value) > 3)


def _depth(nodes: Sequence[Tlv]) -> int:
    return max((1 + _depth(node.children) for node in nodes), default=0)


def read_dol(data: bytes) -> None:
    """Parse and fill: exactly as many octets as were asked for, and never more than a command holds."""
    entries = parse_dol(data)
    filled = fill_dol(entries, TERMINAL.values())
    assert len(filled) == sum(entry.length for entry in entries) <= DOL_VALUES_MAX
    assert sum(1 if entry.tag < 0x100 else 2 if entry.tag < 0x10000 else 3 for entry in entries) <= len(data)


def read_options(data: bytes) -> None:
    """The answer to GET PROCESSING OPTIONS, status word included."""
    options = parse_options(ResponseApdu.parse(data))
    assert len(options.profile) == 2
    assert sum(file.last - file.first + 1 for file in options.files) <= AFL_RECORDS_MAX


def read_locator(data: bytes) -> None:
    """A file locator: files and records that exist, and not too many of them."""
    files = parse_locator(data)
    assert sum(file.last - file.first + 1 for file in files) <= AFL_RECORDS_MAX
    for file in files:
        assert 1 <= file.sfi <= SFI_MAX
        assert 1 <= file.first <= file.last
        assert file.authenticated <= file.last - file.first + 1


def read_chip(data: bytes) -> None:
    """A whole read of a scripted card."""
    card = ScriptedCard(data)
    reading = ChipReading(
        card.transmit, card.protocol, contactless=card.contactless, reader="fuzz", terms=fixed_terms()
    )
    try:
        read = reading.read()
        assert isinstance(read.pan, Pan)
        if read.authenticity in {Authenticity.DDA, Authenticity.SDA}:
            assert read.pan in SIGNED, "a number that nobody has signed"
    finally:
        assert len(reading.steps) == card.commands


def _seeds(*wanted: Instruction) -> Sequence[bytes]:
    return sorted({answer for card in CHIPS for asked, answer in good_answers(chip_of(card)) if asked in wanted})


def tlv_seeds() -> Sequence[bytes]:
    """Every answer of every chip of the demonstration."""
    return [
        *_seeds(Instruction.SELECT, Instruction.GET_PROCESSING_OPTIONS, Instruction.READ_RECORD),
        bytes.fromhex("6F" "08" "A5" "06" "BF0C" "03" "61" "01" "00"),
    ]  # fmt: skip


def dol_seeds() -> Sequence[bytes]:
    """The lists that the demonstration's chips ask with."""
    found = (tlv.value_of(tlv.parse(answer), Tag.PROCESSING_OPTIONS_LIST) for answer in _seeds(Instruction.SELECT))
    return sorted({value for value in found if value})


def options_seeds() -> Sequence[bytes]:
    """Processing options in both formats."""
    return [answer + b"\x90\x00" for answer in _seeds(Instruction.GET_PROCESSING_OPTIONS)]


def locator_seeds() -> Sequence[bytes]:
    """Locators of one file and of four."""
    return [bytes.fromhex(text) for text in ("08010100", "0801010010010200", "08010200100104001803030020010100")]


def chip_seeds() -> Sequence[bytes]:
    """Scripts of every chip of the demonstration."""
    return sorted({script_of(chip_of(card)) for card in CHIPS})


TARGETS = (
    Target("tlv", read_tlv, (CardError,), tlv_seeds),
    Target("dol", read_dol, (CardError,), dol_seeds),
    Target("options", read_options, (CardError,), options_seeds),
    Target("locator", read_locator, (CardError,), locator_seeds),
    Target("chip", read_chip, (CardError,), chip_seeds, calls=20_000, calls_per_octet=60, bare=True),
)

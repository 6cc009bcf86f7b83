"""The chip of a virtual card: answers commands as a PBOC card does, on the card's side of the wire.

Deterministic and strict: data of the wrong length, a record before its application is open, or an unknown command get
the status word that a real card gives. It changes nothing and signs nothing; `signed_chip` is the one that signs.
"""

from __future__ import annotations

from typing import Protocol

from drivers.pboc.apdu import (
    LE_ALL,
    SW1_MORE_DATA,
    SW1_WRONG_LE,
    CommandApdu,
    Instruction,
    StatusWord,
)
from drivers.pboc.application import CONTACT_DIRECTORY, CONTACTLESS_DIRECTORY
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import encode
from drivers.virtual.card import ChipKind, VirtualCard

UNIONPAY_DEBIT = bytes.fromhex("A000000333010101")

_LABEL = b"PBOC DEBIT"
_PROFILE = bytes.fromhex("7C00")  # AIP as a UnionPay debit card states it
_DIRECTORY_SFI = 1
_DIRECTORY_RECORD = (_DIRECTORY_SFI, 1)
# What the card asks for: (tag, octets), as UnionPay cards were met with
_PDOL_CONTACT = ((Tag.ELECTRONIC_CASH_INDICATOR, 1), (Tag.AMOUNT, 6), (Tag.CURRENCY, 2))
_PDOL_CONTACTLESS = (
    (Tag.TRANSACTION_QUALIFIERS, 4),
    (Tag.AMOUNT, 6),
    (Tag.AMOUNT_OTHER, 6),
    (Tag.COUNTRY, 2),
    (Tag.VERIFICATION_RESULTS, 5),
    (Tag.CURRENCY, 2),
    (Tag.TRANSACTION_DATE, 3),
    (Tag.TRANSACTION_TYPE, 1),
    (Tag.UNPREDICTABLE_NUMBER, 4),
)

# ISO/IEC 7816-3: direct convention, TB1 and TC1 present, 8 historical bytes, no TD1 = T=0 only
CONTACT_ATR = bytes.fromhex("3B680000") + b"PBOCCARD"


def _with_check(atr: bytes) -> bytes:
    """ISO/IEC 7816-3 section 8.2.5: where T=1 is named, a last octet makes all but the first XOR to nothing."""
    check = 0
    for octet in atr[1:]:
        check ^= octet
    return atr + bytes([check])


# TD1 alone, and it names T=1
CONTACT_T1_ATR = _with_check(bytes.fromhex("3B8801") + b"PBOCCARD")
# PC/SC part 3, contactless: 3B 8n 80 01 and n historical bytes
CONTACTLESS_ATR = _with_check(bytes.fromhex("3B888001") + b"PBOCCARD")


class Chip(Protocol):
    """A card's chip as a port sees it: its answer to reset, and one answer per command."""

    @property
    def atr(self) -> bytes:
        """The answer to reset."""

    def transmit(self, command: bytes) -> bytes:
        """The answer and status word to one command."""

    def reset(self) -> None:
        """Power came back: nothing is selected."""


class VirtualChip:
    """The chip of `card`; a stripe-only card has none (an assert)."""

    def __init__(self, card: VirtualCard) -> None:
        assert card.chip is not ChipKind.NONE, "a stripe-only card has no chip"
        self._card = card
        self.contactless = card.chip is not ChipKind.CONTACT
        self.protocol = TransmissionProtocol.T1 if self.contactless else TransmissionProtocol.T0
        self.atr = CONTACTLESS_ATR if self.contactless else CONTACT_ATR
        self._pdol = _PDOL_CONTACTLESS if self.contactless else _PDOL_CONTACT
        self._profile = _PROFILE
        self._records = _records(card)
        self._signed: frozenset[tuple[int, int]] = frozenset()  # the records that the issuer signed
        self.reset()

    def reset(self) -> None:
        """Power came back: nothing is selected, nothing waits to be fetched."""
        self._selected = b""
        self._open = False
        self._waiting = b""

    def transmit(self, command: bytes) -> bytes:
        """The answer to one command's octets."""
        try:
            apdu = CommandApdu.parse(command)
        except ValueError:
            return _status(StatusWord.WRONG_LENGTH)
        if apdu.ins == Instruction.GET_RESPONSE:
            return self._deliver(self._waiting, apdu) if self._waiting else _status(StatusWord.CONDITIONS_NOT_SATISFIED)
        self._waiting = b""
        match (apdu.cla, apdu.ins):
            case (0x00, Instruction.SELECT):
                data, status = self._select(apdu.data)
            case (0x80, Instruction.GET_PROCESSING_OPTIONS):
                data, status = self._processing_options(apdu.data)
            case (0x00, Instruction.READ_RECORD):
                data, status = self._record(apdu)
            case (0x00, Instruction.INTERNAL_AUTHENTICATE):
                data, status = self._sign(apdu.data)
            case (0x00 | 0x80, _):
                data, status = b"", StatusWord.INSTRUCTION_NOT_SUPPORTED
            case _:
                data, status = b"", StatusWord.CLASS_NOT_SUPPORTED
        return self._deliver(data, apdu) if status is StatusWord.OK else _status(status)

    def _deliver(self, data: bytes, apdu: CommandApdu) -> bytes:
        """T=1 answers at once; T=0 makes the reader fetch (61xx) or name the exact length (6Cxx)."""
        if self.protocol is TransmissionProtocol.T1:
            return data + _status(StatusWord.OK)
        if apdu.data:
            self._waiting = data
            return bytes([SW1_MORE_DATA, len(data) % LE_ALL])
        if apdu.le != len(data):
            return bytes([SW1_WRONG_LE, len(data) % LE_ALL])
        return data + _status(StatusWord.OK)

    def _select(self, name: bytes) -> tuple[bytes, StatusWord]:
        self._open = False
        directory = CONTACTLESS_DIRECTORY if self.contactless else CONTACT_DIRECTORY
        if name == directory:
            self._selected = directory
            return self._directory(directory), StatusWord.OK
        if len(name) < len(UNIONPAY_DEBIT[:5]) or not UNIONPAY_DEBIT.startswith(name):
            self._selected = b""
            return b"", StatusWord.FILE_NOT_FOUND
        if self._card.blocked:
            return b"", StatusWord.FILE_DEACTIVATED
        self._selected = UNIONPAY_DEBIT
        return self._application(), StatusWord.OK

    def _directory(self, name: bytes) -> bytes:
        if self.contactless:
            listed = encode(Tag.FCI_ISSUER_DISCRETIONARY, _directory_entry())
        else:
            listed = encode(Tag.DIRECTORY_SFI, bytes([_DIRECTORY_SFI]))
        return encode(
            Tag.FILE_CONTROL_INFORMATION,
            encode(Tag.DEDICATED_FILE_NAME, name),
            encode(Tag.FCI_PROPRIETARY, listed),
        )

    def _application(self) -> bytes:
        pdol = b"".join(_tag_octets(tag) + bytes([length]) for tag, length in self._pdol)
        return encode(
            Tag.FILE_CONTROL_INFORMATION,
            encode(Tag.DEDICATED_FILE_NAME, UNIONPAY_DEBIT),
            encode(
                Tag.FCI_PROPRIETARY,
                encode(Tag.APPLICATION_LABEL, _LABEL),
                encode(Tag.APPLICATION_PRIORITY, b"\x01"),
                encode(Tag.PROCESSING_OPTIONS_LIST, pdol),
            ),
        )

    def _processing_options(self, data: bytes) -> tuple[bytes, StatusWord]:
        if self._selected != UNIONPAY_DEBIT:
            return b"", StatusWord.CONDITIONS_NOT_SATISFIED
        asked = sum(length for _, length in self._pdol)
        if data[:2] != bytes([Tag.COMMAND_TEMPLATE, asked]) or len(data) != 2 + asked:
            return b"", StatusWord.WRONG_DATA
        self._open = True
        if not self.contactless:
            locator = file_locator(self._records, self._signed)
            return encode(Tag.OPTIONS_FORMAT_1, self._profile, locator), StatusWord.OK
        profile = encode(Tag.INTERCHANGE_PROFILE, self._profile)
        return encode(Tag.OPTIONS_FORMAT_2, profile, self._given(data[2:])), StatusWord.OK

    def _given(self, _told: bytes) -> bytes:
        """What a contactless chip answers beside its profile to what it was told."""
        if self._card.chip is ChipKind.QPBOC:
            return track2(self._card) + encode(Tag.PAN_SEQUENCE, b"\x01")
        return encode(Tag.FILE_LOCATOR, file_locator(self._records, self._signed))

    def _sign(self, _values: bytes) -> tuple[bytes, StatusWord]:
        return b"", StatusWord.INSTRUCTION_NOT_SUPPORTED

    def _record(self, apdu: CommandApdu) -> tuple[bytes, StatusWord]:
        sfi, mode = divmod(apdu.p2, 1 << 3)
        if mode != 0b100:  # ISO/IEC 7816-4: P1 is a record number
            return b"", StatusWord.WRONG_PARAMETERS
        if self._selected == CONTACT_DIRECTORY:
            if (sfi, apdu.p1) == _DIRECTORY_RECORD:
                return encode(Tag.RECORD, _directory_entry()), StatusWord.OK
            return b"", StatusWord.RECORD_NOT_FOUND
        if not self._open:
            return b"", StatusWord.CONDITIONS_NOT_SATISFIED
        record = self._records.get((sfi, apdu.p1))
        return (b"", StatusWord.RECORD_NOT_FOUND) if record is None else (record, StatusWord.OK)


def _records(card: VirtualCard) -> dict[tuple[int, int], bytes]:
    """The application's records by (SFI, number). A contact card gives track 2, a contactless one PAN and expiry."""
    if card.chip is ChipKind.QPBOC:
        return {}
    if card.chip is ChipKind.CONTACT:
        return {
            (1, 1): encode(Tag.RECORD, track2(card), encode(Tag.HOLDER_NAME, b" /")),
            (2, 1): encode(Tag.RECORD, *number_and_expiry(card)),
        }
    return {
        (2, 1): encode(Tag.RECORD, encode(Tag.HOLDER_NAME, b" /")),
        (2, 2): encode(Tag.RECORD, track2(card), *number_and_expiry(card)),
    }


def number_and_expiry(card: VirtualCard) -> tuple[bytes, ...]:
    """Tags 5F24 (unless the card has no expiry), 5A and 5F34."""
    number = encode(Tag.PAN, _packed(card.digits)), encode(Tag.PAN_SEQUENCE, b"\x01")
    if card.expiry_yymm == "0000":
        return number
    return encode(Tag.EXPIRY, bytes.fromhex(f"{card.expiry_yymm}28")), *number


def track2(card: VirtualCard) -> bytes:
    """Tag 57."""
    return encode(Tag.TRACK_2_EQUIVALENT, _packed(f"{card.digits}D{card.expiry_yymm}{card.service_code}00000"))


def _packed(digits: str) -> bytes:
    return bytes.fromhex(digits + "F" * (len(digits) % 2))


def file_locator(records: dict[tuple[int, int], bytes], signed: frozenset[tuple[int, int]]) -> bytes:
    """The value of tag 94: which records there are, and how many of each file are signed."""
    files: dict[int, list[int]] = {}
    for sfi, number in records:
        files.setdefault(sfi, []).append(number)
    return b"".join(
        bytes([sfi << 3, min(numbers), max(numbers), sum((sfi, number) in signed for number in numbers)])
        for sfi, numbers in files.items()
    )


def _directory_entry() -> bytes:
    return encode(
        Tag.DIRECTORY_ENTRY,
        encode(Tag.APPLICATION_IDENTIFIER, UNIONPAY_DEBIT),
        encode(Tag.APPLICATION_LABEL, _LABEL),
        encode(Tag.APPLICATION_PRIORITY, b"\x01"),
    )


def _tag_octets(tag: int) -> bytes:
    return tag.to_bytes((tag.bit_length() + 7) // 8)


def _status(status: int) -> bytes:
    return status.to_bytes(2)

"""What may be written of a card's octets and a reader's bytes: the structure, and never a number, a name or a secret.

A chip's answer keeps its tags, lengths and status word, so that one sees how the card is built. A value is shown when
its tag is on a short list of harmless ones; of a card number the last four digits stay, or whatever the caller puts in
its place; track 2 keeps expiry and service code; every other value (names, discretionary data, certificates from which
the number could be recovered, tags unknown to us) is written over. Nothing changes its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from drivers.card import PAN_DIGITS_MIN, MalformedCard
from drivers.pboc import tlv
from drivers.pboc.apdu import CommandApdu, Instruction
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import LENGTH_OCTETS_MAX, TAG_OCTETS_MAX, TLV_DEPTH_MAX, read_tag

FILL = b"X"  # over a value that says anything; one of zeros says nothing and stays

# What a number is replaced by: digits in, as many digits out.
NumberMask = Callable[[str], str]

# Values about the scheme, the application and its files, none about the holder (EMV Book 3 annex A).
_HARMLESS = frozenset(
    {
        Tag.DEDICATED_FILE_NAME,
        Tag.APPLICATION_IDENTIFIER,
        Tag.APPLICATION_LABEL,
        Tag.APPLICATION_PRIORITY,
        Tag.DIRECTORY_SFI,
        Tag.PROCESSING_OPTIONS_LIST,
        Tag.INTERCHANGE_PROFILE,
        Tag.FILE_LOCATOR,
        Tag.OPTIONS_FORMAT_1,
        Tag.EXPIRY,
        Tag.PAN_SEQUENCE,
        Tag.TOKEN_REQUESTOR,
        Tag.LAST_FOUR,
        Tag.SCHEME_KEY_INDEX,
        Tag.ISSUER_EXPONENT,
        Tag.CARD_EXPONENT,
        Tag.STATIC_TAG_LIST,
        Tag.DYNAMIC_LIST,
        Tag.CARD_AUTHENTICATION_DATA,
        Tag.TRANSACTION_COUNTER,
        0x5F25,  # effective date
        0x5F28,  # issuer country
        0x5F2D,  # language preference
        0x5F30,  # service code
        0x8C,  # CDOL 1
        0x8D,  # CDOL 2
        0x8E,  # list of verification methods
        0x9F07,  # usage control
        0x9F08,  # version
        0x9F0D,  # issuer action codes
        0x9F0E,
        0x9F0F,
        0x9F11,  # code table
        0x9F12,  # preferred name
        0x9F2A,  # kernel
        0x9F42,  # currency
        0x9F4D,  # where the log is
        0x9F6C,  # card's transaction qualifiers
    }
)
_IDENTIFIERS = frozenset({Tag.DEDICATED_FILE_NAME, Tag.APPLICATION_IDENTIFIER})
_TEXTS = frozenset({Tag.APPLICATION_LABEL, 0x9F12, 0x5F2D})
_LOCATORS = {Tag.FILE_LOCATOR: 0, Tag.OPTIONS_FORMAT_1: 2}  # octets before the first entry
_TRACK_2 = frozenset({Tag.TRACK_2_EQUIVALENT, Tag.TRACK_2_DATA})
_ANSWERS = frozenset({Tag.FILE_CONTROL_INFORMATION, Tag.RECORD, Tag.OPTIONS_FORMAT_1, Tag.OPTIONS_FORMAT_2})
_TOLD_IN_FULL = frozenset({Instruction.GET_PROCESSING_OPTIONS, Instruction.INTERNAL_AUTHENTICATE})  # our own data

_DIGITS_MAX = 10  # in a row, in a value that is told: more may be most of a card number, cut by a wrong length
_LIKE_A_NUMBER = re.compile(rf"[1-9]\d{{{_DIGITS_MAX},}}")
_CONSTRUCTED = 0x20  # in a tag's first octet
_REGISTERED = 0xA  # ISO/IEC 7816-5: A international, D national; the first half octet of a registered identifier
_EXPIRY_AND_SERVICE = 7  # digits behind track 2's separator that are not the issuer's own
_LAST = 4
_LINE_MARKS = b";=?%^+\x02\x03\r\n"  # sentinels, separators and frame ends


def last_four(digits: str) -> str:
    """Zeros, and the last four digits of what is long enough to be a card number."""
    if len(digits) < PAN_DIGITS_MIN:
        return "0" * len(digits)
    return "0" * (len(digits) - _LAST) + digits[-_LAST:]


def mask_answer(octets: bytes, number: NumberMask = last_four) -> bytes | None:
    """A whole answer with its status word, masked; None when it is not one a reading asks for: tell its length only.

    A part of a longer answer may begin anywhere, in a card number too, so it is not told.
    """
    data = octets[:-2]
    if not data:
        return octets
    try:
        nodes = tlv.parse(data)
    except MalformedCard:
        return None
    if len(nodes) != 1 or nodes[0].tag not in _ANSWERS:
        return None
    return mask_data(data, number) + octets[-2:]


def mask_data(data: bytes, number: NumberMask = last_four, depth: int = 1) -> bytes:
    """Data objects, masked. Where they break the standard, the broken object's head stays and the rest is masked."""
    told = bytearray()
    index = 0
    while index < len(data):
        if not data[index]:  # padding
            told.append(0)
            index += 1
            continue
        tag, start, end = _head(data, index)
        told += data[index:start]
        if end is None:
            return bytes(told + _filled(data[start:]))
        if data[index] & _CONSTRUCTED and depth < TLV_DEPTH_MAX:
            told += mask_data(data[start:end], number, depth + 1)
        else:
            told += _mask_value(tag, data[start:end], number)
        index = end
    return bytes(told)


def mask_command(octets: bytes) -> bytes | None:
    """A command, masked; None when it is none that a reading sends: tell its length only."""
    try:
        command = CommandApdu.parse(octets)
    except ValueError:
        return None
    if not command.data or command.ins in _TOLD_IN_FULL:
        return octets
    if command.ins == Instruction.SELECT and _looks_harmless(Tag.APPLICATION_IDENTIFIER, command.data):
        return octets
    return octets[:5] + FILL * len(command.data) + octets[5 + len(command.data) :]


def mask_line(data: bytes) -> str:
    """Bytes of a serial line, for people: marks and line ends are told, every other byte is a `*`."""
    return "".join(_line_mark(octet) if octet in _LINE_MARKS else "*" for octet in data)


def _line_mark(octet: int) -> str:
    return chr(octet) if octet >= 0x20 else f"<{octet:02X}>"


def _head(data: bytes, index: int) -> tuple[int, int, int | None]:
    """Tag, and where the value of the object at `index` begins and ends; None when the parser would not take it."""
    try:
        tag, start = read_tag(data, index)
    except MalformedCard:
        return 0, min(index + TAG_OCTETS_MAX, len(data)), None
    if start == len(data):
        return tag, start, None
    first = data[start]
    begin = start + 1
    if first & 0x80:
        begin += first & 0x7F
        if first == 0x80 or begin - start > LENGTH_OCTETS_MAX:
            return tag, start + 1, None
        if begin > len(data):
            return tag, len(data), None
        first = int.from_bytes(data[start + 1 : begin])
    return tag, begin, begin + first if begin + first <= len(data) else None


def _mask_value(tag: int, value: bytes, number: NumberMask) -> bytes:
    if tag in _TRACK_2:
        return bytes.fromhex(_mask_track_2(value.hex().upper(), number))
    if tag == Tag.PAN:
        packed = value.hex().upper()
        digits = packed.rstrip("F")
        told = number(digits) if digits.isdecimal() else _no_digits(digits)
        return bytes.fromhex(told + packed[len(digits) :])
    return value if tag in _HARMLESS and _looks_harmless(tag, value) else _filled(value)


def _mask_track_2(packed: str, number: NumberMask) -> str:
    pan, separator, rest = packed.partition("D")
    told = number(pan) if separator and pan.isdecimal() else _no_digits(pan)
    kept = rest[:_EXPIRY_AND_SERVICE]
    if len(kept) < _EXPIRY_AND_SERVICE or not kept.isdecimal():
        kept = _no_digits(kept)
    return told + separator + kept + _no_digits(rest[_EXPIRY_AND_SERVICE:])


def _no_digits(packed: str) -> str:
    """Half octets with every digit 0; what is no digit stays, as it may be what is wrong with the card."""
    return re.sub(r"\d", "0", packed)


def _looks_harmless(tag: int, value: bytes) -> bool:
    """Whether a value of a harmless tag is what it should be: a card could put its number anywhere."""
    if tag in _LOCATORS:
        return _is_locator(value[_LOCATORS[Tag(tag)] :])
    if tag in _IDENTIFIERS and value and value[0] >> 4 >= _REGISTERED:
        return True  # 31 digits in a row are usual here
    text = value.decode("latin-1")
    if tag in _TEXTS and text.isascii() and text.isprintable():
        return not _LIKE_A_NUMBER.search(text)  # letters, seen as half octets, are mostly digits
    return not (_LIKE_A_NUMBER.search(value.hex()) or _LIKE_A_NUMBER.search(text))


def _is_locator(value: bytes) -> bool:
    """Whether this is built as a list of files is (EMV Book 3 section 10.2)."""
    entries = [value[index : index + 4] for index in range(0, len(value), 4)]
    return all(len(entry) == 4 and not entry[0] & 0b111 and entry[1] <= entry[2] for entry in entries)


def _filled(value: bytes) -> bytes:
    return FILL * len(value) if any(value) else value

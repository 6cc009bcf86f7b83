"""Masking, for whatever is written down: it keeps every length and tag, and no value tells a card number.

The number that must not show is put in by the fuzzer itself: the octet AA in the input stands for it packed two digits
an octet, BB for its digits as text, CC for it shifted by half an octet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

from drivers.card import CardError
from drivers.chip_reading import ChipReading
from drivers.masking import mask_answer, mask_command, mask_data, mask_line
from drivers.pboc import tlv
from drivers.pboc.tags import Tag
from drivers.recording import Conversation, Reading, masked_transcript
from drivers.transcript import parse_transcript, write_transcript
from drivers.virtual.card import VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import chip_of
from tests.fuzz.chip import CHIPS, ScriptedCard, conversation, fixed_terms, script_of
from tests.fuzz.target import Target

AT = datetime(2026, 1, 2, tzinfo=UTC)
NUMBER = "6212345678901265"  # a test number without a zero: zeros may stand for masked digits
HIDDEN = NUMBER[:-4]
PACKED = bytes.fromhex(NUMBER + "F" * (len(NUMBER) % 2))
SHIFTED = bytes.fromhex("0" + NUMBER + "F" * ((len(NUMBER) + 1) % 2))
MARKS = {b"\xaa": PACKED, b"\xbb": NUMBER.encode("ascii"), b"\xcc": SHIFTED}
_IDENTIFIERS = (
    Tag.DEDICATED_FILE_NAME,
    Tag.APPLICATION_IDENTIFIER,
)  # A0 and up: long runs of digits are usual there, and shown


def read_answer(data: bytes) -> None:
    """An answer with its status word, and the same octets as a command, as data objects and as a serial line."""
    octets = _with_numbers(data)
    assert len(mask_data(octets)) == len(octets)
    assert HIDDEN not in mask_line(octets)
    command, answer = mask_command(octets), mask_answer(octets)
    assert command is None or len(command) == len(octets)
    if answer is not None and octets[:-2]:
        _judge(octets, answer)


def _judge(octets: bytes, answer: bytes) -> None:
    """A whole answer is told with its structure and without the number."""
    assert answer[-2:] == octets[-2:]
    before, after = (list(tlv.walk(tlv.parse(each[:-2]))) for each in (octets, answer))
    assert [(node.tag, len(node.value)) for node in before] == [(node.tag, len(node.value)) for node in after]
    for node in after:
        if not node.children and not (node.tag in _IDENTIFIERS and node.value[:1] >= b"\xa0"):
            assert HIDDEN not in node.value.hex()
            assert HIDDEN not in node.value.decode("latin-1")


def _with_numbers(data: bytes) -> bytes:
    return b"".join(MARKS.get(data[at : at + 1], data[at : at + 1]) for at in range(len(data)))


def seeds() -> Sequence[bytes]:
    """What every chip of the demonstration says, with the mark in place of its number."""
    return sorted({octets for card in CHIPS for octets in _said(card)})


def _said(card: VirtualCard) -> Sequence[bytes]:
    packed = bytes.fromhex(card.digits + "F" * (len(card.digits) % 2))
    return [octets.replace(packed, b"\xaa") for said in conversation(chip_of(card)) for octets in said]


def read_and_record(data: bytes) -> None:
    """A reading of a scripted card, recorded for support: a transcript that reads back, without the number."""
    card = ScriptedCard(data[:1] + _with_numbers(data[1:]))
    conversation = Conversation(card.transmit)
    reading = ChipReading(conversation, card.protocol, contactless=card.contactless, reader="fuzz", terms=fixed_terms())
    with contextlib.suppress(CardError):
        reading.read()
    said = Reading("fuzz", card.contactless, card.protocol, "read", conversation.pairs)
    transcript = masked_transcript(said, AT)
    if transcript is None:
        return
    text = write_transcript(transcript)
    for _, answer in parse_transcript(text).pairs:
        if any(bytes([tag]) in answer for tag in _IDENTIFIERS):
            continue  # the target `masking` judges these, value by value
        assert NUMBER not in answer.hex()
        assert NUMBER not in answer.decode("latin-1")


def recording_seeds() -> Sequence[bytes]:
    """Scripts of every chip of the demonstration, with the mark in place of its number."""
    return sorted({_marked_script(card) for card in CHIPS})


def _marked_script(card: VirtualCard) -> bytes:
    """Of the chip without its certificates, whose octets may be marks; lengths are those with the number in place."""
    packed = bytes.fromhex(card.digits + "F" * (len(card.digits) % 2))
    chip = VirtualChip(card)
    answers = [answer.replace(packed, b"\xaa") for _, answer in conversation(chip)]
    return script_of(chip)[:1] + b"".join(bytes([len(_with_numbers(each))]) + each for each in answers)


TARGETS = (
    Target("recording", read_and_record, (), recording_seeds, calls=50_000, calls_per_octet=400, octets_max=2048),
    Target("masking", read_answer, (), seeds, calls=2000, calls_per_octet=60, card_data=False),
)

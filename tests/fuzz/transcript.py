"""The text of a recorded conversation with a chip: what is accepted can be written and is read back the same."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from drivers.transcript import PAIRS_MAX, Transcript, TranscriptDamaged, parse_transcript, write_transcript
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import chip_of
from tests.fuzz.chip import CHIPS, conversation
from tests.fuzz.target import Target


def read_transcript(data: bytes) -> None:
    """A transcript as a file holds it."""
    transcript = parse_transcript(data.decode("utf-8", errors="replace"))
    assert len(transcript.pairs) <= PAIRS_MAX
    assert parse_transcript(write_transcript(transcript)) == transcript


def seeds() -> Sequence[bytes]:
    """What every chip of the demonstration says to a read."""
    texts = [_text(chip_of(card)) for card in CHIPS]
    return [text.encode() for text in (*texts, "# words\na: b\n\n>00A4\n 0000\n<\n")]


def _text(chip: VirtualChip) -> str:
    header = MappingProxyType({"card": "demonstration", "protocol": str(chip.protocol)})
    return write_transcript(Transcript(header, chip.atr, tuple(conversation(chip))))


TARGETS = (Target("transcript", read_transcript, (TranscriptDamaged,), seeds, calls=2000),)

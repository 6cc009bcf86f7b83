"""Transcripts: what is written reads back the same, and a damaged one says where."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.pboc.apdu import COMMAND_DATA_MAX, RESPONSE_OCTETS_MAX
from drivers.trace import STEPS_MAX
from drivers.transcript import (
    ANSWER_OCTETS_MAX,
    COMMAND_OCTETS_MAX,
    HEADER_LINES_MAX,
    HEADER_VALUE_MAX,
    PAIRS_MAX,
    TRANSCRIPT_CHARACTERS_MAX,
    Transcript,
    TranscriptDamaged,
    parse_transcript,
    write_transcript,
)

TEXT = """\
# two lines of a card that left
card: test card,
  contact
source: https://example.org/a?b=c#d

atr: 3B 00

> 00A40400 05 A000000333 00
< 6F05
    84 03 A00000 9000

  # the card was pulled here
> 00B2010C00
<
"""

_WORDS = st.text(st.sampled_from("aZ0.:/#?=<>卡，é"), min_size=1, max_size=10)
TRANSCRIPTS = st.builds(
    Transcript,
    st.dictionaries(st.sampled_from(["card", "source", "expect", "note-2"]), _WORDS),
    st.none() | st.binary(min_size=2, max_size=33),
    st.lists(
        st.tuples(st.binary(min_size=4, max_size=261), st.just(b"") | st.binary(min_size=2, max_size=258)), max_size=5
    ).map(tuple),
)


def test_a_transcript_is_read_with_comments_blanks_and_indented_lines() -> None:
    read = parse_transcript(TEXT)
    assert dict(read.header) == {"card": "test card, contact", "source": "https://example.org/a?b=c#d"}
    assert read.atr == bytes.fromhex("3B00")
    assert read.pairs == (
        (bytes.fromhex("00A4040005A00000033300"), bytes.fromhex("6F058403A000009000")),
        (bytes.fromhex("00B2010C00"), b""),
    )


def test_octets_never_show() -> None:
    assert "A0" not in repr(parse_transcript(TEXT))


@given(TRANSCRIPTS)
def test_what_is_written_reads_back_the_same(transcript: Transcript) -> None:
    text = write_transcript(transcript)
    assert parse_transcript(text) == transcript
    assert max(map(len, text.splitlines()), default=0) <= 120


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("> 00A40400", "line 1: a command without its answer"),
        ("< 9000", "line 1: an answer without its command"),
        ("> 00A40400\n> 00A40400", "line 2: two commands without an answer between them"),
        ("> 00A40400\n< 9000\ncard: late", "line 3: header behind the first command"),
        ("> 00A404", "line 1: 3 octets; 4 to 261 can stand here"),
        ("> 00A40400\n< 90", "line 2: 1 octets; 2 to 258 can stand here"),
        ("> 00A4040G", "line 1: not hex"),
        ("> 00A40400\n< 900", "line 2: not hex"),
        ("atr: 3B", "line 1: 1 octets; 2 to 33 can stand here"),
        ("card: a\ncard: b", "line 2: card stands there twice"),
        ("Card: a", "line 1: neither `name: value` nor `>` or `<` with octets"),
        ("noise", "line 1: neither `name: value` nor `>` or `<` with octets"),
        ("\n  9000", "line 2: goes on with nothing"),
    ],
)
def test_a_damaged_transcript_says_what_and_where(text: str, reason: str) -> None:
    with pytest.raises(TranscriptDamaged) as caught:
        parse_transcript(text, "bug.txt")
    assert (caught.value.subject, caught.value.details["reason"]) == ("bug.txt", reason)


_COMMAND, _PAIR = "> 00A40400\n", "> 00A40400\n< 9000\n"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (_PAIR * PAIRS_MAX, _PAIR * (PAIRS_MAX + 1)),
        (f"> {'00' * COMMAND_OCTETS_MAX}\n< 9000", f"> {'00' * (COMMAND_OCTETS_MAX + 1)}\n< 9000"),
        (f"{_COMMAND}< {'00' * ANSWER_OCTETS_MAX}", f"{_COMMAND}< {'00' * (ANSWER_OCTETS_MAX + 1)}"),
        (f"card: {'x' * HEADER_VALUE_MAX}", f"card: {'x' * (HEADER_VALUE_MAX + 1)}"),
        (
            "".join(f"n{n}: x\n" for n in range(HEADER_LINES_MAX)),
            "".join(f"n{n}: x\n" for n in range(HEADER_LINES_MAX + 1)),
        ),
        ("#" * TRANSCRIPT_CHARACTERS_MAX, "#" * (TRANSCRIPT_CHARACTERS_MAX + 1)),
    ],
    ids=["pairs", "command", "answer", "value", "header", "characters"],
)
def test_a_transcript_is_bounded(good: str, bad: str) -> None:
    parse_transcript(good)
    with pytest.raises(TranscriptDamaged):
        parse_transcript(bad)


def test_the_bounds_hold_whatever_a_reading_can_bring() -> None:
    assert COMMAND_OCTETS_MAX == 4 + 1 + COMMAND_DATA_MAX + 1
    assert (ANSWER_OCTETS_MAX, PAIRS_MAX) == (RESPONSE_OCTETS_MAX, STEPS_MAX)
    longest = Transcript({}, None, ((bytes(COMMAND_OCTETS_MAX), bytes(ANSWER_OCTETS_MAX)),) * PAIRS_MAX)
    assert parse_transcript(write_transcript(longest)) == longest


@given(st.text(st.sampled_from("><#: \n0123456789ABCDEFabcxyz-"), max_size=200))
def test_any_text_is_a_transcript_or_damaged(text: str) -> None:
    with contextlib.suppress(TranscriptDamaged):
        parse_transcript(text)

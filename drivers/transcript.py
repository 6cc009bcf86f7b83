"""A conversation with a chip as text: for a bug report, for a test, and to play it again (`drivers.virtual.replay`).

    # What lies on the reader, and where the record comes from.
    card: UnionPay debit, contactless
    protocol: T=1
    atr: 3B 88 80 01 50 42 4F 43 43 41 52 44 5B

    > 00A40400 0E 325041592E5359532E4444463031 00
    < 6F 2E 84 0E 325041592E5359532E4444463031
      A5 1C BF0C 19 61 17 4F 08 A000000333010101 50 0A 50424F43204445424954 9000

First the header, `name: value` a line; then `>` a command and `<` its answer with the status word, in turns. Octets are
hex with blanks wherever they help; an indented line goes on with the line above; `#` begins a line of comment. A `<`
with nothing behind it: the card gave no answer, it had left.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from config.errors import JingkaError, Retry, Words

TRANSCRIPT_CHARACTERS_MAX = 256 * 1024  # the longest one within the bounds below, with blanks and comments
HEADER_LINES_MAX = 32  # names in the header; ours use half a dozen
HEADER_VALUE_MAX = 512  # characters: an address or a sentence
PAIRS_MAX = 128  # as many steps as a trace keeps (`drivers.trace.STEPS_MAX`)
COMMAND_OCTETS_MIN, COMMAND_OCTETS_MAX = 4, 261  # ISO/IEC 7816-3: header alone; header, Lc, 255 data octets, Le
ANSWER_OCTETS_MIN, ANSWER_OCTETS_MAX = 2, 258  # the status word alone; 256 data octets and the status word
ATR_OCTETS_MAX = 33  # ISO/IEC 7816-3 section 8: TS and at most 32 more

ATR = "atr"  # the header's one name with a meaning of its own
_COLUMNS = 116
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class TranscriptDamaged(JingkaError):
    """A text that is no transcript, or one beyond the bounds."""

    code = "transcript-damaged"
    retry = Retry.PARK
    what = Words("读卡记录 {subject} 有误（{reason}）", "transcript {subject} is damaged ({reason})")
    hint = Words("请重新录制一份读卡记录", "record the transcript again")


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was sent and answered. `header`: names without `atr`; `atr`: the answer to reset, None when not recorded.

    `pairs`: (command, answer with status word); an empty answer means that none came. They may hold a card number
    unless whoever wrote them masked it, so they never show.
    """

    header: Mapping[str, str]
    atr: bytes | None
    pairs: tuple[tuple[bytes, bytes], ...] = field(repr=False)


def parse_transcript(text: str, name: str = "transcript") -> Transcript:
    """The transcript in `text`; `name` tells it apart in an error. Raises `TranscriptDamaged` with the line."""
    if len(text) > TRANSCRIPT_CHARACTERS_MAX:
        raise _damaged(name, f"more than {TRANSCRIPT_CHARACTERS_MAX} characters")
    parser = _Parser(name)
    for number, line in _joined(text, name):
        parser.take(number, line)
    return parser.transcript()


def write_transcript(transcript: Transcript) -> str:
    """The text that `parse_transcript` reads back to the same."""
    lines = [f"{name}: {value}".rstrip() for name, value in transcript.header.items()]
    if transcript.atr is not None:
        lines.append(f"{ATR}: {_hex(transcript.atr)}")
    for command, answer in transcript.pairs:
        lines += ["", *_octet_lines(">", command), *_octet_lines("<", answer)]
    text = "\n".join(lines) + "\n"
    assert parse_transcript(text) == transcript, "a header that cannot stand on one line, or octets beyond the bounds"
    return text


class _Parser:
    """Takes whole lines in order: header, then commands and answers in turns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._header: dict[str, str] = {}
        self._pairs: list[tuple[bytes, bytes]] = []
        self._command: bytes | None = None
        self._last = 0

    def take(self, number: int, line: str) -> None:
        self._last = number
        mark, rest = line[0], line[1:]
        if mark == ">":
            self._take_command(rest)
        elif mark == "<":
            self._take_answer(rest)
        else:
            self._take_header(line)

    def transcript(self) -> Transcript:
        if self._command is not None:
            raise self._fault("a command without its answer")
        atr = self._header.pop(ATR, None)
        return Transcript(
            MappingProxyType(self._header),
            None if atr is None else self._octets(atr, 2, ATR_OCTETS_MAX),
            tuple(self._pairs),
        )

    def _take_header(self, line: str) -> None:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise self._fault("neither `name: value` nor `>` or `<` with octets")
        if self._pairs or self._command is not None:
            raise self._fault("header behind the first command")
        if name in self._header:
            told = "a name" if re.search(r"\d", name) else name  # a slip of the pen may be a card's number
            raise self._fault(f"{told} stands there twice")
        if len(self._header) >= HEADER_LINES_MAX or len(value) > HEADER_VALUE_MAX:
            raise self._fault("header too long")
        self._header[name] = value

    def _take_command(self, text: str) -> None:
        if self._command is not None:
            raise self._fault("two commands without an answer between them")
        if len(self._pairs) >= PAIRS_MAX:
            raise self._fault(f"more than {PAIRS_MAX} commands")
        self._command = self._octets(text, COMMAND_OCTETS_MIN, COMMAND_OCTETS_MAX)

    def _take_answer(self, text: str) -> None:
        if self._command is None:
            raise self._fault("an answer without its command")
        answer = self._octets(text, ANSWER_OCTETS_MIN, ANSWER_OCTETS_MAX) if text.strip() else b""
        self._pairs.append((self._command, answer))
        self._command = None

    def _octets(self, text: str, least: int, most: int) -> bytes:
        try:
            octets = bytes.fromhex(text)
        except ValueError:
            raise self._fault("not hex") from None
        if not least <= len(octets) <= most:
            raise self._fault(f"{len(octets)} octets; {least} to {most} can stand here")
        return octets

    def _fault(self, reason: str) -> TranscriptDamaged:
        return _damaged(self._name, f"line {self._last}: {reason}")


def _joined(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Lines with what is indented below them, numbered by their first; no comments, no empty ones."""
    held: tuple[int, str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not line[0].isspace():
            if held is not None:
                yield held
            held = (number, stripped)
        elif held is None:
            raise _damaged(name, f"line {number}: goes on with nothing")
        else:
            held = (held[0], f"{held[1]} {stripped}")
    if held is not None:
        yield held


def _octet_lines(mark: str, octets: bytes) -> list[str]:
    if not octets:
        return [mark]
    return textwrap.wrap(_hex(octets), _COLUMNS, initial_indent=f"{mark} ", subsequent_indent="  ")


def _hex(octets: bytes) -> str:
    return octets.hex(" ").upper()


def _damaged(name: str, reason: str) -> TranscriptDamaged:
    return TranscriptDamaged("read transcript", name, reason=reason)

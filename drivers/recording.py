"""Chip readings kept as masked transcripts, for a bug report: what a card did at a till can be played again on a desk.

The card's number is replaced by a test number of the same length with the same last four digits, its name and the
issuer's own data are written over (`drivers.masking`). Such a transcript reads to the same outcome, step by step, but
for what is signed: no signature holds over data that were written over, so a genuine card does not prove itself again.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drivers.card import PAN_DIGITS_MIN, luhn_valid
from drivers.masking import FILL, mask_command, mask_data
from drivers.pboc.apdu import SW1_MORE_DATA, SW1_WRONG_LE
from drivers.pboc.exchange import Transmit
from drivers.transcript import ANSWER_OCTETS_MAX, ANSWER_OCTETS_MIN, PAIRS_MAX, Transcript, write_transcript

RECORDED_READS_MAX = 200  # files kept: a day of a small counter, some 2 MB; the oldest go
LAST = 4  # digits that anybody may see
NUMBERS_MAX = 16  # different ones on one card: a real card has one, a faulty one two
READER_NAME_MAX = 100  # characters of it in a header
MASKED = "numbers are test numbers with the card's last four digits; what is signed is written over"

_GOES_ON = (bytes([SW1_MORE_DATA]), bytes([SW1_WRONG_LE]))

logger = logging.getLogger(__name__)

Pairs = tuple[tuple[bytes, bytes], ...]


class Conversation:
    """A `Transmit` around another that keeps what passes; the card's own octets, so only as long as it is read."""

    def __init__(self, below: Transmit) -> None:
        self._below = below
        self._pairs: list[tuple[bytes, bytes]] = []

    @property
    def pairs(self) -> Pairs:
        """Commands and their answers so far; an empty answer: none came."""
        return tuple(self._pairs)

    def __call__(self, command: bytes, /) -> bytes:
        answer = b""
        try:
            answer = self._below(command)
            return answer
        finally:
            if len(self._pairs) < PAIRS_MAX:
                self._pairs.append((command, answer))


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading as it was, with the card's own octets.

    `outcome`: `read` or an error's code. `authenticity`: the verdict on the chip, which a masked transcript cannot give
    again.
    """

    reader: str
    contactless: bool
    protocol: str
    outcome: str
    pairs: Pairs = field(repr=False)
    authenticity: str = ""


class TestNumbers:
    """Gives each card number a test number: as long, with the same last four digits, and as right or wrong as it was.

    The same number always gets the same one, and two that differ never do, so that what agreed agrees still. Past
    `NUMBERS_MAX` there are no more: `exhausted`.
    """

    __test__ = False  # not a test, though pytest might think so

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self.exhausted = False

    @property
    def replaced(self) -> tuple[str, ...]:
        """The card's own numbers."""
        return tuple(self._given)

    def __call__(self, digits: str) -> str:
        if len(digits) < PAN_DIGITS_MIN:
            return "0" * len(digits)
        if digits not in self._given:
            if len(self._given) >= NUMBERS_MAX:
                self.exhausted = True
                return "0" * len(digits)
            taken = {*self._given, *self._given.values()}
            self._given[digits] = next(each for each in _like(digits) if each not in taken)
        return self._given[digits]


def _like(digits: str) -> Iterator[str]:
    """Test numbers for `digits`, which each differ from it."""
    right, filler = luhn_valid(digits), len(digits) - len("62") - 1 - LAST
    for count in range(10**filler):
        for check in "0123456789":
            candidate = f"62{count:0{filler}d}{check}{digits[-LAST:]}"
            if luhn_valid(candidate) == right and candidate != digits:
                yield candidate


def masked_transcript(reading: Reading, at: datetime) -> Transcript | None:
    """The reading as it may leave this machine; None when a number would still stand in it, or it fits no transcript.

    A card that puts its number where no card does, or has too many of them, is not recorded rather than told.
    """
    numbers = TestNumbers()
    pairs = tuple(
        (mask_command(command) or command[:4], answer)
        for (command, _), answer in zip(reading.pairs, _masked_answers(reading.pairs, numbers), strict=True)
    )
    if any(answer and not ANSWER_OCTETS_MIN <= len(answer) <= ANSWER_OCTETS_MAX for _, answer in pairs):
        return None
    if numbers.exhausted or any(
        _holds(octets, number) for pair in pairs for octets in pair for number in numbers.replaced
    ):
        return None
    return Transcript(
        {
            "recorded": at.astimezone(UTC).isoformat(timespec="seconds"),
            "reader": " ".join(reading.reader.split())[:READER_NAME_MAX].strip(),
            "interface": "contactless" if reading.contactless else "contact",
            "protocol": reading.protocol,
            "outcome": reading.outcome,
            "authenticity": reading.authenticity,
            "masked": MASKED,
        },
        None,
        pairs,
    )


def _masked_answers(pairs: Pairs, numbers: TestNumbers) -> list[bytes]:
    """An answer that came in parts (61xx, GET RESPONSE) is masked whole and cut again where it was cut.

    What stands before a 6Cxx is none of it (ISO/IEC 7816-3), and is written over.
    """
    masked: list[bytes] = []
    parts: list[bytes] = []
    for _, answer in pairs:
        parts.append(answer)
        if answer[-2:-1] not in _GOES_ON:
            masked += _masked_parts(parts, numbers)
            parts = []
    return masked + _masked_parts(parts, numbers)


def _masked_parts(answers: Sequence[bytes], numbers: TestNumbers) -> list[bytes]:
    whole = mask_data(b"".join(answer[:-2] for answer in answers if not _wrong_length(answer)), numbers)
    masked: list[bytes] = []
    start = 0
    for answer in answers:
        length = len(answer[:-2])
        if _wrong_length(answer):
            masked.append(FILL * length + answer[-2:])
            continue
        masked.append(whole[start : start + length] + answer[-2:])
        start += length
    return masked


def _wrong_length(answer: bytes) -> bool:
    return answer[-2:-1] == bytes([SW1_WRONG_LE])


def _holds(octets: bytes, number: str) -> bool:
    return number in octets.hex() or number.encode() in octets


class ReadRecorder:
    """Writes readings into `directory`, one file each, the last `RECORDED_READS_MAX` of them. Never raises.

    A disk that does not take them is told once, and again when it fails after having worked.
    """

    def __init__(self, directory: Path, wall: Callable[[], datetime]) -> None:
        self._directory = directory
        self._wall = wall
        self._lock = threading.Lock()  # readers' threads take turns
        self._numbers = itertools.count(1)  # apart even when the clock stands still
        self._failing = False

    def keep(self, reading: Reading) -> None:
        """Write one reading, masked."""
        at = self._wall().astimezone(UTC)
        transcript = masked_transcript(reading, at)
        if transcript is None:
            logger.warning("a reading on %s is not recorded: it cannot be masked", reading.reader)
            return
        with self._lock:
            name = f"read-{at:%Y%m%dT%H%M%S}-{next(self._numbers):06d}-{reading.outcome}.txt"
            try:
                self._write(name, write_transcript(transcript))
            except OSError as fault:
                if not self._failing:
                    logger.warning("readings are not recorded in %s: %s", self._directory, fault.strerror)
                self._failing = True
            else:
                self._failing = False

    def _write(self, name: str, text: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = sorted(self._directory.glob("read-*.txt"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for oldest in files[: max(0, len(files) + 1 - RECORDED_READS_MAX)]:
            oldest.unlink(missing_ok=True)
        with open(self._directory / name, "x", encoding="utf-8", opener=_private) as file:
            file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

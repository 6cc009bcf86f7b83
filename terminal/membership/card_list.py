"""The list of cards that headquarters hands over: CSV lines in, roster lines (tokens only) out.

Header `pan,standing,class,issued,person`; UTF-8, with or without a byte-order mark; `issued` is YYYY-MM-DD or empty,
`person` the member's id or empty. One line is one card: a line that is wrong is set aside with its number and reason,
never with its text, and never takes the next line with it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from config.errors import Words
from drivers.card import MalformedCard, Pan
from terminal.membership.roll import CLASS_CODES, ISSUE_DAY_UNKNOWN, ISSUE_EPOCH, STANDING_CODES
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import MembershipError, ProgrammeKey, card_token, person_token

COLUMNS = ("pan", "standing", "class", "issued", "person")
LINE_BYTES_MAX = 1_024  # a full line has some 70 bytes; more is not a line of this list
PERSON_CHARS_MAX = 64  # an identity card number has 18
PROGRESS_LINES = 16_384  # a few times a second

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ISSUE_DAYS_CACHED = 4_096  # eleven years of issue days: cards are issued in batches


class CardListError(MembershipError):
    """The list of cards as a whole cannot be used; nothing was built."""

    code = "card-list-error"
    what = Words("卡片清单无法读取（{reason}）", "the list of cards cannot be read ({reason})")
    hint = Words("请检查文件后重试", "check the file and try again")


class CardListInvalid(CardListError):
    """The first line is not the header: another file, another encoding, or columns missing."""

    code = "card-list-invalid"
    what = Words("卡片清单的表头不正确", "the list of cards does not begin with its header")
    hint = Words(
        "首行应为 {columns}，并存为 UTF-8 编码的 CSV", "the first line must be {columns}, saved as CSV in UTF-8"
    )


class RejectReason(StrEnum):
    """Why one line of the list was not taken (closed list)."""

    COLUMNS = "columns"
    TOO_LONG = "too-long"
    ENCODING = "encoding"
    CARD_NUMBER = "card-number"
    STANDING = "standing"
    MEMBER_CLASS = "class"
    ISSUED = "issued"
    PERSON = "person"


REJECT_WORDS: dict[RejectReason, Words] = {
    RejectReason.COLUMNS: Words("列数不对", f"not {len(COLUMNS)} columns"),
    RejectReason.TOO_LONG: Words("行过长", f"longer than {LINE_BYTES_MAX} bytes"),
    RejectReason.ENCODING: Words("不是 UTF-8 编码", "not UTF-8"),
    RejectReason.CARD_NUMBER: Words("卡号有误（位数或校验位）", "the card number is wrong (length or check digit)"),
    RejectReason.STANDING: Words("卡片状态不认识", "unknown standing"),
    RejectReason.MEMBER_CLASS: Words("会员类别不认识", "unknown class"),
    RejectReason.ISSUED: Words("发卡日期有误（应为 YYYY-MM-DD）", "the issue day is wrong (YYYY-MM-DD is expected)"),
    RejectReason.PERSON: Words("人员编号过长", f"the person's id is longer than {PERSON_CHARS_MAX} characters"),
}


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One card for the roll: tokens, never numbers. `person` is a person token, None when not known."""

    token: str
    standing: Standing
    member_class: MemberClass
    issued: date | None
    person: str | None

    @classmethod
    def of(
        cls,
        pan: Pan,
        key: ProgrammeKey,
        *,
        standing: Standing = Standing.ACTIVE,
        member_class: MemberClass = MemberClass.ORDINARY,
        issued: date | None = None,
        person: str | None = None,
    ) -> RosterLine:
        """From a card and its holder's id, which become tokens here."""
        holder = person_token(person, key) if person else None
        return cls(card_token(pan, key), standing, member_class, issued, holder)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line (1 is the header) that was not taken."""

    line: int
    reason: RejectReason


class _Reject(Exception):
    """Not a fault: it carries a verdict out of the field parsers."""

    def __init__(self, reason: RejectReason) -> None:
        super().__init__(reason)
        self.reason = reason


def read_card_list(
    path: Path, key: ProgrammeKey, progress: Callable[[int, int], None]
) -> Iterator[RosterLine | Rejected]:
    """Each line of the list in its order; blank lines are passed over.

    `progress(done_bytes, total_bytes)` is called at the start and now and then. Raises `CardListError` when the file
    cannot be read, `CardListInvalid` when it does not begin with the header.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            progress(0, total)
            _check_header(file, str(path))
            yield from _lines(file, key, progress, total)
    except OSError as error:
        raise CardListError("read card list", str(path), reason=error.strerror) from error


def _check_header(file: BinaryIO, subject: str) -> None:
    """Pass over the header. The message never repeats the line: without a header it holds a card number."""
    first = file.readline(LINE_BYTES_MAX).removeprefix(_BYTE_ORDER_MARK)
    names = tuple(name.strip().strip(b'"').lower() for name in first.split(b","))
    if names != tuple(name.encode() for name in COLUMNS):
        raise CardListInvalid("read card list", subject, columns=",".join(COLUMNS))


def _lines(
    file: BinaryIO, key: ProgrammeKey, progress: Callable[[int, int], None], total_bytes: int
) -> Iterator[RosterLine | Rejected]:
    number = 1
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if number % PROGRESS_LINES == 0:
            progress(file.tell(), total_bytes)
        if _is_cut(line):
            while _is_cut(file.readline(LINE_BYTES_MAX)):
                pass  # piece by piece to the line's end: memory stays bounded
            yield Rejected(number, RejectReason.TOO_LONG)
        elif not line.isspace():
            try:
                taken = _roster_line(line, key)
            except _Reject as reject:
                yield Rejected(number, reject.reason)
            else:
                yield taken


def _is_cut(line: bytes) -> bool:
    """Whether `readline(LINE_BYTES_MAX)` stopped at its bound and not at the line's end."""
    return len(line) == LINE_BYTES_MAX and not line.endswith(b"\n")


def _roster_line(line: bytes, key: ProgrammeKey) -> RosterLine:
    """Parse one line; raises `_Reject`."""
    number, standing, member_class, issued, person = _fields(line)
    try:
        pan = Pan(number.strip())
    except MalformedCard:
        raise _Reject(RejectReason.CARD_NUMBER) from None
    person = person.strip()
    if len(person) > PERSON_CHARS_MAX:
        raise _Reject(RejectReason.PERSON)
    return RosterLine(
        token=card_token(pan, key),
        standing=_standing(standing.strip().lower()),
        member_class=_member_class(member_class.strip().lower()),
        issued=_issued(issued.strip()),
        person=person_token(person, key) if person else None,
    )


def _fields(line: bytes) -> list[str]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise _Reject(RejectReason.ENCODING) from None
    if '"' in text:
        try:
            fields = next(csv.reader((text,), strict=True))
        except csv.Error:
            raise _Reject(RejectReason.COLUMNS) from None
    else:
        fields = text.split(",")
    if len(fields) != len(COLUMNS):
        raise _Reject(RejectReason.COLUMNS)
    return fields


@lru_cache(maxsize=len(Standing))
def _standing(text: str) -> Standing:
    """A standing the roll can hold: `unknown` and `other-issuer` are found at the counter, not written on a roll."""
    for standing in STANDING_CODES:
        if standing.value == text:
            return standing
    raise _Reject(RejectReason.STANDING)


@lru_cache(maxsize=len(MemberClass))
def _member_class(text: str) -> MemberClass:
    for member_class in CLASS_CODES:
        if member_class.value == text:
            return member_class
    raise _Reject(RejectReason.MEMBER_CLASS)


@lru_cache(maxsize=_ISSUE_DAYS_CACHED)
def _issued(text: str) -> date | None:
    if not text:
        return None
    if len(text) != len("2009-08-13") or text[4] != "-" or text[7] != "-":  # fromisoformat takes other forms too
        raise _Reject(RejectReason.ISSUED)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _Reject(RejectReason.ISSUED) from None
    if not 0 <= (day - ISSUE_EPOCH).days < ISSUE_DAY_UNKNOWN:
        raise _Reject(RejectReason.ISSUED)
    return day

"""Lists that headquarters hands over as CSV: a header, then one line for each thing, each judged alone.

UTF-8, with or without a byte-order mark. A line that is wrong is set aside with its number and reason, never with its
text (it may hold a card number), and never takes the next line with it. Memory stays bounded whatever the file holds.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from config.errors import JingkaError, Words

LINE_BYTES_MAX = 1_024  # a full line has some 70 bytes; more is not a line of these lists
PROGRESS_LINES = 16_384  # a few times a second
UPLOAD_SUBJECT = "upload"  # what a list without a file is called
REJECTED_KEPT_MAX = 1_000  # nobody reads more; the rest are counted

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Line = TypeVar("Line")


class LineFault(StrEnum):
    """Why a line is none of any list (closed list)."""

    COLUMNS = "columns"
    TOO_LONG = "too-long"
    ENCODING = "encoding"


LINE_FAULT_WORDS: Mapping[StrEnum, Words] = {
    LineFault.COLUMNS: Words("列数与表头不符", "not as many columns as the header"),
    LineFault.TOO_LONG: Words("行过长", f"longer than {LINE_BYTES_MAX} bytes"),
    LineFault.ENCODING: Words("不是 UTF-8 编码", "not UTF-8"),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line (1 is the header) that was not taken, and why."""

    line: int
    reason: StrEnum


class Reject(Exception):
    """Not a fault: it carries a verdict out of the parsers of fields."""

    def __init__(self, reason: StrEnum) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ListForm:
    """One kind of list: its header, and the errors for a file that cannot be read (`reason`) or is another
    (`columns`)."""

    columns: tuple[str, ...]
    unreadable: type[JingkaError]
    headless: type[JingkaError]


def read_list(
    path: Path, form: ListForm, parse: Callable[[list[str]], Line], progress: Callable[[int, int], None]
) -> Iterator[Line | Rejected]:
    """Each line of the list in its order, through `parse` (as many fields as columns; raises `Reject`).

    Blank lines are passed over. `progress(done_bytes, total_bytes)` is called at the start and now and then. Raises
    `form.unreadable` when the file cannot be read, `form.headless` when it does not begin with the header.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            progress(0, total)
            check_header(file, form, str(path))
            yield from _lines(file, len(form.columns), parse, progress, total)
    except OSError as error:
        raise form.unreadable("read list", str(path), reason=error.strerror) from error


def read_upload(file: BinaryIO, form: ListForm, parse: Callable[[list[str]], Line]) -> Iterator[Line | Rejected]:
    """As `read_list`, of a list that lies in memory. Raises `form.headless` when it does not begin with the header."""
    check_header(file, form, UPLOAD_SUBJECT)
    yield from _lines(file, len(form.columns), parse, _unwatched, 0)


class Taken(Generic[Line]):
    """The good lines of a list, one after another; it keeps account of the others.

    `rejected` holds the first `REJECTED_KEPT_MAX` of `rejected_count`.
    """

    def __init__(self, lines: Iterable[Line | Rejected]) -> None:
        self._lines = lines
        self.count = 0
        self.rejected: list[Rejected] = []
        self.rejected_count = 0

    def __iter__(self) -> Iterator[Line]:
        for line in self._lines:
            if not isinstance(line, Rejected):
                self.count += 1
                yield line
                continue
            self.rejected_count += 1
            if self.rejected_count <= REJECTED_KEPT_MAX:
                self.rejected.append(line)


def written_day(text: str) -> date:
    """A day as YYYY-MM-DD and in no other form. Raises ValueError."""
    if len(text) != len("2009-08-13") or text[4] != "-" or text[7] != "-":  # fromisoformat takes other forms too
        raise ValueError(text)
    return date.fromisoformat(text)


def check_header(file: BinaryIO, form: ListForm, subject: str) -> None:
    """Pass over the header. The message never repeats the line: without a header it holds a card number."""
    first = file.readline(LINE_BYTES_MAX).removeprefix(_BYTE_ORDER_MARK)
    names = tuple(name.strip().strip(b'"').lower() for name in first.split(b","))
    if names != tuple(name.encode() for name in form.columns):
        raise form.headless("read list", subject, columns=",".join(form.columns))


def _lines(
    file: BinaryIO,
    columns: int,
    parse: Callable[[list[str]], Line],
    progress: Callable[[int, int], None],
    total_bytes: int,
) -> Iterator[Line | Rejected]:
    number = 1
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if number % PROGRESS_LINES == 0:
            progress(file.tell(), total_bytes)
        if is_cut(line):
            while is_cut(file.readline(LINE_BYTES_MAX)):
                pass  # piece by piece to the line's end: memory stays bounded
            yield Rejected(number, LineFault.TOO_LONG)
        elif not line.isspace():
            try:
                taken = parse(fields_of(line, columns))
            except Reject as reject:
                yield Rejected(number, reject.reason)
            else:
                yield taken


def _unwatched(done_bytes: int, total_bytes: int) -> None:
    """Nobody follows a list that lies in memory."""


def is_cut(line: bytes) -> bool:
    """Whether `readline(LINE_BYTES_MAX)` stopped at its bound and not at the line's end."""
    return len(line) == LINE_BYTES_MAX and not line.endswith(b"\n")


def fields_of(line: bytes, columns: int) -> list[str]:
    """The fields of one line, as many as there are columns; raises `Reject`."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise Reject(LineFault.ENCODING) from None
    if '"' in text:
        try:
            fields = next(csv.reader((text,), strict=True))
        except csv.Error:
            raise Reject(LineFault.COLUMNS) from None
    else:
        fields = text.split(",")
    if len(fields) != columns:
        raise Reject(LineFault.COLUMNS)
    return fields

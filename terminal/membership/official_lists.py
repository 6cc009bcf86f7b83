"""The lists that headquarters takes in: the union's of its members, the bank's of its cards, or both in one.

    union     pan,class,person             who is a member, of which class, and the holder's id
    bank      pan,standing,issued          which cards there are, how they stand, since when
    combined  pan,standing,class,issued,person

Each line is judged alone, as in every list (`csv_list.py`). What comes out is text for a database's COPY, tokens as
hex and no card number: a list of ten million cards is hashed by several processes, and only that text leaves them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from drivers.card import MalformedCard, Pan
from terminal.membership.card_list import (
    COLUMNS,
    PERSON_CHARS_MAX,
    CardListError,
    CardListInvalid,
    RejectReason,
    issue_day_of,
    member_class_of,
    standing_of,
)
from terminal.membership.csv_list import LINE_BYTES_MAX, LineFault, ListForm, Reject, Rejected, check_header, is_cut
from terminal.membership.csv_list import fields_of as fields_of_line
from terminal.membership.standing import Standing
from terminal.membership.token import ProgrammeKey, card_token, person_token, token_parts

BLOCK_BYTES: Final = 4 * 1024 * 1024  # some 60,000 lines: half a second of one process, and its answer 12 MB
NULL: Final = "\\N"  # COPY's word for nothing


class ListKind(StrEnum):
    """Whose list it is."""

    COMBINED = "combined"
    UNION = "union"
    BANK = "bank"


LIST_COLUMNS: Final[Mapping[ListKind, tuple[str, ...]]] = {
    ListKind.COMBINED: COLUMNS,
    ListKind.UNION: ("pan", "class", "person"),
    ListKind.BANK: ("pan", "standing", "issued"),
}
# What the columns of the text are: the token, where the line begins in the file, and what the list says.
STAGED_COLUMNS: Final = ("token", "place", "standing", "member_class", "issued", "person")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a list: the octets from `start` up to `end`."""

    start: int
    end: int


@dataclass(slots=True)
class BlockRead:
    """What a block held: `rows` is the text of the `taken` good lines; `lines` counts all, line 1 is its first."""

    lines: int = 0
    taken: int = 0
    rows: bytes = b""
    rejected: list[Rejected] = field(default_factory=list)


def form_of(kind: ListKind) -> ListForm:
    """Its header and its errors."""
    return ListForm(LIST_COLUMNS[kind], CardListError, CardListInvalid)


def blocks_of(file: BinaryIO, kind: ListKind, subject: str, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """The list in blocks of about `block_bytes`, behind its header. Raises `CardListInvalid` when that is not it."""
    check_header(file, form_of(kind), subject)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    file.readline(LINE_BYTES_MAX)
    start = file.tell()
    while start < size:
        file.seek(min(start + block_bytes, size))
        while is_cut(file.readline(LINE_BYTES_MAX)):
            pass  # on to the end of the line that the block ends in, in bounded steps
        end = file.tell()
        yield Block(start, end)
        start = end


def read_block(file: BinaryIO, block: Block, kind: ListKind, key: ProgrammeKey) -> BlockRead:
    """Each line of the block through the parser of its kind. Raises OSError."""
    columns, row = len(LIST_COLUMNS[kind]), _ROWS[kind]
    found, rows = BlockRead(), []
    file.seek(block.start)
    place = block.start
    while place < block.end and (line := file.readline(LINE_BYTES_MAX)):
        found.lines += 1
        here, place = place, place + len(line)
        if is_cut(line):
            while is_cut(rest := file.readline(LINE_BYTES_MAX)):
                place += len(rest)
            place += len(rest)
            found.rejected.append(Rejected(found.lines, LineFault.TOO_LONG))
        elif not line.isspace():
            try:
                rows.append(row(fields_of_line(line, columns), here, key))
            except Reject as reject:
                found.rejected.append(Rejected(found.lines, reject.reason))
    found.taken = len(rows)
    found.rows = "".join(rows).encode("ascii")
    return found


def read_file_block(path: Path, block: Block, kind: ListKind, key: ProgrammeKey) -> BlockRead:
    """`read_block` of a file. Raises `CardListError`."""
    try:
        with path.open("rb") as file:
            return read_block(file, block, kind, key)
    except OSError as error:
        raise CardListError("read list", str(path), reason=error.strerror) from error


def _token(number: str, key: ProgrammeKey) -> str:
    try:
        return token_parts(card_token(Pan(number.strip()), key))[1].hex()
    except MalformedCard:
        raise Reject(RejectReason.CARD_NUMBER) from None


def _person(text: str, key: ProgrammeKey) -> str:
    text = text.strip()
    if len(text) > PERSON_CHARS_MAX:
        raise Reject(RejectReason.PERSON)
    return f"\\\\x{token_parts(person_token(text, key))[1].hex()}" if text else NULL


def _bank_standing(text: str) -> str:
    """What a bank can say of a card: whether its holder is a member is the union's to say."""
    standing = standing_of(text.strip().lower())
    if standing is Standing.WITHDRAWN:
        raise Reject(RejectReason.STANDING)
    return standing.value


def _day(text: str) -> str:
    day = issue_day_of(text.strip())
    return NULL if day is None else day.isoformat()


def _combined(fields: list[str], place: int, key: ProgrammeKey) -> str:
    number, standing, member_class, issued, person = fields
    standing = standing_of(standing.strip().lower()).value
    called = member_class_of(member_class.strip().lower()).value
    return f"\\\\x{_token(number, key)}\t{place}\t{standing}\t{called}\t{_day(issued)}\t{_person(person, key)}\n"


def _union(fields: list[str], place: int, key: ProgrammeKey) -> str:
    number, member_class, person = fields
    called = member_class_of(member_class.strip().lower()).value
    return f"\\\\x{_token(number, key)}\t{place}\t{NULL}\t{called}\t{NULL}\t{_person(person, key)}\n"


def _bank(fields: list[str], place: int, key: ProgrammeKey) -> str:
    number, standing, issued = fields
    return f"\\\\x{_token(number, key)}\t{place}\t{_bank_standing(standing)}\t{NULL}\t{_day(issued)}\t{NULL}\n"


_ROWS: Final[Mapping[ListKind, Callable[[list[str], int, ProgrammeKey], str]]] = {
    ListKind.COMBINED: _combined,
    ListKind.UNION: _union,
    ListKind.BANK: _bank,
}

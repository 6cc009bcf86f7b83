"""Build a roll: roster lines in any order and number become one sorted, checked file, put in place whole or not at all.

Memory stays bounded: records beyond `SPILL_BYTES` wait in partition files by the token's first byte, in a private
directory beside the roll that is removed at the end. Like the roll, these hold tokens, never card numbers.
When a card occurs twice the last line holds: lists are kept by adding at the end.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from config.errors import Words
from terminal.membership.card_list import RosterLine, read_card_list
from terminal.membership.csv_list import Rejected, Taken
from terminal.membership.roll import (
    BUCKETS,
    CLASS_CODES,
    INDEX_ENTRY,
    ISSUE_DAY_UNKNOWN,
    ISSUE_EPOCH,
    NO_PERSON,
    RECORD,
    RECORDS_MAX,
    RECORDS_OFFSET,
    STANDING_CODES,
    TOKEN_BYTES,
    RollError,
    RollHeader,
    RollKeyMismatch,
    front_bytes,
)
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, token_parts
from terminal.membership.whole_file import write_whole

SPILL_BYTES = 32 * 1024 * 1024  # six hundred thousand cards wait in memory before any go to disk
ROLL_FILE_MODE = 0o640  # pseudonyms of persons: not for every user of the machine

_PARTITIONS = 256  # by the token's first byte; one of them is some 2 MB of a ten-million roll
_PARTITION_BUCKETS = BUCKETS // _PARTITIONS
_AFTER_ANY_RECORD = b"\xff" * RECORD.size


class RollNotWritten(RollError):
    """The roll could not be written; the one that was there is untouched."""

    code = "roll-not-written"
    what = Words("会员名册写入失败（{reason}）", "the roll of members could not be written ({reason})")
    hint = Words(
        "原名册未改动；请检查磁盘空间和目录权限", "the old roll is untouched; check disk space and permissions"
    )


class RollTooLarge(RollError):
    """More cards than the roll's format is made for."""

    code = "roll-too-large"
    what = Words("卡片超过上限 {limit} 张", "more than {limit} cards")
    hint = Words("请检查清单是否重复", "check whether the list repeats itself")


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What became of a list: cards on the roll, earlier lines replaced by later ones, lines not taken.

    `rejected` holds the first `REJECTED_KEPT_MAX` of `rejected_count`.
    """

    taken: int
    replaced: int
    rejected: tuple[Rejected, ...]
    rejected_count: int
    header: RollHeader


def build_roll(
    csv_path: Path,
    out: Path,
    key: ProgrammeKey,
    progress: Callable[[int, int], None],
    built: datetime | None = None,
) -> BuildSummary:
    """Make the roll `out` from the list of cards `csv_path` (see `card_list.py`); wrong lines are set aside.

    `progress(done_bytes, total_bytes)` follows the list and says done when the roll is in place. Raises
    `CardListError`, `RollNotWritten`, `RollTooLarge`; then `out` is as it was.
    """
    list_bytes = 0

    def follow(done_bytes: int, total_bytes: int) -> None:
        nonlocal list_bytes
        list_bytes = total_bytes
        progress(done_bytes, total_bytes)

    lines = Taken(read_card_list(csv_path, key, follow))
    header = write_roll(lines, out, key, built)
    progress(list_bytes, list_bytes)
    return BuildSummary(header.count, lines.count - header.count, tuple(lines.rejected), lines.rejected_count, header)


def write_roll(
    records: Iterable[RosterLine], out: Path, key: ProgrammeKey, built: datetime | None = None
) -> RollHeader:
    """Make the roll `out` from `records`, whose tokens `key` made; `built` is an aware time, now when left out.

    Raises `RollKeyMismatch` for a token of another key version, `RollNotWritten`, `RollTooLarge`; then `out` is as it
    was.
    """
    return write_records((_packed(record, key) for record in records), out, key, built)


def write_records(records: Iterable[bytes], out: Path, key: ProgrammeKey, built: datetime | None = None) -> RollHeader:
    """`write_roll` from records as the file has them (`packed_record`)."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as spill:
            partitions = _Partitions(Path(spill))
            for number, record in enumerate(records, start=1):
                if number > RECORDS_MAX:
                    raise RollTooLarge("build roll", str(out), limit=RECORDS_MAX)
                partitions.add(record)
            made = built or datetime.now(UTC)
            return write_whole(out, ROLL_FILE_MODE, lambda file: _write_file(partitions, file, key, made))
    except OSError as error:
        raise RollNotWritten("build roll", str(out), reason=error.strerror) from error


def _packed(line: RosterLine, key: ProgrammeKey) -> bytes:
    """The line as a record of the file."""
    person = None if line.person is None else _hash_bytes(line.person, key)
    return packed_record(_hash_bytes(line.token, key), person, line.issued, line.standing, line.member_class)


def packed_record(
    token: bytes, person: bytes | None, issued: date | None, standing: Standing, member_class: MemberClass
) -> bytes:
    """One record of the file, `RECORD.size` bytes; `token` and `person` are the 32 bytes of keyed hashes."""
    return RECORD.pack(
        token[:TOKEN_BYTES],
        person or NO_PERSON,
        ISSUE_DAY_UNKNOWN if issued is None else _issue_day(issued),
        STANDING_CODES[standing],
        CLASS_CODES[member_class],
    )


def _hash_bytes(token: str, key: ProgrammeKey) -> bytes:
    version, digest = token_parts(token)
    if version != key.version:
        raise RollKeyMismatch("build roll", "token", roll=f"v{key.version}", key=f"v{version}")
    return digest


def _issue_day(issued: date) -> int:
    day = (issued - ISSUE_EPOCH).days
    assert 0 <= day < ISSUE_DAY_UNKNOWN, "an issue day outside the format"
    return day


class _Partitions:
    """Records by their token's first byte, in memory up to `SPILL_BYTES`, then in files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting = [bytearray() for _ in range(_PARTITIONS)]
        self._waiting_records = 0
        self._waiting_max = max(1, SPILL_BYTES // RECORD.size)

    def add(self, record: bytes) -> None:
        self._waiting[record[0]] += record
        self._waiting_records += 1
        if self._waiting_records >= self._waiting_max:
            self._spill()

    def take_sorted(self, partition: int) -> list[bytes]:
        """The partition's records in token order, the last of each token; the partition is empty afterwards."""
        file = self._file(partition)
        content = (file.read_bytes() if file.exists() else b"") + self._waiting[partition]
        self._waiting[partition] = bytearray()
        file.unlink(missing_ok=True)
        size = RECORD.size
        last = {content[at : at + TOKEN_BYTES]: content[at : at + size] for at in range(0, len(content), size)}
        return sorted(last.values())  # tokens come first in a record and differ, so they alone decide

    def _spill(self) -> None:
        for partition, waiting in enumerate(self._waiting):
            with self._file(partition).open("ab") as file:
                file.write(waiting)
            waiting.clear()
        self._waiting_records = 0

    def _file(self, partition: int) -> Path:
        return self._folder / f"{partition:02x}"


def _write_file(partitions: _Partitions, file: BinaryIO, key: ProgrammeKey, built: datetime) -> RollHeader:
    digest = hashlib.sha256()
    index = bytearray()
    count = 0
    file.seek(RECORDS_OFFSET)
    for partition in range(_PARTITIONS):
        records = partitions.take_sorted(partition)
        start = 0
        for bucket in range(partition * _PARTITION_BUCKETS, (partition + 1) * _PARTITION_BUCKETS):
            beyond = bucket.to_bytes(2, "big") + _AFTER_ANY_RECORD
            end = bisect_left(records, beyond, lo=start)
            block = b"".join(records[start:end])
            digest.update(block)
            file.write(block)
            count += end - start
            index += INDEX_ENTRY.pack(count, zlib.crc32(block))
            start = end
    header = RollHeader(key.version, key.fingerprint, count, built, digest.hexdigest())
    file.seek(0)
    file.write(front_bytes(header, bytes(index)))
    return header

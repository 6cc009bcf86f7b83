"""The roll of members: one immutable, memory-mapped file, made for ten million cards and one look-up at a time.

    offset 0        magic, header length, header (JSON, padded with blanks), SHA-256 of all else up to the records
    offset 4,096    index: for each of 65,536 buckets, how many records up to its end, and the CRC-32 of its records
    offset 528,384  records of 52 bytes, sorted by token; a record's bucket is its token's first two bytes

Opening reads and checks the first half megabyte; a look-up checks the one bucket it reads (some 8 kB). So a damaged
byte is found exactly when it could matter, without reading 520 MB first. Numbers are big-endian.
Why so: docs/decisions/0003-roll-file.md. Written by `build.py`.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from config.errors import Words
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import MembershipError, ProgrammeKey, token_parts
from terminal.membership.whole_file import FileIdentity

MAGIC = b"JKROLL1\n"  # the format's version is part of it
TOKEN_BYTES = 16  # of the card's 32: two of ten million cards agree with a chance of 2e-25
BUCKETS = 65_536
RECORDS_MAX = 50_000_000  # five times the plan; the index counts in 32 bits
RECORD = struct.Struct(">16s32sHBB")  # card token, person token, issue day, standing, class
INDEX_ENTRY = struct.Struct(">II")  # records up to and with this bucket, CRC-32 of this bucket's records
ISSUE_EPOCH = date(2000, 1, 1)
ISSUE_DAY_UNKNOWN = 0xFFFF
NO_PERSON = bytes(32)

_PREAMBLE = struct.Struct(">8sI")  # magic, header length
_DIGEST_BYTES = 32
_HEADER_END = 4_096 - _DIGEST_BYTES  # the front fills one page, so that the records begin on a page of their own
HEADER_BYTES_MAX = _HEADER_END - _PREAMBLE.size
INDEX_OFFSET = 4_096
RECORDS_OFFSET = INDEX_OFFSET + BUCKETS * INDEX_ENTRY.size

_VERIFY_BUCKETS = 256  # buckets per progress step: about 2 MB of a full roll

# Codes start at 1: a block of zeros is never a record.
STANDING_CODES = {
    Standing.ACTIVE: 1,
    Standing.INACTIVE: 2,
    Standing.SUSPENDED: 3,
    Standing.LOST: 4,
    Standing.EXPIRED: 5,
    Standing.WITHDRAWN: 6,
}
CLASS_CODES = {MemberClass.ORDINARY: 1, MemberClass.MODEL_WORKER: 2, MemberClass.HARDSHIP: 3}
_STANDINGS = {code: standing for standing, code in STANDING_CODES.items()}
_CLASSES = {code: member_class for member_class, code in CLASS_CODES.items()}


class RollError(MembershipError):
    """The roll of members cannot be used."""

    code = "roll-error"
    what = Words("会员名册无法使用（{reason}）", "the roll of members cannot be used ({reason})")
    hint = Words(
        "请检查名册文件及其权限，然后执行 jingka doctor", "check the file and its permissions, then run jingka doctor"
    )


class RollMissing(RollError):
    """There is no roll at the place the settings name."""

    code = "roll-missing"
    what = Words("找不到会员名册 {subject}", "there is no roll of members at {subject}")
    hint = Words(
        "请向总部获取名册，或用 jingka roll build 生成", "fetch it from headquarters or make it with jingka roll build"
    )


class RollDamaged(RollError):
    """The roll's bytes are not those that were written."""

    code = "roll-damaged"
    what = Words("会员名册已损坏（{reason}）", "the roll of members is damaged ({reason})")
    hint = Words("请勿继续优惠销售；重新获取或生成名册", "stop selling at member price; fetch or build the roll again")


class RollKeyMismatch(RollError):
    """The roll was made with another programme key: every member would look like a stranger."""

    code = "roll-key-mismatch"
    what = Words("会员名册与密钥不符（名册 {roll}，密钥 {key}）", "roll and key do not match (roll {roll}, key {key})")
    hint = Words("请使用同一版本的密钥和名册", "use the key and the roll of the same version")


@dataclass(frozen=True, slots=True)
class RollRecord:
    """What the roll says of one card; `person` is a person token, None when the roll names none."""

    standing: Standing
    member_class: MemberClass
    issued: date | None
    person: str | None


@dataclass(frozen=True, slots=True)
class RollHeader:
    """What the roll says of itself; `revision` is the SHA-256 of its records (64 hex), `built` is aware, UTC."""

    key_version: int
    key_fingerprint: str
    count: int
    built: datetime
    revision: str

    def to_bytes(self) -> bytes:
        """The JSON text in the file."""
        fields = {
            "built": self.built.isoformat(timespec="seconds"),
            "count": self.count,
            "key_fingerprint": self.key_fingerprint,
            "key_version": self.key_version,
            "revision": self.revision,
        }
        return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode("ascii")

    @classmethod
    def from_bytes(cls, text: bytes) -> RollHeader:
        """Parse the JSON text; raises ValueError, KeyError, TypeError or RecursionError when it is none."""
        fields = json.loads(text)
        return cls(
            key_version=int(fields["key_version"]),
            key_fingerprint=str(fields["key_fingerprint"]),
            count=int(fields["count"]),
            built=datetime.fromisoformat(fields["built"]),
            revision=str(fields["revision"]),
        )


class Roll:
    """An open roll. Reading is safe from several threads; `close` is not while another reads."""

    def __init__(self, file: BinaryIO, subject: str, identity: FileIdentity, header: RollHeader, index: bytes) -> None:
        """Use `Roll.open`. `index` is the checked copy, so what was proved at opening is what every look-up uses."""
        self._subject = subject
        self._index = index
        self._map = mmap.mmap(file.fileno(), identity.size_bytes, access=mmap.ACCESS_READ)  # has a handle of its own
        self.header = header
        self.identity = identity

    @classmethod
    def open(cls, path: Path) -> Roll:
        """Open and check the front (some ms); raises `RollMissing`, `RollDamaged`, or `RollError` when unreadable."""
        subject = str(path)
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise RollMissing("open roll", subject) from None
        except OSError as error:
            raise RollError("open roll", subject, reason=error.strerror) from error
        with file:
            try:
                identity = FileIdentity.of(os.fstat(file.fileno()))
                front = os.pread(file.fileno(), RECORDS_OFFSET, 0)
                header = _checked_front(front, identity.size_bytes, subject)
                return cls(file, subject, identity, header, front[INDEX_OFFSET:])
            except (OSError, ValueError) as error:  # a failing disk; a file cut between two lines above
                raise RollDamaged("open roll", subject, reason=str(error)) from error

    @property
    def count(self) -> int:
        """How many cards are on the roll."""
        return self.header.count

    @property
    def key_version(self) -> int:
        """The version of the programme key that made the tokens."""
        return self.header.key_version

    @property
    def revision(self) -> str:
        """SHA-256 over the records, 64 hex: equal for equal rolls, whenever built."""
        return self.header.revision

    def check_key(self, key: ProgrammeKey) -> None:
        """Raise `RollKeyMismatch` unless this very key made the roll."""
        if (key.version, key.fingerprint) != (self.header.key_version, self.header.key_fingerprint):
            raise RollKeyMismatch(
                "check roll",
                self._subject,
                roll=f"v{self.header.key_version}/{self.header.key_fingerprint}",
                key=f"v{key.version}/{key.fingerprint}",
            )

    def find(self, token: str) -> RollRecord | None:
        """What the roll says of the card with this token, None when it is not on it.

        Raises `RollDamaged` when the bucket's bytes are not what was written, `RollKeyMismatch` for a token of another
        key version.
        """
        version, digest = token_parts(token)
        if version != self.key_version:
            raise RollKeyMismatch("look up card", self._subject, roll=f"v{self.key_version}", key=f"v{version}")
        wanted = digest[:TOKEN_BYTES]
        try:
            with memoryview(self._map) as view, self._bucket(view, int.from_bytes(wanted[:2], "big")) as records:
                return self._search(records, wanted)
        finally:
            # The kernel maps 64 kB around each touch and keeps it counted as ours: without this a busy month would
            # make the whole roll resident. The pages stay in the system's cache, so the next look-up is as fast.
            self._map.madvise(mmap.MADV_DONTNEED)

    def records(self) -> Iterator[bytes]:
        """Every record as it stands in the file, in the order of tokens. Raises `RollDamaged`."""
        with memoryview(self._map) as view:
            for bucket in range(BUCKETS):
                if self._records_before(bucket) == self._records_before(bucket + 1):
                    continue
                with self._bucket(view, bucket) as records:
                    content = bytes(records)
                yield from (content[start : start + RECORD.size] for start in range(0, len(content), RECORD.size))

    def verify(self, progress: Callable[[int, int], None]) -> None:
        """Read and check every byte; `progress(done_bytes, total_bytes)`. Raises `RollDamaged`."""
        total = self.identity.size_bytes
        digest = hashlib.sha256()
        with memoryview(self._map) as view:
            for bucket in range(BUCKETS):
                with self._bucket(view, bucket) as records:
                    digest.update(records)
                    self._check_records(records, bucket)
                if (bucket + 1) % _VERIFY_BUCKETS == 0:
                    self._map.madvise(mmap.MADV_DONTNEED)
                    progress(RECORDS_OFFSET + self._records_before(bucket + 1) * RECORD.size, total)
        if digest.hexdigest() != self.revision:
            raise RollDamaged("verify roll", self._subject, reason="revision")

    def close(self) -> None:
        """Give the file back; twice is harmless."""
        self._map.close()

    def _records_before(self, bucket: int) -> int:
        """How many records stand in the buckets before this one."""
        if bucket == 0:
            return 0
        records: int = INDEX_ENTRY.unpack_from(self._index, (bucket - 1) * INDEX_ENTRY.size)[0]
        return records

    def _bucket(self, view: memoryview, bucket: int) -> memoryview:
        """The bucket's records, checked against their CRC-32."""
        # Touching a mapped page beyond the file's end kills the process (SIGBUS), so look before touching.
        if self._map.size() != self.identity.size_bytes:
            raise RollDamaged("read roll", self._subject, reason="changed while in use")
        start = self._records_before(bucket)
        end, checksum = INDEX_ENTRY.unpack_from(self._index, bucket * INDEX_ENTRY.size)
        if not start <= end <= self.count:
            raise RollDamaged("read roll", self._subject, reason=f"index, bucket {bucket}")
        records = view[RECORDS_OFFSET + start * RECORD.size : RECORDS_OFFSET + end * RECORD.size]
        if zlib.crc32(records) != checksum:
            records.release()
            raise RollDamaged("read roll", self._subject, reason=f"checksum, bucket {bucket}")
        return records

    def _search(self, records: memoryview, wanted: bytes) -> RollRecord | None:
        count = len(records) // RECORD.size

        def token_at(place: int) -> bytes:
            start = place * RECORD.size
            return bytes(records[start : start + TOKEN_BYTES])

        place = bisect_left(range(count), wanted, key=token_at)
        if place == count or token_at(place) != wanted:
            return None
        return self._decoded(*RECORD.unpack_from(records, place * RECORD.size)[1:])

    def _decoded(self, person: bytes, issue_day: int, standing: int, member_class: int) -> RollRecord:
        if standing not in _STANDINGS or member_class not in _CLASSES:
            raise RollDamaged("read roll", self._subject, reason=f"codes {standing}/{member_class}")
        return RollRecord(
            standing=_STANDINGS[standing],
            member_class=_CLASSES[member_class],
            issued=None if issue_day == ISSUE_DAY_UNKNOWN else ISSUE_EPOCH + timedelta(days=issue_day),
            person=None if person == NO_PERSON else f"v{self.key_version}:{person.hex()}",
        )

    def _check_records(self, records: memoryview, bucket: int) -> None:
        """Codes known, tokens of this bucket, each greater than the one before: what `_search` relies on."""
        last = bucket.to_bytes(2, "big")  # shorter, so less than every token of its bucket
        for token, person, issue_day, standing, member_class in RECORD.iter_unpack(bytes(records)):
            if token <= last or token[:2] != last[:2]:
                raise RollDamaged("verify roll", self._subject, reason=f"order, bucket {bucket}")
            last = token
            self._decoded(person, issue_day, standing, member_class)


def front_bytes(header: RollHeader, index: bytes) -> bytes:
    """Everything before the records: header page with its digest, then the index."""
    text = header.to_bytes()
    assert len(text) <= HEADER_BYTES_MAX
    assert len(index) == BUCKETS * INDEX_ENTRY.size
    head = (_PREAMBLE.pack(MAGIC, len(text)) + text).ljust(_HEADER_END, b" ")
    return head + _front_digest(head, index) + index


def _front_digest(head: bytes, index: bytes) -> bytes:
    return hashlib.sha256(head + index).digest()


def _checked_front(front: bytes, size_bytes: int, subject: str) -> RollHeader:
    """The header of a file that begins with `front` and is `size_bytes` long; raises `RollDamaged`."""

    def damaged(reason: str) -> RollDamaged:
        return RollDamaged("open roll", subject, reason=reason)

    if front[: len(MAGIC)] != MAGIC:
        raise damaged("not a roll of format 1")
    if len(front) != RECORDS_OFFSET:
        raise damaged("cut short")
    if _front_digest(front[:_HEADER_END], front[INDEX_OFFSET:]) != front[_HEADER_END:INDEX_OFFSET]:
        raise damaged("header or index")
    length = _PREAMBLE.unpack_from(front)[1]
    if length > HEADER_BYTES_MAX:
        raise damaged("header length")
    try:
        header = RollHeader.from_bytes(front[_PREAMBLE.size : _PREAMBLE.size + length])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise damaged("header") from None
    indexed: int = INDEX_ENTRY.unpack_from(front, RECORDS_OFFSET - INDEX_ENTRY.size)[0]
    if not 0 <= header.count <= RECORDS_MAX or header.count != indexed:
        raise damaged("count")
    if size_bytes != RECORDS_OFFSET + header.count * RECORD.size:
        raise damaged(f"{size_bytes} bytes for {header.count} cards")
    return header

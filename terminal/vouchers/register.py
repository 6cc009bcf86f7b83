"""The register of vouchers: one immutable file that headquarters makes and every till holds; no code stands in it.

    magic, header length, header (JSON: built, count, key, offers, sets of merchants)
    records of 55 bytes, sorted by the hash of the code
    SHA-256 of all the above, and its seal: HMAC-SHA256 under the programme's key

A code is money, so the file holds its keyed hash only: whoever copies the file can neither read a code from it nor try
codes against it, and without the key nobody can add one. At most `VOUCHERS_MAX` records are some 11 MB: opening reads
and checks every byte once (some 15 ms), and from then on every answer comes from bytes that were proved. A database
would bring pages without checksums and a second way of replacing a file. Numbers are big-endian.
Written by `build.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from config.errors import JingkaError, Retry, Words
from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord

MAGIC = b"JKVCHR1\n"  # the format's version is part of it
VOUCHERS_MAX = 200_000  # a citywide campaign's; the daemon holds them all in memory
DISTINCT_MAX = 4_096  # offers, and sets of merchants: more are a mistake in the list
HEADER_BYTES_MAX = 8 * 1024 * 1024  # `DISTINCT_MAX` lines of a list and as many ids, with room
CODE_HASH_BYTES = 16  # two of 200,000 codes agree with a chance of 6e-29
RECORD = struct.Struct(">16s32sHHHB")  # hash of the code, holder, last day, offer, set of merchants, revoked
PREAMBLE = struct.Struct(">8sI")  # magic, header length
DIGEST_BYTES = 32
TRAILER_BYTES = 2 * DIGEST_BYTES
FILE_BYTES_MAX = PREAMBLE.size + HEADER_BYTES_MAX + VOUCHERS_MAX * RECORD.size + TRAILER_BYTES
NO_HOLDER = bytes(32)
DAY_EPOCH = date(2000, 1, 1)
NO_LAST_DAY = 0xFFFF

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_VERSION = re.compile(r"[0-9a-f.]{0,64}")
_CODE_DOMAIN = b"voucher:"  # so that no code's hash equals a card's or a person's token
_SEAL_DOMAIN = b"voucher-register:"


class VouchersError(JingkaError):
    """The register of vouchers cannot be used; offers that need it are refused, all others go on."""

    code = "vouchers-error"
    retry = Retry.STOP
    what = Words("券登记册无法使用（{reason}）", "the register of vouchers cannot be used ({reason})")
    hint = Words(
        "请检查文件及其权限，然后执行 jingka doctor", "check the file and its permissions, then run jingka doctor"
    )


class VouchersMissing(VouchersError):
    """There is no register at the place the settings name."""

    code = "vouchers-missing"
    what = Words("找不到券登记册 {subject}", "there is no register of vouchers at {subject}")
    hint = Words(
        "请向总部获取券登记册，或用 jingka voucher build 生成",
        "fetch it from headquarters or make it with jingka voucher build",
    )


class VouchersDamaged(VouchersError):
    """The register's bytes are not those that headquarters wrote."""

    code = "vouchers-damaged"
    what = Words("券登记册已损坏（{reason}）", "the register of vouchers is damaged ({reason})")
    hint = Words("请重新获取券登记册；其间暂不收券", "fetch the register again; take no vouchers meanwhile")


class VouchersKeyMismatch(VouchersError):
    """The register was made with another programme key: every voucher would look unknown."""

    code = "vouchers-key-mismatch"
    what = Words(
        "券登记册与密钥不符（登记册 {register}，密钥 {key}）",
        "register of vouchers and key do not match (register {register}, key {key})",
    )
    hint = Words("请使用同一版本的密钥和券登记册", "use the key and the register of the same version")


@dataclass(frozen=True, slots=True)
class RegisterHeader:
    """What the register says of itself; `built` is aware, UTC; records name `offers` and `merchants` by their place.

    `version`: headquarters' name for what stands in it; empty for a register that was made from a list by hand.
    """

    key_version: int
    key_fingerprint: str
    count: int
    built: datetime
    offers: tuple[str, ...]
    merchants: tuple[tuple[str, ...], ...]
    version: str = ""

    def to_bytes(self) -> bytes:
        """The JSON text in the file."""
        fields = asdict(self) | {"built": self.built.isoformat(timespec="seconds")}
        return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode("ascii")

    @classmethod
    def from_bytes(cls, text: bytes) -> RegisterHeader:
        """Parse the JSON text; raises ValueError, KeyError, TypeError, OverflowError or RecursionError on any other."""
        fields = json.loads(text)
        fingerprint = str(fields["key_fingerprint"])
        version = str(fields.get("version", ""))
        if not _FINGERPRINT.fullmatch(fingerprint):  # it is shown, and nothing of a forged file may be
            raise ValueError("fingerprint")
        if not _VERSION.fullmatch(version):
            raise ValueError("version")
        return cls(
            key_version=int(fields["key_version"]),
            key_fingerprint=fingerprint,
            count=int(fields["count"]),
            built=datetime.fromisoformat(fields["built"]),
            offers=tuple(map(str, fields["offers"])),
            merchants=tuple(tuple(map(str, each)) for each in fields["merchants"]),
            version=version,
        )


class Register:
    """A register that was read and proved. Safe from several threads."""

    def __init__(self, content: bytes, records_at: int, header: RegisterHeader, key: ProgrammeKey) -> None:
        """Use `Register.open`."""
        self._content = content
        self._records_at = records_at
        self._key = key
        self._merchants = tuple(map(frozenset, header.merchants))
        self.header = header

    @classmethod
    def open(cls, path: Path, key: ProgrammeKey) -> Register:
        """Read and prove the whole file.

        Raises `VouchersMissing`, `VouchersDamaged`, `VouchersKeyMismatch`, or `VouchersError` when unreadable.
        """
        subject = str(path)
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise VouchersMissing("open register", subject) from None
        except OSError as error:
            raise VouchersError("open register", subject, reason=error.strerror) from error
        return cls.of(content, key, subject)

    @classmethod
    def of(cls, content: bytes, key: ProgrammeKey, subject: str) -> Register:
        """The register in these octets; `subject` names them. Raises `VouchersDamaged`, `VouchersKeyMismatch`."""
        header, records_at = _proved(content, key, subject)
        return cls(content, records_at, header, key)

    def find(self, code: str) -> VoucherRecord | None:
        """What the register says of the voucher with this code (in its one spelling), None when it is not there."""
        wanted = code_hash(code, self._key)
        place = bisect_left(range(self.header.count), wanted, key=self._hash_at)
        if place == self.header.count or self._hash_at(place) != wanted:
            return None
        return self._decoded(*RECORD.unpack_from(self._content, self._records_at + place * RECORD.size)[1:])

    def records(self) -> Iterator[tuple[bytes, VoucherRecord]]:
        """Every voucher by the hash of its code, in the order of the hashes."""
        end = len(self._content) - TRAILER_BYTES
        for hashed, *fields in RECORD.iter_unpack(memoryview(self._content)[self._records_at : end]):
            yield hashed, self._decoded(*fields)

    def _hash_at(self, place: int) -> bytes:
        start = self._records_at + place * RECORD.size
        return self._content[start : start + CODE_HASH_BYTES]

    def _decoded(self, holder: bytes, last_day: int, offer: int, merchants: int, revoked: int) -> VoucherRecord:
        return VoucherRecord(
            offer=self.header.offers[offer],
            holder=None if holder == NO_HOLDER else f"v{self.header.key_version}:{holder.hex()}",
            last_day=None if last_day == NO_LAST_DAY else DAY_EPOCH + timedelta(days=last_day),
            merchants=self._merchants[merchants],
            revoked=bool(revoked),
        )


def code_hash(code: str, key: ProgrammeKey) -> bytes:
    """What stands in the register for a code in its one spelling."""
    return hmac.digest(key.secret, _CODE_DOMAIN + code.encode(), "sha256")[:CODE_HASH_BYTES]


def seal(digest: bytes, key: ProgrammeKey) -> bytes:
    """Headquarters' word that it wrote a register with this digest."""
    return hmac.digest(key.secret, _SEAL_DOMAIN + digest, "sha256")


def _proved(content: bytes, key: ProgrammeKey, subject: str) -> tuple[RegisterHeader, int]:
    """The header, and where the records begin. Damage is told before a foreign key, and that before a foreign seal."""

    def damaged(reason: str) -> VouchersDamaged:
        return VouchersDamaged("open register", subject, reason=reason)

    if content[: len(MAGIC)] != MAGIC:
        raise damaged("not a register of format 1")
    if not PREAMBLE.size + TRAILER_BYTES <= len(content) <= FILE_BYTES_MAX:
        raise damaged("length")
    digest = hashlib.sha256(memoryview(content)[:-TRAILER_BYTES]).digest()
    if digest != content[-TRAILER_BYTES:-DIGEST_BYTES]:
        raise damaged("checksum")
    records_at = PREAMBLE.size + PREAMBLE.unpack_from(content)[1]
    try:
        header = RegisterHeader.from_bytes(content[PREAMBLE.size : records_at])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # it is proved by its seal only below
        raise damaged("header") from None
    if records_at + header.count * RECORD.size + TRAILER_BYTES != len(content):
        raise damaged("length")
    if (key.version, key.fingerprint) != (header.key_version, header.key_fingerprint):
        raise VouchersKeyMismatch(
            "open register",
            subject,
            register=f"v{header.key_version}/{header.key_fingerprint}",
            key=f"v{key.version}/{key.fingerprint}",
        )
    if not hmac.compare_digest(seal(digest, key), content[-DIGEST_BYTES:]):
        raise damaged("seal")
    return header, records_at

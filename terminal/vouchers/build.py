"""Build a register: vouchers in any order become one sorted, sealed file, put in place whole or not at all.

When a code occurs twice the last line holds: lists are kept by adding at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from config.errors import Words
from terminal.membership.csv_list import Rejected, Taken
from terminal.membership.token import ProgrammeKey, token_parts
from terminal.membership.whole_file import write_whole
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers.register import (
    DAY_EPOCH,
    DISTINCT_MAX,
    HEADER_BYTES_MAX,
    MAGIC,
    NO_HOLDER,
    NO_LAST_DAY,
    PREAMBLE,
    RECORD,
    VOUCHERS_MAX,
    RegisterHeader,
    VouchersError,
    VouchersKeyMismatch,
    code_hash,
    seal,
)
from terminal.vouchers.voucher_list import VoucherLine, read_voucher_list

REGISTER_FILE_MODE = 0o640  # pseudonyms of persons: not for every user of the machine
VOUCHERS_WORDS = Words("张券", "vouchers")


class VouchersNotWritten(VouchersError):
    """The register could not be written; the one that was there is untouched."""

    code = "vouchers-not-written"
    what = Words("券登记册写入失败（{reason}）", "the register of vouchers could not be written ({reason})")
    hint = Words(
        "原登记册未改动；请检查磁盘空间和目录权限", "the old register is untouched; check disk space and permissions"
    )


class VouchersTooMany(VouchersError):
    """More vouchers, offers or sets of merchants than the register's format is made for."""

    code = "vouchers-too-many"
    what = Words("券登记册最多 {limit} 个{kind_zh}", "the register of vouchers takes at most {limit} {kind_en}")
    hint = Words(
        "请检查清单是否重复；过期的券可以删去", "check whether the list repeats itself; leave out old vouchers"
    )


@dataclass(frozen=True, slots=True)
class RegisterSummary:
    """What became of a list: vouchers registered, earlier lines replaced by later ones, lines not taken.

    `rejected` holds the first of `rejected_count` (`terminal.membership.csv_list.REJECTED_KEPT_MAX`).
    """

    taken: int
    replaced: int
    rejected: tuple[Rejected, ...]
    rejected_count: int
    header: RegisterHeader


def build_register(
    csv_path: Path,
    out: Path,
    key: ProgrammeKey,
    progress: Callable[[int, int], None],
    built: datetime | None = None,
) -> RegisterSummary:
    """Make the register `out` from the list `csv_path` (see `voucher_list.py`); wrong lines are set aside.

    `progress(done_bytes, total_bytes)` follows the list and says done when the register is in place. Raises
    `VoucherListError`, `VouchersNotWritten`, `VouchersTooMany`; then `out` is as it was.
    """
    list_bytes = 0

    def follow(done_bytes: int, total_bytes: int) -> None:
        nonlocal list_bytes
        list_bytes = total_bytes
        progress(done_bytes, total_bytes)

    lines = Taken(read_voucher_list(csv_path, key, follow))
    header = write_register(lines, out, key, built)
    progress(list_bytes, list_bytes)
    return RegisterSummary(
        header.count, lines.count - header.count, tuple(lines.rejected), lines.rejected_count, header
    )


def write_register(
    lines: Iterable[VoucherLine], out: Path, key: ProgrammeKey, built: datetime | None = None
) -> RegisterHeader:
    """Make the register `out`; holders' tokens must be of `key`; `built` is an aware time, now when left out.

    Raises `VouchersKeyMismatch` for a token of another key version, `VouchersNotWritten`, `VouchersTooMany`; then `out`
    is as it was.
    """
    records: dict[bytes, VoucherRecord] = {}
    for line in lines:
        records[code_hash(line.code, key)] = line.record
        if len(records) > VOUCHERS_MAX:
            raise too_many(str(out), VOUCHERS_MAX, VOUCHERS_WORDS)
    header, content = register_bytes(records, key, built or datetime.now(UTC), subject=str(out))
    put_in_place(content, out)
    return header


def register_bytes(
    records: Mapping[bytes, VoucherRecord], key: ProgrammeKey, built: datetime, *, version: str = "", subject: str
) -> tuple[RegisterHeader, bytes]:
    """The register of these vouchers, by the hashes of their codes: its header, and all its octets.

    The same vouchers, `built` and `version` give the same octets wherever they are put together: headquarters tells a
    terminal what changed, and both know that they hold the same register by its hash. Raises `VouchersKeyMismatch`,
    `VouchersTooMany` (about `subject`).
    """
    offers, merchants = distinct(records.values())
    check_bounds(len(records), len(offers), len(merchants), subject)
    header = RegisterHeader(key.version, key.fingerprint, len(records), built, offers, merchants, version)
    content = _content(records, header, key)
    digest = hashlib.sha256(content).digest()
    return header, content + digest + seal(digest, key)


def put_in_place(content: bytes, out: Path) -> None:
    """Make `content` the register at `out`, in one step. Raises `VouchersNotWritten`; then `out` is as it was."""
    try:
        write_whole(out, REGISTER_FILE_MODE, lambda file: file.write(content))
    except OSError as error:
        raise VouchersNotWritten("build register", str(out), reason=error.strerror) from error


def distinct(records: Iterable[VoucherRecord]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The offers, and the sets of merchants, that occur; each sorted."""
    offers, sets = set(), set()
    for record in records:
        offers.add(record.offer)
        sets.add(record.merchants)
    return tuple(sorted(offers)), tuple(sorted(tuple(sorted(each)) for each in sets))


def check_bounds(vouchers: int, offers: int, merchants: int, subject: str) -> None:
    """Raise `VouchersTooMany` (about `subject`) for more than a register may hold."""
    if vouchers > VOUCHERS_MAX:
        raise too_many(subject, VOUCHERS_MAX, VOUCHERS_WORDS)
    if offers > DISTINCT_MAX:
        raise too_many(subject, DISTINCT_MAX, Words("项优惠", "offers"))
    if merchants > DISTINCT_MAX:
        raise too_many(subject, DISTINCT_MAX, Words("组商户", "sets of merchants"))


def _content(records: Mapping[bytes, VoucherRecord], header: RegisterHeader, key: ProgrammeKey) -> bytes:
    """Everything before the checksum."""
    offer_places = {offer: place for place, offer in enumerate(header.offers)}
    merchant_places = {frozenset(names): place for place, names in enumerate(header.merchants)}
    text = header.to_bytes()
    assert len(text) <= HEADER_BYTES_MAX
    content = bytearray(PREAMBLE.pack(MAGIC, len(text)) + text)
    for hashed, record in sorted(records.items(), key=lambda item: item[0]):
        content += RECORD.pack(
            hashed,
            NO_HOLDER if record.holder is None else _hash_bytes(record.holder, key),
            NO_LAST_DAY if record.last_day is None else _day_number(record.last_day),
            offer_places[record.offer],
            merchant_places[record.merchants],
            record.revoked,
        )
    return bytes(content)


def _hash_bytes(token: str, key: ProgrammeKey) -> bytes:
    version, digest = token_parts(token)
    if version != key.version:
        raise VouchersKeyMismatch("build register", "token", register=f"v{key.version}", key=f"v{version}")
    return digest


def _day_number(last_day: date) -> int:
    day = (last_day - DAY_EPOCH).days
    assert 0 <= day < NO_LAST_DAY, "a last day outside the format"
    return day


def too_many(subject: str, limit: int, kind: Words) -> VouchersTooMany:
    """More than `limit` of a kind, named as in "200,000 vouchers"."""
    return VouchersTooMany("build register", subject, limit=limit, kind_zh=kind.zh, kind_en=kind.en)

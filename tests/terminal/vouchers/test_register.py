"""The register answers exactly what was put in, and no changed byte of it goes unnoticed."""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminal.membership.token import ProgrammeKey, person_token
from terminal.offers.voucher import VoucherRecord
from terminal.vouchers import register as register_module
from terminal.vouchers.issue import new_codes
from terminal.vouchers.register import (
    CODE_HASH_BYTES,
    FILE_BYTES_MAX,
    MAGIC,
    PREAMBLE,
    RECORD,
    TRAILER_BYTES,
    VOUCHERS_MAX,
    Register,
    RegisterHeader,
    VouchersDamaged,
    VouchersError,
    VouchersKeyMismatch,
    VouchersMissing,
)
from tests.fakes.vouchers import BUILT, KEY, code_of, put_register

SOUND_HEADER = RegisterHeader(1, KEY.fingerprint, 0, BUILT, (), ()).to_bytes()
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HOLDER = person_token("P-0001", KEY)
VOUCHERS = {
    code_of("MH0001"): VoucherRecord("temple-fair", HOLDER, date(2013, 2, 15)),
    code_of("MH0002"): VoucherRecord("temple-fair", None, None, frozenset({"ditan", "longtan"})),
    code_of("MH0003"): VoucherRecord("winter-haircut", None, date(2000, 1, 1), revoked=True),
    code_of("MH0004"): VoucherRecord("temple-fair", None, date(2179, 6, 5)),
}
OPEN_MS_MAX = 150  # 15 ms here; a slow machine that runs other tests beside this one
FIND_US_MAX = 50

codes = st.text(ALPHABET, min_size=5, max_size=12).map(code_of)
records = st.builds(
    VoucherRecord,
    offer=st.sampled_from(["temple-fair", "winter-haircut", "winter-film"]),
    holder=st.none() | st.binary(min_size=32, max_size=32).filter(any).map(lambda each: f"v1:{each.hex()}"),
    last_day=st.none() | st.dates(date(2000, 1, 1), date(2179, 6, 5)),
    merchants=st.frozensets(st.sampled_from(["ditan", "longtan", "daguanyuan"])),
    revoked=st.booleans(),
)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "vouchers.bin"
    put_register(path, VOUCHERS)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vouchers=st.dictionaries(codes, records, max_size=30), strange=codes)
def test_everything_put_in_is_found_as_it_was_and_nothing_else(
    tmp_path: Path, vouchers: dict[str, VoucherRecord], strange: str
) -> None:
    path = tmp_path / "vouchers.bin"
    put_register(path, vouchers)
    register = Register.open(path, KEY)
    assert register.header.count == len(vouchers)
    assert {code: register.find(code) for code in vouchers} == vouchers
    assert register.find(strange) == vouchers.get(strange)


def test_header_says_what_the_register_is(sound: Path) -> None:
    assert Register.open(sound, KEY).header == RegisterHeader(
        1, KEY.fingerprint, 4, BUILT, ("temple-fair", "winter-haircut"), ((), ("ditan", "longtan"))
    )


def test_empty_register_opens_and_knows_nothing(tmp_path: Path) -> None:
    put_register(tmp_path / "vouchers.bin", {})
    register = Register.open(tmp_path / "vouchers.bin", KEY)
    assert (register.header.count, register.find(code_of("MH0001"))) == (0, None)


def test_no_code_stands_in_the_file_and_equal_codes_hash_otherwise_under_another_key(sound: Path) -> None:
    content = sound.read_bytes()
    assert not any(code.encode() in content or code[:-1].encode() in content for code in VOUCHERS)
    other = sound.with_name("other.bin")
    put_register(
        other, {code: VoucherRecord("temple-fair", None, None) for code in VOUCHERS}, ProgrammeKey(1, b"k" * 32)
    )
    records = content[-TRAILER_BYTES - 4 * RECORD.size : -TRAILER_BYTES]
    hashes = {records[at : at + CODE_HASH_BYTES] for at in range(0, len(records), RECORD.size)}
    assert len(hashes) == 4
    assert not any(each in other.read_bytes() for each in hashes)


def test_every_changed_byte_is_found(sound: Path, tmp_path: Path) -> None:
    content, damaged = sound.read_bytes(), tmp_path / "damaged.bin"
    for place in range(len(content)):
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises(VouchersDamaged):
            Register.open(damaged, KEY)


def test_every_cut_and_every_addition_is_found(sound: Path, tmp_path: Path) -> None:
    content, damaged = sound.read_bytes(), tmp_path / "damaged.bin"
    for length in range(len(content)):
        damaged.write_bytes(content[:length])
        with pytest.raises(VouchersDamaged):
            Register.open(damaged, KEY)
    damaged.write_bytes(content + b"\0")
    with pytest.raises(VouchersDamaged):
        Register.open(damaged, KEY)


@pytest.mark.parametrize("content", [b"", MAGIC, b"SQLite format 3\0" * 20, b"\0" * 4096, MAGIC + b"\xff" * 400])
def test_what_is_no_register_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vouchers.bin").write_bytes(content)
    with pytest.raises(VouchersDamaged):
        Register.open(tmp_path / "vouchers.bin", KEY)


def test_a_file_beyond_the_bound_is_damaged_and_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.bin"
    with path.open("wb") as file:
        file.write(MAGIC)
        file.truncate(FILE_BYTES_MAX * 1000)  # a hole: it takes no room on the disk
    with pytest.raises(VouchersDamaged) as caught:
        Register.open(path, KEY)
    assert caught.value.details["reason"] == "length"


@pytest.mark.parametrize("key", [ProgrammeKey(2, KEY.secret), ProgrammeKey(1, b"k" * 32)])
def test_a_register_of_another_key_is_told_as_such(sound: Path, key: ProgrammeKey) -> None:
    with pytest.raises(VouchersKeyMismatch):
        Register.open(sound, key)


def test_a_register_that_somebody_without_the_key_made_is_refused(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminal.vouchers.build.seal", lambda digest, key: secrets.token_bytes(32))
    put_register(sound, VOUCHERS)
    with pytest.raises(VouchersDamaged) as caught:
        Register.open(sound, KEY)
    assert caught.value.details["reason"] == "seal"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff\xfe",
        SOUND_HEADER.replace(b'"count":0', b'"count":1e999'),
        SOUND_HEADER.replace(b'"count":0', b'"count":-1'),
        SOUND_HEADER.replace(b'"count":0', b'"count":1'),
        SOUND_HEADER.replace(b"2013-02-01T", b"yesterday"),
        SOUND_HEADER.replace(KEY.fingerprint.encode(), b"6210947000000021"),
        SOUND_HEADER.replace(KEY.fingerprint.encode(), b"62109470000000210000"),
    ],
)
def test_a_forged_header_with_its_right_checksum_is_a_short_typed_error(tmp_path: Path, header: bytes) -> None:
    content = PREAMBLE.pack(MAGIC, len(header)) + header
    (tmp_path / "vouchers.bin").write_bytes(content + hashlib.sha256(content).digest() + bytes(32))
    with pytest.raises(VouchersError) as caught:
        Register.open(tmp_path / "vouchers.bin", KEY)
    assert isinstance(caught.value, VouchersDamaged | VouchersKeyMismatch)
    assert len(str(caught.value)) < 500


def test_a_missing_and_an_unreadable_register_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(VouchersMissing):
        Register.open(tmp_path / "vouchers.bin", KEY)
    with pytest.raises(VouchersError) as caught:
        Register.open(tmp_path, KEY)
    assert caught.value.code == "vouchers-error"


def test_no_error_repeats_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.bin"
    path.write_bytes(b"6210947000000021," * 40)
    with pytest.raises(VouchersDamaged) as caught:
        Register.open(path, KEY)
    assert "6210947000000021" not in str(caught.value) + repr(caught.value.details)


def test_the_largest_register_opens_in_milliseconds_and_answers_in_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "vouchers.bin"
    stems = list(new_codes(VOUCHERS_MAX, "MH", random.Random(2013).choice))
    header = put_register(path, dict.fromkeys(stems, VoucherRecord("temple-fair", HOLDER, date(2013, 2, 15))))
    assert header.count == VOUCHERS_MAX
    opened = min(_took_s(lambda: Register.open(path, KEY)) for _ in range(3))
    register = Register.open(path, KEY)
    asked = stems[:: VOUCHERS_MAX // 2_000]
    found = min(_took_s(lambda: [register.find(code) for code in asked]) for _ in range(3)) / len(asked)
    assert all(register.find(code) for code in asked)
    assert opened * 1000 < OPEN_MS_MAX, opened
    assert found * 1_000_000 < FIND_US_MAX, found
    assert path.stat().st_size < register_module.FILE_BYTES_MAX


def _took_s(work: object) -> float:
    assert callable(work)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

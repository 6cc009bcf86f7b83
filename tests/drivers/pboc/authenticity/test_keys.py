"""The key file: what is taken, what is refused and in which words; the files that come with the product."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from drivers.pboc.authenticity.keys import (
    KEYS_FILE_BYTES_MAX,
    KEYS_MAX,
    SchemeKeyMismatch,
    SchemeKeysDamaged,
    SchemeKeysError,
    SchemeKeysMissing,
    SchemeKeyTwice,
    load_scheme_keys,
)
from drivers.virtual.demo_authority import DEMO_AUTHORITY
from tests.fakes.signed_cards import authority_of

SHIPPED = Path(__file__).parents[4] / "config/keys"
UNIONPAY = bytes.fromhex("A000000333")
GOOD = DEMO_AUTHORITY.key_file(date(2049, 12, 31))


def load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text, encoding="utf-8")
    load_scheme_keys(file)


def test_a_key_is_found_by_scheme_and_index_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(GOOD, encoding="utf-8")
    keys = load_scheme_keys(file)
    (key,) = keys
    assert keys.find(UNIONPAY, 0xFE) is key
    assert key.name == "A000000333/FE"
    assert keys.find(UNIONPAY, 0x02) is None
    assert keys.find(bytes.fromhex("A000000003"), 0xFE) is None


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("unionpay", {0x02: 1152, 0x03: 1408, 0x04: 1984}),
        ("unionpay-test", {0x08: 1152, 0x09: 1408, 0x0A: 1024, 0x0B: 1984}),
    ],
)
def test_the_published_keys_come_with_the_product_and_their_checksums_fit(name: str, bits: dict[int, int]) -> None:
    keys = load_scheme_keys(SHIPPED / f"{name}.toml")  # raises on any octet that the published checksum does not fit
    assert {key.index: key.key.modulus.bit_length() for key in keys if key.key} == bits
    assert {key.rid for key in keys} == {UNIONPAY}


def test_no_test_key_stands_among_the_live_ones() -> None:
    live, test = (set(map(str, load_scheme_keys(SHIPPED / name))) for name in ("unionpay.toml", "unionpay-test.toml"))
    assert not live & test


def test_an_sm2_key_is_known_without_its_octets(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[[keys]]\nrid="A000000333"\nindex="11"\nalgorithm="sm2"\nexpires=2040-12-31', encoding="utf-8")
    found = load_scheme_keys(file).find(UNIONPAY, 0x11)
    assert found is not None
    assert found.key is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[[keys]]", "keys = 1", "not a list"),
        ("[[keys]]", "[keys]", "not a list"),
        ("[[keys]]", "other = 1\n[[keys]]", "not a list"),
        ('rid = "A000000333"', 'rid = "A0000003"', "rid has 4 octets"),
        ('rid = "A000000333"', "rid = 5", "rid is missing"),
        ('rid = "A000000333"\n', "", "rid is missing"),
        ('index = "FE"', 'index = "FEFE"', "index has 2 octets"),
        ('index = "FE"', 'index = "XY"', "index is not hexadecimal"),
        ('algorithm = "rsa"', 'algorithm = "dsa"', "neither rsa nor sm2"),
        ('algorithm = "rsa"\n', "", "neither rsa nor sm2"),
        ('exponent = "03"', 'exponent = "05"', "neither 03 nor 010001"),
        ('exponent = "03"', 'exponent = "000003"', "neither 03 nor 010001"),
        ('exponent = "03"', 'exponent = ""', "exponent has 0 octets"),
        ("expires = 2049-12-31", 'expires = "2049-12-31"', "expires is no date"),
        ("expires = 2049-12-31", "expires = 2049-12-31T00:00:00", "expires is no date"),
        ("expires = 2049-12-31", "", "expires is no date"),
        ("expires = 2049-12-31", "expires = 2049-12-31\nnote = 1", "unknown field note"),
        ('modulus = "', 'modulus = "00', "begins with a zero bit"),
        ('modulus = "', f'modulus = "{"80" * 200}', "modulus has 344 octets"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(SchemeKeysDamaged) as refused:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert reason in refused.value.what_text("en")


def test_every_bound_of_the_modulus_is_tried(tmp_path: Path) -> None:
    for octets, taken in ((63, False), (64, True), (248, True), (249, False)):
        text = authority_of(octets).key_file(date(2049, 12, 31))
        if taken:
            load(tmp_path, text)
        else:
            with pytest.raises(SchemeKeysDamaged):
                load(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [('checksum = "', 'checksum = "00" #'), ('modulus = "9C', 'modulus = "9D'), ('index = "FE"', 'index = "FD"')],
)
def test_a_lost_digit_is_found_and_the_key_named(tmp_path: Path, old: str, new: str) -> None:
    if "#" in new:
        line = next(line for line in GOOD.splitlines() if line.startswith("checksum"))
        text = GOOD.replace(line, f'checksum = "{"00" * 20}"')
    else:
        text = GOOD.replace(old, new)
    with pytest.raises(SchemeKeyMismatch) as refused:
        load(tmp_path, text)
    assert "A000000333/F" in refused.value.what_text("en")


def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemeKeyTwice):
        load(tmp_path, GOOD + GOOD)


def test_a_missing_file_and_a_directory_are_told_apart_from_damage(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SchemeKeysMissing):
            load_scheme_keys(path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[[keys]", b"", b"keys = " + b"[" * 5000, b"keys = " + b"9" * 5000], ids=range(5)
)
def test_bytes_that_are_no_key_file_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.toml"
    file.write_bytes(content)
    with pytest.raises(SchemeKeysDamaged):
        load_scheme_keys(file)


def test_the_file_and_its_list_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(SchemeKeysDamaged, match=str(KEYS_FILE_BYTES_MAX)):
        load(tmp_path, GOOD + "#" * KEYS_FILE_BYTES_MAX)
    short = '[[keys]]\nrid="A000000333"\nindex="{:02X}"\nalgorithm="sm2"\nexpires=2040-12-31\n'
    load(tmp_path, "".join(short.format(index) for index in range(KEYS_MAX)))
    with pytest.raises(SchemeKeysDamaged, match=str(KEYS_MAX)):
        load(tmp_path, "".join(short.format(index) for index in range(KEYS_MAX + 1)))


def test_every_fault_of_the_file_is_one_of_one_family() -> None:
    for error in (SchemeKeysMissing, SchemeKeysDamaged, SchemeKeyMismatch, SchemeKeyTwice):
        assert issubclass(error, SchemeKeysError)

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import Pan
from terminal.membership.token import (
    KEY_FILE_BYTES_MAX,
    KEY_VERSION_MAX,
    ProgrammeKey,
    ProgrammeKeyError,
    ProgrammeKeyExists,
    ProgrammeKeyExposed,
    ProgrammeKeyMalformed,
    ProgrammeKeyMissing,
    card_token,
    create_programme_key,
    load_programme_key,
    person_token,
    token_parts,
)

KEY = ProgrammeKey(1, bytes(range(32)))
DIGITS = "6210947000000021"
KEY_HEX = "c0ffee" + "5a" * 29


def write_key(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# Made with `openssl dgst -sha256 -mac HMAC`. With any other values every roll in the field would be worthless.


def test_card_token_is_the_pinned_hmac_of_the_digits() -> None:
    token = card_token(Pan(DIGITS), KEY)
    assert token == "v1:79e8248ee435fb0ad410f3d21862a2b8a4e92ac48771f4114f9f65862f9f55aa"


def test_person_token_is_the_pinned_hmac_of_the_id() -> None:
    assert person_token("P-0001", KEY) == "v1:cdaf8375912aa2c98a28a322dbb6b817f393408711f26ad5e89c27b4d081eae6"


def test_key_fingerprint_is_pinned() -> None:
    assert KEY.fingerprint == "c39ab6fcb517c518"


def test_blanks_around_a_person_id_do_not_make_another_person() -> None:
    assert person_token(" P-0001\t", KEY) == person_token("P-0001", KEY)


def test_a_person_whose_id_is_a_card_number_shares_no_token_with_the_card() -> None:
    assert person_token(DIGITS, KEY) != card_token(Pan(DIGITS), KEY)


@given(version=st.integers(1, KEY_VERSION_MAX), secret=st.binary(min_size=32, max_size=32))
def test_token_parts_give_back_version_and_hash(version: int, secret: bytes) -> None:
    key = ProgrammeKey(version, secret)
    assert token_parts(card_token(Pan(DIGITS), key)) == (version, Pan(DIGITS).keyed_hash(secret))


@given(secret=st.binary(min_size=32, max_size=32).filter(lambda secret: secret != KEY.secret))
def test_another_key_gives_another_token_and_fingerprint(secret: bytes) -> None:
    other = ProgrammeKey(1, secret)
    assert card_token(Pan(DIGITS), other) != card_token(Pan(DIGITS), KEY)
    assert other.fingerprint != KEY.fingerprint


def test_key_shows_its_secret_nowhere() -> None:
    key = ProgrammeKey(3, bytes.fromhex(KEY_HEX))
    for text in (repr(key), str(key), f"{key}", key.fingerprint):
        assert KEY_HEX not in text
        assert repr(key.secret) not in text


def test_created_key_is_read_back_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "programme.key"
    before = os.umask(0)
    try:
        made = create_programme_key(path, version=7)
    finally:
        os.umask(before)
    assert load_programme_key(path) == made
    assert made.version == 7
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["programme.key"]


def test_two_created_keys_differ(tmp_path: Path) -> None:
    assert create_programme_key(tmp_path / "a").secret != create_programme_key(tmp_path / "b").secret


def test_creating_never_overwrites_a_key(tmp_path: Path) -> None:
    path = tmp_path / "programme.key"
    first = create_programme_key(path)
    with pytest.raises(ProgrammeKeyExists):
        create_programme_key(path)
    assert load_programme_key(path) == first
    assert len(list(tmp_path.iterdir())) == 1


def test_creating_in_a_missing_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeKeyError):
        create_programme_key(tmp_path / "nowhere" / "programme.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o602, 0o644])
def test_key_file_open_to_others_is_refused_with_the_chmod_to_run(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "programme.key", f'version = 1\nkey = "{KEY_HEX}"\n', mode)
    with pytest.raises(ProgrammeKeyExposed) as caught:
        load_programme_key(path)
    assert f"chmod 600 {path}" in caught.value.hint_text("zh")
    assert f"chmod 600 {path}" in caught.value.hint_text("en")


def test_missing_key_file_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeKeyMissing) as caught:
        load_programme_key(tmp_path / "programme.key")
    assert str(tmp_path / "programme.key") in caught.value.what_text("zh")


def test_folder_in_the_key_files_place_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeKeyError):
        load_programme_key(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY_HEX,
        f'key = "{KEY_HEX}"',
        "version = 1",
        f'version = 1\nkey = "{KEY_HEX}"\nextra = 1',
        f'version = 0\nkey = "{KEY_HEX}"',
        f'version = {KEY_VERSION_MAX + 1}\nkey = "{KEY_HEX}"',
        f'version = true\nkey = "{KEY_HEX}"',
        f'version = "1"\nkey = "{KEY_HEX}"',
        f'version = 1\nkey = "{KEY_HEX[:-2]}"',
        f'version = 1\nkey = "{KEY_HEX[:-2]}zz"',
        f'version = 1\nkey = "{KEY_HEX[:-2]}  "',
        "version = 1\nkey = 5",
        f'version = 1\nkey = "{KEY_HEX}"\n' + "#" * KEY_FILE_BYTES_MAX,
    ],
)
def test_malformed_key_file_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    path = write_key(tmp_path / "programme.key", text)
    with pytest.raises(ProgrammeKeyMalformed) as caught:
        load_programme_key(path)
    assert KEY_HEX[:20] not in str(caught.value) + repr(caught.value.details)


def test_key_file_that_is_no_text_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "programme.key"
    path.write_bytes(b"\xff\xfe\x00")
    path.chmod(0o600)
    with pytest.raises(ProgrammeKeyMalformed):
        load_programme_key(path)

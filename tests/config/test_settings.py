"""Settings: every key overridable, every mistake named with its place and the nearest known key."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import settings
from config.settings import SettingsInvalid, SettingsMissing, load_hq, load_terminal

GOOD = """
data_dir = "data"
[terminal]
merchant = "cinema"
site = "hall"
name = "till-1"
[[readers]]
kind = "serial"
device = "/dev/ttyUSB0"
[membership]
roll = "roll.bin"
programme_key = "programme.toml"
issuers = [{ name = "BoB", low = "621094", high = "621094" }]
[offers]
book = "book.toml"
slices = { "winter-film/citywide" = 500 }
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JINGKA_DATA_DIR", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "terminal.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    loaded = load_terminal(write(tmp_path, GOOD))
    assert loaded.membership.roll == tmp_path / "roll.bin"
    assert loaded.data_dir == tmp_path / "data"
    assert loaded.offers.slices == {"winter-film/citywide": 500}
    assert loaded.readers[0].kind == "serial"


def test_where_readings_are_kept_is_relative_to_the_file_too(tmp_path: Path) -> None:
    assert load_terminal(write(tmp_path, GOOD)).support.reads_dir is None
    loaded = load_terminal(write(tmp_path, GOOD + '\n[support]\nreads_dir = "reads"\n'))
    assert loaded.support.reads_dir == tmp_path / "reads"


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGKA_TERMINAL__PORT", "9000")
    monkeypatch.setenv("JINGKA_DATA_DIR", str(tmp_path / "elsewhere"))
    loaded = load_terminal(write(tmp_path, GOOD))
    assert loaded.terminal.port == 9000
    assert loaded.data_dir == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (("merchant =", "mercant ="), "terminal.mercant", "did you mean `merchant`?"),
        (('kind = "serial"', 'kind = "serial"\nbauds = 9600'), "readers.0.bauds", "did you mean `baud`?"),
        (("[offers]", "[offer]"), "offer", "did you mean `offers`?"),
        (("[offers]", '[offers]\nsigned_by = "key"'), "offers.signed_by", "pattern"),
        (('merchant = "cinema"', 'merchant = ""'), "terminal.merchant", "at least 1 character"),
        (('low = "621094"', 'low = "62x"'), "membership.issuers.0.low", "pattern"),
        (('kind = "serial"', 'kind = "telepathy"'), "readers.0", "pcsc"),
        (('name = "till-1"', 'name = "till-1"\nhost = "0.0.0.0"'), "terminal.host", "127.0.0.1"),
        (("[terminal]", "[terminal"), "terminal.toml", "line 3"),
        (
            ("[membership]", '[[readers]]\nkind = "serial"\ndevice = "/dev/ttyUSB1"\n[membership]'),
            "readers",
            "`stripe`",
        ),
        (
            ("[membership]", '[[readers]]\nkind = "pn532"\ndevice = "/dev/ttyUSB0"\n[membership]'),
            "readers",
            "two readers have the device `/dev/ttyUSB0`",
        ),
        (
            ("[membership]", '[[readers]]\nkind = "pcsc"\n[[readers]]\nkind = "pcsc"\nname = "ACS"\n[membership]'),
            "readers",
            "takes every PC/SC reader",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, change: tuple[str, str], place: str, words: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_terminal(write(tmp_path, GOOD.replace(*change)))
    assert place in str(caught.value)
    assert words in str(caught.value)


def test_a_misspelt_variable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGKA_TERMNAL__PORT", "9000")
    with pytest.raises(SettingsInvalid, match="did you mean `JINGKA_TERMINAL__PORT`"):
        load_terminal(write(tmp_path, GOOD))


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsMissing, match="--config"):
        load_terminal(tmp_path / "nowhere.toml")


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="not a settings file"):
        load_terminal(write(tmp_path, "#" * (settings.SETTINGS_BYTES_MAX + 1)))


def test_headquarters_runs_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGKA_DATA_DIR", str(tmp_path))
    assert load_hq(None).port == 8600
    assert load_hq(None).data_dir == tmp_path


def test_one_environment_serves_both_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGKA_TERMINAL__PORT", "9000")
    assert load_hq(None).port == 8600

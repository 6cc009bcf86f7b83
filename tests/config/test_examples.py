"""The example settings load as they are, and their comments tell the truth about the defaults."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from config.settings import HqFileSettings, TerminalSettings, known_keys, load_hq, load_terminal

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
OPTION = re.compile(r"^# (?=[a-z_]+ = |\[\[readers\]\])", re.MULTILINE)  # a setting that is commented out
DEFAULTS = re.compile(r"^# (\w+) = ([^#\n]+?)(?: #.*)?$")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JINGKA_DATA_DIR", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def commented_defaults(file: str) -> list[tuple[str, str]]:
    """`section.key` and the value of each setting that stands commented out, the second reader's aside."""
    section, found = "", []
    for line in (EXAMPLES / file).read_text(encoding="utf-8").splitlines():
        if line.lstrip("# ").startswith("["):
            section = line.lstrip("# ").strip("[]")
            optional_table = line.startswith("#")
        elif (setting := DEFAULTS.match(line)) and not optional_table:
            found.append((f"{section}.{setting[1]}", setting[2]))
    return found


def test_the_terminals_example_loads() -> None:
    settings = load_terminal(EXAMPLES / "terminal.toml")
    assert [reader.kind for reader in settings.readers] == ["pcsc"]
    assert settings.offers.slices == {"winter-film/pool": 200}
    assert settings.membership.programme_key == EXAMPLES / "programme-key.toml"
    assert settings.data_dir == Path("/var/lib/jingka")


def test_headquarters_example_loads_and_keeps_apart_from_a_terminal_on_the_same_machine() -> None:
    settings = load_hq(EXAMPLES / "headquarters.toml")
    assert settings.names == ("hq.example",)
    assert settings.data_dir != load_terminal(EXAMPLES / "terminal.toml").data_dir


def test_the_terminals_example_loads_with_every_option_switched_on(tmp_path: Path) -> None:
    everything = tmp_path / "terminal.toml"
    everything.write_text(OPTION.sub("", (EXAMPLES / "terminal.toml").read_text(encoding="utf-8")), encoding="utf-8")
    settings = load_terminal(everything)
    assert [reader.kind for reader in settings.readers] == ["pcsc", "serial", "pn532", "wedge"]
    assert settings.membership.changes == Path("/var/lib/jingka/changes.bin")
    assert settings.offers.vouchers == Path("/var/lib/jingka/vouchers.bin")


def test_headquarters_example_loads_with_every_option_switched_on(tmp_path: Path) -> None:
    everything = tmp_path / "headquarters.toml"
    text = OPTION.sub("", (EXAMPLES / "headquarters.toml").read_text(encoding="utf-8"))
    everything.write_text(text, encoding="utf-8")
    assert load_hq(everything).port == 8600


@pytest.mark.parametrize(
    ("file", "model"), [("terminal.toml", TerminalSettings), ("headquarters.toml", HqFileSettings)]
)
def test_what_is_commented_out_shows_the_default(file: str, model: type[BaseModel]) -> None:
    defaults = known_keys(model)
    shown = [
        (key, value)
        for key, value in commented_defaults(file)
        if key.split(".")[0] not in ("readers", "membership") and defaults[key] != "None"  # a path without a default
    ]
    assert len(shown) > 3
    for key, value in shown:
        assert str(tomllib.loads(f"value = {value}")["value"]) == defaults[key], key

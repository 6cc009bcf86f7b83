"""The walk-through of docs/campaigns.md, typed as it stands there; and what the command line refuses."""

from __future__ import annotations

import base64
import json
import re
import shlex
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config.errors import JingkaError
from sync.headquarters.keys import read_successions
from sync.signing import DeviceKey
from terminal.cli import app

PAGE = Path(__file__).parents[3] / "docs" / "campaigns.md"
TYPED = re.compile(r"^jingka (hq .*)$", re.MULTILINE)
WINTER = files("config.books").joinpath("winter-2012.toml").read_text("utf-8")
PIN = "24680"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the settings and the two books that the page speaks of."""
    (tmp_path / "headquarters.toml").write_text('data_dir = "data"\n', encoding="utf-8")
    (tmp_path / "winter-2012.toml").write_text(WINTER, encoding="utf-8")
    dearer = WINTER.replace("unit_fen = 1000", "unit_fen = 1200", 1)
    (tmp_path / "winter-2013.toml").write_text(dearer, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jingka(line: str, pin: str = PIN) -> Result:
    """One line as typed after `jingka`, everybody with the same PIN."""
    return CliRunner().invoke(app, shlex.split(line), input=f"{pin}\n")


def done(line: str) -> str:
    result = jingka(line)
    assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
    return result.output


def refused(line: str, pin: str = PIN) -> JingkaError:
    error = jingka(line, pin).exception
    assert isinstance(error, JingkaError), error
    return error


def test_the_walk_through_of_the_page(place: Path) -> None:
    lines = TYPED.findall(PAGE.read_text("utf-8"))
    assert len(lines) > 15
    said = {line: done(line) for line in lines}
    assert any("gongren-julebu" in output for line, output in said.items() if "rollout 1" in line)
    books = json.loads(done("hq --config headquarters.toml book list --json"))
    assert [each["revision"] for each in books["releases"]] == [3, 2, 1]
    assert books["releases"][0]["restores"] == 1
    assert [(each["revision"], each["target"]["everywhere"]) for each in books["running"]] == [(3, True)]
    key = place / "data" / "release.key"
    assert key.stat().st_mode & 0o777 == 0o600
    (step,) = read_successions(key).successions  # the last line of the page: a new release key
    assert step.new == DeviceKey.load(key).public.hex() != step.old
    assert DeviceKey.load(key).public != base64.b64decode(said[lines[0]].rpartition('signed_by = "')[2].strip(' "\n'))
    assert said[lines[-1]].splitlines()[1] == f'signed_by = "{base64.b64encode(bytes.fromhex(step.new)).decode()}"'


def test_what_is_wrong_is_said_with_its_line(place: Path) -> None:
    start(place)
    broken = WINTER.replace("gongren-julebu", "gongren-julebo", 1)
    (place / "broken.toml").write_text(broken, encoding="utf-8")
    assert "did you mean gongren-julebu?" in done(f"{HQ} draft broken.toml --person e01")
    checked = jingka(f"{HQ} check 1 --json")
    assert checked.exit_code == 1
    assert json.loads(checked.output)["ok"] is False
    assert refused(f"{HQ} submit 1 --person e01").code == "draft-unfit"
    assert "version 2" in done(f"{HQ} draft winter-2012.toml --into 1 --person e01")
    assert done(f"{HQ} check 1") is not None
    done(f"{HQ} submit 1 --person e01")
    assert refused(f"{HQ} approve 1 --person a01 --version 2").code == "draft-changed"
    assert refused(f"{HQ} approve 1 --person e01").code == "role-missing"
    assert refused(f"{HQ} approve 1 --person a01", pin="9999").code == "pin-wrong"
    done(f"{HQ} approve 1 --person a01 --version 3")
    assert refused(f"{HQ} release 1 --person e01").code == "release-key-missing"
    done(f"{HQ} keygen")
    assert refused(f"{HQ} keygen").code == "key-exists"
    done(f"{HQ} release 1 --person e01")
    assert refused(f"{HQ} rollout 1 --person e01").code == "target-invalid"
    assert refused(f"{HQ} rollback 1 --person a01").code == "release-newest"
    assert "revision 1" in done(f"{HQ} list")
    assert "draft 2" in done(f"{HQ} draft --person e01")
    done(f"{HQ} discard 2 --person e01")


@pytest.mark.parametrize("role", ["cashier", "boss"])
def test_only_headquarters_roles_are_given(place: Path, role: str) -> None:
    assert jingka(f"hq --config headquarters.toml person x01 --role {role}").exit_code == 2


HQ = "hq --config headquarters.toml book"


def start(place: Path) -> None:
    done("hq --config headquarters.toml person e01 --role editor")
    done("hq --config headquarters.toml person a01 --role approver")

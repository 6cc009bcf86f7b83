"""`jingka hq settlement` over a headquarters with a month to close, as docs/settlement.md has it; what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner, Result

from config.errors import JingkaError
from config.places import PEOPLE_FILE
from sync.headquarters.money.document import is_signed_by
from sync.headquarters.money.errors import MonthNotOver, SettlementOpen
from sync.headquarters.money.tables import settlement_lines
from sync.headquarters.storage import open_storage
from sync.private_file import create_private
from terminal.cli import app
from terminal.serving.problems import RoleMissing
from tests.sync.headquarters.money.office import PIN, fill, people_bytes
from tests.sync.headquarters.written_ledger import MERCHANT

PAGE = Path(__file__).parents[3] / "docs" / "settlement.md"
SHOWN = re.compile(r"^jingka (hq --config headquarters.toml settlement .*)$", re.MULTILINE)
HQ = "hq --config headquarters.toml settlement"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the settings, the people, and January's sales."""
    (tmp_path / "headquarters.toml").write_text('data_dir = "data"\n', encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    create_private(data / PEOPLE_FILE, people_bytes())
    storage = open_storage("", data)
    fill(storage)
    storage.close()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jingka(line: str) -> Result:
    return CliRunner().invoke(app, shlex.split(line), input=f"{PIN}\n")


def done(line: str) -> str:
    result = jingka(line)
    assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
    return result.output


def refused(line: str) -> JingkaError:
    error = jingka(line).exception
    assert isinstance(error, JingkaError), error
    return error


def test_the_commands_of_the_page(place: Path) -> None:
    lines = SHOWN.findall(PAGE.read_text("utf-8"))
    assert len(lines) == 4
    for line in lines:
        done(line.replace("f01", "fin1"))
    assert (place / "gongren-2026-01.xlsx").read_bytes().startswith(b"PK")


def test_show_close_verify_and_export(place: Path) -> None:
    (listed,) = json.loads(done(f"{HQ} show --month 2026-01 --json"))
    assert (listed["merchant"], listed["state"], listed["completed"], listed["voided"]) == (MERCHANT, "open", 2, 1)
    assert f"2026-01  {MERCHANT}  open" in done(f"{HQ} show --month 2026-01")
    assert "2026-01-05  completed  winter-film  2" in done(f"{HQ} show {MERCHANT} --month 2026-01")
    assert isinstance(refused(f"{HQ} export {MERCHANT} --month 2026-01 --format signed --out s.json"), SettlementOpen)
    assert MERCHANT in done(f"{HQ} close {MERCHANT} --month 2026-01 --person fin1")
    assert json.loads(done(f"{HQ} show {MERCHANT} --month 2026-01 --json"))["closed_by"] == "fin1"
    done(f"{HQ} export {MERCHANT} --month 2026-01 --format signed --out s.json")
    form = json.loads((place / "s.json").read_bytes())
    assert is_signed_by(form["document"].encode(), form["signature"], form["key"])
    done(f"{HQ} export {MERCHANT} --month 2026-01 --format csv --language en --out s.csv")
    rows = list(csv.reader(io.StringIO((place / "s.csv").read_text("utf-8-sig"))))
    assert ["State", "closed"] in rows
    assert json.loads(done(f"{HQ} verify --json")) == {"merchants": 1, "faults": {}}


def test_verify_names_what_is_wrong(place: Path) -> None:
    done(f"{HQ} close --month 2026-01 --person fin1")
    storage = open_storage("", place / "data")
    with storage.write() as connection:
        connection.execute(update(settlement_lines).values(units=99))
    storage.close()
    result = jingka(f"{HQ} verify {MERCHANT}")
    assert result.exit_code == 1
    assert "2026-01: its lines were changed" in result.output


def test_settlements_outlive_headquarters_key(place: Path) -> None:
    done(f"{HQ} close --month 2026-01 --person fin1")
    done("hq --config headquarters.toml key rotate")
    assert json.loads(done(f"{HQ} verify --json"))["faults"] == {}


def test_who_may_not_close_and_what_cannot_be_closed(place: Path) -> None:
    assert isinstance(refused(f"{HQ} close --month 2026-01 --person op1"), RoleMissing)
    assert isinstance(refused(f"{HQ} close {MERCHANT} --month 9998-01 --person fin1"), MonthNotOver)
    assert jingka(f"{HQ} show --month 2026-1").exit_code == 2
    assert jingka(f"{HQ} export {MERCHANT} --month 2026-01 --language fr --out x").exit_code == 2

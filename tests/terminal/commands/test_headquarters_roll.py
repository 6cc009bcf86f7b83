"""The commands of docs/roll.md, typed as they stand there; and what the command line refuses."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config.errors import JingkaError
from config.places import PEOPLE_FILE
from sync.private_file import create_private
from terminal.cli import app
from terminal.serving.people import Person, Role, add_person
from tests.sync.headquarters.roll.lists import KEY, digits, line

PAGE = Path(__file__).parents[3] / "docs" / "roll.md"
TYPED = re.compile(r"^jingka (hq .*)$", re.MULTILINE)
PIN = "24680"
HQ = "hq --config headquarters.toml roll"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the settings, the key, the people and the union's list that the page speaks of."""
    (tmp_path / "data").mkdir()
    (tmp_path / "headquarters.toml").write_text('data_dir = "data"\n[hq]\nprogramme_key = "key.toml"\n')
    create_private(tmp_path / "key.toml", f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    for person, role in (("h01", Role.OPERATOR), ("h02", Role.OPERATOR), ("f01", Role.FINANCE)):
        add_person(tmp_path / "data" / PEOPLE_FILE, Person(person, person, role), PIN)
    union = [f"{digits(number)},ordinary,P-{number}" for number in range(5)]
    (tmp_path / "union.csv").write_text("\n".join(["pan,class,person", *union, "x"]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jingka(line: str) -> Result:
    return CliRunner().invoke(app, shlex.split(line), input=f"{PIN}\n")


def done(line: str) -> str:
    result = jingka(line)
    assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
    return result.stdout


def test_the_page_can_be_typed_as_it_stands() -> None:
    typed = TYPED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(typed) == 3
    bring, confirm, show = (done(each) for each in typed)
    assert "line 7: 列数与表头不符" in bring
    assert "5 cards, 0 repeated, 1 lines set aside" in bring
    assert "unknown → inactive: 5" in bring
    assert "list 1: waiting" in bring
    assert "list 1: done" in confirm
    assert "version 5" in show
    assert digits(0) not in bring + confirm + show


def test_a_list_is_confirmed_as_it_is_brought_and_a_snapshot_made(place: Path) -> None:
    cards = [line(number) for number in range(100)]
    (place / "all.csv").write_text("\n".join(["pan,standing,class,issued,person", *cards]), encoding="utf-8")
    brought = json.loads(done(f"{HQ} import all.csv --person h01 --confirm --json"))
    assert (brought["state"], brought["preview"]["changes"], brought["rejected"]) == ("done", 100, [])
    assert "version 100" in done(f"{HQ} snapshot")
    (place / "few.csv").write_text("\n".join(["pan,standing,class,issued,person", *cards[:50]]), encoding="utf-8")
    assert "takes two people" in done(f"{HQ} import few.csv --person h01 --confirm")
    error = jingka(f"{HQ} confirm 2 --person h01").exception
    assert isinstance(error, JingkaError)
    assert error.code == "second-person-needed"
    assert "list 2: done" in done(f"{HQ} confirm 2 --person h02")
    assert json.loads(done(f"{HQ} list --json"))["version"] == 150
    done(f"{HQ} import all.csv --person h01")
    assert "list 3: discarded" in done(f"{HQ} discard 3 --person h02")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"{HQ} import union.csv --kind union --person f01", "role-missing"),
        (f"{HQ} import union.csv --kind bank --person h01", "card-list-invalid"),
        (f"{HQ} import none.csv --person h01", "card-list-error"),
        (f"{HQ} import union.csv --kind union --person h09", "pin-wrong"),
        (f"{HQ} confirm 7 --person h01", "import-missing"),
    ],
)
def test_what_is_refused(line: str, code: str) -> None:
    error = jingka(line).exception
    assert isinstance(error, JingkaError), error
    assert error.code == code


def test_without_a_programme_key_there_is_no_roll(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JINGKA_DATA_DIR", str(tmp_path / "other"))
    error = jingka("hq roll snapshot").exception
    assert isinstance(error, JingkaError)
    assert error.code == "hashing-key-missing"


def test_a_kind_that_is_none_is_wrong_usage() -> None:
    assert jingka(f"{HQ} import union.csv --kind other --person h01").exit_code == 2

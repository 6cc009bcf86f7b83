"""The commands of docs/vouchers.md for headquarters, typed as they stand there; and what the command line refuses."""

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
from tests.fakes.vouchers import KEY
from tests.sync.headquarters.vouchers.rows import code, listed, row

PAGE = Path(__file__).parents[3] / "docs" / "vouchers.md"
TYPED = re.compile(r"^jingka (hq .*)$", re.MULTILINE)
PIN = "24680"
HQ = "hq --config headquarters.toml vouchers"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the settings, the key, the people and the list that the page speaks of."""
    (tmp_path / "data").mkdir()
    (tmp_path / "headquarters.toml").write_text('data_dir = "data"\n[hq]\nprogramme_key = "key.toml"\n')
    create_private(tmp_path / "key.toml", f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    for person, role in (("e01", Role.EDITOR), ("a01", Role.APPROVER), ("h01", Role.OPERATOR), ("f01", Role.FINANCE)):
        add_person(tmp_path / "data" / PEOPLE_FILE, Person(person, person, role), PIN)
    (tmp_path / "fair.csv").write_bytes(listed([*(row(number) for number in range(5)), "x"]))
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
    assert "5 vouchers, 0 repeated, 1 lines set aside" in bring
    assert "5 new, 0 changed, 0 withdrawn, 0 restored, 0 as before" in bring
    assert "list 1: waiting" in bring
    assert "list 1: done" in confirm
    assert "temple-fair: 5 vouchers, 0 withdrawn, version 1" in show
    assert code(0) not in bring + confirm + show


def test_a_list_is_confirmed_as_it_is_brought_and_one_voucher_withdrawn() -> None:
    brought = json.loads(done(f"{HQ} import fair.csv --person e01 --confirm --json"))
    assert (brought["state"], brought["preview"]["new"], brought["rejected"]) == (
        "done",
        5,
        [{"line": 7, "reason": "columns"}],
    )
    assert done(f"{HQ} withdraw {code(1)} --person h01") == "withdrawn: a voucher of temple-fair\n"
    told = json.loads(done(f"{HQ} list --json"))
    assert (told["version"], told["offers"][0]["revoked"], told["lists"][0]["state"]) == (2, 1, "done")
    done(f"{HQ} import fair.csv --person e01")
    assert "list 2: discarded" in done(f"{HQ} discard 2 --person a01")


@pytest.mark.parametrize(
    ("line", "error_code"),
    [
        (f"{HQ} import fair.csv --person h01", "role-missing"),
        (f"{HQ} import headquarters.toml --person e01", "voucher-list-invalid"),
        (f"{HQ} import none.csv --person e01", "voucher-list-error"),
        (f"{HQ} confirm 7 --person a01", "voucher-list-missing"),
        (f"{HQ} withdraw {code(9)} --person h01", "voucher-unregistered"),
        (f"{HQ} withdraw {code(9)[:-1]} --person h01", "voucher-code-mistyped"),
    ],
)
def test_what_is_refused(line: str, error_code: str) -> None:
    error = jingka(line).exception
    assert isinstance(error, JingkaError), error
    assert error.code == error_code

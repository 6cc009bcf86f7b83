"""The command line: each command run as a person would, its exit code, its words, its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.settings import TerminalSettings
from terminal.cli import app
from terminal.demo import prepare
from terminal.ledger.ledger import Ledger
from tests.fakes.clock import SteppedClock
from tests.fakes.command_line import Jingka
from tests.fakes.sales import sale

PAN = "6212345678900000003"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A terminal's data directory with one completed sale."""
    directory = tmp_path / "till"
    directory.mkdir()
    ledger = Ledger.open(directory / "ledger.sqlite", "till-1", SteppedClock())
    done = ledger.authorise(sale())
    ledger.complete(done.id, "c01", None)
    ledger.close()
    return directory


def test_verify_proves_a_whole_ledger_and_finds_a_broken_one(jingka: Jingka, data: Path) -> None:
    whole = jingka("ledger", "verify", "--data", str(data), "--json")
    assert whole.returncode == 0
    assert json.loads(whole.stdout)["entries"] == 2
    raw = (data / "ledger.sqlite").read_bytes()
    (data / "ledger.sqlite").write_bytes(raw.replace(b'"cashier":"c01"', b'"cashier":"c02"'))
    broken = jingka("ledger", "verify", "--data", str(data))
    assert broken.returncode == 1
    assert "NOT whole" in broken.stdout


def test_rebuild_and_export(jingka: Jingka, data: Path, tmp_path: Path) -> None:
    rebuilt = jingka("ledger", "rebuild", "--data", str(data), "--json")
    assert json.loads(rebuilt.stdout)["redemptions"] == 1
    out = tmp_path / "entries.jsonl"
    assert jingka("ledger", "export", "--data", str(data), "--out", str(out)).returncode == 0
    kinds = [json.loads(line)["entry"]["kind"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert kinds == ["authorised", "completed"]


def test_a_ledger_that_is_not_there_is_a_reason_not_a_traceback(jingka: Jingka, tmp_path: Path) -> None:
    done = jingka("ledger", "verify", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "→" in done.stderr


@pytest.mark.parametrize(
    ("form", "begins"), [("text", b"2012"), ("json", b"{"), ("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK")]
)
def test_the_report_in_every_form(jingka: Jingka, data: Path, tmp_path: Path, form: str, begins: bytes) -> None:
    out = tmp_path / f"report.{form}"
    day = sale().business_day
    done = jingka("report", "--data", str(data), "--day", day, "--format", form, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(begins)


def test_wrong_usage_is_exit_code_two(jingka: Jingka, data: Path) -> None:
    assert jingka("report", "--data", str(data), "--format", "pdf").returncode == 2
    assert jingka("report", "--data", str(data), "--day", "yesterday").returncode == 2
    assert jingka("ledger", "dance").returncode == 2
    assert jingka("person", "add", "c09", "--role", "emperor", "--data", str(data)).returncode == 2


def test_a_roll_is_built_and_wrong_lines_are_named_without_their_number(jingka: Jingka, tmp_path: Path) -> None:
    cards = tmp_path / "cards.csv"
    wrong = PAN[:-1] + "4"
    cards.write_text(
        f"pan,standing,class,issued,person\n{PAN},active,ordinary,2020-01-01,p1\n{wrong},active,ordinary,,\n",
        encoding="utf-8",
    )
    done = jingka("roll", "build", str(cards), "--out", str(tmp_path / "roll.bin"))
    assert done.returncode == 0, done.stderr
    assert "line 3" in done.stdout
    assert "1 cards" in done.stdout
    assert "made a new programme key" in done.stderr
    for text in (done.stdout, done.stderr):
        assert PAN not in text
        assert wrong not in text
    assert PAN.encode() not in (tmp_path / "roll.bin").read_bytes()


def test_a_key_is_made_once(jingka: Jingka, tmp_path: Path) -> None:
    key = tmp_path / "key.toml"
    assert jingka("key", "create", str(key)).returncode == 0
    again = jingka("key", "create", str(key))
    assert again.returncode == 1
    assert "not overwritten" in again.stderr


def test_a_person_is_added_with_a_pin_from_the_input(jingka: Jingka, tmp_path: Path) -> None:
    done = jingka("person", "add", "c09", "--name", "赵敏", "--data", str(tmp_path / "till"), stdin="8642\n")
    assert done.returncode == 0, done.stderr
    people = (tmp_path / "till" / "people.toml").read_text(encoding="utf-8")
    assert "赵敏" in people
    assert "8642" not in people


def test_a_good_book_is_named_and_a_bad_one_explained(jingka: Jingka, tmp_path: Path) -> None:
    published = Path(__file__).parents[3] / "config/books/winter-2012.toml"
    assert "4 offers" in jingka("book", "check", str(published)).stdout
    bad = tmp_path / "bad.toml"
    bad.write_text(published.read_text(encoding="utf-8").replace("revision =", "revison ="), encoding="utf-8")
    done = jingka("book", "check", str(bad), "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert any("revision" in finding["en"] and finding["line"] for finding in findings)


def test_the_doctor_names_each_finding_with_its_next_step(jingka: Jingka, tmp_path: Path) -> None:
    terminal, _ = prepare(tmp_path / "demo", "virtual")
    (tmp_path / "demo" / "roll.bin").write_bytes(b"not a roll")
    done = jingka("doctor", "--config", str(terminal), "--json")
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["key"]["ok"]
    assert checks["book"]["ok"]
    assert not checks["roll"]["ok"]
    assert checks["roll"]["hint_zh"]
    assert not checks["enrolment"]["ok"]
    assert not checks["line"]["ok"]


def test_the_support_dump_holds_no_secret(jingka: Jingka, tmp_path: Path) -> None:
    terminal, _ = prepare(tmp_path / "demo", "virtual")
    done = jingka("support", "--config", str(terminal))
    assert done.returncode == 0
    dump = json.loads(done.stdout)
    assert dump["settings"]["terminal"]["name"] == "till-1"
    key = (tmp_path / "demo" / "programme-key.toml").read_text(encoding="ascii").split('"')[1]
    assert key not in done.stdout
    assert "argon2" not in done.stdout


def test_recording_readings_is_one_option_of_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[TerminalSettings] = []

    def serve(settings: TerminalSettings) -> int:
        served.append(settings)
        return 0

    monkeypatch.setattr("terminal.daemon.serve", serve)
    terminal, _ = prepare(tmp_path / "demo", "virtual")
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["--record-reads", "reads"]):
        done = CliRunner().invoke(app, ["run", "--config", str(terminal), *arguments])
        assert done.exit_code == 0, done.output
    assert [settings.support.reads_dir for settings in served] == [None, tmp_path / "reads"]


def test_unknown_settings_end_with_the_nearest_key(jingka: Jingka, tmp_path: Path) -> None:
    terminal, _ = prepare(tmp_path / "demo", "virtual")
    terminal.write_text(terminal.read_text(encoding="utf-8").replace("merchant =", "mercant ="), encoding="utf-8")
    done = jingka("run", "--config", str(terminal))
    assert done.returncode == 1
    assert "did you mean `merchant`" in done.stderr


def test_an_unknown_reader_for_the_demonstration(jingka: Jingka, tmp_path: Path) -> None:
    done = jingka("demo", "--reader", "telepathy", "--data", str(tmp_path / "demo"))
    assert done.returncode == 1
    assert "virtual, pcsc" in done.stderr


def test_pushing_without_a_daemon_says_what_still_waits(jingka: Jingka, tmp_path: Path) -> None:
    terminal, _ = prepare(tmp_path / "demo", "virtual")
    done = jingka("sync", "now", "--config", str(terminal), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["waiting"] == 0

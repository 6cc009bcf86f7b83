"""`jingka voucher`: from new codes to a register, and what the register says of them, without a word too much."""

from __future__ import annotations

import csv
import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.errors import Words
from config.settings import TerminalSettings, load_terminal
from terminal.cli import app
from terminal.commands.voucher import COUNT_MAX, look_up
from terminal.demo import prepare
from terminal.membership.token import load_programme_key, person_token
from terminal.offers.voucher import VoucherRecord, grouped, spelt, well_formed
from terminal.vouchers.register import VOUCHERS_MAX, VouchersMissing
from tests.fakes.command_line import Jingka
from tests.fakes.vouchers import code_of, put_register

CARD = "6212345678900000003"
TODAY = date(2013, 2, 10)
HEADER = "code,offer,card,person,last_day,merchants,revoked\n"
HELD, BEARER, REVOKED, OVER, NOBODYS = (code_of(f"MH{number:04d}") for number in range(5))


@pytest.fixture
def till(tmp_path: Path) -> TerminalSettings:
    """A till with a register of four vouchers."""
    file = prepare(tmp_path / "till", "virtual")[0]
    file.write_text(
        file.read_text(encoding="utf-8").replace("[offers]\n", '[offers]\nvouchers = "v.bin"\n'), encoding="utf-8"
    )
    settings = load_terminal(file)
    key = load_programme_key(settings.membership.programme_key)
    vouchers = {
        HELD: VoucherRecord("temple-fair", person_token("P-0001", key), None),
        BEARER: VoucherRecord("temple-fair", None, TODAY, frozenset({"ditan", "longtan"})),
        REVOKED: VoucherRecord("temple-fair", None, None, revoked=True),
        OVER: VoucherRecord("temple-fair", None, TODAY - timedelta(days=1)),
    }
    put_register(tmp_path / "till" / "v.bin", vouchers, key)
    return settings


def test_new_codes_go_to_the_printer_and_into_the_register(jingka: Jingka, tmp_path: Path) -> None:
    made, register = tmp_path / "fair.csv", tmp_path / "v.bin"
    command = (
        "voucher",
        "make",
        "--offer",
        "temple-fair",
        "--count",
        "30",
        "--prefix",
        "mh",
        "--last-day",
        "2013-02-15",
    )
    done = jingka(*command, "--out", str(made))
    assert (done.returncode, done.stdout) == (0, f"30 vouchers in {made}\n"), done.stderr
    rows = list(csv.DictReader(made.read_text(encoding="utf-8").splitlines()))
    assert len({row["code"] for row in rows}) == 30
    assert all(re.fullmatch(r"MH[0-9A-Z]{2}-[0-9A-Z]{4}-[0-9A-Z]{4}", row["code"]) for row in rows)
    assert all(well_formed(spelt(row["code"])) for row in rows)
    assert {(row["offer"], row["last_day"], row["card"]) for row in rows} == {("temple-fair", "2013-02-15", "")}
    assert made.stat().st_mode & 0o077 == 0

    built = jingka("voucher", "build", str(made), "--out", str(register), "--json")
    assert json.loads(built.stdout) == {"taken": 30, "replaced": 0, "rejected": 0, "lines": []}
    assert not any(spelt(row["code"]).encode() in register.read_bytes() for row in rows)

    again = jingka(*command, "--out", str(made))
    assert again.returncode == 1
    assert "not overwritten" in again.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--offer", "Temple Fair", "--count", "1"),
        ("--offer", "temple-fair", "--count", "0"),
        ("--offer", "temple-fair", "--count", str(COUNT_MAX + 1)),
        ("--offer", "temple-fair", "--count", "1", "--prefix", "券"),
        ("--offer", "temple-fair", "--count", "1", "--prefix", "ABCDEFGHJ"),
        ("--offer", "temple-fair", "--count", "1", "--last-day", "2013-02-30"),
    ],
)
def test_codes_are_not_made_of_nonsense(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["voucher", "make", *wrong, "--out", str(tmp_path / "fair.csv")])
    assert done.exit_code == 2
    assert not (tmp_path / "fair.csv").exists()


def test_as_many_codes_as_a_register_holds_may_be_made_at_once() -> None:
    assert COUNT_MAX == VOUCHERS_MAX


def test_wrong_lines_are_named_without_their_text(jingka: Jingka, tmp_path: Path) -> None:
    source, register = tmp_path / "fair.csv", tmp_path / "v.bin"
    wrong = CARD[:-1] + "4"
    source.write_text(
        HEADER
        + f"{HELD},temple-fair,{CARD},,,,\n{BEARER},temple-fair,{wrong},,,,\n{CARD},temple-fair,,,,,\n"
        + f"{HELD},temple-fair,{CARD},,2013-02-15,,\n",
        encoding="utf-8",
    )
    done = jingka("voucher", "build", str(source), "--out", str(register))
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert [line.split(":")[0] for line in told[:2]] == ["line 3", "line 4"]
    assert "卡号有误" in told[0]
    assert "the code is wrong" in told[1]
    assert told[2] == "1 vouchers, 1 replaced by a later line, 2 lines set aside"
    for secret in (CARD, wrong, HELD, BEARER):
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in register.read_bytes()


def test_a_list_that_is_none_leaves_everything_as_it_was(jingka: Jingka, tmp_path: Path) -> None:
    (tmp_path / "cards.csv").write_text(f"pan,standing\n{CARD},active\n", encoding="utf-8")
    done = jingka("voucher", "build", str(tmp_path / "cards.csv"), "--out", str(tmp_path / "v.bin"))
    assert done.returncode == 1
    assert HEADER.strip() in done.stderr
    assert CARD not in done.stderr
    assert not (tmp_path / "v.bin").exists()


@pytest.mark.parametrize(
    ("typed", "good", "words"),
    [
        (grouped(HELD).lower(), True, "for offer temple-fair, for its own holder, for any day, at any merchant"),
        (
            BEARER,
            True,
            "for offer temple-fair, for whoever brings it, until 2013-02-10, at ditan, longtan",
        ),
        (OVER, False, "for offer temple-fair, for whoever brings it, ended on 2013-02-09, at any merchant"),
        (REVOKED, False, "revoked (temple-fair)"),
        (NOBODYS, False, "the code is well formed, but nobody registered it"),
        (BEARER[:-1], False, "that is no code: compare every character"),
        ("", False, "that is no code: compare every character"),
    ],
)
def test_what_the_register_says_of_a_code(till: TerminalSettings, typed: str, good: bool, words: str) -> None:
    found, told = look_up(typed, till, TODAY)
    assert (found, told.en) == (good, words)
    assert told.zh


def test_nothing_is_said_of_a_holder(till: TerminalSettings) -> None:
    _, told = look_up(HELD, till, TODAY)
    key = load_programme_key(till.membership.programme_key)
    assert person_token("P-0001", key)[3:] not in told.zh + told.en
    assert told == Words(
        "优惠 temple-fair，限本人，不限日期，不限商户",
        "for offer temple-fair, for its own holder, for any day, at any merchant",
    )


def test_without_a_register_only_the_form_is_judged(till: TerminalSettings) -> None:
    none = till.model_copy(update={"offers": till.offers.model_copy(update={"vouchers": None})})
    good, told = look_up(HELD, none, TODAY)
    assert not good
    assert "there is no register here" in told.en
    assert till.offers.vouchers is not None
    till.offers.vouchers.unlink()
    with pytest.raises(VouchersMissing):
        look_up(HELD, till, TODAY)


def test_check_and_doctor_at_a_till(jingka: Jingka, till: TerminalSettings, tmp_path: Path) -> None:
    config = str(tmp_path / "till" / "terminal.toml")
    held = jingka("voucher", "check", HELD, "--config", config, "--json")
    assert (held.returncode, json.loads(held.stdout)["good"]) == (0, True)
    assert jingka("voucher", "check", NOBODYS, "--config", config).returncode == 1

    def probed() -> dict[str, object]:
        told = json.loads(jingka("doctor", "--config", config, "--json").stdout)
        return next(check for check in told if check["name"] == "vouchers")

    assert probed()["ok"]
    assert "4 vouchers of 1 offers" in str(probed()["found"])
    (tmp_path / "till" / "v.bin").write_bytes(b"no register")
    assert not probed()["ok"]
    assert "damaged" in str(probed()["found"])
    damaged = jingka("voucher", "check", HELD, "--config", config)
    assert damaged.returncode == 1
    assert "the register of vouchers is damaged" in damaged.stderr

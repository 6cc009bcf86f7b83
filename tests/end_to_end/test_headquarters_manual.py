"""What docs/headquarters.md tells one to type, typed: every `sh` block, in order, from an empty machine on.

The machine is a directory (`tests/fakes/sandbox.py`); headquarters runs as its unit says, and a till's ledger, enrolled
by the page's own words, is pushed to it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from sync.agent import Agent
from sync.enrolment import load_enrolment
from sync.headquarters.door import headquarters_key
from sync.signing import DeviceKey
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.serving.people import People
from tests.fakes.sales import sale
from tests.fakes.sandbox import ROOT, UNIT, Sandbox
from tests.manual import Manual
from tests.sync.headquarters.roll.lists import line
from tests.sync.headquarters.test_keys import pushed
from tests.sync.headquarters.test_killed import free_port

PAGE = "headquarters.md"
PIN = "13572468"
CODE = "43FX-ND15-FRD4-VK8W-TN8N-5WEA-D49C"
WINTER = files("config.books").joinpath("winter-2012.toml").read_text("utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox.start(tmp_path) as started:
        yield started


class Till:
    """The terminal's machine: its settings, and a ledger with sales."""

    def __init__(self, machine: Sandbox, address: str) -> None:
        self.directory = machine.place("/var/lib/jingka/x").parent
        self.directory.mkdir()
        self._address = address
        example = (ROOT / "config/examples/terminal.toml").read_text(encoding="utf-8")
        example = re.sub(r'(?m)^#? ?url = "[^"]*"', f'url = "{address}"', example)
        machine.place("/etc/jingka/terminal.toml").write_text(machine.here(example), encoding="utf-8")
        self.ledger = Ledger.open(self.directory / "ledger.sqlite", "till-2", SystemClock())
        self._sold = 0

    def sell(self, count: int) -> None:
        for _ in range(count):
            self._sold += 1
            self.ledger.authorise(sale(self._sold))

    def push(self) -> None:
        agent = Agent(ledger=self.ledger, data_dir=self.directory, url=self._address, clock=SystemClock())
        for _ in range(2):  # the first may find that headquarters has a new key, and mend it
            report = agent.push_now()
        assert pushed(agent).error is report.error is None


def fill_in_settings(machine: Sandbox, port: int) -> None:
    """What the page says is to be filled in: where the data is, the port, the database."""
    path = machine.place("/etc/jingka/headquarters.toml")
    assert path.stat().st_mode & 0o777 == 0o640
    text = machine.here(path.read_text(encoding="utf-8"))
    text, filled = re.subn(r'(?m)^database_url = "[^"]*"', f'database_url = "{machine.url()}"\nport = {port}', text)
    assert filled == 1
    path.write_text(text, encoding="utf-8")


@pytest.mark.timeout(180)
def test_every_command_of_the_page_does_what_it_says(machine: Sandbox) -> None:
    manual, port = Manual(PAGE), free_port()
    install(machine, manual, port)
    data_dir = machine.place("/var/lib/jingka-headquarters/x").parent
    till = Till(machine, f"http://127.0.0.1:{port}")
    try:
        enrol(machine, manual, till)
        make_files(machine, manual)
        rotate_keys(machine, manual, till, data_dir)
        back_up_and_restore(machine, manual, till, data_dir)
    finally:
        till.ledger.close()
    verbs = (machine.root / "systemctl.log").read_text().split()[::2]
    assert verbs == ["enable", "restart", "stop", "start"]
    assert manual.left == [], "blocks of the page that nobody typed"


def install(machine: Sandbox, manual: Manual, port: int) -> None:
    machine.type(manual.take("ln -s"))
    machine.type(manual.take("useradd"))
    assert machine.place("/etc/passwd").read_text().startswith("jingka:")
    assert machine.place("/var/lib/jingka-headquarters/x").parent.stat().st_mode & 0o777 == 0o700
    machine.type(manual.take("sudo -u postgres createuser"))
    machine.type(manual.take("install -o root -g jingka -m 0640"))
    fill_in_settings(machine, port)
    machine.type(manual.take("sudo -u jingka jingka hq --config /etc/jingka/headquarters.toml person"), f"{PIN}\n")
    people = People.load(machine.place("/var/lib/jingka-headquarters/people.toml"))
    assert people.check_pin("h01", PIN, 0.0).name == "值班"
    machine.type(manual.take("install -m 0644"))
    assert (machine.root / "systemctl.log").read_text() == f"enable {UNIT}\n"


def enrol(machine: Sandbox, manual: Manual, till: Till) -> None:
    code = machine.type(manual.take("sudo -u jingka jingka hq --config /etc/jingka/headquarters.toml code")).strip()
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4})+", code)
    said = machine.type(manual.take("sudo -u jingka jingka enrol"), words={CODE: code})
    assert said == "till-2 · gongren-julebu · main\n"
    till.sell(3)
    till.push()
    assert entries(machine) == 3


def make_files(machine: Sandbox, manual: Manual) -> None:
    """The key of the programme, the roll and the book, for tills without a line."""
    machine.type(manual.take("jingka key create"))
    assert (machine.work / "programme-key.toml").stat().st_mode & 0o777 == 0o600
    cards = ["pan,standing,class,issued,person", *(line(number) for number in range(5))]
    (machine.work / "cards.csv").write_text("\n".join(cards), encoding="utf-8")
    machine.type(manual.take("jingka roll build"))
    assert (machine.work / "roll.bin").stat().st_size > 0
    (machine.work / "book.toml").write_text(WINTER, encoding="utf-8")
    draft = WINTER.replace("unit_fen = 1000", "unit_fen = 1200", 1)
    (machine.work / "draft.toml").write_text(draft, encoding="utf-8")
    before, _, verify = manual.take("jingka book check").partition("jingka book verify")  # by the key made before it
    made, signed = re.findall(r'signed_by = "(.*)"', machine.type(before))
    assert made == signed
    assert f'signed_by = "{made}"' in machine.type(f"jingka book verify{verify}", words={"PUBLIC-KEY": made})
    for name, place in (("programme-key.toml", "/etc"), ("book.toml", "/etc"), ("roll.bin", "/var/lib")):
        shutil.copy(machine.work / name, machine.place(f"{place}/jingka/{name}"))
    assert "2012-12-25" in machine.type(manual.take("sudo -u jingka jingka book replay"))
    machine.type(manual.take("jingka book schema"))
    assert (machine.work / "book.schema.json").read_text().startswith("{")


def rotate_keys(machine: Sandbox, manual: Manual, till: Till, data_dir: Path) -> None:
    before = DeviceKey.load(till.directory / "device.key").public.hex()
    new = machine.type(manual.take("sudo -u jingka jingka keys rotate")).strip()
    assert new == DeviceKey.load(till.directory / "device.key").public.hex() != before
    assert "与账本一致" in machine.type(manual.take("sudo -u jingka jingka ledger receipt"))
    old = headquarters_key(data_dir).public
    machine.type(manual.take("sudo -u jingka jingka hq --config /etc/jingka/headquarters.toml key rotate"))
    till.push()
    assert load_enrolment(till.directory).headquarters_key == headquarters_key(data_dir).public != old


def back_up_and_restore(machine: Sandbox, manual: Manual, till: Till, data_dir: Path) -> None:
    machine.type(manual.take("umask 077"))
    for name in ("jingka.dump", "jingka-data.tar"):
        assert (machine.work / name).stat().st_mode & 0o777 == 0o600
    till.sell(1)
    till.push()
    key = headquarters_key(data_dir).public
    for path in data_dir.iterdir():
        path.unlink()
    machine.type(manual.take("systemctl stop"))
    assert entries(machine) == 3
    assert headquarters_key(data_dir).public == key
    till.push()
    assert entries(machine) == 4  # the terminal has sent again what the backup did not have


def entries(machine: Sandbox) -> int:
    with psycopg.connect(machine.url()) as connection:
        found = connection.execute("SELECT count(*) FROM entries").fetchone()
    assert found is not None
    count: int = found[0]
    return count

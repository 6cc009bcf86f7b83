"""What docs/headquarters.md tells one to type, typed: every `sh` block, in order, on an installation in a sandbox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from sync.enrolment import enrol, load_enrolment
from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.enrolment import issue_code
from sync.signing import DeviceKey
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.fakes.postgres import SUPERUSER, PostgresCluster, postgres_binaries
from tests.fakes.sales import sale
from tests.sync.headquarters.client import hq_settings, served
from tests.sync.headquarters.test_keys import pushed

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/headquarters.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND_S_MAX = 60
STUBS = {  # what a sandbox has no use for: another user, and systemd
    "sudo": '#!/bin/sh\nshift 2\nexec "$@"\n',
    "systemctl": '#!/bin/sh\necho "$@" >> "$SANDBOX/systemctl.log"\n',
}


@dataclass
class Sandbox:
    """The places that the page names, and the programs."""

    root: Path
    cluster: PostgresCluster

    @property
    def hq_dir(self) -> Path:
        return self.root / "var/lib/jingka-headquarters"

    @property
    def till_dir(self) -> Path:
        return self.root / "var/lib/jingka"

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}@/jingka?host={self.cluster.directory}"

    def type(self, block: str) -> str:
        """One block in a shell that stops at the first fault; what it wrote."""
        script = block.replace("/etc/jingka", f"{self.root}/etc/jingka").replace("/var/lib/", f"{self.root}/var/lib/")
        path = f"{self.root}/bin:{Path(sys.executable).parent}:{postgres_binaries()}:{os.environ['PATH']}"
        environment = {
            "PATH": path,
            "HOME": str(self.root),
            "SANDBOX": str(self.root),
            "PGHOST": str(self.cluster.directory),
            "PGUSER": SUPERUSER,
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(
            ["sh", "-eu"],
            input=script,
            text=True,
            cwd=self.root,
            env=environment,
            capture_output=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    for directory in ("bin", "etc/jingka", "var/lib/jingka", "var/lib/jingka-headquarters"):
        (tmp_path / directory).mkdir(parents=True)
    for name, text in STUBS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    with PostgresCluster.start() as cluster:
        made = Sandbox(tmp_path, cluster)
        made.type("createdb --encoding UTF8 jingka")
        yield made


def blocks() -> dict[str, str]:
    """Each `sh` block by its first words."""
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return {block.split("\n")[0].rstrip(): block for block in found}


def settings_files(sandbox: Sandbox, address: str) -> None:
    (sandbox.root / "etc/jingka/headquarters.toml").write_text(
        f'data_dir = "{sandbox.hq_dir}"\n[hq]\ndatabase_url = "{sandbox.url}"\n'
    )
    example = (ROOT / "config/examples/terminal.toml").read_text(encoding="utf-8")
    example = re.sub(r"(?m)^data_dir = .*$", f'data_dir = "{sandbox.till_dir}"', example)
    example = re.sub(r'(?m)^#? ?url = "[^"]*"', f'url = "{address}"', example)
    (sandbox.root / "etc/jingka/terminal.toml").write_text(example, encoding="utf-8")


def test_every_command_of_the_page_does_what_it_says(sandbox: Sandbox) -> None:
    told = blocks()
    settings = hq_settings(sandbox.hq_dir, sandbox.url)
    code = issue_code(settings, terminal="till-1", merchant="cinema", site="main")
    ledger = Ledger.open(sandbox.till_dir / "ledger.sqlite", "till-1", SystemClock())
    for number in range(3):
        ledger.authorise(sale(number))

    def push(address: str) -> None:
        from sync.agent import Agent

        agent = Agent(ledger=ledger, data_dir=sandbox.till_dir, url=address, clock=SystemClock())
        for _ in range(2):  # the first may find that headquarters has a new key, and mend it
            report = agent.push_now()
        assert pushed(agent).error is report.error is None

    with served(create_app(settings)) as client:
        address = str(client.base_url).rstrip("/")
        settings_files(sandbox, address)
        enrol(address, code, sandbox.till_dir)
        push(address)
        before = DeviceKey.load(sandbox.till_dir / "device.key").public.hex()
        new = sandbox.type(told.pop("jingka keys rotate --config /etc/jingka/terminal.toml")).strip()
        assert new == DeviceKey.load(sandbox.till_dir / "device.key").public.hex() != before
        assert "与账本一致" in sandbox.type(told.pop("jingka ledger receipt --config /etc/jingka/terminal.toml"))
    sandbox.type(told.pop("sudo -u jingka jingka hq --config /etc/jingka/headquarters.toml key rotate"))
    with served(create_app(settings)) as client:
        push(str(client.base_url))
    assert load_enrolment(sandbox.till_dir).headquarters_key == headquarters_key(sandbox.hq_dir).public
    sandbox.type(told.pop("pg_dump --format custom --file jingka.dump jingka"))
    ledger.authorise(sale(9))
    with served(create_app(settings)) as client:
        push(str(client.base_url))
    shutil.rmtree(sandbox.hq_dir)
    sandbox.hq_dir.mkdir()
    sandbox.type(told.pop("systemctl stop jingka-headquarters"))
    assert entries(sandbox) == 3
    with served(create_app(settings)) as client:
        push(str(client.base_url))
    assert entries(sandbox) == 4  # the terminal has sent again what the backup did not have
    ledger.close()
    assert (sandbox.root / "systemctl.log").read_text().split() == [
        *("restart", "jingka-headquarters"),
        *("stop", "jingka-headquarters"),
        *("start", "jingka-headquarters"),
    ]
    assert told == {}, "a block of the page that nobody typed"


def entries(sandbox: Sandbox) -> int:
    with psycopg.connect(sandbox.url) as connection:
        found = connection.execute("SELECT count(*) FROM entries").fetchone()
    assert found is not None
    count: int = found[0]
    return count

"""A real PostgreSQL with a synchronous standby: two clusters of two processes, the first of which can be killed.

The standby is made, waited for and promoted by the very commands of docs/headquarters.md, "Fail over".

with PostgresPair.start() as pair:
    engine = create_engine(pair.url)      # goes to whichever of the two is the primary
    pair.kill_primary()
    pair.promote_standby()
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from tests.fakes.postgres import (
    POLL_S,
    SERVER_USER,
    START_S_MAX,
    STOP_S_MAX,
    SUPERUSER,
    _as_server_user,
    postgres_binaries,
)

DATABASE = "jingka"
MANUAL = Path(__file__).parents[2] / "docs/headquarters.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Server:
    """One cluster of the pair: `directory` holds its data, its socket and its log."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def start(self, **settings: str) -> None:
        """Begin to run; returns at once."""
        fixed = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "unix_socket_permissions": "0777",
            "fsync": "on",
            "max_connections": "60",
        }
        options = [part for name, value in (fixed | settings).items() for part in ("-c", f"{name}={value}")]
        command = _as_server_user(postgres_binaries() / "postgres", "-D", self.data, *options)
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(f"host={self.directory} user={SUPERUSER} dbname={database}", autocommit=True)

    def ask(self, statement: str) -> object:
        """The first column of the answer's first row; None for no row."""
        with self.connect() as connection:
            found = connection.execute(statement.encode()).fetchone()
        return found[0] if found else None

    def wait_for(self, statement: str, wanted: object) -> None:
        """Until the answer to `statement` is `wanted`."""
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                found = self.ask(statement)
            except psycopg.OperationalError as fault:
                found = fault
            if found == wanted:
                return
            log = (self.directory / "server.log").read_text(errors="replace")
            assert self.process is not None
            assert self.process.poll() is None, log
            assert time.monotonic() < deadline, f"{statement}: {found!r}\n{log}"
            time.sleep(POLL_S)

    def kill(self) -> None:
        """SIGKILL to the server and to every process of it, as a power cut would."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for process in (self.process.pid, *map(int, children)):
            os.kill(process, signal.SIGKILL)
        self.process.wait(STOP_S_MAX)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_S_MAX)


@dataclass(slots=True)
class PostgresPair:
    """A primary whose commits wait until the standby has them on disk too."""

    primary: Server
    standby: Server

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Self]:
        """Both running and in step, until the block ends."""
        root = Path(tempfile.mkdtemp(prefix="jingka-pair-"))
        root.chmod(0o711)
        pair = cls(Server(root / "one"), Server(root / "two"))
        try:
            for server in (pair.primary, pair.standby):
                server.directory.mkdir(mode=0o711)
                if os.geteuid() == 0:
                    shutil.chown(server.directory, SERVER_USER, SERVER_USER)
            pair._begin()
            yield pair
        finally:
            pair.primary.stop()
            pair.standby.stop()
            shutil.rmtree(root)

    @property
    def url(self) -> str:
        """The one address of both, as in headquarters' settings."""
        hosts = f"host={self.primary.directory}&host={self.standby.directory}"
        return f"postgresql://{SUPERUSER}@/{DATABASE}?{hosts}&target_session_attrs=read-write"

    @property
    def standby_url(self) -> str:
        """The standby alone."""
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self.standby.directory}"

    def kill_primary(self) -> None:
        """The first machine is gone, in the middle of whatever it did."""
        self.primary.kill()

    def promote_standby(self) -> None:
        """The second machine takes over: what a person does, or the tool that watches."""
        self._type(2, self.standby)
        self.standby.wait_for("SELECT pg_is_in_recovery()", False)

    def _begin(self) -> None:
        form = ("-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8")
        _run(self.primary, postgres_binaries() / "initdb", "-D", self.primary.data, *form)
        self.primary.start()
        self.primary.wait_for("SELECT pg_is_in_recovery()", False)
        with self.primary.connect() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        self._type(0, self.standby)
        self.standby.start()
        self.standby.wait_for("SELECT pg_is_in_recovery()", True)
        self._type(1, self.primary)
        self.primary.wait_for("SELECT sync_state FROM pg_stat_replication", "sync")

    def _type(self, block: int, server: Server) -> None:
        """One block of the manual, typed at `server`."""
        script = _manual()[block]
        for told, here in (
            ("db1.example", str(self.primary.directory)),
            ("user=postgres", f"user={SUPERUSER}"),
            ("/var/lib/postgresql/15/main", str(server.data)),
        ):
            script = script.replace(told, here)
        environment = {
            "PATH": f"{postgres_binaries()}:{os.environ['PATH']}",
            "PGHOST": str(server.directory),
            "PGUSER": SUPERUSER,
            "PGDATABASE": "postgres",
        }
        _run(server, Path("/bin/sh"), "-eu", "-c", script, environment=environment)


def _manual() -> list[str]:
    """The commands that the manual gives for this: copy, wait for, promote."""
    section = MANUAL.read_text(encoding="utf-8").partition("## Fail over")[2].partition("\n## ")[0]
    found = BLOCK.findall(section)
    assert len(found) == 3, "the manual has three steps"
    return list(found)


def _run(server: Server, program: Path, *arguments: object, environment: dict[str, str] | None = None) -> None:
    command = _as_server_user(program, *arguments)
    made = subprocess.run(command, check=False, capture_output=True, cwd=server.directory, text=True, env=environment)
    if made.returncode != 0:
        raise RuntimeError(f"{program.name} failed: {made.stderr}")

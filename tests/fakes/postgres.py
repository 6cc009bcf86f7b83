"""A real PostgreSQL, private to one test run: its own cluster, its own socket, gone afterwards.

    with PostgresCluster.start() as cluster:
        with cluster.database() as url:
            create_engine(url)

The server listens on a unix socket in its own directory and nowhere else, so there is no port to race for. It syncs
its log like a production server; only then does a test of "kill it during a commit" mean anything.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

BINARIES = Path("/usr/lib/postgresql")  # where Debian and Ubuntu put each version's programs
FOR_A_CITY = Path(__file__).parents[2] / "config" / "examples" / "postgresql.conf"  # what docs/headquarters.md advises
SERVER_USER = "postgres"  # the server refuses to run as root; Debian's package brings this account
SUPERUSER = "jingka"  # the role the tests connect as
START_S_MAX = 30.0
STOP_S_MAX = 30.0
POLL_S = 0.05


class PostgresMissingError(RuntimeError):
    """No PostgreSQL server programs on this machine."""


def postgres_binaries() -> Path:
    """The `bin` directory of the newest installed PostgreSQL server.

    Raises:
        PostgresMissingError: none is installed.
    """
    found = [entry for entry in BINARIES.glob("*/bin") if (entry / "initdb").exists()]
    if not found:
        raise PostgresMissingError(f"no server under {BINARIES}: apt-get install postgresql")
    return max(found, key=lambda entry: float(entry.parent.name))


def _as_server_user(*command: object) -> list[str]:
    """`command` under the server's account, ended by the kernel when the test run dies without a goodbye."""
    become = ["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *become, "--pdeathsig", "INT", *map(str, command)]


@dataclass(slots=True)
class PostgresCluster:
    """One running server. `directory` holds its data, its socket and its log."""

    directory: Path
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def start(cls, settings: Path | None = None) -> Iterator[Self]:
        """A fresh cluster, running until the block ends; its directory is removed with it.

        `settings`: a file of settings, as an administrator would put into the server's `conf.d`.
        """
        directory = Path(tempfile.mkdtemp(prefix="jingka-pg-"))  # short: a socket's path may have 107 bytes
        try:
            if os.geteuid() == 0:
                shutil.chown(directory, SERVER_USER, SERVER_USER)
            directory.chmod(0o711)  # the tests, under another account, must reach the socket
            cls._initialise(directory)
            if settings is not None:
                with (directory / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
                    file.write(settings.read_text(encoding="utf-8"))
            cluster = cls(directory, cls._launch(directory))
            try:
                cluster._wait_until_ready()
                yield cluster
            finally:
                cluster.stop()
        finally:
            shutil.rmtree(directory)

    @staticmethod
    def _initialise(directory: Path) -> None:
        initdb = [postgres_binaries() / "initdb", "-D", directory / "data", "-U", SUPERUSER, "-A", "trust"]
        made = subprocess.run(
            _as_server_user(*initdb, "-E", "UTF8", "--locale", "C.UTF-8"),
            check=False,
            capture_output=True,
            cwd=directory,
            text=True,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    @staticmethod
    def _launch(directory: Path) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(directory),
            "unix_socket_permissions": "0777",
            "fsync": "on",
            "max_connections": "60",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = _as_server_user(postgres_binaries() / "postgres", "-D", directory / "data", *options)
        with (directory / "server.log").open("ab") as log:
            return subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
            except psycopg.OperationalError as fault:
                log = (self.directory / "server.log").read_text(errors="replace")
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {log}") from fault
                time.sleep(POLL_S)
            else:
                return

    def restart(self) -> None:
        """Stop the server and start it again on the same data."""
        self.stop()
        self.process = self._launch(self.directory)
        self._wait_until_ready()

    def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back, what was committed is on disk."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_S_MAX)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new empty database, dropped at the end (with whoever is still connected). Yields its SQLAlchemy URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"postgresql+psycopg://{SUPERUSER}@/{name}?host={self.directory}"
        finally:
            self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _dsn(self, database: str) -> str:
        return f"host={self.directory} user={SUPERUSER} dbname={database}"

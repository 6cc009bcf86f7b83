"""A machine in a directory, for what a manual tells one to type: its places, its users, its database, its services.

    with Sandbox.start(tmp_path) as machine:
        machine.type("install -d /var/lib/jingka")     # below machine.root

Everything is the real program, but for the replacements named here: paths lie below the directory; there is one user
for all; the database is a cluster of its own; `systemctl` runs the service itself (`tests/fakes/systemctl.py`).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.fakes import systemctl
from tests.fakes.postgres import SUPERUSER, PostgresCluster, postgres_binaries

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = "jingka-headquarters"
COMMAND_S_MAX: Final = 60
ROLE: Final = "keeper"  # the cluster of the tests has a superuser called `jingka` already; headquarters' role is none

PLACES: Final = re.compile(r"(?<![\w./])/(etc|var/lib|usr/local|opt)/")
STUBS: Final[Mapping[str, str]] = {
    "sudo": 'shift 2\nexec "$@"',  # sudo -u USER: there is one user
    "systemctl": f'exec "{sys.executable}" "{systemctl.__file__}" "$@"',
}
DIRECTORIES: Final = ("bin", "etc/systemd/system", "usr/local/bin", "opt", "work")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The directory and the database; `words` are replaced in what is typed."""

    root: Path
    cluster: PostgresCluster
    words: Mapping[str, str]

    @classmethod
    @contextmanager
    def start(cls, root: Path) -> Iterator[Self]:
        """An empty machine with the program's source where it belongs; its services end with the block."""
        for directory in DIRECTORIES:
            (root / directory).mkdir(parents=True)
        for name, text in STUBS.items():
            (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (root / "bin" / name).chmod(0o755)
        for name in ("passwd", "group", "shadow", "gshadow"):
            (root / "etc" / name).touch()
        (root / "opt/jingka").symlink_to(ROOT)
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        words = {
            "useradd ": f"useradd --prefix {root} ",
            "-o jingka -g jingka": f"-o {user} -g {group}",
            "-o root -g jingka": f"-o {user} -g {group}",
            "createuser jingka": f"createuser {ROLE}",
            "--owner jingka": f"--owner {ROLE}",
        }
        with PostgresCluster.start() as cluster:
            machine = cls(root, cluster, words)
            try:
                yield machine
            finally:
                systemctl.stop(root, UNIT)

    @property
    def work(self) -> Path:
        """Where one types: the directory for files that are named without one."""
        return self.root / "work"

    def place(self, told: str) -> Path:
        """Where an absolute path of the manual is here."""
        return Path(self.here(told))

    def here(self, text: str) -> str:
        """A text with the manual's places put below the directory."""
        return PLACES.sub(rf"{self.root}/\1/", text)

    def url(self, database: str = "jingka", role: str = ROLE) -> str:
        """The database as headquarters' settings name it."""
        return f"postgresql://{role}@/{database}?host={self.cluster.directory}"

    def type(self, block: str, stdin: str = "", words: Mapping[str, str] | None = None) -> str:
        """One block in a shell that stops at the first fault; what it wrote. `words`: for its examples."""
        script = block
        for told, meant in {**self.words, **(words or {})}.items():
            script = script.replace(told, meant)
        path = (self.root / "bin", self.root / "usr/local/bin", postgres_binaries(), "/usr/sbin", os.environ["PATH"])
        done = subprocess.run(
            ["sh", "-eu", "-c", self.here(script)],
            input=stdin,
            text=True,
            cwd=self.work,
            env={
                "PATH": ":".join(map(str, path)),
                "HOME": str(self.root),
                "SANDBOX": str(self.root),
                "PGHOST": str(self.cluster.directory),
                "PGUSER": SUPERUSER,
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

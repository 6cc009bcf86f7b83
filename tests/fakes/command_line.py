"""`jingka` run as a person would run it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Jingka = Callable[..., subprocess.CompletedProcess[str]]


def jingka_in(home: Path) -> Jingka:
    """Runs `jingka` with this home, its data below, and without the caller's own settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINGKA_")}
    environment |= {"HOME": str(home), "JINGKA_DATA_DIR": str(home / "data"), "COLUMNS": "120"}

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "terminal", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run

"""`systemctl` for a sandbox: runs the unit that was installed there, as its `ExecStart` says, in place of systemd.

    SANDBOX=/tmp/x python tests/fakes/systemctl.py enable --now jingka-headquarters

Paths of the unit are looked for below `SANDBOX`. What was asked is kept in `SANDBOX/systemctl.log`. Ready is when the
service's `/healthz` answers 200.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

READY_S_MAX = 30.0
STOP_S_MAX = 20.0  # TimeoutStopSec of the unit
POLL_S = 0.05


def main(verb: str, unit: str) -> None:
    sandbox = Path(os.environ["SANDBOX"])
    with (sandbox / "systemctl.log").open("a", encoding="utf-8") as log:
        log.write(f"{verb} {unit}\n")
    if verb in ("stop", "restart"):
        stop(sandbox, unit)
    if verb in ("start", "restart", "enable"):
        start(sandbox, unit)


def start(sandbox: Path, unit: str) -> None:
    """Raises `TimeoutError` when it is not ready in time, with its log."""
    text = (sandbox / f"etc/systemd/system/{unit}.service").read_text(encoding="utf-8")
    said = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)[0]
    command = [f"{sandbox}{word}" if word.startswith("/") else word for word in shlex.split(said)]
    settings = tomllib.loads(Path(command[-1]).read_text(encoding="utf-8"))
    log = sandbox / f"{unit}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=sandbox)
    pid_file(sandbox, unit).write_text(str(process.pid), encoding="ascii")
    deadline = time.monotonic() + READY_S_MAX
    while not answers(settings["hq"]["port"]):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(log.read_text(encoding="utf-8", errors="replace"))
        time.sleep(POLL_S)
    process.returncode = 0  # it goes on after us, and nobody waits for it


def stop(sandbox: Path, unit: str) -> None:
    """Harmless when it does not run. Raises `TimeoutError`."""
    path = pid_file(sandbox, unit)
    if not path.exists():
        return
    pid = int(path.read_text(encoding="ascii"))
    path.unlink()
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    while alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError(f"{unit} does not stop")
        time.sleep(POLL_S)


def pid_file(sandbox: Path, unit: str) -> Path:
    return sandbox / f"{unit}.pid"


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody has buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])

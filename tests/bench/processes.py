"""Real processes on loopback: started, asked until they answer 200, looked at, and stopped."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

READY_S_MAX = 60.0
POLL_S = 0.002  # how finely a start is seen
STOP_S_MAX = 20.0
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The process that answers on `port`, and the seconds from its start to the first 200; ended afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINGKA_")}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() - started > READY_S_MAX:
                raise SystemExit(f"{command} does not answer (exit code {process.poll()})")
            time.sleep(POLL_S)
        yield process, time.perf_counter() - started
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Whether `/healthz` says 200 now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_S_MAX)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory_mib(pid: int) -> tuple[float, float]:
    """RSS and PSS of one process; the terminal and the bare application have no children."""
    fields = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Rss"].split()[0]) / 1024, int(fields["Pss"].split()[0]) / 1024

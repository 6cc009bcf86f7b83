"""Headquarters as a process of its own: killed in the middle of taking entries in, again and again; asked to stop."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from sync.headquarters.storage import open_storage
from sync.headquarters.tables import entries, flags, redemptions
from sync.wire import Acknowledgement, parse_message
from tests.sync.headquarters.client import HandClock, SigningTerminal, add_operator, sign_in
from tests.sync.headquarters.written_ledger import known_ledger

KILLS = 6
KILL_S_MAX = 0.15
SALES = 1500
BATCH = 50
STEP_S_MAX = 30.0
STOP_S_MAX = 15.0  # far above the service's own bound: the machine may be busy
SERVE = "import sys, pathlib; from config.settings import load_hq; from sync.headquarters.app import serve; "
SERVE += "sys.exit(serve(load_hq(pathlib.Path(sys.argv[1]))))"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(config: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A headquarters that answers; killed at the end whatever happens."""
    with subprocess.Popen([sys.executable, "-c", SERVE, str(config)]) as running:
        try:
            deadline = time.monotonic() + STEP_S_MAX
            while not answers(url):
                assert running.poll() is None, "headquarters ended by itself"
                assert time.monotonic() < deadline, "headquarters takes too long to start"
                time.sleep(0.05)
            yield running
        finally:
            running.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> tuple[Path, str]:
    """The settings file of a headquarters on a free port, and its address."""
    port = free_port()
    path = tmp_path / "hq.toml"
    path.write_text(f'data_dir = "{tmp_path}"\n[hq]\nport = {port}\ndatabase_url = "{database_url}"\n')
    return path, f"http://127.0.0.1:{port}"


def test_killed_at_any_moment_each_entry_is_there_exactly_once(
    config: tuple[Path, str], database_url: str, tmp_path: Path
) -> None:
    path, url = config
    chance = random.Random(20260105)
    storage = open_storage(database_url, tmp_path)
    clock = HandClock(datetime.now(UTC))
    acknowledged = 0
    with httpx.Client(base_url=url, trust_env=False, timeout=STEP_S_MAX) as client:
        terminal = SigningTerminal(client, clock, "bj-0001")
        ledger = known_ledger(storage, "bj-0001", terminal.key.public.hex())
        for number in range(1, SALES + 1):
            ledger.authorise(number)
            ledger.complete(number)

        def push(first: int, last: int) -> int:
            clock.now = datetime.now(UTC)
            answer = terminal.push(ledger.batch(first, last))
            assert answer.status == 200, answer.body
            return parse_message(Acknowledgement, answer.body).acknowledged

        for _ in range(KILLS):
            with process(path, url) as running:
                held = push(acknowledged + 1, acknowledged)
                assert held >= acknowledged, "what was acknowledged is gone"
                threading.Timer(chance.uniform(0.0, KILL_S_MAX), running.send_signal, [signal.SIGKILL]).start()
                try:
                    while True:  # ended by the kill
                        acknowledged = max(acknowledged, push(acknowledged + 1, acknowledged + BATCH))
                except httpx.TransportError:
                    assert running.wait(STEP_S_MAX) == -signal.SIGKILL
        assert acknowledged < len(ledger.messages), "all was taken before the last kill"
        with process(path, url):
            while acknowledged < len(ledger.messages):
                acknowledged = push(acknowledged + 1, acknowledged + BATCH)
    with storage.read() as connection:
        found = connection.execute(select(entries.c.sequence, entries.c.hash).order_by(entries.c.sequence)).all()
        assert [tuple(row) for row in found] == [(message.sequence, message.hash) for message in ledger.messages]
        states = connection.execute(select(redemptions.c.state, func.count()).group_by(redemptions.c.state)).all()
        assert [tuple(row) for row in states] == [("completed", SALES)]
        assert connection.scalar(select(func.count()).select_from(flags)) == 0
    storage.close()


def test_asked_to_stop_it_stops_soon_though_a_page_listens(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = tmp_path / "hq.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[hq]\nport = {port}\n')
    add_operator(tmp_path)
    with process(config, url) as running, httpx.Client(base_url=url, trust_env=False) as client:
        sign_in(client)
        with client.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            running.terminate()
            assert running.wait(STOP_S_MAX) == -signal.SIGTERM  # uvicorn hands the signal on once all is closed
    assert not (tmp_path / "headquarters.sqlite-wal").exists(), "the database was not closed"

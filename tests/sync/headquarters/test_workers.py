"""Several workers on one port, real processes on a real PostgreSQL: killed, asked to stop, telling each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from config.settings import load_hq
from sync.headquarters.app import prepare
from sync.headquarters.door import headquarters_key
from sync.headquarters.errors import PortUnavailable, WorkersNeedPostgresql
from sync.headquarters.storage import open_storage
from sync.headquarters.workers import RESTART_S_MAX, RESTART_S_MIN, listening, restart_wait_s
from sync.signing import DeviceKey
from tests.fakes.postgres import PostgresCluster
from tests.sync.headquarters.client import HandClock, SigningTerminal, add_operator, hq_settings, sign_in
from tests.sync.headquarters.test_killed import SERVE, STEP_S_MAX, STOP_S_MAX, answers, free_port
from tests.sync.headquarters.written_ledger import known_ledger

WORKERS = 2


def children(pid: int) -> set[int]:
    """The processes that `pid` has begun and not yet taken leave of."""
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(each) for each in tasks}


def wait_for(what: str, holds: object) -> None:
    deadline = time.monotonic() + STEP_S_MAX
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def fleet_of_workers(database_url: str, data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    config = data_dir / "hq.toml"
    config.write_text(
        f'data_dir = "{data_dir}"\n[hq]\nport = {port}\nworkers = {WORKERS}\ndatabase_url = "{database_url}"\n'
    )
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-c", SERVE, str(config)]) as parent:
        try:
            wait_for("headquarters takes too long to start", lambda: parent.poll() is not None or answers(url))
            assert parent.poll() is None, "headquarters ended by itself"
            yield parent, url
        finally:
            parent.kill()


@pytest.fixture
def pg_url(postgres: PostgresCluster) -> Iterator[str]:
    with postgres.database() as url:
        yield url


def connection_of_each_worker(url: str, pids: set[int]) -> dict[int, httpx.Client]:
    """A kept-alive connection to each worker: which one has it is seen in /proc."""
    found: dict[int, httpx.Client] = {}
    spare: list[httpx.Client] = []
    deadline = time.monotonic() + STEP_S_MAX
    while set(found) != pids:
        assert time.monotonic() < deadline, f"all connections went to {set(found)}"
        client = httpx.Client(base_url=url, trust_env=False, timeout=30)
        before = {pid: sockets(pid) for pid in pids}
        client.get("/healthz")
        grown = [pid for pid in pids if sockets(pid) - before[pid]]
        if len(grown) == 1 and grown[0] not in found:
            found[grown[0]] = client
        else:
            spare.append(client)
    for client in spare:
        client.close()
    return found


def sockets(pid: int) -> set[str]:
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    return {link for link in links if link.startswith("socket:")}


def test_one_signs_in_everywhere_and_hears_of_everything(pg_url: str, tmp_path: Path) -> None:
    add_operator(tmp_path)
    with fleet_of_workers(pg_url, tmp_path) as (parent, url):
        wait_for("two workers", lambda: len(children(parent.pid)) == WORKERS)
        storage = open_storage(pg_url, tmp_path)
        key = DeviceKey.generate()
        ledger = known_ledger(storage, "bj-0001", key.public.hex())
        storage.close()
        clients = connection_of_each_worker(url, children(parent.pid))
        here, there = clients.values()
        try:
            sign_in(here)
            there.cookies.update(here.cookies)
            assert there.get("/api/v1/terminals").status_code == 200
            with here.stream("GET", "/api/v1/events") as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("retry")
                ledger.authorise(1)
                terminal = SigningTerminal(there, HandClock(now=datetime.now(UTC)), "bj-0001", key)
                answer = terminal.push(ledger.batch())
                assert answer.status == 200
                assert terminal.proves(answer, headquarters_key(tmp_path).public)
                event = next(line for line in lines if line.startswith("event:"))
                data = next(line for line in lines if line.startswith("data:"))
            assert event == "event: redemption"
            assert json.loads(data.removeprefix("data:"))["state"] == "authorised"
            assert there.request("DELETE", "/api/v1/session").status_code == 204
            assert here.get("/api/v1/terminals").status_code == 401
        finally:
            here.close()
            there.close()


def test_a_killed_worker_is_replaced_and_the_rest_end_when_asked(pg_url: str, tmp_path: Path) -> None:
    with fleet_of_workers(pg_url, tmp_path) as (parent, url):
        wait_for("two workers", lambda: len(children(parent.pid)) == WORKERS)
        victim = min(children(parent.pid))
        os.kill(victim, signal.SIGKILL)
        assert answers(url), "the other worker has the port"
        wait_for("a new worker", lambda: len(children(parent.pid)) == WORKERS and victim not in children(parent.pid))
        workers = children(parent.pid)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(STOP_S_MAX) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_end_with_their_parent(pg_url: str, tmp_path: Path) -> None:
    with fleet_of_workers(pg_url, tmp_path) as (parent, _):
        wait_for("two workers", lambda: len(children(parent.pid)) == WORKERS)
        workers = children(parent.pid)
        parent.kill()
        wait_for("workers left behind", lambda: not any(alive(pid) for pid in workers))


def alive(pid: int) -> bool:
    """Running, not merely waiting to be taken leave of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_sqlite_has_one_worker(tmp_path: Path) -> None:
    with pytest.raises(WorkersNeedPostgresql):
        prepare(hq_settings(tmp_path, workers=2))
    prepare(hq_settings(tmp_path, workers=1))


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with (
        listening("127.0.0.1", 0) as taken,
        pytest.raises(PortUnavailable) as refused,
        listening("127.0.0.1", taken.getsockname()[1]),
    ):
        pass
    assert "127.0.0.1:" in str(refused.value)


def test_restarts_are_quick_at_first_and_never_hammer() -> None:
    waits = [restart_wait_s(failures) for failures in range(12)]
    assert waits[:4] == [0.0, RESTART_S_MIN, 2 * RESTART_S_MIN, 4 * RESTART_S_MIN]
    assert max(waits) == RESTART_S_MAX


def test_the_number_of_workers_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "hq.toml"
    path.write_text("[hq]\nworkers = 3\n")
    assert load_hq(path).workers == 3

"""The primary database is killed while terminals push; the standby takes over; nothing acknowledged is lost.

Two real clusters with synchronous replication, a headquarters process of its own that knows both by one address, and
terminals whose ledgers must be there in the end: every entry once, and each acknowledged one from the first moment on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import entries
from sync.wire import Acknowledgement, parse_message
from tests.fakes.postgres_pair import PostgresPair
from tests.sync.headquarters.client import HandClock, SigningTerminal
from tests.sync.headquarters.test_killed import free_port, process
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger

TERMINALS = 4
SALES = 400  # of each terminal, in batches
BATCH = 20
KILL_AFTER_ENTRIES = 300  # of all terminals together
DONE_S_MAX = 90.0
PAUSE_S = 0.1  # of a terminal that was refused


@dataclass
class Pusher(threading.Thread):
    """One terminal that pushes its ledger, whatever it is answered, until headquarters has all of it."""

    url: str
    ledger: WrittenLedger
    terminal: SigningTerminal
    acknowledged: int = 0
    refusals: set[int] = field(default_factory=set)  # statuses other than 200; 0: no answer
    went_back: bool = False

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        deadline = time.monotonic() + DONE_S_MAX
        while self.acknowledged < len(self.ledger.messages) and time.monotonic() < deadline:
            self.terminal.clock.now = datetime.now(UTC)
            batch = self.ledger.batch(self.acknowledged + 1, self.acknowledged + BATCH)
            try:
                answer = self.terminal.push(batch)
            except httpx.TransportError:
                self.refusals.add(0)
                time.sleep(PAUSE_S)
                continue
            if answer.status != 200:
                self.refusals.add(answer.status)
                time.sleep(PAUSE_S)
                continue
            said = parse_message(Acknowledgement, answer.body).acknowledged
            self.went_back = self.went_back or said < self.acknowledged
            self.acknowledged = max(said, self.acknowledged)


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgresPair]:
    with PostgresPair.start() as running:
        yield running


@pytest.mark.timeout(180)
def test_the_standby_has_all_that_was_acknowledged(pair: PostgresPair, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = tmp_path / "hq.toml"
    config.write_text(f'data_dir = "{tmp_path}"\n[hq]\nport = {port}\ndatabase_url = "{pair.url}"\n')
    storage = open_storage(pair.url, tmp_path)
    pushers = [_pusher(url, storage, number) for number in range(TERMINALS)]
    storage.close()
    with process(config, url):
        for pusher in pushers:
            pusher.start()
        _wait_for(lambda: sum(pusher.acknowledged for pusher in pushers) >= KILL_AFTER_ENTRIES)
        pair.kill_primary()
        acknowledged = {pusher.ledger.terminal: pusher.acknowledged for pusher in pushers}
        assert all(pusher.is_alive() for pusher in pushers), "all was pushed before the primary died"
        pair.promote_standby()
        held = _sequences(pair.standby_url, tmp_path)
        for terminal, sequence in acknowledged.items():
            assert held[terminal][:sequence] == list(range(1, sequence + 1)), "what was acknowledged is gone"
        for pusher in pushers:
            pusher.join(DONE_S_MAX)
    for pusher in pushers:
        assert pusher.acknowledged == len(pusher.ledger.messages)
        assert not pusher.went_back
        assert pusher.refusals <= {0, 503}, "an outage of the database is told as one"
        pusher.terminal.client.close()
    storage = open_storage(pair.standby_url, tmp_path)
    with storage.read() as connection:
        for pusher in pushers:
            query = select(entries.c.sequence, entries.c.hash).where(entries.c.terminal == pusher.ledger.terminal)
            found = [tuple(row) for row in connection.execute(query.order_by(entries.c.sequence))]
            assert found == [(message.sequence, message.hash) for message in pusher.ledger.messages]
    storage.close()


def _pusher(url: str, storage: Storage, number: int) -> Pusher:
    client = httpx.Client(base_url=url, trust_env=False, timeout=30)
    terminal = SigningTerminal(client, HandClock(datetime.now(UTC)), f"bj-{number:04}")
    ledger = known_ledger(storage, terminal.terminal, terminal.key.public.hex())
    for sale in range(SALES):
        ledger.authorise(number * SALES + sale + 1)
    return Pusher(url, ledger, terminal)


def _sequences(url: str, directory: Path) -> dict[str, list[int]]:
    storage = open_storage(url, directory)
    found: dict[str, list[int]] = {}
    with storage.read() as connection:
        for terminal, sequence in connection.execute(
            select(entries.c.terminal, entries.c.sequence).order_by(entries.c.terminal, entries.c.sequence)
        ):
            found.setdefault(terminal, []).append(sequence)
    storage.close()
    return found


def _wait_for(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DONE_S_MAX
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)

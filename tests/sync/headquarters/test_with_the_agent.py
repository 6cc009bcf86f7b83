"""The two real ends together: a real ledger and the real agent, and headquarters on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Table, delete, insert, select

from sync.agent import Agent, PushReport
from sync.enrolment import enrol
from sync.errors import ChainForked, CodeRefused, LineDown, TerminalRevoked
from sync.headquarters import fleet
from sync.headquarters.app import create_app
from sync.headquarters.enrolment import issue_code
from sync.headquarters.schema import metadata
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import entries, flags, redemptions, terminals
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.fakes.sales import sale
from tests.sync.headquarters.client import HandClock, hq_settings, served


@dataclass
class Scene:
    """Headquarters, not serving yet, and a terminal with a ledger and a code."""

    app: FastAPI
    storage: Storage
    code: str
    terminal_dir: Path
    ledger: Ledger
    clock: SystemClock
    transport: httpx.HTTPTransport
    members: int = 0

    def push_all(self, url: str) -> PushReport:
        """What the agent sends now, and what came of it."""
        return self.push_from(self.ledger, self.terminal_dir, url)

    def push_from(self, ledger: Ledger, data_dir: Path, url: str) -> PushReport:
        """The same from another ledger."""
        agent = Agent(ledger=ledger, data_dir=data_dir, url=url, clock=self.clock, transport=self.transport)
        return agent.push_now()

    def sell(self) -> str:
        """One completed sale to a new member; its id."""
        self.members += 1
        done = self.ledger.authorise(sale(self.members, merchant="工人俱乐部", site="一厅"))
        self.ledger.complete(done.id, "c01", None)
        return done.id


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    hq_dir, terminal_dir = tmp_path / "hq", tmp_path / "terminal"
    terminal_dir.mkdir()
    settings = hq_settings(hq_dir, database_url)
    code = issue_code(settings, terminal="bj-0001", merchant="工人俱乐部", site="一厅")
    storage = open_storage(database_url, hq_dir)
    clock = SystemClock()
    ledger = Ledger.open(terminal_dir / "ledger.sqlite", "bj-0001", clock)
    app = create_app(settings, HandClock(datetime.now(UTC)))
    with httpx.HTTPTransport() as transport:
        yield Scene(app, storage, code, terminal_dir, ledger, clock, transport)
    ledger.close()
    storage.close()


def test_sales_made_with_the_line_down_are_there_once_it_is_up(scene: Scene) -> None:
    sold = [scene.sell() for _ in range(3)]
    with served(scene.app) as client:
        url = str(client.base_url)
        assert enrol(url, scene.code, scene.terminal_dir).terminal == "bj-0001"
        report = scene.push_all(url)
    assert (report.error, report.sent, report.waiting, report.flagged) == (None, 6, 0, ())
    with scene.storage.read() as connection:
        states = connection.execute(select(redemptions.c.id, redemptions.c.state).order_by(redemptions.c.id)).all()
        bodies = list(connection.scalars(select(entries.c.body).order_by(entries.c.sequence)))
        head = connection.execute(select(terminals.c.last_sequence, terminals.c.last_hash)).one()
        assert connection.execute(select(flags)).all() == []
    assert [tuple(row) for row in states] == [(each, "completed") for each in sorted(sold)]
    assert bodies == [stored.canonical for stored in scene.ledger.entries(0, 100)]
    assert tuple(head) == (scene.ledger.last_sequence(), scene.ledger.last_hash())


def test_no_line_is_told_and_nothing_is_lost(scene: Scene) -> None:
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
    scene.sell()
    report = scene.push_all(url)
    assert isinstance(report.error, LineDown)
    assert report.waiting == 2


def test_a_copy_of_the_terminal_is_found_at_its_first_push(scene: Scene, tmp_path: Path) -> None:
    scene.sell()
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
        scene.push_all(url)
        scene.ledger.close()
        copied = tmp_path / "copy"
        shutil.copytree(scene.terminal_dir, copied)
        scene.ledger = Ledger.open(scene.terminal_dir / "ledger.sqlite", "bj-0001", scene.clock)
        scene.sell()
        scene.push_all(url)
        copy = Ledger.open(copied / "ledger.sqlite", "bj-0001", scene.clock)
        copy.authorise(sale(100))
        report = scene.push_from(copy, copied, url)
        copy.close()
    assert isinstance(report.error, ChainForked)
    with scene.storage.read() as connection:
        assert connection.scalar(select(terminals.c.state)) == "quarantined"
        assert len(connection.execute(select(entries)).all()) == 4


def test_a_revoked_terminal_is_told_so(scene: Scene) -> None:
    scene.sell()
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
        with scene.storage.write() as connection:
            fleet.revoke(connection, "bj-0001")
        report = scene.push_all(url)
    assert isinstance(report.error, TerminalRevoked)
    assert report.waiting == 2


def test_a_second_machine_cannot_use_the_code(scene: Scene, tmp_path: Path) -> None:
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
        with pytest.raises(CodeRefused):
            enrol(url, scene.code, tmp_path)
        assert enrol(url, scene.code, scene.terminal_dir).terminal == "bj-0001"


def test_a_backlog_of_many_batches_arrives_whole(scene: Scene) -> None:
    for _ in range(300):
        scene.sell()
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
        report = scene.push_all(url)
    assert (report.error, report.sent, report.waiting) == (None, 600, 0)


def everything(storage: Storage) -> dict[Table, list[dict[str, Any]]]:
    """A backup: every row of every table."""
    with storage.read() as connection:
        return {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def restore(storage: Storage, backup: dict[Table, list[dict[str, Any]]]) -> None:
    """The backup, and nothing else."""
    with storage.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        for table, rows in backup.items():
            if rows:
                connection.execute(insert(table), rows)


def test_headquarters_restored_from_an_older_backup_is_filled_up_again(scene: Scene) -> None:
    with served(scene.app) as client:
        url = str(client.base_url)
        enrol(url, scene.code, scene.terminal_dir)
        scene.sell()
        scene.push_all(url)
        backup = everything(scene.storage)
        for _ in range(2):
            scene.sell()
        scene.push_all(url)
        restore(scene.storage, backup)
        scene.sell()
        report = scene.push_all(url)
    assert report.error is None
    with scene.storage.read() as connection:
        assert len(connection.execute(select(entries)).all()) == 8
        assert set(connection.scalars(select(redemptions.c.state))) == {"completed"}

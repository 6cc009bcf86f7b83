"""The agent on the real ledger: what it asks of an outbox is what the ledger does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sync.agent import Agent
from sync.enrolment import enrol
from sync.errors import ChainForked
from terminal.ledger.clock import SystemClock
from terminal.ledger.errors import LedgerForked
from terminal.ledger.ledger import Ledger
from tests.fakes.headquarters import FakeHeadquarters
from tests.fakes.sales import sale

TERMINAL = "cinema-1"
URL = "http://hq.example"


def agent_on(ledger: Ledger, clock: SystemClock, headquarters: FakeHeadquarters, data_dir: Path) -> Agent:
    return Agent(ledger=ledger, data_dir=data_dir, url=URL, clock=clock, transport=headquarters.transport())


def test_redemptions_reach_headquarters_as_the_ledger_hashed_them(tmp_path: Path) -> None:
    headquarters, clock = FakeHeadquarters(), SystemClock()
    enrol(URL, headquarters.issue_code(TERMINAL), tmp_path, headquarters.transport())
    with closing(Ledger.open(tmp_path / "ledger.db", TERMINAL, clock)) as ledger:
        agent = agent_on(ledger, clock, headquarters, tmp_path)
        for number in range(3):
            done = ledger.authorise(sale(number))
            ledger.complete(done.id, "c01", "000000000001")
        report = agent.push_now()
        assert (report.sent, report.acknowledged, report.waiting, report.error) == (6, 6, 0, None)
        assert clock.hq_time() is not None
        ledger.authorise(sale(9))
        assert agent.status().waiting == 1
        assert agent.push_now().error is None
        kept = [(e.sequence, e.hash, e.body.encode()) for e in headquarters.entries[TERMINAL]]
        assert kept == [(e.sequence, e.hash, e.canonical) for e in ledger.entries(0, 100)]
        assert ledger.watermark() == 7
    with closing(Ledger.open(tmp_path / "ledger.db", TERMINAL, clock)) as again:
        assert again.watermark() == 7, "what was acknowledged is remembered"


def test_an_old_backup_of_the_ledger_is_stopped_by_its_first_word_with_headquarters(tmp_path: Path) -> None:
    headquarters, clock = FakeHeadquarters(), SystemClock()
    enrol(URL, headquarters.issue_code(TERMINAL), tmp_path, headquarters.transport())
    with closing(Ledger.open(tmp_path / "ledger.db", TERMINAL, clock)) as ledger:
        ledger.authorise(sale(1))
        live, backup = sqlite3.connect(tmp_path / "ledger.db"), sqlite3.connect(tmp_path / "backup.db")
        with closing(live), closing(backup):
            live.backup(backup)
        ledger.authorise(sale(2))
        assert agent_on(ledger, clock, headquarters, tmp_path).push_now().acknowledged == 2
    other_pc = tmp_path / "other"
    other_pc.mkdir()
    (tmp_path / "backup.db").rename(other_pc / "ledger.db")
    with closing(Ledger.open(other_pc / "ledger.db", TERMINAL, clock)) as ledger:
        assert isinstance(agent_on(ledger, clock, headquarters, tmp_path).push_now().error, ChainForked)
        with pytest.raises(LedgerForked):
            ledger.authorise(sale(3))

"""A real ledger whose day is closed, the real agent, and headquarters that serves: the statement arrives and agrees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from sync.agent import Agent
from sync.days import DaysFeed
from sync.enrolment import enrol
from sync.errors import MessageMalformed
from sync.headquarters.app import create_app
from sync.headquarters.enrolment import issue_code
from sync.headquarters.money.days import DayView, page_of_days
from sync.headquarters.money.tables import day_statements
from sync.headquarters.storage import Storage, open_storage
from sync.wire_days import STATED_OFFERS_MAX
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.reports.day_close import DayCloses
from tests.fakes.sales import sale
from tests.sync.headquarters.client import HandClock, hq_settings, served

DAY = date(2012, 12, 25)  # that of `sale`
WAIT_S_MAX = 20.0


@dataclass
class Till:
    """A terminal that is enrolled, its agent running, and headquarters' database."""

    ledger: Ledger
    closes: DayCloses
    agent: Agent
    storage: Storage

    def sell(self) -> str:
        done = self.ledger.authorise(sale(self.ledger.last_sequence() + 1, claims=()))
        self.ledger.complete(done.id, "c01", None)
        return done.id

    def days(self) -> list[DayView]:
        with self.storage.read() as connection:
            return page_of_days(connection, limit=10)[0]

    def wait_for(self, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while not there():
            assert time.monotonic() < deadline, f"not within {WAIT_S_MAX} s; {self.agent.feed_faults()}"
            self.agent.hurry()
            time.sleep(0.02)


@pytest.fixture
def till(database_url: str, tmp_path: Path) -> Iterator[Till]:
    hq_dir, terminal_dir = tmp_path / "hq", tmp_path / "terminal"
    terminal_dir.mkdir()
    settings = hq_settings(hq_dir, database_url)
    code = issue_code(settings, terminal="t01", merchant="workers-club", site="main-hall")
    storage = open_storage(database_url, hq_dir)
    clock = SystemClock()
    ledger = Ledger.open(terminal_dir / "ledger.sqlite", "t01", clock)
    closes = DayCloses(terminal_dir / "day-closes.json", ledger, clock.wall)
    with (
        served(create_app(settings, HandClock(datetime.now(UTC)))) as client,
        httpx.HTTPTransport() as transport,
    ):
        url = str(client.base_url)
        enrol(url, code, terminal_dir)
        feeds = (DaysFeed(closes),)
        agent = Agent(
            ledger=ledger,
            data_dir=terminal_dir,
            url=url,
            clock=clock,
            heartbeat_s=0.1,
            transport=transport,
            feeds=feeds,
        )
        agent.start()
        yield Till(ledger, closes, agent, storage)
        agent.stop(5)
    ledger.close()
    storage.close()


def test_a_closed_day_arrives_and_agrees(till: Till) -> None:
    sold = till.sell()
    till.sell()
    till.ledger.void(sold, "m01", "mistake", 1)
    closed = till.closes.close(DAY, "m01")
    till.wait_for(lambda: till.closes.all()[0].sent)
    (view,) = till.days()
    assert (view.day, view.sequence, view.closed_by, view.sales, view.units) == ("2012-12-25", 5, "m01", 2, 3)
    assert (view.differences, view.after) == ([], [])
    till.ledger.void(sold, "m01", "mistake")
    till.wait_for(lambda: till.ledger.watermark() == 6)
    (late,) = till.days()
    assert late.differences == []
    assert [(each.voided, each.units) for each in late.after] == [(1, -1)]
    assert closed.sequence == 5


def test_a_headquarters_that_lost_statements_is_sent_them_again(till: Till) -> None:
    till.sell()
    till.closes.close(DAY, "m01")
    till.wait_for(lambda: till.closes.all()[0].sent)
    with till.storage.write() as connection:
        connection.execute(day_statements.delete())
    till.wait_for(lambda: bool(till.days()))


def test_a_day_that_cannot_be_told_stops_nothing_else(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.sell()
    closed = till.closes.close(DAY, "m01")
    offers = tuple(replace(closed.offers[0], offer=f"o{number}") for number in range(STATED_OFFERS_MAX + 1))
    monkeypatch.setattr(till.closes, "_days", [replace(closed, offers=offers)])
    till.wait_for(lambda: "days" in till.agent.feed_faults())
    assert isinstance(till.agent.feed_faults()["days"], MessageMalformed)
    till.sell()
    till.wait_for(lambda: till.ledger.watermark() == 4)


def test_a_headquarters_that_knows_more_is_not_asked_over_and_over(till: Till) -> None:
    till.sell()
    till.closes.close(DAY, "m01")
    till.wait_for(lambda: till.closes.all()[0].sent)
    with till.storage.write() as connection:
        connection.execute(day_statements.update().values(day="2013-01-01"))
    feed = DaysFeed(till.closes)
    feed.fetch(source=None, wanted="2013-01-01/2")  # type: ignore[arg-type] - nothing to send: nobody is asked
    assert feed.version() == "2013-01-01/2"

"""Both real ends: tills with their counter, ledger, agent and holds, and headquarters' own code behind a socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from sync.agent import Agent
from sync.elsewhere import UsageElsewhere
from sync.enrolment import enrol
from sync.grants import Leases, UsageFeed, Wants
from sync.headquarters.arrivals import Arrivals
from sync.headquarters.door import headquarters_key
from sync.headquarters.enrolment import issue_code
from sync.headquarters.pools.accounting import Accounting
from sync.headquarters.pools.desk import PoolDesk
from sync.headquarters.pools.feeds import LeasesFeed
from sync.headquarters.pools.feeds import UsageFeed as HeadquartersUsage
from sync.headquarters.pools.terminal_routes import pool_terminal_routes
from sync.headquarters.pools.terms import OneBook
from sync.headquarters.service import Headquarters
from sync.headquarters.storage import open_storage
from sync.headquarters.terminal_api import terminal_routes
from sync.holds import Holds
from terminal.held_quotes import HeldQuote, QuoteRequest, SaleRefused
from terminal.ledger.project import Redemption
from terminal.offers.book import LoadedBook
from terminal.offers.counts import Offline
from terminal.offers.sale import Place, SaleLine
from terminal.redemption_id import new_id
from terminal.serving.hub import Hub
from tests.fakes.clock import SteppedClock
from tests.fakes.till import FIRST_EVENING, Till, open_till, winter_book
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.following import follow

POOL = "winter-film|pool|campaign=winter-2012|campaign=winter-2012"
CINEMAS = (("gongren-julebu", "t01"), ("wudaokou", "t02"))
NO_SLICES = {"other/offer": 1}
WAIT_S = 5.0  # of a hold in these tests: a loaded machine is not what they are about


@dataclass
class TillClock(SteppedClock):
    """Set by hand, and running on, in every process of this machine alike: of two moments the later is later."""

    skew_ms: int | None = 0

    def monotonic_ms(self) -> int:
        return self.since_boot_ms + time.monotonic_ns() // 1_000_000

    def heard_from_headquarters(self, said: datetime) -> None:
        self.headquarters = None


@dataclass
class Cinema:
    """One till at work, and its end of the line."""

    till: Till
    agent: Agent
    holds: Holds
    clock: TillClock
    elsewhere: UsageElsewhere
    online: bool = True

    def film(self, card: str, tickets: int = 1) -> HeldQuote:
        self.till.present(card)
        presented = self.till.counter.presentation
        assert presented is not None
        lines = (SaleLine("film-ticket", tickets, 8000, {"format": "2d"}),)
        return asyncio.run(self.till.counter.quote(QuoteRequest(presented.id, "winter-film", lines, {})))

    def tries(self, card: str, tickets: int = 1) -> list[str]:
        """Sell, or the reasons why not."""
        try:
            self.sell(card, tickets)
        except SaleRefused as refused:
            return [str(each.code) for each in refused.refusals]
        return []

    def sell(self, card: str, tickets: int = 1) -> Redemption:
        held = self.film(card, tickets)
        if held.quote.refusals:
            raise SaleRefused("quote", "winter-film", held.quote.refusals)
        return asyncio.run(self.till.counter.authorise(new_id(), held.id, "c01"))

    def exchange(self) -> None:
        """Everything pushed, and every feed followed."""
        follow(self.agent)
        assert [str(each) for each in self.agent.feed_faults().values()] == []

    def close(self) -> None:
        self.holds.close()
        self.agent._on_close.close()
        self.till.ledger.close()


@dataclass
class City:
    """Headquarters and two cinemas."""

    clock: HandClock
    cinemas: list[Cinema]
    url: str
    home: Path

    def pass_s(self, seconds: int) -> None:
        """The same for everybody."""
        self.clock.now += timedelta(seconds=seconds)
        for cinema in self.cinemas:
            cinema.clock.step(seconds * 1000)


def film_book(pool: int, **offline: Offline) -> LoadedBook:
    winter = winter_book()
    offers = []
    for offer in winter.book.offers:
        if offer.id == "winter-film":
            limits = tuple(
                limit.model_copy(
                    update={"offline": offline.get(limit.id, limit.offline)}
                    | ({"max": pool} if limit.id == "pool" else {})
                )
                for limit in offer.limits
                if limit.id != "purchase"
            )
            offers.append(offer.model_copy(update={"limits": limits}))
        else:
            offers.append(offer)
    return LoadedBook.of(winter.book.model_copy(update={"offers": tuple(offers)}))


@pytest.fixture
def book() -> LoadedBook:
    return film_book(20_000)


@pytest.fixture
def database_url() -> str:
    """SQLite alone: what both databases do alike is tried next door, and these are about the tills."""
    return ""


@pytest.fixture
def city(tmp_path: Path, database_url: str, book: LoadedBook) -> Iterator[City]:
    clock = HandClock(FIRST_EVENING)
    settings = hq_settings(tmp_path / "hq", database_url)
    codes = [issue_code(settings, terminal=terminal, merchant=merchant, site="main") for merchant, terminal in CINEMAS]
    storage = open_storage(database_url, tmp_path / "hq")
    books = OneBook(book)
    hq = Headquarters(
        storage,
        headquarters_key(tmp_path / "hq"),
        clock_skew_s_max=300,
        code_life_s=10**9,
        clock=clock,
        judges=(Accounting(books),),
        feeds=(LeasesFeed(clock), HeadquartersUsage(clock, books)),
    )
    app = FastAPI()
    app.include_router(terminal_routes(hq, Arrivals(Hub()), "zh"))
    app.include_router(pool_terminal_routes(PoolDesk(hq, books), "zh"))
    with served(app) as client:
        made = City(clock, [], str(client.base_url), tmp_path)
        for (merchant, terminal), code in zip(CINEMAS, codes, strict=True):
            home = tmp_path / terminal
            home.mkdir()
            enrol(made.url, code, home, now=clock)
            made.cinemas.append(cinema(made.url, home, Place(merchant, "main", terminal), book))
        yield made
        for each in made.cinemas:
            each.close()
    storage.close()


def cinema(url: str, home: Path, place: Place, book: LoadedBook, boot: str = "") -> Cinema:
    clock = TillClock(now=FIRST_EVENING, boot_id=boot or f"{place.terminal}-boot")
    elsewhere, parts = UsageElsewhere(home), []
    holds = Holds(data_dir=home, url=url, clock=clock, online=lambda: bool(parts and parts[0].online), wait_s=WAIT_S)
    till = open_till(home, slices=NO_SLICES, place=place, book=book, clock=clock, holder=holds, elsewhere=elsewhere)
    feeds = (Leases(till.ledger.allowances, clock, Wants()), UsageFeed(elsewhere, time.monotonic))
    agent = Agent(ledger=till.ledger, data_dir=home, url=url, clock=clock, feeds=feeds)
    parts.append(Cinema(till, agent, holds, clock, elsewhere))
    return parts[0]


def again(city: City, home: Path) -> Cinema:
    """The first till, started once more in the same boot."""
    made = cinema(city.url, home, Place("gongren-julebu", "main", "t01"), film_book(20_000))
    made.clock.now = city.clock.now
    made.clock.since_boot_ms = city.cinemas[1].clock.since_boot_ms
    return made


def test_a_third_ticket_at_another_cinema_is_refused_by_headquarters(city: City) -> None:
    first, second = city.cinemas
    assert first.sell("member", 2).granted == "hold"
    with pytest.raises(SaleRefused) as caught:
        second.sell("member", 1)
    (reached,) = caught.value.refusals
    assert str(reached.code) == "limit-reached"
    assert (reached.numbers["used"], reached.numbers["max"], reached.numbers["elsewhere"]) == (2, 2, 2)
    assert second.till.ledger.last_sequence() == 0
    assert second.sell("model-worker", 2).granted == "hold"


def test_what_is_void_at_one_cinema_can_be_used_at_the_other(city: City) -> None:
    first, second = city.cinemas
    sold = first.sell("member", 2)
    first.exchange()
    asyncio.run(first.till.counter.cancel(sold.id, "c01", "not-paid"))
    first.exchange()
    assert second.sell("member", 2).granted == "hold"


def test_with_the_line_down_the_card_s_limit_is_flagged_and_the_pool_is_a_slice(city: City) -> None:
    first, second = city.cinemas
    first.sell("member", 2)
    second.exchange()
    second.online = False
    assert second.sell("member", 1).granted == "lease"
    second.exchange()
    assert second.till.ledger.waiting().count == 0


def test_use_elsewhere_is_known_offline_once_it_was_told(city: City) -> None:
    first, second = city.cinemas
    first.sell("member", 2)
    first.exchange()
    city.pass_s(120)
    second.exchange()
    second.online = False
    assert len(second.elsewhere.now) > 0
    held = second.film("member", 1)
    assert [str(each.code) for each in held.quote.refusals] == ["limit-reached"]
    assert held.quote.refusals[0].numbers["elsewhere"] == 2
    first.online = False
    assert [str(each.code) for each in first.film("member", 1).quote.refusals] == ["limit-reached"]
    first.exchange()
    assert set(first.elsewhere.now.amounts) <= {0}  # its own use is not told to itself
    assert first.film("member", 1).quote.refusals[0].numbers.get("elsewhere") is None


def test_a_disk_put_back_is_frozen_until_a_person_decides(city: City) -> None:
    first, second = city.cinemas
    first.exchange()
    home = city.home / "t01"
    first.close()
    shutil.copytree(home, city.home / "backup")
    city.cinemas[0] = first = again(city, home)
    city.pass_s(400)
    first.exchange()
    city.pass_s(400)
    first.exchange()
    first.close()
    shutil.rmtree(home)
    shutil.copytree(city.home / "backup", home)
    city.cinemas[0] = first = again(city, home)
    city.pass_s(400)
    with pytest.raises(AssertionError, match="frozen this terminal's slices"):
        first.exchange()
    assert first.till.ledger.allowances.lease().ended == "lease-frozen"
    first.online = False
    assert first.tries("member") == ["needs-hq"]
    second.exchange()
    assert second.tries("member") == []


class TestPoolOfFive:
    """Five tickets in the whole city."""

    @pytest.fixture
    def book(self) -> LoadedBook:
        return film_book(5, tickets=Offline.LOCAL)

    def sold(self, city: City) -> int:
        return sum(each.till.ledger.used(POOL) for each in city.cinemas)

    @pytest.mark.parametrize("leased", [True, False])
    def test_exactly_five_are_sold_over_two_tills(self, city: City, leased: bool) -> None:
        cards = ("member", "model-worker", "proved")
        if leased:
            for each in city.cinemas:
                each.exchange()
        answers = [each.tries(card) for card in cards for each in city.cinemas]
        assert {code for codes in answers for code in codes} <= {"quota-gone", "needs-hq"}
        for _ in range(6):  # what lies in the other's slice comes over when it is asked for
            for each in city.cinemas:
                each.exchange()
            city.pass_s(60)
            if self.sold(city) < 5:
                answers += [city.cinemas[0].tries("fallen-back"), city.cinemas[1].tries("doubtful")]
        assert [] in answers
        assert any(answers)
        assert self.sold(city) == 5

    def test_killed_between_hold_and_sale_nothing_is_lost(self, city: City) -> None:
        """The till dies with its hold in hand: what was held comes back to it, and five are sold in all."""
        first, second = city.cinemas
        first.close()
        home = city.home / "t01"
        script = Path(__file__).with_name("till_that_dies.py")
        done = subprocess.run(
            [sys.executable, str(script), str(home), city.url],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        again = cinema(city.url, home, Place("gongren-julebu", "main", "t01"), film_book(5, tickets=Offline.LOCAL))
        city.cinemas[0] = again
        assert (again.till.ledger.last_sequence(), again.till.ledger.used(POOL)) == (0, 0)
        assert [second.tries("member", 2), second.tries("model-worker", 2)] == [[], ["quota-gone"]]
        again.exchange()
        assert again.tries("member", 2) == []
        assert again.till.ledger.last_sequence() == 1
        assert self.sold(city) == 4

"""A voucher that was used at one till is refused at another while the line is up; what holds without a line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from config.zone import SHANGHAI
from sync.agent import Agent
from sync.elsewhere import UsageElsewhere
from sync.enrolment import enrol
from sync.grants import Leases, UsageFeed, Wants
from sync.headquarters.app import create_app
from sync.headquarters.books.stages import target_of
from sync.headquarters.enrolment import issue_code
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import flags
from sync.holds import Holds
from sync.private_file import create_private
from sync.voucher_feed import VoucherFeed
from terminal.held_quotes import QuoteRequest, SaleRefused
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.sale import Place, SaleLine
from terminal.redemption_id import new_id
from terminal.vouchers.desk import VoucherDesk
from tests.fakes.till import open_till
from tests.fakes.vouchers import KEY
from tests.sync.headquarters.books.campaign import EDITOR, desk_of, released
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.pools.test_with_real_tills import NO_SLICES, WAIT_S, Cinema, TillClock
from tests.sync.headquarters.vouchers.rows import EVERYDAY, FAIR, code, imported, row

FAIR_DAY = datetime(2013, 2, 10, 10, tzinfo=SHANGHAI)
PARKS = (("ditan", "t01"), ("longtan", "t02"))


class Park(Cinema):
    """A park's till: the real counter, ledger, agent, holds and voucher desk."""

    def tries_voucher(self, card: str, number: int) -> list[str]:
        """Hand out one ticket of the fair for this voucher, or the reasons why not."""
        self.till.present(card)
        presented = self.till.counter.presentation
        assert presented is not None
        lines = (SaleLine("fair-ticket", 1, 1000, {}),)
        request = QuoteRequest(presented.id, FAIR, lines, {"voucher": code(number)})
        held = asyncio.run(self.till.counter.quote(request))
        if held.quote.refusals:
            return [str(each.code) for each in held.quote.refusals]
        try:
            asyncio.run(self.till.counter.authorise(new_id(), held.id, "c01"))
        except SaleRefused as refused:
            return [str(each.code) for each in refused.refusals]
        return []


@pytest.fixture
def parks(tmp_path: Path, database_url: str) -> Iterator[tuple[Park, Park, HandClock, Storage]]:
    clock = HandClock(FAIR_DAY)
    key_file = tmp_path / "key.toml"
    create_private(key_file, f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    settings = hq_settings(tmp_path / "hq", database_url, programme_key=key_file, code_life_s=10**9)
    codes = [issue_code(settings, terminal=terminal, merchant=merchant, site="main") for merchant, terminal in PARKS]
    storage = open_storage(database_url, tmp_path / "hq")
    desk = desk_of(storage, tmp_path / "hq", clock)
    desk.roll_out(EDITOR, released(desk, EVERYDAY).revision, target_of(everywhere=True))
    imported(storage, [row(number) for number in range(5)], FAIR_DAY)
    with served(create_app(settings, clock)) as client:
        made = []
        for (merchant, terminal), secret in zip(PARKS, codes, strict=True):
            home = tmp_path / terminal
            home.mkdir()
            enrol(str(client.base_url), secret, home, now=clock)
            made.append(park(str(client.base_url), home, Place(merchant, "main", terminal)))
        first, second = made
        yield first, second, clock, storage
        for each in made:
            each.close()
    storage.close()


def park(url: str, home: Path, place: Place) -> Park:
    clock = TillClock(now=FAIR_DAY, boot_id=f"{place.terminal}-boot")
    elsewhere, parts = UsageElsewhere(home), []
    holds = Holds(data_dir=home, url=url, clock=clock, online=lambda: bool(parts and parts[0].online), wait_s=WAIT_S)
    vouchers = VoucherDesk(home / "vouchers.bin", KEY, expected=False)
    book = LoadedBook.of(parse_book(EVERYDAY.encode(), "toml"))
    till = open_till(
        home,
        slices=NO_SLICES,
        place=place,
        book=book,
        clock=clock,
        vouchers=vouchers,
        holder=holds,
        elsewhere=elsewhere,
    )
    feeds = (
        VoucherFeed(vouchers, KEY),
        Leases(till.ledger.allowances, clock, Wants()),
        UsageFeed(elsewhere, time.monotonic),
    )
    agent = Agent(ledger=till.ledger, data_dir=home, url=url, clock=clock, feeds=feeds)
    parts.append(Park(till, agent, holds, clock, elsewhere))
    return parts[0]


def test_a_voucher_used_at_one_park_is_refused_at_the_other(parks: tuple[Park, Park, HandClock, Storage]) -> None:
    first, second, clock, storage = parks
    assert first.tries_voucher("member", 1) == ["needs-hq"]  # before its first word with headquarters
    for each in (first, second):
        each.exchange()
    assert first.tries_voucher("member", 1) == []
    # At once, though nothing of the sale has reached headquarters but its hold.
    assert second.tries_voucher("model-worker", 1) == ["voucher-used"]
    assert first.tries_voucher("model-worker", 1) == ["voucher-used"]
    assert second.tries_voucher("model-worker", 2) == []

    # Without a line the register still judges the code, and what others used is known as of the last word about it.
    first.exchange()
    clock.now += timedelta(seconds=120)
    for each in (first, second):
        each.clock.step(120_000)
    second.exchange()
    first.online = second.online = False
    assert second.tries_voucher("proved", 1) == ["voucher-used"]
    assert second.tries_voucher("proved", 9) == ["voucher-unknown"]
    # Used at two tills that are both cut off: each goes by what it knows, and headquarters flags the second.
    assert [first.tries_voucher("proved", 3), second.tries_voucher("fallen-back", 3)] == [[], []]
    first.online = second.online = True
    for each in (first, second):
        each.exchange()
    with storage.read() as connection:
        flagged = connection.execute(select(flags.c.terminal, flags.c.code)).all()
    assert flagged == [("t02", "over-limit")]

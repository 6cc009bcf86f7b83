"""Kill -9 of the whole terminal while it sells over HTTP: nothing acknowledged is lost, nothing doubled, all at HQ.

The seller behaves as a page does: it gives each sale an id of its own, and after a cut asks again with the same id. So
at the end every sale is either acknowledged or known to have left no trace, and the ledger must hold exactly those.
"""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uuid_utils
from sqlalchemy import func, select

from config.zone import SHANGHAI
from sync.headquarters.storage import open_storage
from sync.headquarters.tables import entries, flags, redemptions
from terminal.demo import TERMINAL
from terminal.ledger.clock import SystemClock
from terminal.ledger.entry import StoredEntry
from terminal.ledger.ledger import Ledger
from terminal.ledger.verify import verify
from terminal.offers.book import canonical_json, moved_to, parse_book
from terminal.offers.counts import Offline
from tests.fakes.installation import Installation

KILLS = int(os.environ.get("DAEMON_KILLS", "25"))  # some half a minute; a soak run asks for more
KILL_S_MAX = 0.4  # a life sells for this long at most: some twenty steps
STARTING_KILL_S_MAX = 1.2  # a start takes about as long, so such a kill lands anywhere in it
STARTING_KILLS = 5  # one kill in so many meets a daemon that is still starting
PLENTY = 1_000_000  # of every limit, so that one card can be sold to all along
PLENTIFUL = {"max": PLENTY, "offline": Offline.LOCAL}
BOOK = Path(__file__).parents[2] / "config" / "books" / "winter-2012.toml"
LINES = [{"category": "film-ticket", "quantity": 2, "list_price": 8000, "attributes": {"format": "2d"}}]
ENTRIES_READ = 500
STANDS_AFTER = {"authorised": ("authorised", 0), "complete": ("completed", 0), "cancel": ("cancelled", 0)}
STANDS_AFTER["void"] = ("completed", 1)  # one unit of two


class Unrecorded(Exception):
    """The repeated authorisation was answered: this sale left no trace."""


@dataclass
class Seller:
    """Sells film tickets to one card. `acknowledged`: the steps of each sale that the terminal said are done."""

    site: Installation
    chance: random.Random
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    interrupted: Callable[[], None] | None = None

    def sell_on(self, ready: Callable[[], None]) -> None:
        """Sale after sale, until the connection is cut (`httpx.TransportError`); `ready` is told before the first."""
        presentation = self.site.present("member")["id"]
        ready()
        if self.interrupted is not None:
            with suppress(Unrecorded):
                self.interrupted()  # the same step with the same id, as after a page's reload
            self.interrupted = None
        while True:
            self._sale(presentation)

    def _sale(self, presentation: str) -> None:
        wanted = {"presentation": presentation, "offer": "winter-film", "lines": LINES}
        quoted = self.site.cashier.post("/api/v1/quotes", json=wanted)
        assert quoted.status_code == 200, quoted.text
        sale = str(uuid_utils.uuid7())
        self._step(lambda: self._authorise(sale, quoted.json()["quote"]))
        match self.chance.randrange(4):
            case 0:
                self._step(lambda: self._settle(sale, "cancel", {"reason": "not-paid"}))
            case 1:
                self._step(lambda: self._settle(sale, "complete", {}))
                self._step(lambda: self._settle(sale, "void", {"reason": "wrong film", "units": 1}))
            case _:
                self._step(lambda: self._settle(sale, "complete", {"pos_reference": "000000000017"}))

    def _step(self, step: Callable[[], None]) -> None:
        self.interrupted = step
        step()
        self.interrupted = None

    def _authorise(self, sale: str, quote: str) -> None:
        answer = self.site.cashier.post("/api/v1/redemptions", json={"id": sale, "quote": quote})
        if answer.status_code == 409 and answer.json()["code"] == "quote-expired":
            self.unrecorded.append(sale)
            raise Unrecorded
        self._note(sale, "authorised", answer)

    def _settle(self, sale: str, step: str, message: Mapping[str, Any]) -> None:
        person = self.site.manager if step == "void" else self.site.cashier
        self._note(sale, step, person.post(f"/api/v1/redemptions/{sale}/{step}", json=message))

    def _note(self, sale: str, step: str, answer: httpx.Response) -> None:
        assert answer.status_code in (200, 201), answer.text
        self.acknowledged.setdefault(sale, []).append(step)
        if step == "authorised":
            self.sequences.append(answer.json()["sequence"])


@pytest.mark.timeout(90 + KILLS * 8)
def test_nothing_acknowledged_is_lost_or_doubled_when_the_terminal_is_killed_at_random_moments(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed, "kills", KILLS)  # shown when the test fails
    chance = random.Random(seed)
    root = tmp_path / "site"
    root.mkdir(mode=0o700)
    (root / "book.json").write_text(plentiful_book(), encoding="utf-8")
    with Installation(root) as site:
        site.start()
        seller = Seller(site, chance)
        for kill in range(KILLS):
            if kill % STARTING_KILLS == STARTING_KILLS - 1:
                cut_while_starting(site, chance)
            else:
                cut_while_selling(site, seller, chance)
        site.terminal.start()
        if seller.interrupted is not None:
            with suppress(Unrecorded):
                seller.interrupted()
        site.wait_acknowledged()
        site.terminal.stop()
        check(site, seller)


def plentiful_book() -> str:
    """The winter campaign, on today, with so much of everything that one card never uses it up; nobody is asked."""
    book = moved_to(parse_book(BOOK.read_bytes(), "toml"), datetime.now(SHANGHAI).date())
    offers = [
        offer.model_copy(update={"limits": tuple(each.model_copy(update=PLENTIFUL) for each in offer.limits)})
        for offer in book.offers
    ]
    return canonical_json(book.model_copy(update={"offers": tuple(offers)}))


def cut_while_selling(site: Installation, seller: Seller, chance: random.Random) -> None:
    """Start if need be, sell, and kill the terminal at a random moment of it."""
    if not site.terminal.running:
        site.terminal.start()
    process = site.terminal.process
    assert process is not None
    killer = threading.Timer(chance.uniform(0, KILL_S_MAX), process.kill)
    assert site.cashier is not site.manager  # signs both in before the clock runs: by design that is slow
    with pytest.raises(httpx.TransportError):
        seller.sell_on(killer.start)  # the clock runs once the card is there, however busy the machine is
    killer.join()
    site.terminal.kill()  # it is dead already: this reaps it


def cut_while_starting(site: Installation, chance: random.Random) -> None:
    """Kill the terminal somewhere in its start."""
    process = site.terminal.launch()
    with suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0, STARTING_KILL_S_MAX))
    assert process.poll() is None, site.terminal.output
    site.terminal.kill()


def check(site: Installation, seller: Seller) -> None:
    """The ledger is whole, holds what was acknowledged and no more, and headquarters has the very same."""
    path = site.terminal_dir / "ledger.sqlite"
    report = verify(path)
    assert report.ok, report
    steps = sum(map(len, seller.acknowledged.values()))
    print("acknowledged steps", steps, "sales", len(seller.acknowledged), "without trace", len(seller.unrecorded))
    assert len(seller.acknowledged) > KILLS
    with closing(Ledger.open(path, TERMINAL, SystemClock())) as ledger:
        written = all_entries(ledger)
        assert len(written) == steps, "each acknowledged step is one entry, and there is no other"
        assert len(set(seller.sequences)) == len(seller.sequences)
        states = {}
        for sale, done in seller.acknowledged.items():
            found = ledger.redemption(sale)
            assert found is not None, sale
            assert (found.state, found.voided_units) == STANDS_AFTER[done[-1]], sale
            states[sale] = str(found.state)
        assert all(ledger.redemption(sale) is None for sale in seller.unrecorded)
    with closing(open_storage("", site.headquarters_dir)) as storage, storage.read() as connection:
        columns = (entries.c.sequence, entries.c.hash, entries.c.body)
        there = connection.execute(select(*columns).order_by(entries.c.sequence)).all()
        assert [tuple(row) for row in there] == [(each.sequence, each.hash, each.canonical) for each in written]
        assert dict(map(tuple, connection.execute(select(redemptions.c.id, redemptions.c.state)))) == states
        assert connection.scalar(select(func.count()).select_from(flags)) == 0


def all_entries(ledger: Ledger) -> list[StoredEntry]:
    found: list[StoredEntry] = []
    while batch := ledger.entries(len(found), ENTRIES_READ):
        found += batch
    return found

"""A city played out: many tills, one headquarters, one pool; days in seconds, the same for the same seed.

Everything that happens is an event at a virtual moment. Customers come and go to other cinemas, lines are cut for
minutes and for days, machines lose power, disks die and are put back from copies, clocks are moved, messages are lost,
doubled and late. At the end every line is up again, and `Story` and `verdict` say whether each promise held.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from sync.headquarters.projection import Place as HeadquartersPlace
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.sale import Place
from tests.simulation.headquarters import Headquarters
from tests.simulation.road import Road, Weather
from tests.simulation.story import Story
from tests.simulation.till import EPOCH, OFFER, Till, Wish

BOOK = Path(__file__).parents[2] / "config" / "books" / "winter-2012.toml"
CINEMAS = ("gongren-julebu", "wudaokou", "dongsi", "xicheng", "haidian", "pinggu", "miyun", "liangxiang")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
OPEN_MS, SHUT_MS = 1 * HOUR_MS, 14 * HOUR_MS  # of a day that begins at 8:00 in Beijing: from 9:00 to 22:00
HEAL_ROUNDS = 5  # of quiet exchanges at the end; three are enough
PUSHED_AT_ONCE = 0.3  # of the customers; a real agent always does, here it would only be the same again
HEAL_STEP_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a city is like."""

    tills: int
    members: int
    pool: int
    days: int
    customers_per_day: float  # of one till
    sync_s: float  # between two exchanges of a till whose line is up
    weather: Weather
    cuts_per_day: float  # of one line
    cut_h_max: float
    crashes_per_day: float
    reboots_per_day: float
    backups_per_day: float
    disk_deaths: float  # share of the tills that lose their disk once
    clock_jumps_per_day: float
    closed_at_night: bool
    lively: bool  # tills speak before and after each customer, as with a heartbeat of seconds

    @classmethod
    def beijing(cls, tills: int, days: int) -> Plan:
        """A city on usual days: good lines with a bad one here and there, PCs that are switched off at night."""
        return cls(
            tills=tills,
            members=tills * 30,
            pool=tills * 10,
            days=days,
            customers_per_day=15.0 / days,  # half of them come in opening hours: for more tickets than there are
            sync_s=43_200.0,
            weather=Weather(0.01, 0.01, 0.001, 0.005, 0.005),
            cuts_per_day=0.02,
            cut_h_max=72.0,
            crashes_per_day=0.02,
            reboots_per_day=0.01,
            backups_per_day=0.01,
            disk_deaths=0.005,
            clock_jumps_per_day=0.02,
            closed_at_night=True,
            lively=True,
        )

    @classmethod
    def of(cls, chance: random.Random) -> Plan:
        """A small city in bad weather, a different one for every seed."""
        tills = chance.randint(2, 5)
        days = chance.randint(1, 4)
        customers = chance.uniform(6, 16)
        wanted = tills * days * customers * 1.5
        share = chance.choice((0.25, 0.5, 0.9, 1.5))  # of what is wanted: many pools run dry, some do not
        bad = chance.random()
        return cls(
            tills=tills,
            members=chance.randint(20, 160),
            pool=max(8, int(wanted * share)),
            days=days,
            customers_per_day=customers,
            sync_s=chance.choice((1800.0, 3600.0, 10_800.0)),
            weather=Weather(*(chance.uniform(0, 0.12) * bad for _ in range(5))),
            cuts_per_day=chance.choice((0.2, 1.0, 3.0)),
            cut_h_max=chance.choice((1.0, 10.0, 60.0)),
            crashes_per_day=chance.uniform(0, 1.0),
            reboots_per_day=chance.uniform(0, 1.0),
            backups_per_day=chance.uniform(0, 1.0),
            disk_deaths=chance.choice((0.0, 0.0, 0.2, 0.5)),
            clock_jumps_per_day=chance.uniform(0, 0.5),
            closed_at_night=chance.random() < 0.5,
            lively=chance.random() < 0.2,
        )


class City:
    """One run."""

    def __init__(self, seed: int, plan: Plan, directory: Path) -> None:
        self.chance = random.Random(seed)
        self.plan = plan
        self.now_ms = 0
        self.book = book_with_pool(plan.pool)
        self.story = Story(seed, plan.pool, per_card=2)
        self.headquarters = Headquarters(_made(directory / "hq"), self.book, self.true_time)
        self.tills: list[Till] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._versions: dict[str, str] = {}  # of the leases that each till has
        self._loop = asyncio.new_event_loop()
        for number in range(plan.tills):
            self._build(number, directory)

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self) -> Story:
        """Days of selling, then calm. Raises `Broken`."""
        while self._events:
            self.now_ms, _, event = heapq.heappop(self._events)
            self.story.now_ms = self.now_ms
            event()
        self._heal()
        return self.story

    def close(self) -> None:
        """Give everything back."""
        for till in self.tills:
            till.close()
        self.headquarters.close()
        self._loop.close()

    def true_time(self) -> datetime:
        """What the time really is."""
        return EPOCH + timedelta(milliseconds=self.now_ms)

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """`event` so many seconds from now, unless the campaign is over by then."""
        at_ms = self.now_ms + max(1, round(seconds * 1000))
        if at_ms < self.plan.days * DAY_MS:
            heapq.heappush(self._events, (at_ms, next(self._order), event))

    # --- what happens -------------------------------------------------------------------------------------------------

    def _build(self, number: int, directory: Path) -> None:
        place = Place(CINEMAS[number % len(CINEMAS)], "main", f"till-{number:04}")
        road = Road(place.terminal, self.headquarters, self.plan.weather, self.chance, self.story, later=self.later)
        self.headquarters.enrol(HeadquartersPlace(place.terminal, place.merchant, place.site))
        till = Till(
            place,
            directory / place.terminal,
            self.book,
            road,
            story=self.story,
            city_ms=lambda: self.now_ms,
            chance=self.chance,
            loop=self._loop,
            new_id=self._new_id,
        )
        self.tills.append(till)
        self._often(self.plan.customers_per_day, lambda: self._customer(till), opening_hours=True)
        self._often(86_400 / self.plan.sync_s, lambda: self._sync(till))
        self._often(self.plan.cuts_per_day, lambda: self._cut(till))
        self._often(self.plan.crashes_per_day, till.crash)
        self._often(self.plan.reboots_per_day, till.reboot)
        self._often(self.plan.backups_per_day, till.back_up)
        self._often(self.plan.clock_jumps_per_day, lambda: self._move_clock(till))
        if self.plan.closed_at_night:
            for day in range(self.plan.days):
                self.later((day * DAY_MS + SHUT_MS) / 1000 + self.chance.uniform(60, 3600), till.shut_down)
        if self.chance.random() < self.plan.disk_deaths:
            self.later(self.chance.uniform(0.3, 1.0) * self.plan.days * 86_400, lambda: self._lose_disk(till))

    def _often(self, per_day: float, event: Callable[[], None], *, opening_hours: bool = False) -> None:
        """`event` at random moments, so often a day."""
        if per_day <= 0:
            return

        def again() -> None:
            if not opening_hours or OPEN_MS <= self.now_ms % DAY_MS < SHUT_MS:
                event()
            self._often(per_day, event, opening_hours=opening_hours)

        self.later(self.chance.expovariate(per_day / 86_400), again)

    def _customer(self, till: Till) -> None:
        wish = Wish(self.chance.randrange(self.plan.members), self.chance.choice((1, 2, 2, 2)))
        if self.plan.lively:
            self._sync(till)
        self._serve(till, wish, patient=self.plan.lively)

    def _serve(self, till: Till, wish: Wish, *, patient: bool) -> None:
        """A sale, or no sale. Who is patient asks again half a minute later, when others may have given back some."""
        before = self.story.unserved
        redemption = till.serve(wish)
        if patient and redemption is None and self.story.unserved > before:
            self.story.unserved = before
            self._heartbeats()
            self.later(30, lambda: self._serve(till, wish, patient=False))
            return
        if self.plan.lively or self.chance.random() < PUSHED_AT_ONCE:
            self.later(self.chance.uniform(1, 10), lambda: self._sync(till))
        if redemption is None:
            return
        units, what = wish.units, self.chance.random()
        settle_s = self.chance.uniform(20, 600)
        if what < 0.90:
            self.later(settle_s, lambda: till.complete(redemption))
            if what < 0.08:
                void_s = self.chance.uniform(700, 40_000)
                self.later(void_s, lambda: till.void(redemption, self.chance.choice((1, units))))
        elif what < 0.98:
            self.later(settle_s, lambda: till.cancel(redemption))

    def _sync(self, till: Till) -> None:
        till.sync()
        self._look_at(till)
        if not till.retired:
            self._versions[till.place.terminal] = till.ledger.allowances.lease().version

    def _heartbeats(self) -> None:
        """Every till whose line is up hears within seconds that it is asked for something."""
        asked = self.headquarters.asked()
        for till in self.tills:
            name = till.place.terminal
            if not till.retired and not till.road.cut and asked.get(name) != self._versions.get(name):
                self._sync(till)

    def _look_at(self, till: Till) -> None:
        """An honest person at headquarters: a till that was only off is let go on, one from a copy is retired."""
        if till.retired or self.headquarters.state_of(till.place.terminal) == "quarantined":
            self._retire(till)
        elif (fault := till.agent.feed_faults().get("leases")) is not None and fault.code == "lease-frozen":
            if till.restored:
                self._retire(till)
            else:
                self.headquarters.release(till.place.terminal)
        elif not till.restored and self.headquarters.frozen_at(till.place.terminal):
            self.story.counts["released"] += 1
            self.headquarters.release(till.place.terminal)

    def _retire(self, till: Till) -> None:
        if not till.retired:
            assert till.restored, f"{till.place.terminal} was suspected without a reason"
            self.story.say(till.place.terminal, "taken out of use")
            self.story.counts["retired"] += 1
            till.retired = True

    def _cut(self, till: Till) -> None:
        if till.road.cut:
            return
        hours = self.chance.uniform(0.02, self.plan.cut_h_max)
        self.story.say(till.place.terminal, f"its line is cut for {hours:.1f} h")
        till.road.cut = True

        def mend() -> None:
            till.road.cut = False
            self.story.say(till.place.terminal, "its line is up again")

        self.later(hours * 3600, mend)

    def _move_clock(self, till: Till) -> None:
        till.set_clock(self.chance.choice((0, 0, -1, 1)) * self.chance.choice((90_000, HOUR_MS, 5 * HOUR_MS)))

    def _lose_disk(self, till: Till) -> None:
        if not till.retired:
            till.restore()

    def _heal(self) -> None:
        """Every line is up, nothing goes wrong, and everybody has time to say everything."""
        for till in self.tills:
            till.road.cut, till.road.calm = False, True
            till.set_clock(0)
        for _ in range(HEAL_ROUNDS):
            self.now_ms += HEAL_STEP_MS
            self.story.now_ms = self.now_ms
            for till in self.tills:
                self._sync(till)

    def _new_id(self) -> str:
        """A UUIDv7 (RFC 9562 section 5.7) of this run."""
        number = next(self._ids)
        at_ms = int(EPOCH.timestamp() * 1000) + self.now_ms
        return str(uuid.UUID(int=(at_ms << 80) | (7 << 76) | (2 << 62) | number))


@cache
def _published() -> LoadedBook:
    return LoadedBook.of(parse_book(BOOK.read_bytes(), "toml"))


def book_with_pool(pool: int) -> LoadedBook:
    """The published winter book with a pool of another size."""
    book = _published().book
    offers = []
    for offer in book.offers:
        limits = tuple(
            replace_model(limit, max=pool) if (offer.id, limit.id) == (OFFER, "pool") else limit
            for limit in offer.limits
        )
        offers.append(replace_model(offer, limits=limits))
    return LoadedBook.of(replace_model(book, offers=tuple(offers)))


def replace_model(model, **changes):  # type: ignore[no-untyped-def]
    """A pydantic model with other values."""
    return model.model_copy(update=changes)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory

"""A city of real processes sells a small pool out, through cut lines and killed daemons, and every promise holds.

One headquarters with two workers on PostgreSQL, real terminal daemons, and a line from each that is cut, slowed,
silenced and made to leak while customers buy at every counter. `CITY_DAEMONS=20` plays it larger and longer, and
`CITY_SEED` plays another storm.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.city.customers import Seller, World
from tests.city.verdict import judge
from tests.fakes.city import City
from tests.fakes.leaky_line import Weather
from tests.fakes.postgres import PostgresCluster

DAEMONS: Final = int(os.environ.get("CITY_DAEMONS", "3"))
SEED: Final = int(os.environ.get("CITY_SEED", "20121225"))
POOL: Final = 20 * DAEMONS
MEMBERS: Final = 16 * DAEMONS  # hardly more cards than the pool suffices for: many come twice
STORM_S: Final = 8.0 if DAEMONS <= 3 else 60.0
ACT_S: Final = 0.5 if DAEMONS <= 3 else 0.15  # between two things that happen
WORKER_EVERY_S: Final = 4.0  # at most: a worker that dies at once is not started again at once
CUT_S: Final = (0.3, 2.0)
BAD: Final = (Weather.CUT, Weather.CUT, Weather.LEAKY, Weather.LEAKY, Weather.SLOW, Weather.SILENT)
CALM_S_MAX: Final = 15.0  # all lines are up again, and customers still come until there is nothing left
POLL_S: Final = 0.05
DONE_S: Final = 60.0
CLOSING_S: Final = 60.0


@dataclass
class Storm:
    """What goes wrong, one thing after another, from one seed; ends with everything up again."""

    city: City
    chance: random.Random
    done: Tally[str] = field(default_factory=Tally)
    _mend_at: dict[int, float] = field(default_factory=dict)
    _worker_at: float = 0.0
    _back_at: dict[int, float] = field(default_factory=dict)

    def rage(self, storm_s: float, stop: threading.Event) -> None:
        """Until the time is over, or `stop` is set: a seller has failed."""
        until = time.monotonic() + storm_s
        while time.monotonic() < until and not stop.is_set():
            self._act()
            self._mend(time.monotonic())
            time.sleep(ACT_S)
        self._mend(float("inf"))

    def _act(self) -> None:
        what = self.chance.random()
        number = self.chance.randrange(len(self.city.terminals))
        if what < 0.65:
            self._weather(number)
        elif what < 0.90:
            self._kill(number)
        elif time.monotonic() >= self._worker_at and self.city.kill_worker():
            self._worker_at = time.monotonic() + WORKER_EVERY_S
            self._count("workers killed")

    def _weather(self, number: int) -> None:
        weather = self.chance.choice(BAD)
        self.city.terminals[number].line.weather = weather
        self._mend_at[number] = time.monotonic() + self.chance.uniform(*CUT_S)
        self._count(f"lines {weather.value}")

    def _kill(self, number: int) -> None:
        if number in self._back_at or len(self._back_at) * 2 >= len(self.city.terminals):
            return  # most counters go on selling
        self.city.terminals[number].service.kill()
        self._back_at[number] = time.monotonic() + self.chance.uniform(0, 1)
        self._count("daemons killed")

    def _mend(self, now: float) -> None:
        for number in [number for number, at in self._mend_at.items() if at <= now]:
            self.city.terminals[number].line.weather = Weather.FAIR
            del self._mend_at[number]
        for number in [number for number, at in self._back_at.items() if at <= now]:
            self.city.terminals[number].service.launch()
            del self._back_at[number]

    def _count(self, what: str) -> None:
        self.done[what] += 1


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with (
        PostgresCluster.start() as cluster,
        cluster.database() as url,
        City(tmp_path, url, terminals=DAEMONS, pool=POOL, members=MEMBERS, seed=SEED) as made,
    ):
        yield made.start()


@pytest.mark.timeout(120 if DAEMONS <= 3 else 900)
def test_a_pool_is_sold_out_through_a_storm(city: City, capsys: pytest.CaptureFixture[str]) -> None:
    world, closing, storm = World(city.pool), threading.Event(), Storm(city, random.Random(SEED))
    sellers = [Seller(city, terminal, world, closing, SEED) for terminal in city.terminals]
    failed = threading.Event()
    for seller in sellers:
        seller.start()
    try:
        storm.rage(STORM_S, failed)
        sold_in_the_storm = world.out
        calm_ends = time.monotonic() + CALM_S_MAX
        while world.out < city.pool and time.monotonic() < calm_ends:
            time.sleep(POLL_S)
    finally:
        closing.set()
        for seller in sellers:
            seller.join(CLOSING_S)
    assert [seller.fault for seller in sellers if seller.fault is not None] == []
    assert not any(seller.is_alive() for seller in sellers)
    city.wait_acknowledged(DONE_S)
    city.stop_terminals()
    verdict = judge(city, world)
    with capsys.disabled():
        told = ", ".join(f"{count} {what}" for what, count in sorted((world.told + storm.done).items()))
        print(
            f"\n  city of {DAEMONS}, seed {SEED}: {verdict.sold} of {city.pool} sold "
            f"({sold_in_the_storm} in the storm, most {world.most_out}), "
            f"{verdict.over_limit_cards} cards over their limit, flags {dict(verdict.flags)}; {told}"
        )
    assert verdict.sold > 0

"""Small cities in bad weather, one for each seed. `SIMULATION_SEEDS=1000` plays a thousand; a failing one tells all.

`SIMULATION_TILLS=2000` plays weeks of a city with so many tills on usual days, and says what was left unsold.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
from pathlib import Path

import pytest

from tests.simulation.city import City, Plan
from tests.simulation.verdict import Verdict, judge

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "6"))
FIRST_SEED = int(os.environ.get("SIMULATION_FIRST_SEED", "1"))
TILLS = int(os.environ.get("SIMULATION_TILLS", "15"))
DAYS = int(os.environ.get("SIMULATION_DAYS", "5"))
# Of a pool that everybody wants: what is left in slices that nobody found in time, at most. Much less in a large city.
STRANDED_SHARE_MAX = 0.05
FILES_PER_TILL = 16


def play(seed: int, directory: Path, plan: Plan | None = None) -> tuple[City, Verdict]:
    """One city from its first morning to its verdict."""
    plan = plan or Plan.of(random.Random(seed))
    city = City(seed, plan, directory)
    try:
        city.run()
        return city, judge(city)
    finally:
        city.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_promises_hold_in_bad_weather(seed: int, tmp_path: Path) -> None:
    _, verdict = play(seed, tmp_path / "city")
    assert verdict.sold <= verdict.pool


def test_the_same_seed_tells_the_same_story(tmp_path: Path) -> None:
    first, one = play(3, tmp_path / "one")
    second, two = play(3, tmp_path / "two")
    assert list(first.story.lines) == list(second.story.lines)
    assert one == two


@pytest.mark.timeout(120 + TILLS * 2)
def test_a_city_on_usual_days_leaves_next_to_nothing_unsold(tmp_path: Path) -> None:
    enough = TILLS * FILES_PER_TILL + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(enough, hard)), hard))
    city, verdict = play(1, tmp_path / "city", Plan.beijing(TILLS, DAYS))
    print(verdict, dict(city.story.refused), dict(city.story.counts))
    assert city.story.refused["quota-gone pool"] > 0, "not everybody who came found a ticket"
    assert verdict.stranded_share <= STRANDED_SHARE_MAX

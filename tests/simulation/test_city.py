"""Small cities in bad weather, one for each seed. `SIMULATION_SEEDS=1000` plays a thousand; a failing one tells all."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.simulation.city import City, Plan
from tests.simulation.verdict import Verdict, judge

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "8"))
FIRST_SEED = int(os.environ.get("SIMULATION_FIRST_SEED", "1"))


def play(seed: int, directory: Path) -> tuple[City, Verdict]:
    """One city from its first morning to its verdict."""
    plan = Plan.of(random.Random(seed))
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

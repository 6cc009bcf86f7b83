"""Measures what a queue feels, beside the raw limits of the same run.

    python -m tests.bench [answer] [confirm] [start] [ledger] [all] [--quick] [--cache DIRECTORY]

Figures are medians with their spread; nothing here passes or fails. The large roll and ledger are built once and kept
in the cache directory (about 3 GB).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench import answer, confirm, ledger_commit, start
from tests.bench.site import EMPTY, Load

PARTS = ("answer", "confirm", "start", "ledger")
FULL = Load(roll_cards=10_000_000, ledger_entries=1_000_000)
QUICK = Load(roll_cards=100_000, ledger_entries=20_000)


def main() -> None:
    """Parse the command line and measure the parts asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, "all", []), help="what to measure; nothing: all")
    parser.add_argument("--quick", action="store_true", help="a small roll and ledger, few rounds: a minute in all")
    parser.add_argument(
        "--cache", type=Path, help="keeps the large roll and ledger between runs (a temporary one else)"
    )
    options = parser.parse_args()
    wanted = set(PARTS) if not options.parts or "all" in options.parts else set(options.parts)
    with tempfile.TemporaryDirectory(prefix="jingka-bench-") as directory:
        cache: Path = (options.cache or Path(directory)).resolve()
        cache.mkdir(parents=True, exist_ok=True)
        measure(wanted, cache, quick=options.quick)


def measure(wanted: set[str], cache: Path, *, quick: bool) -> None:
    """The parts one after another, each with an empty terminal and a full one."""
    full = QUICK if quick else FULL
    rounds, starts = (200, 3) if quick else (2000, 10)
    for load in (EMPTY, full):
        if "answer" in wanted:
            answer.measure(cache, load, rounds)
        if "confirm" in wanted:
            confirm.measure(cache, load, rounds)
    if "start" in wanted:
        start.measure(cache, full, starts)
    if "ledger" in wanted:
        ledger_commit.measure_all(cache, full.ledger_entries)


if __name__ == "__main__":
    main()

"""Measures what a queue feels, beside the raw limits of the same run.

    python -m tests.bench [answer] [confirm] [start] [ledger] [read] [quote] [replay] [roll] [ingest]
                         [holds] [all] [--quick] [--cache PATH] [--stored N] [--cards N]
    python -m tests.bench fuzz [--minutes 10]

Figures are medians with their spread; nothing here passes or fails, but for `fuzz`, which is no measurement, runs only
when it is named, and ends with 1 when it finds something. The large roll and ledger are built once and kept in the
cache directory (about 3 GB).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import answer, confirm, holds, ingest, ledger_commit, quotes, reading, replay, roll_import, start
from tests.bench.site import EMPTY, Load
from tests.fuzz.__main__ import DIRECTORY as FUZZ_DIRECTORY
from tests.fuzz.__main__ import MINUTES as FUZZ_MINUTES
from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import TARGETS as FUZZ_TARGETS

PARTS = ("answer", "confirm", "start", "ledger", "read", "quote", "replay", "roll", "ingest", "holds")
FUZZ = "fuzz"
FUZZ_QUICK_MINUTES = 1.0
FULL = Load(roll_cards=10_000_000, ledger_entries=1_000_000)
QUICK = Load(roll_cards=100_000, ledger_entries=20_000)
REPLAYED, REPLAYED_QUICK = 200_000, 10_000  # sales
STORED, STORED_QUICK = 1_000_000, 20_000  # entries
LISTED, LISTED_QUICK = 1_000_000, 20_000  # cards


def main() -> int:
    """Parse the command line and measure the parts asked for; 1 when the fuzzing found something."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=(*PARTS, FUZZ, "all", []), help="what to measure; nothing: all")
    parser.add_argument("--quick", action="store_true", help="a small roll and ledger, few rounds: a minute in all")
    parser.add_argument(
        "--cache", type=Path, help="keeps the large roll and ledger between runs (a temporary one else)"
    )
    parser.add_argument("--minutes", type=float, help=f"of fuzzing (default {FUZZ_MINUTES:.0f})")
    parser.add_argument("--stored", type=int, help="entries there when ingest is measured again (a city: 10000000)")
    parser.add_argument("--cards", type=int, help="on the list of members that headquarters imports (a city: 10000000)")
    options = parser.parse_args()
    wanted = set(PARTS) if not options.parts or "all" in options.parts else set(options.parts)
    if wanted - {FUZZ}:
        with tempfile.TemporaryDirectory(prefix="jingka-bench-") as directory:
            cache: Path = (options.cache or Path(directory)).resolve()
            cache.mkdir(parents=True, exist_ok=True)
            measure(wanted, cache, quick=options.quick, stored=options.stored, cards=options.cards)
    if FUZZ not in wanted:
        return 0
    minutes = options.minutes or (FUZZ_QUICK_MINUTES if options.quick else FUZZ_MINUTES)
    return fuzz(list(FUZZ_TARGETS), minutes, FUZZ_DIRECTORY)


def measure(wanted: set[str], cache: Path, *, quick: bool, stored: int | None = None, cards: int | None = None) -> None:
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
    if "read" in wanted:
        reading.measure(cache, quick=quick)
    if "quote" in wanted:
        quotes.measure(cache, quick=quick)
    if "roll" in wanted:
        roll_import.measure_roll(cards or (LISTED_QUICK if quick else LISTED))
    if "ingest" in wanted:
        ingest.measure(quick=quick, stored=(STORED_QUICK if quick else STORED) if stored is None else stored)
    if "holds" in wanted:
        holds.measure_holds(quick=quick)
    if "replay" in wanted:
        replay.measure(cache, REPLAYED_QUICK if quick else REPLAYED)


if __name__ == "__main__":
    sys.exit(main())

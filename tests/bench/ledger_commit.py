"""How long a step of the ledger takes, beside a raw SQLite FULL commit in the same run.

    python -m tests.bench.ledger_commit [--entries 1000000] [--verify]

Prints medians with the 5th and 95th percentile in milliseconds, for a new ledger and one that holds `--entries`, and
the ratio of each step to the raw commit, with the calls interleaved so that both meet the same disk.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from terminal.ledger import steps
from terminal.ledger.bodies import Authorisation
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption
from terminal.ledger.verify import verify
from tests.bench.figures import heading
from tests.bench.yardsticks import RawCommits
from tests.fakes.sales import sale

ROUNDS = 1000
FILL_ENTRIES = 20_000  # in one transaction while the ledger is filled


def fill(ledger: Ledger, entries: int) -> None:
    """Completed sales until the ledger holds `entries`, many to a transaction."""

    def batch(first: int) -> None:
        with ledger._writing.transaction("fill", "bench") as step:
            for number in range(first, first + FILL_ENTRIES // 2):
                asked = sale(number)
                opened: Redemption = step.record(None, asked.id, "c01", asked)
                done = steps.completion(opened, "000000000001")
                assert done is not None
                step.record(opened, asked.id, "c01", done)

    for first in range(0, entries // 2, FILL_ENTRIES // 2):
        ledger.writer.run(batch, first)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


async def hopped_ms(ledger: Ledger, asked: Authorisation) -> float:
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    await loop.run_in_executor(ledger.writer, ledger.authorise, asked)
    return (time.perf_counter() - start) * 1000


def measure(ledger: Ledger, raw: RawCommits, first: int) -> None:
    """One line per step; every round makes each of them once."""
    times: dict[str, list[float]] = {}

    def note(name: str, ms: float) -> None:
        times.setdefault(name, []).append(ms)

    async def rounds() -> None:
        for number in range(first, first + ROUNDS):
            asked, other = sale(number), sale(number + ROUNDS * 10)
            note("raw FULL commit", timed(raw.commit))
            note("authorise", timed(lambda: ledger.authorise(asked)))  # noqa: B023
            note("authorise from asyncio", await hopped_ms(ledger, other))
            note("complete", timed(lambda: ledger.complete(asked.id, "c01", "000000000001")))  # noqa: B023
            note("authorise, repeated", timed(lambda: ledger.authorise(asked)))  # noqa: B023
            note("used", timed(lambda: ledger.used(asked.claims[0].key)))  # noqa: B023

    asyncio.run(rounds())
    yardstick = statistics.median(times["raw FULL commit"])
    for name, values in times.items():
        cuts = statistics.quantiles(values, n=20)
        middle = statistics.median(values)
        print(f"  {name:24} {middle:7.3f} ms  ({cuts[0]:.3f} .. {cuts[-1]:.3f})  {middle / yardstick:5.2f} raw commits")


def measure_all(entries: int, *, with_proof: bool) -> None:
    """A new ledger, then one of `entries`; `with_proof` also verifies it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        raw = RawCommits(Path(directory) / "raw.db")
        ledger = Ledger.open(path, "T1", SystemClock())
        heading("ledger: a new one")
        measure(ledger, raw, first=10**9)
        took_ms = timed(lambda: fill(ledger, entries))
        heading(f"ledger: {ledger.last_sequence():,} entries (filled in {took_ms / 1000:.0f} s)")
        measure(ledger, raw, first=2 * 10**9)
        ledger.close()
        raw.close()
        print(f"  opened in {timed(lambda: Ledger.open(path, 'T1', SystemClock()).close()):.1f} ms")
        if with_proof:
            print(f"  verified in {timed(lambda: print(verify(path))) / 1000:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--verify", action="store_true", help="also verify the filled ledger")
    options = parser.parse_args()
    measure_all(options.entries, with_proof=options.verify)


if __name__ == "__main__":
    main()

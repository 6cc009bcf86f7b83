"""How long a step of the ledger takes, beside a raw SQLite FULL commit in the same run.

Medians with the 5th and 95th percentile, for a new ledger and a full one, and the ratio of each step to the raw commit;
the calls are interleaved so that both meet the same disk.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from terminal.ledger.bodies import Authorisation
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.bench.figures import Spread, heading, line
from tests.bench.site import LEDGER_FILE, TERMINAL, filled_ledger
from tests.bench.yardsticks import RawCommits
from tests.fakes.sales import sale

ROUNDS = 1000


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
        line(name, Spread.of(values), f"{statistics.median(values) / yardstick:.2f} raw commits")


def measure_all(cache: Path, entries: int) -> None:
    """The steps on a new ledger, then on one of `entries`, which is kept in `cache`."""
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        raw = RawCommits(Path(directory) / "raw.sqlite")
        heading("ledger: a new one")
        with closing(Ledger.open(Path(directory) / "new.sqlite", TERMINAL, SystemClock())) as ledger:
            measure(ledger, raw, first=10**9)
        full = Path(directory) / "full"
        shutil.copytree(filled_ledger(cache, entries), full)
        with closing(Ledger.open(full / LEDGER_FILE, TERMINAL, SystemClock())) as ledger:
            heading(f"ledger: {ledger.last_sequence():,} entries")
            measure(ledger, raw, first=2 * 10**9)
        raw.close()
        opened_ms = timed(lambda: Ledger.open(full / LEDGER_FILE, TERMINAL, SystemClock()).close())
        line("opened in", f"{opened_ms:.1f} ms")

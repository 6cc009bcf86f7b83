"""How many past sales a second a draft is replayed over: a ledger of winter sales, read and quoted anew.

Each sale is two entries, authorised and completed; one in fifty is cancelled instead. The draft's pool is large enough
that every sale is quoted to its end.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from terminal.ledger import steps
from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.replay import replay
from terminal.replay import past_sales
from tests.bench.figures import heading, line
from tests.bench.site import LEDGER_FILE, TERMINAL
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

BOOK = Path(__file__).parents[2] / "config" / "books" / "winter-2012.toml"
OPENS = datetime(2012, 12, 25, 2, 30, tzinfo=UTC)
SPAN_DAYS = 50  # the sales are spread over the campaign
BATCH_SALES = 10_000  # in one transaction while the ledger is filled
CANCELLED_EVERY = 50
FIRST, LAST = date(2012, 12, 25), date(2013, 2, 20)


def draft() -> LoadedBook:
    """The winter book, with a pool that never runs out."""
    text = BOOK.read_text(encoding="utf-8").replace("max = 20000", "max = 2000000")
    return LoadedBook.of(parse_book(text, "toml"))


def filled_ledger(cache: Path, sales: int) -> Path:
    """A ledger of so many sales, made once for each size."""
    directory = cache / f"replay-{sales}"
    if not directory.exists():
        heading(f"filling a ledger with {sales:,} sales in {cache}")
        made = directory.with_suffix(".draft")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        clock = SteppedClock(now=OPENS)
        with contextlib.closing(Ledger.open(made / LEDGER_FILE, TERMINAL, clock)) as ledger:
            for first in range(0, sales, BATCH_SALES):
                ledger.writer.run(_fill, ledger, clock, range(first, min(sales, first + BATCH_SALES)), sales)
        made.rename(directory)
    return directory / LEDGER_FILE


def _fill(ledger: Ledger, clock: SteppedClock, numbers: range, sales: int) -> None:
    with ledger._writing.transaction("fill", "bench") as step:
        for number in numbers:
            at = OPENS + timedelta(days=SPAN_DAYS) * number / sales
            clock.step(int((at - clock.now).total_seconds() * 1000))
            asked = _sale(number, (at + timedelta(hours=8)).date())
            opened: Redemption = step.record(None, asked.id, "c01", asked)
            if number % CANCELLED_EVERY:
                ended = steps.completion(opened, "000000000001")
            else:
                ended = steps.cancellation(opened, "no money")
            assert ended is not None
            step.record(opened, asked.id, "c01", ended)


def _sale(number: int, day: date) -> Authorisation:
    token = f"v1:{number:064x}"
    keys = {"tickets": f"person={token}", "purchase": f"person={token}", "pool": "campaign=winter-2012"}
    claims = (
        UsageClaim(f"winter-film|{limit}|{scope}|campaign=winter-2012", 1 if limit == "purchase" else 2, 10**9)
        for limit, scope in keys.items()
    )
    return sale(number, merchant="dongsi", site="main", business_day=day.isoformat(), claims=tuple(claims))


def measure(cache: Path, sales: int) -> None:
    """Fill (or find) the ledger, replay it, say how fast."""
    ledger, book = filled_ledger(cache, sales), draft()
    start = time.perf_counter()
    report = replay(book, past_sales(ledger, lambda _: None), FIRST, LAST, lambda _: None)
    took_s = time.perf_counter() - start
    assert report.changed == 0, report.examples
    heading(f"replay of {sales:,} sales")
    line(
        "in all", f"{took_s:.1f} s", f"{sales / took_s:,.0f} sales/s; a million in {took_s / sales * 1e6 / 60:.1f} min"
    )

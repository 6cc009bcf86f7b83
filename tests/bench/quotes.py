"""How fast a sale is quoted: growth with the offers in the book and with what was used before, and a peer beside it.

Every quote asks the ledger's own file what was used, as at the counter. The same baskets are then priced by
django-oscar too, in turns with ours, and both must come to the same money.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.limits import scope_values, usage_key
from terminal.offers.overview import overview
from terminal.offers.quote import quote
from terminal.offers.sale import SALE_LINES_MAX, Sale, SaleLine
from terminal.usage import LedgerUsage
from tests.bench import peer_oscar
from tests.bench.figures import Spread, heading, line, percentile
from tests.bench.offer_books import NOW, PLACE, member, mixed_book, mixed_sale, plain_book
from tests.bench.peer_oscar import Basket
from tests.bench.site import LEDGER_FILE, TERMINAL

BOOKS = (20, 100, 500)  # offers
USED_ROWS, USED_ROWS_QUICK = 1_000_000, 20_000
ROUNDS, ROUNDS_QUICK = 3_000, 300
WARM_UP = 50
PEER_ROUNDS = {20: 400, 500: 40}  # by offers; each of the peer's with 500 offers takes two seconds
PEER_QUICK = 10  # times fewer rounds
PEER_LIMIT = 100  # per member: never reached, but counted by both at every offer
BASKETS: tuple[Basket, ...] = (  # prices in whole yuan, so that no rounding can differ
    ((80, 2),),
    ((30, 1),),
    ((120, 1), (45, 3)),
    ((60, 2), (35, 1), (15, 4), (200, 1)),
    tuple((10 + 5 * number, 1 + number % 3) for number in range(10)),
)


def measure(cache: Path, *, quick: bool) -> None:
    """Quotes by books and by rows of usage, then beside the peer."""
    rows, rounds = (USED_ROWS_QUICK, ROUNDS_QUICK) if quick else (USED_ROWS, ROUNDS)
    with _usage(cache, 0) as usage:
        _measure_books(0, usage, rounds)
    with _usage(cache, rows) as usage:
        _measure_books(rows, usage, rounds)
        _measure_longest(usage, rounds)
        _measure_peer(
            cache, usage, {offers: most // (PEER_QUICK if quick else 1) for offers, most in PEER_ROUNDS.items()}
        )


def _measure_books(used_rows: int, usage: LedgerUsage, rounds: int) -> None:
    heading(f"quote: {used_rows:,} counters in use")
    members = _members(used_rows)
    for offers in BOOKS:
        _measure_book(mixed_book(offers), members, usage, rounds)


def _measure_book(book: LoadedBook, members: Sequence[Member], usage: LedgerUsage, rounds: int) -> None:
    offers = len(book.offers)
    sales = [mixed_sale(f"offer-{number}", number) for number in range(offers)]
    open_sales = [mixed_sale(None, number) for number in range(offers)]
    answers = [quote(sale, members[0], book, usage, NOW) for sale in sales]
    assert sum(answer.eligible for answer in answers) > offers // 2, "hardly any offer is open"

    def who(number: int) -> Member:
        return members[number * 7919 % len(members)]  # a prime stride: neighbours in the file do not follow each other

    _told(f"{offers} offers: the one named", rounds,
          lambda n: quote(sales[n % offers], who(n), book, usage, NOW))  # fmt: skip
    _told(f"{offers} offers: the best of {offers // 10}", rounds,
          lambda n: quote(open_sales[n % offers], who(n), book, usage, NOW))  # fmt: skip
    _told(f"{offers} offers: all that a card may have", max(100, rounds * 20 // offers),
          lambda n: overview(PLACE, who(n), book, usage, NOW))  # fmt: skip


def _measure_longest(usage: LedgerUsage, rounds: int) -> None:
    """The most that can be asked at once: as many lines as a bill may have, with every offer to choose from."""
    book = plain_book([50 + number % 50 for number in range(500)], PEER_LIMIT)
    sale = Sale(PLACE, None, tuple(SaleLine("goods", 2, 8000 + n, {}) for n in range(SALE_LINES_MAX)), {})
    assert quote(sale, member(), book, usage, NOW).eligible
    heading("quote: the longest bill")
    _told(f"{SALE_LINES_MAX} lines, the best of 500", max(20, rounds // 100),
          lambda _: quote(sale, member(), book, usage, NOW))  # fmt: skip


def _told(name: str, rounds: int, ask: Callable[[int], object]) -> float:
    """Ask so often, say how long it took; the median in milliseconds."""
    for number in range(WARM_UP if rounds > WARM_UP else 1):
        ask(number)
    times_ms = [_timed_ms(ask, number) for number in range(rounds)]
    note = f"p99 {percentile(times_ms, 99):.3f} ms; {1000 * rounds / sum(times_ms):,.0f} a second"
    line(name, Spread.of(times_ms), note)
    return statistics.median(times_ms)


def _timed_ms(ask: Callable[[int], object], number: int) -> float:
    began_ns = time.perf_counter_ns()
    ask(number)
    return (time.perf_counter_ns() - began_ns) / 1e6


# What was used before -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _usage(cache: Path, rows: int) -> Iterator[LedgerUsage]:
    """What the rules ask, from a ledger with so many counters in use."""
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        path = Path(directory) / LEDGER_FILE
        Ledger.open(path, TERMINAL, SystemClock()).close()
        _fill(path, rows)
        with contextlib.closing(Ledger.open(path, TERMINAL, SystemClock())) as ledger:
            yield LedgerUsage(ledger, {})


def _fill(path: Path, rows: int) -> None:
    """Counters that the book's own offers ask for, written into the projection as sales would leave them."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO usage (key, used) VALUES (?, ?)", ((key, 1) for key in _keys(rows)))
        connection.commit()


def _keys(rows: int) -> Iterator[str]:
    book = mixed_book(max(BOOKS))
    limits = [(one.offer, limit) for one in book.offers.values() for limit in one.offer.limits if limit.personal]
    for holder in _members(rows) if rows else ():
        for offer, limit in limits:
            yield usage_key(offer, limit, scope_values(offer, holder, PLACE, None, None), NOW.date())


def _members(rows: int) -> list[Member]:
    """As many as it takes to fill so many counters, two for each offer of the largest book."""
    return [member(number) for number in range(1, max(2, rows // (2 * max(BOOKS)) + 1))]


# Beside a peer --------------------------------------------------------------------------------------------------------


def _measure_peer(cache: Path, usage: LedgerUsage, rounds: Mapping[int, int]) -> None:
    """Round by round ours, then the peer's, so that both meet the same machine."""
    python = peer_oscar.fetched(cache)
    if python is None:
        heading("quote: django-oscar cannot be fetched, and is left out")
        return
    heading(f"quote: {len(BASKETS)} baskets of 1 to 10 lines, beside django-oscar")
    sales = [
        Sale(PLACE, None, tuple(SaleLine("goods", quantity, yuan * 100, {}) for yuan, quantity in basket), {})
        for basket in BASKETS
    ]
    for offers, most in rounds.items():
        percents = [50 + number % 50 for number in range(offers)]
        book = plain_book(percents, PEER_LIMIT)
        ours_ms: list[float] = []
        theirs_ms: list[tuple[float, float]] = []
        with peer_oscar.working(python) as oscar:
            due = oscar.take(percents, PEER_LIMIT, BASKETS)
            assert due == [quote(sale, member(), book, usage, NOW).pay_fen for sale in sales]
            for number in range(most):
                sale = sales[number % len(sales)]
                ours_ms.append(_timed_ms(lambda _, sale=sale, book=book: quote(sale, member(), book, usage, NOW), 0))
                theirs_ms.append(oscar.price(number % len(sales)))
        in_memory_ms, read_ms = ([times[way] for times in theirs_ms] for way in (0, 1))
        line(f"{offers} offers, all to choose from: ours", Spread.of(ours_ms), _note(ours_ms))
        line(f"{offers} offers: django-oscar, basket in memory", Spread.of(in_memory_ms), _note(in_memory_ms))
        line(f"{offers} offers: django-oscar, basket read", Spread.of(read_ms), _note(read_ms))
        ratio = statistics.median(in_memory_ms) / statistics.median(ours_ms)
        line(f"{offers} offers: django-oscar in memory to ours", f"{ratio:.1f} times", "both come to the same money")


def _note(times_ms: Sequence[float]) -> str:
    return f"slowest {max(times_ms):.3f} ms"

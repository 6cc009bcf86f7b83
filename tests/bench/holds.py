"""Holds: how long a cashier waits for headquarters' yes, at rest and while entries come in, on PostgreSQL.

Headquarters as it is installed (two workers, a released book), 200 terminals with a line each. Beside ours, in the same
run and under the same ingest: inserting one row of a hold's size into the same PostgreSQL, each in a transaction.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from config.zone import SHANGHAI
from sync.headquarters import fleet
from sync.headquarters.books import releases
from sync.headquarters.pools import usage
from sync.headquarters.pools.terms import ReleasedBooks
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage, open_storage
from sync.wire import encode_message, entries_path
from sync.wire_grants import HOLDS_PATH, HoldKey, HoldRequest
from sync.wire_usage import decode_usage
from terminal.ledger.entry import EntryKind, instant
from terminal.redemption_id import new_id
from tests.bench.figures import Spread, heading, line, percentile
from tests.bench.wire_load import (
    WARM_UP_S,
    Apart,
    Load,
    Sender,
    apart,
    new_sender,
    send_at_rate,
    send_in_turn,
    signed_bytes,
)
from tests.fakes.city import CINEMAS, OFFER, City
from tests.fakes.postgres import FOR_A_CITY, PostgresCluster
from tests.sync.headquarters.written_ledger import WrittenLedger, sale

RATE: Final = 200.0  # holds a second: what 720,000 sales an hour would ask for
TERMINALS: Final = 200
POOL: Final = 100_000_000  # never empty
CAMPAIGN: Final = "campaign=winter-2012"
EVENING_BATCHES, EVENING_ENTRIES = 20.0, 10  # a second, in each: 200 entries a second, a million sales in three hours
DRAIN_ENTRIES: Final = 500  # in each batch: the most that a terminal sends
DRAINED_MAX: Final = 60_000  # entries of one backlog, made beforehand
RAW_BYTES: Final = 700  # of a hold's row with its answer
USED_CARDS, USED_CARDS_QUICK = 1_000_000, 20_000
CHANGED: Final = 1_000  # cards between two looks of a terminal: some 17 sales a second


@dataclass(frozen=True, slots=True)
class Scene:
    """Headquarters under test, and what its clients need to know."""

    port: int
    url: str
    book_hash: str
    storage: Storage
    headquarters: int  # process ids of the two services
    postgres: int

    def processor_ms(self) -> tuple[float, float]:
        """What headquarters and PostgreSQL have computed so far, their children included."""
        return _processor_ms(self.headquarters), _processor_ms(self.postgres)


def measure_holds(*, quick: bool) -> None:
    """Everything, on a PostgreSQL and a headquarters of its own."""
    seconds = 4.0 if quick else 25.0
    heading(f"holds at headquarters: 2 workers, {RATE:.0f} a second for {seconds:.0f} s")
    with scene() as stage:
        alone = _one_by_one(stage, 100 if quick else 1000)
        line("one at a time, nothing else", _told(alone))
        for name, batches, entries in (
            ("nothing else", 0.0, 0),
            ("200 entries a second come in", EVENING_BATCHES, EVENING_ENTRIES),
            ("a backlog is drained at full speed", -1.0, DRAIN_ENTRIES),
        ):
            with ExitStack() as under:
                ingested = under.enter_context(_ingest(stage, batches, entries)) if entries else None
                for lack, pool in (("slices suffice", False), ("slices are empty", True)):
                    load, computed = _holds(stage, seconds, pool=pool)
                    line(f"{name}: {lack}", _told(load), "" if entries else computed)
                line(f"{name}: raw single inserts", _told(_raw(stage, seconds)))
                if ingested is None:
                    continue
                load = ingested.result(end=True)
                line("  entries taken in meanwhile", f"{len(load.times_ms) * entries / load.seconds:.0f} a second")
        _usage(stage, USED_CARDS_QUICK if quick else USED_CARDS)


@contextmanager
def scene() -> Iterator[Scene]:
    """A fresh cluster and headquarters with the winter book released as people do it."""
    with (
        tempfile.TemporaryDirectory(prefix="jingka-bench-holds-") as directory,
        PostgresCluster.start(FOR_A_CITY) as cluster,
        cluster.database() as url,
        City(Path(directory) / "city", url, terminals=0, pool=POOL, members=1) as city,
    ):
        city.start()
        storage = open_storage(url, city.headquarters_dir)
        try:
            with storage.read() as connection:
                book = releases.content_of(connection, 1)
            process = city.headquarters.process
            assert process is not None
            yield Scene(city.headquarters.port, url, book.hash, storage, process.pid, cluster.process.pid)
        finally:
            storage.close()


# --- holds ------------------------------------------------------------------------------------------------------------


def _holds(stage: Scene, seconds: float, *, pool: bool) -> tuple[Load, str]:
    """What came of it, and what each hold cost the two processors in all."""
    senders = [_enrolled(stage, new_sender(f"hold-{secrets.token_hex(4)}")) for _ in range(TERMINALS)]
    count = int(RATE * (seconds + WARM_UP_S))
    before = stage.processor_ms()
    with apart(hold_load, stage.port, stage.book_hash, senders, count, pool) as asking:
        load = asking.result()
    ours, theirs = (now - then for now, then in zip(stage.processor_ms(), before, strict=True))
    return load, f"{ours / count:.1f} ms of the workers, {theirs / count:.1f} of PostgreSQL"


def hold_load(
    begin: Callable[[], None],
    stop: Callable[[], bool],
    port: int,
    book_hash: str,
    senders: Sequence[Sender],
    count: int,
    pool: bool,
) -> Load:
    """In a process of its own: customers at many counters, each another card."""
    keys = [sender.key for sender in senders]
    requests = []
    for number in range(count):
        at = number % len(senders)
        plain = encode_message(_wish(senders[at].terminal, book_hash, number, pool=pool))
        requests.append((at, signed_bytes(port, HOLDS_PATH, plain, senders[at], keys[at])))
    return send_at_rate(port, requests, RATE, b'"granted":true', begin)


def _one_by_one(stage: Scene, count: int) -> Load:
    sender = _enrolled(stage, new_sender(f"alone-{secrets.token_hex(4)}"))
    with apart(lone_load, stage.port, stage.book_hash, sender, count) as asking:
        return asking.result()


def lone_load(
    begin: Callable[[], None], stop: Callable[[], bool], port: int, book_hash: str, sender: Sender, count: int
) -> Load:
    """In a process of its own: one customer after another at one counter."""
    key = sender.key
    wishes = [_wish(sender.terminal, book_hash, number, pool=False) for number in range(count)]
    requests = [signed_bytes(port, HOLDS_PATH, encode_message(wish), sender, key) for wish in wishes]
    return send_in_turn(port, requests, 0, begin, stop)


def _wish(terminal: str, book_hash: str, number: int, *, pool: bool) -> HoldRequest:
    card = f"card=v1:{secrets.token_hex(32)}"
    keys = [
        HoldKey(key=f"{OFFER}|purchase|{card}|{CAMPAIGN}", amount=1, max=1),
        HoldKey(key=f"{OFFER}|tickets|{card}|{CAMPAIGN}", amount=2, max=2),
    ]
    if pool:
        keys.append(HoldKey(key=f"{OFFER}|pool|{CAMPAIGN}|{CAMPAIGN}", amount=2, max=POOL))
    return HoldRequest(
        terminal=terminal,
        redemption=new_id(),
        boot=f"boot-{terminal}",
        monotonic_ms=1_000 + number,
        offer=OFFER,
        revision=1,
        book_hash=book_hash,
        units=2,
        keys=tuple(keys),
    )


def _enrolled(stage: Scene, sender: Sender, merchant: str = CINEMAS[0]) -> Sender:
    with stage.storage.write() as connection:
        added = fleet.add(
            connection,
            terminal=sender.terminal,
            merchant=merchant,
            site="main",
            public_key=sender.key.public.hex(),
            version="0.1.0",
            now=datetime.now(UTC),
        )
    assert added
    return sender


# --- what else goes on ------------------------------------------------------------------------------------------------


@contextmanager
def _ingest(stage: Scene, per_second: float, entries: int) -> Iterator[Apart[Load]]:
    """Batches from one terminal that has waited; `per_second` below 0: as fast as they are answered."""
    sender = _enrolled(stage, new_sender(f"push-{secrets.token_hex(4)}"))
    with apart(ingest_load, stage.port, stage.book_hash, sender, max(0.0, per_second), entries) as pushing:
        yield pushing


def ingest_load(
    begin: Callable[[], None],
    stop: Callable[[], bool],
    port: int,
    book_hash: str,
    sender: Sender,
    per_second: float,
    entries: int,
) -> Load:
    """In a process of its own: sales of cards that nobody else uses, authorised and completed."""
    ledger, key, chance = WrittenLedger(sender.terminal), sender.key, random.Random(sender.terminal)
    now = datetime.now(UTC)
    day = now.astimezone(SHANGHAI).date().isoformat()
    batches = int(per_second * 300) if per_second else DRAINED_MAX // entries
    first = chance.randrange(2**40)
    for number in range(first, first + batches * entries // 2):
        token = f"v1:{chance.randbytes(32).hex()}"
        claims = [
            {"key": f"{OFFER}|purchase|card={token}|{CAMPAIGN}", "amount": 1, "max": 1},
            {"key": f"{OFFER}|tickets|card={token}|{CAMPAIGN}", "amount": 2, "max": 2},
        ]
        body = {"token": token, "person": None, "book_hash": book_hash, "claims": claims, "business_day": day}
        sold = sale(**body, merchant=CINEMAS[0], site="main", granted="lease")
        ledger.write(EntryKind.AUTHORISED, number, sold, at=instant(now), hq_time=None)
        ledger.write(EntryKind.COMPLETED, number, {"pos_reference": "123456789012"}, at=instant(now))
    path = entries_path(sender.terminal)
    plain = [encode_message(ledger.batch(at * entries + 1, (at + 1) * entries)) for at in range(batches)]
    return send_in_turn(port, [signed_bytes(port, path, each, sender, key) for each in plain], per_second, begin, stop)


def _raw(stage: Scene, seconds: float) -> Load:
    dsn = stage.url.replace("+psycopg", "")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS raw_rows (id text PRIMARY KEY, body text NOT NULL)")
    with apart(raw_load, dsn, int(RATE * (seconds + WARM_UP_S))) as asking:
        return asking.result()


def raw_load(begin: Callable[[], None], stop: Callable[[], bool], dsn: str, count: int) -> Load:
    """In a process of its own: one row, one transaction, at the same moments as the holds."""
    begin()
    return asyncio.run(_raw_load(dsn, count))


async def _raw_load(dsn: str, count: int) -> Load:
    free: asyncio.Queue[psycopg.AsyncConnection[object]] = asyncio.Queue()
    wires = [await psycopg.AsyncConnection.connect(dsn, autocommit=True) for _ in range(8)]
    for wire in wires:
        free.put_nowait(wire)
    chance, due_s = random.Random(7), time.perf_counter() + 0.1
    first_s, under_way, times = due_s, [], []

    async def one(due: float) -> None:
        wire = await free.get()
        row = (new_id(), "x" * RAW_BYTES)
        await wire.execute("INSERT INTO raw_rows (id, body) VALUES (%s, %s)", row)
        free.put_nowait(wire)
        if due - first_s >= WARM_UP_S:
            times.append((time.perf_counter() - due) * 1000)

    for _ in range(count):
        due_s += chance.expovariate(RATE)
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        under_way.append(asyncio.ensure_future(one(due_s)))
    await asyncio.gather(*under_way)
    for wire in wires:
        await wire.close()
    return Load(tuple(times), time.perf_counter() - first_s, 0)


# --- what terminals are told of use elsewhere -------------------------------------------------------------------------


def _usage(stage: Scene, cards: int) -> None:
    """The set of who has used what: the whole of it once, then what changed between two looks."""
    heading(f"use elsewhere, {cards:,} cards used up in a campaign, as one terminal is told")
    _fill(stage.url.replace("+psycopg", ""), cards, first=0)
    place, books, now = Place("asks-1", CINEMAS[1], "main"), ReleasedBooks(), datetime.now(UTC)
    with stage.storage.write() as connection:
        usage.version_for(connection, place, now, books)
    making, reading, sizes, after, cursor, pairs = [], [], [], "", None, 0
    with stage.storage.read() as connection:
        while True:
            began = time.perf_counter()
            body = usage.answer(connection, place, after, cursor, now=now, books=books)
            made = time.perf_counter()
            head, found = decode_usage(body)
            reading.append((time.perf_counter() - made) * 1000)
            making.append((made - began) * 1000)
            sizes.append(len(body))
            pairs += len(found)
            after, cursor = head.version, head.next
            if cursor is None:
                break
    line(
        "the whole set: pages, octets",
        f"{len(sizes)}, {sum(sizes):,}",
        f"{sum(sizes) * 8 / max(1, pairs):.1f} bits a key",
    )
    line("  a page at headquarters, at a terminal", f"{max(making):.0f} ms, {max(reading):.0f} ms", "the slowest")
    changes = []
    for number in range(10):
        _fill(stage.url.replace("+psycopg", ""), CHANGED, first=cards + number * CHANGED)
        with stage.storage.read() as connection:
            began = time.perf_counter()
            body = usage.answer(connection, place, after, None, now=now, books=books)
            changes.append((time.perf_counter() - began) * 1000)
        count = len(decode_usage(body)[1])
    line(f"up to {10 * CHANGED:,} cards more since its last look: to make", Spread.of(changes))
    line("  the last: octets", f"{len(body):,}", f"{len(body) * 8 / count:.1f} bits a key, {count:,} keys")


def _fill(dsn: str, cards: int, first: int) -> None:
    """So many cards used up elsewhere, as ingest would leave them."""
    from sync.headquarters.pools.versions import signed_fingerprint

    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        version = cursor.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        assert version is not None
        columns = 'key, offer, "limit", policy, max, revision, shared, ends_on, allotted, excess, used, held'
        with cursor.copy(f"COPY pools ({columns}, fingerprint, version) FROM STDIN") as copy:
            for number in range(first, first + cards):
                key = f"{OFFER}|tickets|card=v1:{number:064x}|{CAMPAIGN}"
                told = (key, OFFER, "tickets", "flag", 2, 1, False, "", 0, 0, 2, 0)
                copy.write_row((*told, signed_fingerprint(key), version[0]))


def _processor_ms(pid: int) -> float:
    """User and system time of a process, of its living children, and of those that have ended."""
    own = _times(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = sum(own) + sum(sum(_times(int(child))[:2]) for child in children)
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _times(pid: int) -> tuple[int, ...]:
    """Ticks: user, system, and both of children that have ended (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return tuple(int(field) for field in fields[11:15])


def _told(load: Load) -> str:
    times = load.times_ms
    wrong = f", {load.refused} REFUSED" if load.refused else ""
    p50, p99 = percentile(times, 50), percentile(times, 99)
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {max(times):.0f} ms{wrong}"

"""Entries into headquarters, beside the same bytes into a bare table: one worker and two, an empty store and a full.

The bare table takes one INSERT of 500 rows a transaction, as a client of PostgreSQL would write it (and, for the
record, one binary COPY). Headquarters takes signed, compressed batches of 500 over HTTP: it checks signature, nonce,
chain, canonical form and body, and writes entries, redemptions and what its judges note, before it answers. Client and
server share the machine, so with two cores two workers are not twice one.
"""

from __future__ import annotations

import http.client
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from sync.agent import Agent
from sync.enrolment import enrol
from sync.headquarters import fleet
from sync.headquarters.enrolment import issue_code
from sync.headquarters.storage import open_storage
from sync.signing import DeviceKey, HttpRequest, sign_request
from sync.wire import BATCH_ENTRIES_MAX, EntryMessage, encode_body, encode_message, entries_path
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.bench.figures import heading, line, passes
from tests.bench.processes import free_port, running
from tests.bench.site import TERMINAL, fill
from tests.fakes import sales
from tests.fakes.postgres import FOR_A_CITY, PostgresCluster
from tests.sync.headquarters.client import hq_settings
from tests.sync.headquarters.written_ledger import MERCHANT, SITE, WrittenLedger

TERMINALS = 16  # at once: a worker is never without the next batch, and each has its share of the connections
PASSES = 3
SERVE = "import sys, pathlib; from config.settings import load_hq; from sync.headquarters.app import serve; "
SERVE += "sys.exit(serve(load_hq(pathlib.Path(sys.argv[1]))))"
RAW = "CREATE TABLE raw (terminal text, sequence bigint, hash text, body bytea, received_at timestamptz, {})"
RAW_KEY = "PRIMARY KEY (terminal, sequence)"
Row = tuple[str, int, str, bytes, datetime]


@dataclass(frozen=True)
class Story:
    """One terminal's entries, its key, and its merchant: each has one of its own, as in a city of 2,000."""

    ledger: WrittenLedger
    key: DeviceKey
    merchant: str

    def batches(self) -> list[tuple[EntryMessage, ...]]:
        messages = self.ledger.messages
        return [tuple(messages[at : at + BATCH_ENTRIES_MAX]) for at in range(0, len(messages), BATCH_ENTRIES_MAX)]


def measure(*, quick: bool, stored: int) -> None:
    """Entries a second, raw and taken in; `stored` entries are there before the full store is measured."""
    sales = 1_500 if quick else 3_000
    heading(f"ingest: {TERMINALS} terminals, {2 * sales * TERMINALS // PASSES} entries a pass, batches of 500")
    stories = [_story(number, sales) for number in range(TERMINALS)]
    with PostgresCluster.start(FOR_A_CITY) as cluster:
        for filled in (0, stored) if stored else (0,):
            with cluster.database() as url:
                _compare(url, stories, filled)
    with PostgresCluster.start(FOR_A_CITY) as cluster, cluster.database() as url:
        _drain(url, 2_000 if quick else 100_000)


def _story(number: int, sales: int) -> Story:
    """Sales of one terminal: authorised and completed, one after another, now."""
    ledger, merchant = WrittenLedger(f"bench-{number}"), f"{MERCHANT} {number}"
    first = 1 + number * 10_000_000
    for each in range(first, first + sales):
        ledger.authorise(each, merchant=merchant)
        ledger.complete(each)
    return Story(ledger, DeviceKey.generate(), merchant)


def _compare(url: str, stories: Sequence[Story], filled: int) -> None:
    """One store: the bare table, then headquarters by one worker and by two, each with terminals of its own."""
    with tempfile.TemporaryDirectory() as directory, psycopg.connect(_dsn(url)) as connection:
        if filled:
            _fill(url, Path(directory), filled)
        raw = _raw(connection, stories, _insert, filled)
        copied = _raw(connection, stories, _copy, filled)
        told = f"{filled:,} entries stored"
        line(f"raw multi-row insert, {told}", passes(raw, "entries/s", 0))
        line(f"raw binary COPY, {told}", passes(copied, "entries/s", 0))
        middle = sorted(raw)[len(raw) // 2]
        for workers in (1, 2):
            rates = _served(url, Path(directory), stories, workers)
            share = sorted(rates)[len(rates) // 2] / middle
            line(f"headquarters, {workers} worker(s), {told}", passes(rates, "entries/s", 0), f"{share:.2f} of raw")


# --- the bare table ---------------------------------------------------------------------------------------------------


def _raw(
    connection: psycopg.Connection[Any],
    stories: Sequence[Story],
    write: Callable[[psycopg.Connection[Any], Sequence[Row]], None],
    filled: int,
) -> list[float]:
    """Entries a second of each pass; the table is filled once, and each pass brings terminals of its own."""
    connection.execute(RAW.format(RAW_KEY))
    if filled:
        connection.execute("INSERT INTO raw SELECT terminal, sequence, hash, body, received_at FROM entries")
    connection.commit()
    rates = []
    now = datetime.now(UTC)
    for number in range(PASSES):
        rows = [
            [(f"{story.ledger.terminal}-{number}", each.sequence, each.hash, each.body.encode(), now) for each in batch]
            for story in stories
            for batch in story.batches()
        ]
        began = time.perf_counter()
        for batch in rows:
            write(connection, batch)
            connection.commit()
        rates.append(sum(map(len, rows)) / (time.perf_counter() - began))
    connection.execute("DROP TABLE raw")
    connection.commit()
    return rates


def _insert(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    places = ",".join(["(%s,%s,%s,%s,%s)"] * len(rows))
    connection.execute(f"INSERT INTO raw VALUES {places}", [value for row in rows for value in row])


def _copy(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    with connection.cursor().copy("COPY raw FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "int8", "text", "bytea", "timestamptz"])
        for row in rows:
            copy.write_row(row)


# --- headquarters -----------------------------------------------------------------------------------------------------


def _served(url: str, directory: Path, stories: Sequence[Story], workers: int) -> list[float]:
    """Entries a second of real workers; each pass goes on with its third of the batches where the last one ended."""
    renamed = [_renamed(story, workers) for story in stories]
    _know(url, directory, renamed)
    port = free_port()
    config = directory / f"hq-{workers}.toml"
    config.write_text(
        f'data_dir = "{directory}"\n[hq]\nport = {port}\nworkers = {workers}\ndatabase_url = "{url}"\n'
        '[log]\nlevel = "warning"\n'
    )
    rates = []
    with running([sys.executable, "-c", SERVE, str(config)], port):
        for part in range(PASSES):
            queues = [_requests(story, port, part) for story in renamed]
            with ThreadPoolExecutor(TERMINALS) as threads:
                began = time.perf_counter()
                told = list(threads.map(partial(_push, port=port), queues))
            # Until the first terminal has nothing more to send: which worker has how many of so few connections is
            # chance, and what one still has when the other has none is no rate of both.
            ended = min(each[-1][0] for each in told)
            rates.append(sum(entries for each in told for at, entries in each if at <= ended) / (ended - began))
    return rates


def _renamed(story: Story, workers: int) -> Story:
    """The same sales by other terminals with other ids, for a store keeps what the pass before brought."""
    name = f"{story.ledger.terminal}-{workers}"
    first = int(story.ledger.terminal.rpartition("-")[2]) * 10_000_000 + workers * 1_000_000_000
    ledger, merchant = WrittenLedger(name), story.merchant
    for each in range(first, first + len(story.ledger.messages) // 2):
        ledger.authorise(each, merchant=merchant)
        ledger.complete(each)
    return Story(ledger, DeviceKey.generate(), merchant)


def _know(url: str, directory: Path, stories: Sequence[Story]) -> None:
    storage = open_storage(url, directory)
    with closing(storage), storage.write() as connection:
        for story in stories:
            fleet.add(
                connection,
                terminal=story.ledger.terminal,
                merchant=story.merchant,
                site=SITE,
                public_key=story.key.public.hex(),
                version="bench",
                now=datetime.now(UTC),
            )


def _requests(story: Story, port: int, part: int) -> list[tuple[int, HttpRequest]]:
    """The batches of one pass, signed beforehand: the client's own work is not headquarters'."""
    batches = story.batches()
    size = len(batches) // PASSES
    signed = []
    for batch in batches[part * size : (part + 1) * size]:
        left = len(story.ledger.messages) - batch[-1].sequence
        taken = story.ledger.batch(batch[0].sequence, batch[-1].sequence).model_copy(update={"waiting": left})
        body, encoding = encode_body(encode_message(taken, leave_out_none=True))
        headers = {"content-type": "application/json"} | ({"content-encoding": encoding} if encoding else {})
        url = f"http://127.0.0.1:{port}{entries_path(story.ledger.terminal)}"
        request = HttpRequest("POST", url, headers, body)
        signature = sign_request(
            request, key=story.key, key_id=story.ledger.terminal, now=datetime.now(UTC), nonce=secrets.token_hex(16)
        )
        signed.append((len(batch), HttpRequest("POST", url, headers | signature, body)))
    return signed


def _push(queue: Sequence[tuple[int, HttpRequest]], port: int) -> list[tuple[float, int]]:
    """One terminal: batch after batch over one connection, each once the one before is acknowledged; when, how many."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    told_at = []
    with closing(connection):
        for entries, request in queue:
            path = request.url.partition(f":{port}")[2]
            connection.request("POST", path, request.body, dict(request.headers))
            answer = connection.getresponse()
            told = answer.read()
            if answer.status != 200:
                raise SystemExit(f"headquarters answers {answer.status}: {told[:300]!r}")
            told_at.append((time.perf_counter(), entries))
    return told_at


# --- a backlog --------------------------------------------------------------------------------------------------------


def _drain(url: str, backlog: int) -> None:
    """A real ledger and the real agent: from the first entry sent to the last acknowledged."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        settings = hq_settings(root / "hq", url)
        code = issue_code(settings, terminal=TERMINAL, merchant=sales.MERCHANT, site=sales.SITE)
        port = free_port()
        config = root / "hq.toml"
        config.write_text(
            f'data_dir = "{root / "hq"}"\n[hq]\nport = {port}\ndatabase_url = "{url}"\n[log]\nlevel = "error"\n'
        )
        till = root / "till"
        till.mkdir()
        clock = SystemClock()
        ledger = Ledger.open(till / "ledger.sqlite", TERMINAL, clock)
        fill(ledger, backlog)
        with running([sys.executable, "-c", SERVE, str(config)], port):
            address = f"http://127.0.0.1:{port}"
            enrol(address, code, till)
            agent = Agent(ledger=ledger, data_dir=till, url=address, clock=clock, heartbeat_s=1.0)
            began = time.perf_counter()
            agent.start()
            while ledger.waiting().count:
                time.sleep(0.05)
            took_s = time.perf_counter() - began
            agent.stop(10)
        ledger.close()
    line(f"drain of {backlog:,} entries by one agent", f"{took_s:.1f} s", f"{backlog / took_s:.0f} entries/s")


def _fill(url: str, directory: Path, stored: int) -> None:
    """`stored` entries and half as many redemptions of other terminals, made by the database itself."""
    storage = open_storage(url, directory)
    now = datetime.now(UTC)
    with closing(storage), storage.write() as connection:
        fleet.add(
            connection, terminal="filler", merchant=MERCHANT, site=SITE, public_key="00" * 32, version="0", now=now
        )
    with psycopg.connect(_dsn(url)) as connection:
        connection.execute(
            "INSERT INTO entries (terminal, sequence, hash, body, received_at) SELECT 'filler', n,"
            " encode(sha256(n::text::bytea), 'hex'), decode(repeat(md5(n::text), 40), 'hex'), now()"
            " FROM generate_series(1, %s) n",
            (stored,),
        )
        connection.execute(
            "INSERT INTO redemptions SELECT md5(n::text), 'filler', n, 'completed', 'm' || n %% 2000, 's', 'o', 1, 0,"
            " 100, 50, 0, 0, 'v1:' || md5(n::text), '0000', 'c01', 'local', '2026-01-05', now(), now(), now(),"
            " repeat('x', 1000) FROM generate_series(1, %s) n",
            (stored // 2,),
        )
        connection.commit()
        connection.execute("ANALYZE entries, redemptions")
        connection.commit()


def _dsn(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")

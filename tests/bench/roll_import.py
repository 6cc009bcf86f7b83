"""A list of members on its way: hashed and loaded, compared, in force, as a file for terminals, as changes at a till.

Beside ours, in the same run: the same rows put into a plain table of the same PostgreSQL by one COPY. The figures are
for a million cards as a rule; every step but the snapshot's front is linear in them.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from sync.headquarters.roll import feed, imports, members, snapshot
from sync.headquarters.roll.rules import Action
from sync.headquarters.roll.versions import state_of
from sync.headquarters.storage import Storage, open_storage
from terminal.membership.build import packed_record, write_records
from terminal.membership.list_workers import read_list_blocks
from terminal.membership.official_lists import ListKind
from terminal.membership.roll import Roll
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey
from terminal.serving.people import Person, Role
from tests.bench.figures import Spread, heading, line
from tests.fakes.postgres import FOR_A_CITY, PostgresCluster

KEY = ProgrammeKey(1, bytes(range(32)))
BY = Person("bench", "bench", Role.OPERATOR)
NOW = datetime(2026, 1, 5, 4, tzinfo=UTC)
CHANGED_PERCENT = 1
SUSPENSIONS = 300
CHANGES_AT_A_TILL = (1, 10_000, 100_000)


def measure_roll(cards: int) -> None:
    """Everything, on a PostgreSQL of its own."""
    heading(f"the roll at headquarters, {cards:,} cards")
    with (
        tempfile.TemporaryDirectory(prefix="jingka-bench-roll-") as directory,
        PostgresCluster.start(FOR_A_CITY) as cluster,
    ):
        folder = Path(directory)
        path = write_list(folder / "first.csv", cards, changed=False)
        _hashing(path, cards)
        with cluster.database() as url:
            storage = open_storage(url, folder)
            try:
                _raw_copy(url, path, cards)
                _list(storage, path, cards, "the first list")
                _list(storage, write_list(folder / "next.csv", cards, changed=True), cards, "1% changed")
                _snapshot(storage, folder, cards)
                _changes(storage)
            finally:
                storage.close()
        _at_a_till(folder)


def write_list(path: Path, cards: int, *, changed: bool) -> Path:
    """A combined list of made-up cards; with `changed`, one card in a hundred is in another class."""
    with path.open("w", encoding="ascii") as file:
        file.write("pan,standing,class,issued,person\n")
        for number in range(cards):
            body = f"621094{number:012d}"
            check = _check_digit(body)
            called = "hardship" if changed and number % (100 // CHANGED_PERCENT) == 0 else "ordinary"
            file.write(f"{body}{check},active,{called},2020-05-04,P{number:017d}\n")
    return path


def _check_digit(body: str) -> int:
    total = 0
    for position, character in enumerate(reversed(body)):
        value = int(character)
        if position % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return -total % 10


def _hashing(path: Path, cards: int) -> None:
    for processes in (1, 2):
        with _timed(cards, f"reading and hashing alone, {processes} process(es)"):
            taken = sum(read.taken for _, read in read_list_blocks(path, ListKind.COMBINED, KEY, processes))
        assert taken == cards


def _raw_copy(url: str, path: Path, cards: int) -> None:
    rows = [read.rows for _, read in read_list_blocks(path, ListKind.COMBINED, KEY)]
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        typed = "token bytea, place bigint, standing text, member_class text, issued date, person bytea"
        cursor.execute(f"CREATE TABLE raw ({typed})".encode())
        with _timed(cards, "raw: one COPY of the hashed rows"):
            with cursor.copy("COPY raw FROM STDIN") as copy:
                for each in rows:
                    copy.write(each)
            connection.commit()
        cursor.execute("DROP TABLE raw")


def _list(storage: Storage, path: Path, cards: int, name: str) -> None:
    with _timed(cards, f"{name}: hash, load, compare"):
        view = imports.preview_file(
            storage, path, ListKind.COMBINED, KEY, by=BY, now=NOW, jump_percent_max=2.0, progress=lambda _: None
        )
    with _timed(cards, f"{name}: put in force"):
        imports.confirm(storage, view.id, KEY, by=BY, now=NOW)
    line("  cards changed", view.preview.changes)


def _snapshot(storage: Storage, folder: Path, cards: int) -> None:
    with _timed(cards, "snapshot: made, hashed, in the database"):
        base = snapshot.build(storage, KEY, data_dir=folder, now=NOW)
    line("  its size", f"{base.size_bytes / 1e6:.1f} MB")
    chunks = -(-base.size_bytes // snapshot.CHUNK_BYTES)
    times = []
    with storage.read() as connection, (folder / "roll").open("wb") as file:
        for number in range(chunks):
            began = time.perf_counter()
            body = snapshot.chunk(connection, base.name, number)
            times.append((time.perf_counter() - began) * 1000)
            file.write(body)
    line("  one chunk of 512 KiB out of the database", Spread.of(times))
    roll = Roll.open(folder / "roll")
    with _timed(cards, "a till's check of it, every byte"):
        roll.verify(_unwatched)
    roll.close()


def _changes(storage: Storage) -> None:
    """Single suspensions, each with its record in the history and the audit log, and what a terminal is told of it."""
    query = members.members.select().where(members.members.c.standing == "active").limit(SUSPENSIONS)
    with storage.read() as connection:
        tokens = [f"v1:{row.token.hex()}" for row in connection.execute(query)]
        version = state_of(connection).version
    changing, telling, sizes = [], [], []
    for token in tokens:
        began = time.perf_counter()
        with storage.write() as connection:
            members.change(connection, KEY, token, Action.SUSPEND, by=BY, now=NOW + timedelta(minutes=1))
        between = time.perf_counter()
        with storage.read() as connection:
            answer = feed.answer(connection, base=state_of(connection).snapshot or "", after=version, now=NOW)
        telling.append((time.perf_counter() - between) * 1000)
        changing.append((between - began) * 1000)
        sizes.append(len(answer.model_dump_json()))
        version = answer.version
    line("one suspension at headquarters", Spread.of(changing))
    line("  what a terminal is told: to make", Spread.of(telling))
    line("  what a terminal is told: octets", max(sizes))


def _at_a_till(folder: Path) -> None:
    """One more change on top of so many: the whole changes file is written anew."""
    for count in CHANGES_AT_A_TILL:
        tokens = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]
        records = [packed_record(token, token, None, Standing.ACTIVE, MemberClass.ORDINARY) for token in tokens]
        times = []
        for _ in range(5):
            began = time.perf_counter()
            write_records(records, folder / "changes", KEY)
            times.append((time.perf_counter() - began) * 1000)
        line(f"a till's changes file of {count:,}, written", Spread.of(times))


@contextmanager
def _timed(cards: int, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took_s = time.perf_counter() - began
    line(name, f"{took_s:.1f} s", f"{took_s / cards * 1e6:.1f} s per million")


def _unwatched(done_bytes: int, total_bytes: int) -> None:
    """Nobody follows."""

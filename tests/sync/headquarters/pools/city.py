"""A few model terminals and a network that loses, doubles and delays, against the real headquarters code.

A model terminal keeps what `sync.wire_grants` says a terminal keeps, and sells by its formula. `given` counts what was
really handed over the counters, also what a restored disk has forgotten.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from sync.headquarters import fleet
from sync.headquarters.ingest import Taken, ingest
from sync.headquarters.pools.accounting import Accounting
from sync.headquarters.pools.holds import ask_hold, give_back_hold
from sync.headquarters.pools.leases import report
from sync.headquarters.pools.tables import allotments, pools
from sync.headquarters.pools.terms import OneBook
from sync.headquarters.projection import Place
from sync.headquarters.storage import SQLITE_FILE, Storage, open_storage
from sync.headquarters.tables import flags
from sync.wire_grants import HoldAnswer, HoldKey, HoldRequest, KeyReport, LeaseAnswer, LeaseReport
from terminal.ledger.entry import EntryKind
from terminal.offers.book import LoadedBook, parse_book
from tests.sync.headquarters.written_ledger import NOON, WrittenLedger, redemption_id, sale

POOL_KEY = "film|pool|campaign=winter|campaign=winter"
SHARED_MEMORY = Path("/dev/shm")  # where a commit costs no disk


def person_key(person: int, limit: str = "person") -> str:
    return f"film|{limit}|person=v1:{person:064x}|campaign=winter"


def book(pool_max: int = 100, *, person_max: int = 2, cup_max: int = 3, revision: int = 1) -> LoadedBook:
    """One offer: a pool in slices, two per person under `flag`, and one hard limit per person under `refuse`."""
    text = f"""
schema = 1
revision = {revision}
tz = "Asia/Shanghai"

[categories.ticket]
name = {{ zh = "票", en = "ticket" }}
unit = {{ zh = "张", en = "ticket" }}

[[merchants]]
id = "cinema"
name = {{ zh = "影院", en = "Cinema" }}
agreement = {{ first_day = 2025-01-01, last_day = 2027-12-31 }}
sites = [{{ id = "main", name = {{ zh = "总店", en = "Main" }} }}]

[[offers]]
id = "film"
name = {{ zh = "电影", en = "Film" }}
campaign = "winter"
where = {{}}
what = {{ categories = ["ticket"] }}
price = {{ kind = "fixed_unit", unit_fen = 1000 }}
limits = [
  {{ id = "pool", max = {pool_max}, count = "units", per = ["campaign"], window = "campaign", offline = "lease" }},
  {{ id = "person", max = {person_max}, count = "units", per = ["person"], window = "campaign", offline = "flag" }},
  {{ id = "cup", max = {cup_max}, count = "units", per = ["person"], window = "campaign", offline = "refuse" }},
]
"""
    return LoadedBook.of(parse_book(text, "toml"))


@contextmanager
def quick_storage() -> Iterator[Storage]:
    """A SQLite database whose commits cost no disk, copied from one that was migrated once."""
    with TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as directory:
        (Path(directory) / SQLITE_FILE).write_bytes(_empty_database())
        storage = open_storage("", Path(directory))
        try:
            yield storage
        finally:
            storage.close()


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as directory:
        open_storage("", Path(directory)).close()  # the last connection to close empties the log into the file
        return (Path(directory) / SQLITE_FILE).read_bytes()


@dataclass
class Till:
    """What a terminal keeps. `disk` is all of it that a backup holds."""

    name: str
    ledger: WrittenLedger
    pushed: int = 0
    generation: int = 0
    granted: int = 0
    returned: int = 0
    frozen: int = 0
    used: int = 0
    version: str = ""
    lease_until_ms: int = -1
    boot: int = 1
    uptime_ms: int = 1_000
    sales: list[tuple[int, int]] = field(default_factory=list)  # redemption, units; of the pool

    @property
    def place(self) -> Place:
        return Place(self.name, "cinema", "main")

    @property
    def moment(self) -> dict[str, Any]:
        """What an entry says of its time."""
        return {"boot": f"{self.name}-{self.boot}", "monotonic_ms": self.uptime_ms}

    @property
    def spendable(self) -> int:
        left = self.granted - self.returned - self.frozen - self.used
        return left if self.uptime_ms < self.lease_until_ms else 0

    def report(self, wanted: int = 0) -> LeaseReport:
        keys = (KeyReport(key=POOL_KEY, returned=self.returned, wanted=wanted),)
        return LeaseReport(
            terminal=self.name,
            generation=self.generation,
            boot=f"{self.name}-{self.boot}",
            monotonic_ms=self.uptime_ms,
            sequence=len(self.ledger.messages),
            keys=keys,
        )

    def take(self, answer: LeaseAnswer, asked_ms: int) -> None:
        """The answer to a request that went out at `asked_ms`; recalled units are given up as far as unspent."""
        if answer.generation < self.generation:
            return
        self.generation, self.version = answer.generation, answer.version
        self.lease_until_ms = asked_ms + answer.life_s * 1000
        for grant in answer.grants:
            if grant.key == POOL_KEY:
                self.granted = max(self.granted, grant.granted)
                self.returned = max(self.returned, grant.returned)
                self.frozen = grant.frozen
                unspent = max(0, self.granted - self.returned - self.frozen - self.used)
                self.returned = max(self.returned, min(grant.recall, self.returned + unspent))


class City:
    """Headquarters and its terminals. Every step is one message or one sale."""

    def __init__(self, storage: Storage, terminals: int, loaded: LoadedBook) -> None:
        self.storage = storage
        self.now = NOON
        self.book = loaded
        self.books = OneBook(loaded)
        self.judge = Accounting(self.books)
        self.tills = [Till(f"t-{n}", WrittenLedger(f"t-{n}")) for n in range(terminals)]
        with storage.write() as connection:
            for till in self.tills:
                key = uuid.uuid5(uuid.NAMESPACE_OID, till.name).hex * 2
                place = {"merchant": "cinema", "site": "main"}
                assert fleet.add(connection, terminal=till.name, **place, public_key=key, version="1", now=NOON)
        self.given = {till.name: 0 for till in self.tills}  # units of the pool really sold there and not taken back
        self._number = 0

    @classmethod
    @contextmanager
    def open(cls, terminals: int = 3, loaded: LoadedBook | None = None) -> Iterator[City]:
        with quick_storage() as storage:
            yield cls(storage, terminals, loaded or book())

    # --- the counter ------------------------------------------------------------------------------------------------

    def sell(self, till: Till, units: int, *, person: int | None = None, redemption: int | None = None) -> bool:
        """A sale out of the slice; whether there was room."""
        if till.spendable < units:
            return False
        self.write_sale(till, units, person=person, redemption=redemption)
        return True

    def write_sale(
        self, till: Till, units: int, *, person: int | None = None, redemption: int | None = None, **extra: Any
    ) -> int:
        """A sale whether there is room or not."""
        claims = [{"key": POOL_KEY, "amount": units, "max": self.book.book.offers[0].limits[0].max}]
        if person is not None:
            claims.append({"key": person_key(person), "amount": units, "max": 2})
        number = self.authorise(till, claims, redemption=redemption, units=units, **extra)
        till.used += units
        till.sales.append((number, units))
        self.given[till.name] += units
        return number

    def authorise(
        self, till: Till, claims: list[dict[str, Any]], *, redemption: int | None = None, units: int = 1, **extra: Any
    ) -> int:
        number = redemption or self.next_number()
        place = {"merchant": "cinema", "site": "main", "offer": "film"}
        pinned = {"revision": self.book.revision, "book_hash": self.book.hash}
        body = sale(claims=claims, units=units, **place, **pinned, **extra)
        till.ledger.write(EntryKind.AUTHORISED, number, body, **till.moment)
        return number

    def cancel(self, till: Till, number: int, claims: list[dict[str, Any]]) -> None:
        gives_back = [{"key": each["key"], "amount": each["amount"]} for each in claims]
        till.ledger.write(
            EntryKind.CANCELLED, number, {"reason": "POS refused", "gives_back": gives_back}, **till.moment
        )

    def take_back(self, till: Till) -> bool:
        """Cancel the latest sale; its units may be sold again at this terminal."""
        if not till.sales:
            return False
        number, units = till.sales.pop()
        self.cancel(till, number, [{"key": POOL_KEY, "amount": units}])
        till.used -= units
        self.given[till.name] -= units
        return True

    def next_number(self) -> int:
        self._number += 1
        return self._number

    # --- messages ---------------------------------------------------------------------------------------------------

    def push(self, till: Till, *, answered: bool = True, first: int | None = None) -> tuple[tuple[int, str], ...]:
        """Entries from `first` (what is not acknowledged yet); the findings on them."""
        begin = till.pushed + 1 if first is None else first
        with self.storage.write() as connection:
            outcome = ingest(connection, till.ledger.batch(begin), now=self.now, judges=(self.judge,))
        if not isinstance(outcome, Taken):
            return ()
        if answered:
            till.pushed = outcome.acknowledged
        return outcome.flagged

    def deliver_report(self, till: Till, told: LeaseReport) -> LeaseAnswer:
        with self.storage.write() as connection:
            return report(connection, till.place, told, self.now, self.books)

    def exchange(self, till: Till, *, wanted: int = 0) -> LeaseAnswer:
        """Push all, report, take the answer in; once more when something was recalled."""
        for _ in range(2):
            self.push(till)
            told = till.report(wanted)
            answer = self.deliver_report(till, told)
            till.take(answer, told.monotonic_ms)
            self.pass_s(1)
            if not any(grant.recall > grant.returned for grant in answer.grants):
                break
        return answer

    def hold_request(
        self, till: Till, keys: dict[str, int], *, redemption: int | None = None, attempt: int = 1
    ) -> HoldRequest:
        return HoldRequest(
            terminal=till.name,
            redemption=redemption_id(redemption or self.next_number()),
            attempt=attempt,
            boot=f"{till.name}-{till.boot}",
            monotonic_ms=till.uptime_ms,
            offer="film",
            revision=self.book.revision,
            book_hash=self.book.hash,
            units=max(keys.values()),
            keys=tuple(HoldKey(key=key, amount=amount, max=2) for key, amount in keys.items()),
        )

    def hold(self, till: Till, asked: HoldRequest) -> HoldAnswer:
        with self.storage.write() as connection:
            return ask_hold(connection, till.place, asked, self.now, self.books)

    def give_back(self, till: Till, asked: HoldRequest) -> None:
        with self.storage.write() as connection:
            give_back_hold(connection, till.place, asked.redemption, asked.attempt, self.now)

    # --- time and faults ----------------------------------------------------------------------------------------------

    def pass_s(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for till in self.tills:
            till.uptime_ms += seconds * 1000

    def reboot(self, till: Till) -> None:
        till.boot += 1
        till.uptime_ms = 500
        till.lease_until_ms = -1

    def backup(self, till: Till) -> Till:
        return copy.deepcopy(till)

    def restore(self, till: Till, disk: Till) -> None:
        """The disk of an earlier day, in a machine that starts anew."""
        boot = till.boot
        for name, value in vars(copy.deepcopy(disk)).items():
            setattr(till, name, value)
        till.boot = boot
        self.reboot(till)

    # --- looking ------------------------------------------------------------------------------------------------------

    def pool(self, key: str = POOL_KEY) -> Any:
        with self.storage.read() as connection:
            return connection.execute(select(pools).where(pools.c.key == key)).one_or_none()

    def allotment(self, till: Till) -> Any:
        with self.storage.read() as connection:
            query = select(allotments).where(allotments.c.terminal == till.name, allotments.c.key == POOL_KEY)
            return connection.execute(query).one_or_none()

    def allotted(self) -> list[Any]:
        with self.storage.read() as connection:
            return list(connection.execute(select(allotments).where(allotments.c.key == POOL_KEY)))

    def flagged(self) -> list[tuple[str, int, str]]:
        with self.storage.read() as connection:
            query = select(flags.c.terminal, flags.c.sequence, flags.c.code).order_by(
                flags.c.terminal, flags.c.sequence
            )
            return [tuple(row) for row in connection.execute(query)]

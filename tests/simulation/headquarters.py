"""Headquarters of a city that is played out: its real rules on a real database, without sockets and signatures.

A request is one transaction, as in the service. It may be cut off before the commit (a worker was killed) or after it
(the answer is lost); both look alike to a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel
from sqlalchemy import Connection, func, select

from sync.headquarters import fleet
from sync.headquarters.ingest import Forked, Missing, Taken, ingest
from sync.headquarters.pools import holds, leases, usage
from sync.headquarters.pools.accounting import Accounting
from sync.headquarters.pools.feeds import LeasesFeed, UsageFeed
from sync.headquarters.pools.settling import release_frozen
from sync.headquarters.pools.tables import allotments, pools
from sync.headquarters.pools.tables import leases as leases_table
from sync.headquarters.pools.terms import OneBook
from sync.headquarters.projection import Place
from sync.headquarters.storage import open_storage
from sync.headquarters.tables import entries, flags, redemptions, terminals
from sync.wire import (
    Acknowledgement,
    EntryBatch,
    Flag,
    ProblemCode,
    encode_message,
    parse_message,
    timestamp,
)
from sync.wire_grants import HoldRequest, LeaseReport
from terminal.offers.book import LoadedBook
from terminal.serving.people import Person, Role

OPERATOR = Person("op1", "李敏", Role.OPERATOR)

Answer = tuple[int, bytes]


class Killed(Exception):
    """The worker died before it committed."""


class Headquarters:
    """One database; `clock` tells the true time."""

    def __init__(self, directory: Path, book: LoadedBook, clock: Callable[[], datetime]) -> None:
        self.storage = open_storage("", directory)
        self.clock = clock
        self._books = OneBook(book)
        self._judges = (Accounting(self._books),)
        self._feeds = (LeasesFeed(clock), UsageFeed(clock, self._books))

    def enrol(self, place: Place) -> None:
        """A terminal that may push."""
        with self.storage.write() as connection:
            added = fleet.add(
                connection,
                terminal=place.terminal,
                merchant=place.merchant,
                site=place.site,
                public_key=place.terminal.encode().hex().ljust(64, "0"),
                version="0.1.0",
                now=self.clock(),
            )
        assert added

    def answer(self, method: str, path: str, body: bytes, *, killed: bool = False) -> Answer:
        """What a terminal is told. Raises `Killed` when the worker dies first."""
        parts = urlsplit(path)
        names = parts.path.removeprefix("/api/v1/").split("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.storage.write() as connection:
            told = self._told(connection, method, names, query, body)
            if killed:
                raise Killed
        return told

    def _told(
        self, connection: Connection, method: str, names: list[str], query: Mapping[str, str], body: bytes
    ) -> Answer:
        now = self.clock()
        match (method, names):
            case ("POST", ["terminals", terminal, "entries"]):
                return self._push(connection, terminal, parse_message(EntryBatch, body), now)
            case ("POST", ["terminals", terminal, "leases"]):
                told = parse_message(LeaseReport, body)
                place = fleet.place_of(connection, terminal)
                return _said(leases.report(connection, place, told, now, self._books))
            case ("GET", ["terminals", terminal, "usage"]):
                place = fleet.place_of(connection, terminal)
                after, cursor = query.get("after", ""), query.get("cursor")
                return 200, usage.answer(connection, place, after, cursor, now=now, books=self._books)
            case ("POST", ["holds"]):
                asked = parse_message(HoldRequest, body)
                place = fleet.place_of(connection, asked.terminal)
                return _said(holds.ask_hold(connection, place, asked, now, self._books))
            case ("DELETE", ["holds", redemption]):
                place = fleet.place_of(connection, query["terminal"])
                attempt = int(query["attempt"])
                return _said(holds.give_back_hold(connection, place, redemption, attempt, now))
        raise AssertionError(f"nothing is at {method} {names}")

    def _push(self, connection: Connection, terminal: str, batch: EntryBatch, now: datetime) -> Answer:
        outcome = ingest(connection, batch, now=now, judges=self._judges)
        match outcome:
            case Taken():
                place = fleet.place_of(connection, terminal)
                versions = {feed.name: feed.version(connection, place) for feed in self._feeds}
                return _said(
                    Acknowledgement(
                        acknowledged=outcome.acknowledged,
                        flagged=tuple(Flag(sequence=number, code=code) for number, code in outcome.flagged),
                        time=timestamp(now),
                        news={name: version for name, version in versions.items() if version is not None},
                    )
                )
            case Missing(expected):
                return _problem(ProblemCode.SEQUENCE_GAP, expected)
            case Forked(expected):
                return _problem(ProblemCode.CHAIN_FORKED, expected)
        raise AssertionError(f"no terminal is revoked here: {outcome}")

    def release(self, terminal: str) -> None:
        """A person has made sure that nothing was restored there."""
        with suppress(Exception), self.storage.write() as connection:
            release_frozen(connection, terminal, by=OPERATOR, now=self.clock())

    def asked(self) -> dict[str, str]:
        """What the feed of leases says to each terminal: another version than it has is a reason to exchange."""
        with self.storage.read() as connection:
            return {row.terminal: str(row.asked) for row in connection.execute(select(leases_table))}

    def frozen_at(self, terminal: str) -> int:
        """Units there that may not be sold until a person decides."""
        with self.storage.read() as connection:
            return int(
                connection.scalar(select(func.sum(allotments.c.frozen)).where(allotments.c.terminal == terminal)) or 0
            )

    # --- what it has in the end ---------------------------------------------------------------------------------------

    def hashes(self, terminal: str) -> list[tuple[int, str]]:
        """Every entry it has of a terminal."""
        query = select(entries.c.sequence, entries.c.hash).where(entries.c.terminal == terminal)
        with self.storage.read() as connection:
            return [(row.sequence, row.hash) for row in connection.execute(query.order_by(entries.c.sequence))]

    def standing(self) -> dict[str, int]:
        """Of every redemption, the units that stand: neither cancelled nor voided."""
        with self.storage.read() as connection:
            return {
                row.id: 0 if row.state == "cancelled" else row.units - row.voided_units
                for row in connection.execute(select(redemptions))
            }

    def flags(self) -> list[tuple[str, int, str, str]]:
        """Terminal, sequence, code and detail of every finding."""
        with self.storage.read() as connection:
            columns = (flags.c.terminal, flags.c.sequence, flags.c.code, flags.c.detail)
            return [tuple(row) for row in connection.execute(select(*columns))]  # type: ignore[misc]

    def places(self) -> dict[str, str]:
        """Of every redemption, `terminal/sequence` of the entry that authorised it."""
        columns = (redemptions.c.id, redemptions.c.terminal, redemptions.c.sequence)
        with self.storage.read() as connection:
            return {row.id: f"{row.terminal}/{row.sequence}" for row in connection.execute(select(*columns))}

    def pool(self, key_prefix: str) -> dict[str, int]:
        """The sums of one shared pool, and what the allotments say of it."""
        with self.storage.read() as connection:
            row = connection.execute(select(pools).where(pools.c.key.startswith(key_prefix))).mappings().one_or_none()
            if row is None:
                return {}
            of_key = allotments.c.key == row["key"]
            sums = connection.execute(
                select(
                    func.sum(allotments.c.granted - allotments.c.returned - allotments.c.written_off).label("allotted"),
                    func.sum(allotments.c.used).label("used"),
                    func.sum(allotments.c.frozen).label("frozen"),
                ).where(of_key)
            ).one()
        return {
            "max": row["max"],
            "allotted": row["allotted"],
            "excess": row["excess"],
            "held": row["held"],
            "sum of allotments": int(sums.allotted or 0),
            "used": int(sums.used or 0),
            "frozen": int(sums.frozen or 0),
        }

    def state_of(self, terminal: str) -> str:
        """What headquarters takes from it."""
        with self.storage.read() as connection:
            return str(connection.scalar(select(terminals.c.state).where(terminals.c.id == terminal)))

    def close(self) -> None:
        self.storage.close()


def _said(message: BaseModel) -> Answer:
    return 200, encode_message(message)


def _problem(code: ProblemCode, expected: int) -> Answer:
    return 409, json.dumps({"code": code.value, "expected": expected}).encode()

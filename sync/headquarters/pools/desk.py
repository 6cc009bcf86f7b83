"""What headquarters does about grants for a terminal, each from the signed request to the words of the answer.

Everything here blocks on the database, so the web calls it off the event loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sync.errors import MessageMalformed
from sync.headquarters import fleet
from sync.headquarters.door import plain_body
from sync.headquarters.pools import holds, leases, usage
from sync.headquarters.pools.terms import Books
from sync.headquarters.service import Headquarters
from sync.signing import HttpRequest
from sync.wire import parse_message
from sync.wire_grants import ATTEMPTS_MAX, HoldAnswer, HoldRequest, LeaseAnswer, LeaseReport

_AFTER: Final = re.compile(r"|[0-9]{1,18}\.[0-9a-f]{16}")
_CURSOR: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class PoolDesk:
    """The service behind the web; callable from any thread.

    Each call raises the errors of `Door.identify`, `NonceReplayed`, `StorageUnavailable`, and those of a message.
    """

    hq: Headquarters
    books: Books

    def report(self, request: HttpRequest, terminal: str) -> LeaseAnswer:
        """A terminal's report, and what it is granted from now on."""
        now = self.hq.clock()
        caller = self.hq.door.identify(request, terminal, now)
        told = parse_message(LeaseReport, plain_body(request))
        if told.terminal != terminal:
            raise MessageMalformed("report", terminal, reason="terminal: another one's report")
        with self.hq.storage.write() as connection:
            caller.claim.take(connection, now)
            return leases.report(connection, fleet.place_of(connection, terminal), told, now, self.books)

    def grants(self, request: HttpRequest, terminal: str) -> LeaseAnswer:
        """What the terminal is granted, nothing changed."""
        now = self._enter(request, terminal)
        with self.hq.storage.read() as connection:
            return leases.current(connection, terminal, now)

    def hold(self, request: HttpRequest) -> HoldAnswer:
        """Room for one redemption, or how the limits stand."""
        now = self.hq.clock()
        asked = parse_message(HoldRequest, plain_body(request))
        with self.hq.storage.write() as connection:  # one for all: a cashier waits
            caller = self.hq.door.identify(request, asked.terminal, now, connection)
            caller.claim.take(connection, now)
            assert caller.place is not None, "it is known by its key"
            return holds.ask_hold(connection, caller.place, asked, now, self.books)

    def give_back(self, request: HttpRequest, terminal: str, redemption: str, attempt: int) -> HoldAnswer:
        """A hold that will not be used."""
        if not 1 <= attempt <= ATTEMPTS_MAX:
            raise MessageMalformed("give back", terminal, reason="attempt: out of range")
        now = self.hq.clock()
        caller = self.hq.door.identify(request, terminal, now)
        with self.hq.storage.write() as connection:
            caller.claim.take(connection, now)
            place = fleet.place_of(connection, terminal)
            return holds.give_back_hold(connection, place, redemption, attempt, now)

    def used_elsewhere(self, request: HttpRequest, terminal: str, after: str, cursor: str | None) -> bytes:
        """A page of the usage feed."""
        if not _AFTER.fullmatch(after) or not (cursor is None or _CURSOR.fullmatch(cursor)):
            raise MessageMalformed("fetch", terminal, reason="after or cursor: none of ours")
        now = self._enter(request, terminal)
        with self.hq.storage.read() as connection:
            place = fleet.place_of(connection, terminal)
            return usage.answer(connection, place, after, cursor, now=now, books=self.books)

    def _enter(self, request: HttpRequest, terminal: str) -> datetime:
        """Take the nonce of a request that reads, which keeps nothing else busy meanwhile; the time."""
        now = self.hq.clock()
        caller = self.hq.door.identify(request, terminal, now)
        with self.hq.storage.write() as connection:
            caller.claim.take(connection, now)
        return now

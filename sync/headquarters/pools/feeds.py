"""How terminals learn that there is something to exchange, or that others have used something (`news`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from sync.headquarters.pools import usage
from sync.headquarters.pools.leases import RENEW_S
from sync.headquarters.pools.tables import leases
from sync.headquarters.pools.terms import Books
from sync.headquarters.projection import Place
from sync.wire_grants import LEASES_FEED, USAGE_FEED


@dataclass(frozen=True, slots=True)
class LeasesFeed:
    """New to a terminal when somebody asks for units back, its slice runs low, or its lease is due for renewal."""

    clock: Callable[[], datetime]
    name: str = LEASES_FEED

    def version(self, connection: Connection, place: Place) -> str:
        """`sync.headquarters.feeds.Feed`."""
        columns = (leases.c.asked, leases.c.reported_at)
        found = connection.execute(select(*columns).where(leases.c.terminal == place.terminal)).one_or_none()
        if found is None or found.reported_at is None:
            return "new"
        due = self.clock() - found.reported_at >= timedelta(seconds=RENEW_S)
        return f"{found.asked}.due" if due else str(found.asked)


@dataclass(frozen=True, slots=True)
class UsageFeed:
    """New once a minute, as long as somebody sells something that is counted per card or person."""

    clock: Callable[[], datetime]
    books: Books
    name: str = USAGE_FEED

    def version(self, connection: Connection, place: Place) -> str | None:
        """`sync.headquarters.feeds.Feed`."""
        version = usage.version_for(connection, place, self.clock(), self.books)
        return None if version is None else str(version)

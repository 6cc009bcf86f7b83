"""The usage feed: who has used what of a personal `flag` limit at other terminals, as `sync.wire_usage` sends it.

So a card that was used up elsewhere is known at a terminal whose line is down, as of its last fetch; only what happens
at two terminals that are both cut off goes on unseen, and is flagged afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, func, or_, select, update

from config.zone import SHANGHAI
from sync.headquarters.pools.fingerprints import alone, parted_since
from sync.headquarters.pools.tables import pools, spendings, usage_horizons
from sync.headquarters.pools.terms import Books, flagged_offers
from sync.headquarters.pools.versions import horizon, signed, unsigned
from sync.headquarters.projection import Place
from sync.headquarters.storage import insert_or
from sync.wire import timestamp
from sync.wire_usage import (
    USAGE_PAGE_PAIRS_MAX,
    Pair,
    UsageHead,
    encode_usage,
    pack,
    rice_parameter,
    sorted_pairs,
)

# Terminals hear of new changes this often: each hearing costs a request, and the line that is up asks for holds anyway.
PUBLISH_S: Final = 60
# A delta that would be longer than this is sent as a snapshot, page by page: a terminal that was away for weeks.
DELTA_PAIRS_MAX: Final = USAGE_PAGE_PAIRS_MAX


@dataclass(frozen=True, slots=True)
class Version:
    """Up to which change, and of which offers (a digest): another set of offers begins with a snapshot."""

    horizon: int
    offers: str

    def __str__(self) -> str:
        return f"{self.horizon}.{self.offers}"

    @classmethod
    def parse(cls, spelt: str) -> Version | None:
        """What a terminal has; None: nothing of ours."""
        number, _, offers = spelt.partition(".")
        return cls(int(number), offers) if number.isascii() and number.isdigit() and len(number) <= 18 else None


def version_for(connection: Connection, place: Place, now: datetime, books: Books) -> Version | None:
    """What the terminal at `place` should have by now; None: it sells nothing that is counted so."""
    offers = _offers(connection, place, books)
    return Version(published(connection, now), _digest(offers)) if offers else None


def answer(
    connection: Connection, place: Place, after: str, cursor: str | None, *, now: datetime, books: Books
) -> bytes:
    """The body for a terminal that has `after`: the changes since, or the page of a snapshot behind `cursor`."""
    offers = _offers(connection, place, books)
    wanted = Version(published_before(connection), _digest(offers))
    had = Version.parse(after)
    if cursor is None and had is not None and had.offers == wanted.offers and had.horizon <= wanted.horizon:
        pairs = _changed(connection, place, offers, had.horizon)
        if len(pairs) <= DELTA_PAIRS_MAX:
            return _body(wanted, sorted_pairs(pairs), now, snapshot=False)
    if cursor is not None and had is not None and had.offers == wanted.offers:
        wanted = had  # the version of the first page: what changed since will come as a change
    else:
        cursor = None
    page = _page(connection, place, offers, cursor, now)
    more = f"{page[-1][0]:016x}" if len(page) == USAGE_PAGE_PAIRS_MAX else None
    kept = [(value, amount) for value, amount in page if amount > 0]
    return _body(wanted, sorted_pairs(kept), now, snapshot=True, more=more)


def published(connection: Connection, now: datetime) -> int:
    """The horizon that terminals are told; moved on when that is due, in the write transaction of `connection`."""
    seen = connection.execute(select(usage_horizons)).one_or_none()
    if seen is not None and now - seen.published_at < timedelta(seconds=PUBLISH_S):
        return int(seen.horizon)
    if seen is None:
        row = {"one": 1, "horizon": horizon(connection), "published_at": now}
        connection.execute(insert_or(connection, usage_horizons).values(row).on_conflict_do_nothing())
        return published_before(connection)
    free = select(usage_horizons).with_for_update(skip_locked=True)
    mine = connection.execute(free).one_or_none()
    if mine is None or mine.published_at != seen.published_at:
        return int(seen.horizon)  # somebody else does it, or has just done it
    reached = max(mine.horizon, horizon(connection))
    connection.execute(update(usage_horizons).values(horizon=reached, published_at=now))
    return int(reached)


def published_before(connection: Connection) -> int:
    """The horizon that terminals were told last."""
    return connection.scalar(select(usage_horizons.c.horizon)) or 0


def _offers(connection: Connection, place: Place, books: Books) -> list[str]:
    book = books.book_for(connection, place)
    return sorted(flagged_offers(book, place)) if book else []


def _digest(offers: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(offers).encode()).hexdigest()[:16]


def _elsewhere(place: Place, offers: Sequence[str]) -> Select[Any]:
    """Fingerprint and what others used, of the offers' personal keys that have one to themselves."""
    mine = and_(spendings.c.key == pools.c.key, spendings.c.terminal == place.terminal)
    elsewhere = pools.c.used - func.coalesce(spendings.c.used, 0)
    joined = pools.outerjoin(spendings, mine)
    return select(pools.c.fingerprint, elsewhere).select_from(joined).where(pools.c.offer.in_(offers), alone())


def _changed(connection: Connection, place: Place, offers: Sequence[str], after: int) -> list[Pair]:
    """Everything from the number `after` on, also what is in already beyond the horizon: it will come again.

    What turned out to stand for two keys comes with 0, which takes it out.
    """
    query = _elsewhere(place, offers).where(pools.c.version >= after, pools.c.fingerprint.is_not(None))
    found = connection.execute(query.limit(DELTA_PAIRS_MAX + 1))
    changed = [(unsigned(value), max(0, int(amount))) for value, amount in found]
    return changed + [(unsigned(value), 0) for value in parted_since(connection, after)]


def _page(connection: Connection, place: Place, offers: Sequence[str], cursor: str | None, now: datetime) -> list[Pair]:
    """The next pairs by fingerprint, those of nothing used elsewhere among them; windows that are over left out."""
    today = now.astimezone(SHANGHAI).date().isoformat()
    current = or_(pools.c.ends_on == "", pools.c.ends_on >= today)
    query = _elsewhere(place, offers).where(pools.c.fingerprint.is_not(None), current)
    if cursor is not None:
        query = query.where(pools.c.fingerprint > signed(int(cursor, 16)))
    found = connection.execute(query.order_by(pools.c.fingerprint).limit(USAGE_PAGE_PAIRS_MAX))
    return [(unsigned(value), max(0, int(amount))) for value, amount in found]


def _body(version: Version, pairs: list[Pair], now: datetime, *, snapshot: bool, more: str | None = None) -> bytes:
    rice = rice_parameter(pairs)
    head = UsageHead(
        version=str(version), snapshot=snapshot, count=len(pairs), rice=rice, next=more, time=timestamp(now)
    )
    return encode_usage(head, pack(pairs, rice))

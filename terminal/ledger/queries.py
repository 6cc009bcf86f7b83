"""What is read from the ledger, on read-only connections: nothing here waits for the writer or stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from terminal.ledger import database, journal, projections
from terminal.ledger.entry import StoredEntry, decode_entry
from terminal.ledger.head import Head
from terminal.ledger.project import Redemption, RedemptionState
from terminal.ledger.tables import entry, ledger, redemption

DAY_REDEMPTIONS_MAX: Final = 20_000  # one counter, one sale every four seconds, round the clock
UNSETTLED_MAX: Final = 1_000  # authorised and open; the counter cancels each after minutes, so a handful is normal
ENTRIES_MAX: Final = 1_000  # of one read; the sync batch is 500

_DAY = (
    projections.REDEMPTIONS.where(redemption.c.business_day == bindparam("day"))
    .order_by(redemption.c.sequence)
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_DAY_COUNT = select(func.count()).select_from(redemption).where(redemption.c.business_day == bindparam("day"))
_UNSETTLED = (
    projections.REDEMPTIONS.where(redemption.c.state == RedemptionState.AUTHORISED.value)
    .order_by(redemption.c.sequence)
    .limit(UNSETTLED_MAX)
)
_LAST = select(entry.c.sequence, entry.c.hash).order_by(entry.c.sequence.desc()).limit(1)
_WATERMARK = select(ledger.c.watermark, ledger.c.watermark_hq_time)
# The watermark and the end in one statement, so that both are of one moment.
_WAITING = select(
    ledger.c.watermark,
    select(func.coalesce(func.max(entry.c.sequence), 0)).scalar_subquery().label("last"),
    select(entry.c.canonical).where(entry.c.sequence == ledger.c.watermark + 1).scalar_subquery().label("oldest"),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many entries wait for headquarters, and the instant of the oldest (RFC 3339 UTC; None: none wait)."""

    count: int
    oldest_at: str | None


class Queries:
    """The reads. Each may be called from any thread; each sees the last commit. Faults are `LedgerStopped` kinds."""

    def __init__(self, path: Path) -> None:
        self._subject = str(path)
        self._engine = database.reading_engine(path)

    def close(self) -> None:
        """Close every reading connection."""
        self._engine.dispose()

    def redemption(self, redemption_id: str) -> Redemption | None:
        """The redemption as it stands, None when there is none."""
        with self._reading() as connection:
            return projections.load(database.driver(connection), redemption_id)

    def redemptions(self, day: str, limit: int = DAY_REDEMPTIONS_MAX, offset: int = 0) -> list[Redemption]:
        """The redemptions authorised on the business `day` (YYYY-MM-DD), in the order of their sale; a page of them."""
        page = {"day": day, "limit": min(limit, DAY_REDEMPTIONS_MAX), "offset": offset}
        with self._reading() as connection:
            return [projections.from_row(row) for row in connection.execute(_DAY, page)]

    def count(self, day: str) -> int:
        """How many redemptions the business `day` has."""
        with self._reading() as connection:
            return connection.execute(_DAY_COUNT, {"day": day}).scalar_one()

    def unsettled(self) -> list[Redemption]:
        """Authorised, neither completed nor cancelled; oldest first, at most `UNSETTLED_MAX`."""
        with self._reading() as connection:
            return [projections.from_row(row) for row in connection.execute(_UNSETTLED)]

    def used(self, key: str) -> int:
        """What is used up under `key` on this terminal."""
        with self._reading() as connection:
            return projections.used(database.driver(connection), key)

    def latest_used(self, prefix: str) -> str | None:
        """The last key, in alphabetical order, of those that begin with `prefix` and are in use; None: none is."""
        with self._reading() as connection:
            return projections.latest_used(database.driver(connection), prefix)

    def entries(self, after: int, limit: int) -> list[StoredEntry]:
        """At most `limit` entries (never more than `ENTRIES_MAX`) after the sequence `after`, in order."""
        with self._reading() as connection:
            return journal.read_after(database.driver(connection), after, min(limit, ENTRIES_MAX))

    def head(self) -> Head:
        """The last entry's sequence and hash."""
        with self._reading() as connection:
            row = connection.execute(_LAST).first()
        return Head() if row is None else Head(row.sequence, bytes(row.hash))

    def watermark(self) -> tuple[int, str | None]:
        """What headquarters has acknowledged, and its time when it last did."""
        with self._reading() as connection:
            row = connection.execute(_WATERMARK).one()
        return row.watermark, row.watermark_hq_time

    def waiting(self) -> Waiting:
        """The wait queue towards headquarters."""
        with self._reading() as connection:
            row = connection.execute(_WAITING).one()
        oldest = None if row.oldest is None else decode_entry(row.oldest).at
        return Waiting(row.last - row.watermark, oldest)

    @contextmanager
    def executing(self) -> Iterator[database.Execute]:
        """Prepared text on a reading connection, for what stands beside the entries."""
        with self._reading() as connection:
            yield database.driver(connection)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with database.faults("read", self._subject), self._engine.connect() as connection:
            yield connection

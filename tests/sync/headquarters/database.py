"""Batches straight into the database, and what is found there afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from sync.headquarters.ingest import Outcome, ingest
from sync.headquarters.storage import Storage
from sync.headquarters.tables import entries, flags, forked_entries, redemptions, terminals
from sync.wire import EntryBatch
from tests.sync.headquarters.written_ledger import NOON, redemption_id

ARRIVAL = NOON + timedelta(days=2)


def push(storage: Storage, batch: EntryBatch) -> Outcome:
    with storage.write() as connection:
        return ingest(connection, batch, now=ARRIVAL, skew_ms=7)


def everything(storage: Storage) -> dict[str, list[Any]]:
    """All that headquarters has, to be compared."""
    with storage.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=str)
            for table in (entries, redemptions, flags, forked_entries, terminals)
        }


def redemption(storage: Storage, number: int) -> Any:
    with storage.read() as connection:
        return connection.execute(select(redemptions).where(redemptions.c.id == redemption_id(number))).one_or_none()


def terminal_row(storage: Storage, terminal: str = "bj-0001") -> Any:
    with storage.read() as connection:
        return connection.execute(select(terminals).where(terminals.c.id == terminal)).one()


def stored_bodies(storage: Storage, terminal: str = "bj-0001") -> list[bytes]:
    with storage.read() as connection:
        query = select(entries.c.body).where(entries.c.terminal == terminal).order_by(entries.c.sequence)
        return list(connection.scalars(query))

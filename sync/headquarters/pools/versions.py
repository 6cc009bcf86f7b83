"""Numbers for changes that survive concurrent commits: whoever has seen all below a number never misses one below it.

A sequence would not do: a transaction that took 7 may commit after one that took 8, and a terminal that was told "up
to 8" never hears of it. On PostgreSQL a change bears the number of its transaction, and what is told reaches up to the
oldest transaction still running (`pg_snapshot_xmin`): everything below is finished. On SQLite there is one writer.

Transaction numbers go along to a standby and into a physical backup. A dump that is loaded into another cluster starts
them again: see docs/pools.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, func, select, text

from sync.headquarters.pools.tables import pools
from sync.wire_usage import FINGERPRINT_BITS, fingerprint

_HALF: Final = 1 << (FINGERPRINT_BITS - 1)
_OURS: Final = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
_OLDEST_RUNNING: Final = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")


def next_version(connection: Connection) -> int:
    """The number that the changes of this transaction bear."""
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(_OURS) or 0)
    return (connection.scalar(select(func.max(pools.c.version))) or 0) + 1


def horizon(connection: Connection) -> int:
    """Every change with a lower number is in, or never will be."""
    if connection.dialect.name == "postgresql":
        return int(connection.scalar(_OLDEST_RUNNING) or 0)
    return (connection.scalar(select(func.max(pools.c.version))) or 0) + 1


def signed_fingerprint(key: str, of: Callable[[str], int] = fingerprint) -> int:
    """A key's fingerprint, by `of`, as a BIGINT holds it, in the same order."""
    return signed(of(key))


def signed(value: int) -> int:
    """A fingerprint as a BIGINT."""
    return value - _HALF


def unsigned(stored: int) -> int:
    """The fingerprint behind a BIGINT."""
    return stored + _HALF

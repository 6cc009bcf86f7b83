"""The SQLite file: how it is opened, made, brought to the present schema, and how its faults become our errors.

Checkpoints are made by the one writing connection alone (`wal_autocheckpoint`, and on close): readers are opened
read-only and cannot. That also keeps clear of SQLite's WAL-reset fault (3.7.0 to 3.51.2), which needs two connections
that write or checkpoint at once; sqlite.org/wal.html#walresetbug.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from terminal.ledger.errors import (
    LedgerDamaged,
    LedgerDisk,
    LedgerFull,
    LedgerLocked,
    LedgerMissing,
    LedgerNewer,
    LedgerStopped,
)
from terminal.ledger.tables import SCHEMA_REVISION

PRIVATE = 0o600  # the daemon's user alone
BUSY_WAIT_S = 2.0  # a person's database tool left open; no part of the house ever holds the write lock
WAL_PAGES_MAX = 1000  # SQLite's default: 4 MB of WAL, then the writer moves it into the file
READERS_MAX = 4  # pages, reports, agent and quote at once; more wait
READER_WAIT_S = 10.0  # the longest read, a whole day for a report, is far below
CACHED_STATEMENTS = 64  # the room has under 30

SQLITE_FAULTS = (DBAPIError, sqlite3.Error)  # from SQLAlchemy, and from the driver on the hot path
_PRIMARY_CODE = 0xFF  # the primary code in the low byte of an extended one; sqlite.org/rescode.html
_FULL = (sqlite3.SQLITE_FULL,)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DISK = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


# Runs prepared text with positional parameters on the driver's own connection, within the transaction of SQLAlchemy's.
Execute: TypeAlias = Callable[[str, tuple[Any, ...]], sqlite3.Cursor]


def writing_engine(path: Path) -> Engine:
    """The engine of the one writing connection: each transaction is BEGIN IMMEDIATE, rolled back unless committed."""
    engine = create_engine(
        "sqlite+pysqlite://", creator=lambda: _connect(path, "rw", _WRITING), poolclass=NullPool, hide_parameters=True
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """Read-only connections; each statement sees the last commit, and none of them ever blocks the writer."""
    return create_engine(
        "sqlite+pysqlite://",
        creator=lambda: _connect(path, "ro", _READING),
        poolclass=QueuePool,
        hide_parameters=True,
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_timeout=READER_WAIT_S,
        pool_reset_on_return=None,  # no transaction outlives its statement, so there is nothing to roll back
    )


@contextmanager
def snapshot(path: Path) -> Iterator[Connection]:
    """One read transaction over the whole ledger, for walking it beside a running daemon.

    Raises `LedgerMissing`, `LedgerNewer`, and `LedgerDamaged` when the file is no ledger.
    """
    if not path.is_file():
        raise LedgerMissing("open", str(path))
    engine = create_engine(
        "sqlite+pysqlite://", creator=lambda: _connect(path, "ro", _READING), poolclass=NullPool, hide_parameters=True
    )
    try:
        with faults("read", str(path)), engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            if is_behind(connection, path):
                raise LedgerDamaged("read", str(path), reason="it has no tables yet")
            yield connection
    finally:
        engine.dispose()


def driver(connection: Connection) -> Execute:
    """The hot path of `connection`: SQLite itself, without SQLAlchemy's 30 µs for each statement."""
    raw: Any = connection.connection.driver_connection
    execute: Execute = raw.execute
    return execute


def create_private(path: Path) -> None:
    """Make sure the file exists and only its owner may read it; SQLite gives its WAL the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            if os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, PRIVATE)
        finally:
            os.close(handle)
        sync_directory(path.parent)
    except OSError as error:
        raise disk_fault(error, "open", str(path)) from error


def sync_directory(directory: Path) -> None:
    """Make a new file's name durable too: fsync of the file alone does not, fsync(2)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_behind(connection: Connection, path: Path) -> bool:
    """Whether migrations must run. Raises `LedgerNewer` for a revision this program does not know."""
    known = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").first()
    if known is None:
        return True
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    found = "none" if row is None else str(row[0])
    if found > SCHEMA_REVISION and found != "none":  # revisions are numbered, so their order is that of their text
        raise LedgerNewer("open", str(path), found=found)
    return found != SCHEMA_REVISION


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to `revision` within the open transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@contextmanager
def faults(operation: str, subject: str) -> Iterator[None]:
    """Turn what SQLite raises within into this room's errors."""
    try:
        yield
    except SQLITE_FAULTS as error:
        raise database_fault(error, operation, subject) from error


def database_fault(error: Exception, operation: str, subject: str) -> LedgerStopped:
    """The error that a fault of SQLite (`SQLITE_FAULTS`) is to a cashier."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    primary = code & _PRIMARY_CODE
    if primary in _FULL:
        return LedgerFull(operation, subject)
    if primary in _LOCKED:
        return LedgerLocked(operation, subject)
    if primary in _DISK:
        return LedgerDisk(operation, subject, reason=name)
    return LedgerDamaged(operation, subject, reason=name)


def disk_fault(error: OSError, operation: str, subject: str) -> LedgerStopped:
    """The error that a fault of the file system is to a cashier."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LedgerFull(operation, subject)
    return LedgerDisk(operation, subject, reason=errno.errorcode.get(error.errno or 0, "OSError"))


_READING = ("PRAGMA cell_size_check = ON", "PRAGMA trusted_schema = OFF")
_WRITING = (
    *_READING,
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # the commit returns when the WAL is on disk, not when the kernel has it
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}",
)


def _connect(path: Path, mode: str, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by us and by nobody else."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_WAIT_S,
        check_same_thread=False,  # the pool hands a reader to one thread at a time; the writer has its own thread
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection

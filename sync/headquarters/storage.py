"""Headquarters' database: SQLite in a file or PostgreSQL by URL, one way to read and one way to write.

    storage = open_storage("postgresql://hq@db1,db2/jingka")
    with storage.write() as connection: ...   # one transaction; rolled back unless the block ends well

A writer holds what it locks until its transaction ends: on PostgreSQL the rows it selects for update, on SQLite the
whole file, from the start (`BEGIN IMMEDIATE`), so that a reader never turns writer half-way and meets a busy file.
"""

from __future__ import annotations

import select as selecting
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Table,
    Transaction,
    any_,
    bindparam,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sync.headquarters.errors import StorageNewer, StorageUnavailable, StorageUnsupported
from sync.headquarters.schema import SCHEMA_REVISION

MIGRATIONS: Final = Path(__file__).parent / "migrations"
SQLITE_FILE: Final = "headquarters.sqlite"

# Requests run in threads; more of them than connections wait for a moment, then are told to come again.
POOL_CONNECTIONS: Final = 10
POOL_OVERFLOW: Final = 10
WAIT_S: Final = 5  # for a connection, for SQLite's one writer: well inside a terminal's time limit for a request
CONNECT_S: Final = 5
# Workers that start together take turns at the schema. Any number that nothing else in this database uses.
MIGRATION_LOCK: Final = 5_180_020_090_813

_WRITES: Final = "jingka_writes"  # an execution option: this connection begins as a writer
_PREFIXES: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}


class Storage:
    """The database, ready for use from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises `StorageUnavailable`."""
        with _named_faults(self.engine), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed, durably, when the block ends well. Raises `StorageUnavailable`."""
        with _named_faults(self.engine), self.engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """One connection for several transactions, for who needs temporary tables: `connection.begin()` only reads,
        `writing(connection)` begins one that may write. Raises `StorageUnavailable`.
        """
        with _named_faults(self.engine), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def open_storage(database_url: str, data_dir: Path) -> Storage:
    """The database at `database_url` (empty: a SQLite file in `data_dir`), its schema brought up to this version.

    Raises `StorageUnsupported`, `StorageUnavailable`, `StorageNewer`.
    """
    url = _url(database_url, data_dir)
    storage = Storage(_sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url))
    try:
        bring_up_to_date(storage)
    except Exception:
        storage.close()
        raise
    return storage


def writing(connection: Connection) -> Transaction:
    """Begin a transaction that may write on a connection of `Storage.apart`; every later one may too."""
    connection.execution_options(**{_WRITES: True})
    return connection.begin()


def insert_or(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what to do on a conflict: spelt alike by both, yet SQLAlchemy has one for each dialect."""
    return insert_of(connection.dialect.name, table)


def insert_of(dialect: str, table: Table) -> Any:
    """As `insert_or`, for who keeps a statement for each dialect."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def among(connection: Connection, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column` is one of `values`; on PostgreSQL as one array, so that the statement is the same however many."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(values), type_=ARRAY(column.type), unique=True))
    return column.in_(values)


def bring_up_to_date(storage: Storage) -> None:
    """Run the migrations that are missing, all or none of them. A schema that is up to date costs one query."""
    with storage.read() as connection:
        if _revision(connection) == SCHEMA_REVISION:
            return
    with storage.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    found = _revision(connection)
    if found == SCHEMA_REVISION:
        return  # another worker was faster
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StorageNewer("open", "database", found=found, known=SCHEMA_REVISION)
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """Which migration the database stands at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    versions = Table("alembic_version", MetaData(), autoload_with=connection)
    revision: str | None = connection.scalar(select(versions.c.version_num))
    return revision


def _url(database_url: str, data_dir: Path) -> URL:
    if not database_url:
        return URL.create("sqlite", database=str(data_dir / SQLITE_FILE))
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise StorageUnsupported("open", "database_url") from error
    driver = _PREFIXES.get(url.drivername.partition("+")[0])
    if driver is None:
        raise StorageUnsupported("open", url.drivername)
    return url.set(drivername=driver)


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL_CONNECTIONS,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=WAIT_S,
        pool_use_lifo=True,  # the connection used last has its statements prepared and its server process warm
        connect_args={"connect_timeout": CONNECT_S},
    )

    @event.listens_for(engine, "checkout")
    def look(connection: Any, _: Any, __: Any) -> None:
        """A server that went away has closed its end, which an idle connection shows without asking: a ping would
        cost every request an exchange.
        """
        idle = selecting.poll()
        idle.register(connection, selecting.POLLIN)
        if idle.poll(0):
            raise InvalidatePoolError("PostgreSQL has ended the connection")

    return engine


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL_CONNECTIONS,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=WAIT_S,
        connect_args={"timeout": WAIT_S},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own; `begin` below does
        cursor = connection.cursor()
        _use_write_ahead_log(cursor)
        cursor.execute("PRAGMA synchronous = FULL")  # what a terminal is told to be here survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Switch the file to its write-ahead log; the first time SQLite does not wait for others that open it, so we do."""
    import stamina

    for attempt in stamina.retry_context(
        on=sqlite3.OperationalError, attempts=None, timeout=WAIT_S, wait_initial=0.01, wait_max=0.1, wait_jitter=0.02
    ):
        with attempt:
            cursor.execute("PRAGMA journal_mode = WAL")


@contextmanager
def _named_faults(engine: Engine) -> Iterator[None]:
    """A database that is away, busy or full gives one typed error, without the statement and its values."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StorageUnavailable("use", engine.dialect.name, reason=type(cause).__name__) from error

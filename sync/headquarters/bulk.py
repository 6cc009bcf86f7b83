"""Many rows into one table the quickest way that the database has: PostgreSQL's binary COPY, else one INSERT for each.

A COPY knows no conflict clause: a key that is there already is an error, and the savepoint around it takes everything
back. So it is for rows that are new as far as anybody knows; who meets `KeyTaken` goes the slow way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, DateTime, Integer, LargeBinary, Table, Text, insert
from sqlalchemy.types import TypeDecorator, TypeEngine

from sync.headquarters.errors import StorageUnavailable

# A COPY costs two more trips to the database than an INSERT: worth it from here on.
COPY_ROWS_MIN: Final = 16

# PostgreSQL's names for what our tables are made of; binary COPY must be told exactly.
_TYPES: Final[tuple[tuple[type[TypeEngine[Any]], str], ...]] = (
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Text, "text"),
    (LargeBinary, "bytea"),
    (DateTime, "timestamptz"),
)


class KeyTakenError(Exception):
    """One of the rows has a key that is in the table; the transaction must go back to a savepoint."""


def can_copy(connection: Connection, rows: int) -> bool:
    """Whether `copying` may and should be used for that many rows."""
    return rows >= COPY_ROWS_MIN and connection.dialect.name == "postgresql"


@contextmanager
def copying(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Iterator[None]:
    """`rows`, each with the values of the columns `names`, into `table` on PostgreSQL, at once.

    The rows are on their way when the block begins, and in the table when it has ended: within it there is time for
    other work, but not for another statement. Raises `KeyTakenError`, `StorageUnavailable`.
    """
    import psycopg

    columns = ", ".join(f'"{name}"' for name in names)
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        with driver.cursor().copy(f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT BINARY)') as copy:
            copy.set_types([_type_name(table.c[name].type) for name in names])
            for row in rows:
                copy.write_row(row)
            yield
    except psycopg.errors.UniqueViolation as error:
        raise KeyTakenError(table.name) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise StorageUnavailable("use", connection.dialect.name, reason=type(error).__name__) from error


def add_rows(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """As `copying`, on any database and with an INSERT of each row."""
    if rows:
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def _type_name(column: TypeEngine[Any]) -> str:
    bare = column.impl_instance if isinstance(column, TypeDecorator) else column
    return next(name for kind, name in _TYPES if isinstance(bare, kind))

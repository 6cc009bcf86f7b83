"""The ledger's tables as this version knows them; `migrations/` makes them, a test holds both together.

`entry` is the ledger. `redemption` and `usage` are projections of it and may be rebuilt at any time. `ledger` is one
row about the file itself: whose it is, and what headquarters has acknowledged. `lease`, `allowance` and
`renounced` are what headquarters lets this terminal spend (`grants`): no entry says it, so no rebuild touches it.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text, cast, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

SCHEMA_REVISION = "0002"  # the migration that makes these tables

metadata = MetaData()

ledger = Table(
    "ledger",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("terminal", Text, nullable=False),
    Column("watermark", Integer, nullable=False),
    Column("watermark_hq_time", Text),
    Column("forked", Text),  # why headquarters or a start found this copy forked; stays until enrolled anew
    Column("probes", Integer, nullable=False),  # counts write probes after a full disk: something to write
)

entry = Table(
    "entry",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("canonical", LargeBinary, nullable=False),
)

redemption = Table(
    "redemption",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("business_day", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("completed_at", Text),
    Column("cancelled_at", Text),
    Column("voided_at", Text),
    Column("pos_reference", Text),
    Column("reason", Text),
    Column("settled_by", Text),
    Column("voided_units", Integer, nullable=False),
    Column("voided_list_fen", Integer, nullable=False),
    Column("voided_pay_fen", Integer, nullable=False),
    sqlite_with_rowid=False,  # clustered by id: a UUIDv7 grows with time, so a new row lands on the last page
)
Index("redemption_by_day", redemption.c.business_day, redemption.c.sequence)
Index("redemption_unsettled", redemption.c.sequence, sqlite_where=text("state = 'authorised'"))

# Both are asked for as bytes whatever a stranger has put there: SQLite lets any column hold any type.
HASH = cast(entry.c.hash, LargeBinary)
CANONICAL = cast(entry.c.canonical, LargeBinary)

usage = Table(
    "usage",
    metadata,
    Column("key", Text, primary_key=True),
    Column("used", Integer, nullable=False),
    sqlite_with_rowid=False,
)

lease = Table(
    "lease",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("boot", Text, nullable=False),
    Column("asked_ms", Integer, nullable=False),
    Column("until_ms", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("ended", Text),
    Column("granted_once", Integer, nullable=False),  # 1: headquarters granted something here, now or ever
)

allowance = Table(
    "allowance",
    metadata,
    Column("key", Text, primary_key=True),
    Column("offer", Text, nullable=False),
    Column("limit_id", Text, nullable=False),  # LIMIT is a word of SQL
    Column("granted", Integer, nullable=False),
    Column("returned", Integer, nullable=False),
    Column("frozen", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Sales whose hold was given back: what was asked up to this attempt is never spent, even if it was granted.
renounced = Table(
    "renounced",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("redemption", Text, nullable=False, unique=True),
    Column("attempt", Integer, nullable=False),
)

TRIGGERS = ("entry_follows_the_last", "entry_is_never_changed", "entry_is_never_deleted")


def driver_text(statement: ClauseElement) -> str:
    """`statement` as prepared text for `exec_driver_sql`: the hot path, without a compilation per call."""
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))

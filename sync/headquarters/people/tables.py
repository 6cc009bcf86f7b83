"""The audit log (rows are only ever added), who is signed in, and who tries PINs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from sync.headquarters.tables import UtcTime, metadata

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # SQLite counts only INTEGER keys up
    Column("at", UtcTime, nullable=False),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),  # a key of the catalogue: `audit.<action>`
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "subject", "id"),
    Index(None, "person", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),  # SHA-256 of the token; the token is in the browser alone
    Column("person", Text, nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Index(None, "seen_at"),
)

pin_tries = Table(
    "pin_tries",
    metadata,
    Column("person", Text, primary_key=True),  # as typed, known or not
    Column("wrong", Integer, nullable=False),  # tries in a row that were not right, or are still being checked
    Column("free_at", UtcTime, nullable=False),  # when the next may be made
    Column("tried_at", UtcTime, nullable=False),
    Index(None, "tried_at"),
)

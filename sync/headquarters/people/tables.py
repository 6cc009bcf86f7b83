"""The audit log: who did what at headquarters, and when. Rows are only ever added."""

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

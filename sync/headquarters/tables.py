"""What headquarters keeps, as SQLAlchemy Core tables; the same on SQLite and PostgreSQL.

`entries` is the truth: each terminal's ledger, byte for byte, in its own order. `redemptions` and `flags` are read off
it and could be built anew. No card number is ever in here: `member` is the card's token, `masked` its last digits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment: aware UTC in Python and PostgreSQL; SQLite, which knows no zones, holds the UTC wall time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database, in UTC."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a time without its zone"
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database, aware."""
        if value is None:
            return None
        assert isinstance(value, datetime)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class TerminalState(StrEnum):
    """What headquarters takes from a terminal."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"  # its chain forked: entries are kept as evidence until a person has decided
    REVOKED = "revoked"  # its key counts for nothing any more


# Alembic needs to name what it changes later.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

terminals = Table(
    "terminals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", Text, nullable=False, unique=True),  # Ed25519, hex
    Column("state", Text, nullable=False),
    Column("version", Text, nullable=False),  # of its software, as it said when it enrolled
    Column("enrolled_at", UtcTime, nullable=False),
    Column("last_contact", UtcTime),
    Column("waiting", Integer),  # entries it still has to send, as it last said
    Column("skew_ms", BigInteger),  # its clock minus ours when it last spoke
    Column("last_sequence", BigInteger, nullable=False),  # the head of its chain here; 0: nothing yet
    Column("last_hash", Text, nullable=False),
    # What it last said of itself (`wire.Condition`).
    Column("boot", Text),
    Column("book", Text),
    Column("roll", Text),
    Column("vouchers", Text),
    Column("oldest_s", Integer),
    Column("readers", Text),  # JSON: [[name, state], …]
    Column("rotate_asked_at", UtcTime),  # a new device key is asked for, and has not come yet
    Column("key_changed_at", UtcTime),
    CheckConstraint("state IN ('active', 'quarantined', 'revoked')", name="state"),
)

entries = Table(
    "entries",
    metadata,
    Column("terminal", Text, ForeignKey("terminals.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the bytes that were hashed, readable or not
    Column("received_at", UtcTime, nullable=False),
)

forked_entries = Table(
    "forked_entries",
    metadata,
    Column("terminal", Text, ForeignKey("terminals.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("decision", Text),  # adopted or dismissed, by a person
    Column("decided_by", Text),
    Column("decided_at", UtcTime),
)

flags = Table(
    "flags",
    metadata,
    Column("terminal", Text, ForeignKey("terminals.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Text, primary_key=True),
    Column("detail", Text, nullable=False),
    Column("noted_at", UtcTime, nullable=False),
    Index(None, "noted_at"),
)

redemptions = Table(
    "redemptions",
    metadata,
    Column("id", Text, primary_key=True),  # UUIDv7 from the counter: the order of ids is the order of sales
    Column("terminal", Text, ForeignKey("terminals.id"), nullable=False),
    Column("sequence", BigInteger, nullable=False),  # of the entry that authorised it
    Column("state", Text, nullable=False),
    Column("merchant", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("offer", Text, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("voided_units", BigInteger, nullable=False),
    Column("list_fen", BigInteger, nullable=False),
    Column("pay_fen", BigInteger, nullable=False),
    Column("voided_list_fen", BigInteger, nullable=False),
    Column("voided_pay_fen", BigInteger, nullable=False),
    Column("member", Text, nullable=False),
    Column("masked", Text, nullable=False),
    Column("cashier", Text, nullable=False),
    Column("granted", Text, nullable=False),
    Column("business_day", Text, nullable=False),  # the counter's day, however late the entry arrives
    Column("authorised_at", UtcTime, nullable=False),  # the counter's clock
    Column("arrived_at", UtcTime, nullable=False),  # ours, when the authorisation came
    Column("changed_at", UtcTime, nullable=False),  # ours, when the latest step came
    Column("record", Text, nullable=False),  # the whole projection as JSON, for the next step
    Index(None, "business_day", "id"),
    Index(None, "merchant", "business_day", "id"),
    Index(None, "changed_at", "id"),
    Index(None, "member", "id"),
)
# Few sales wait for their end; the overview counts them without reading the day's million.
OPEN_SALE = text("state = 'authorised'")  # spelt out, not bound: neither database finds the index by a parameter
Index("ix_redemptions_open", redemptions.c.business_day, postgresql_where=OPEN_SALE, sqlite_where=OPEN_SALE)
# A sale that was voided whole counts no more; totals take away how many there are without reading the day's million.
VOIDED_SALE = text("state = 'voided'")
Index(
    "ix_redemptions_voided",
    redemptions.c.business_day,
    redemptions.c.merchant,
    postgresql_where=VOIDED_SALE,
    sqlite_where=VOIDED_SALE,
)

enrolment_codes = Table(
    "enrolment_codes",
    metadata,
    Column("digest", Text, primary_key=True),  # SHA-256 of the code's secret; the secret itself is shown once
    Column("terminal", Text, nullable=False),
    Column("merchant", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_key", Text),
    Column("used_at", UtcTime),
)

nonces = Table(
    "nonces",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("expires_at", UtcTime, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("subject", Text, primary_key=True),  # what is tried, by whom: "enrol 203.0.113.7"
    Column("window", BigInteger, primary_key=True, autoincrement=False),  # whole periods since 1970
    Column("count", Integer, nullable=False),
)

"""The first schema: terminals, their entries, what is read off them, enrolment codes, replay and rate limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _terminal(*, primary_key: bool) -> sa.Column[str]:
    return sa.Column("terminal", sa.Text, sa.ForeignKey("terminals.id"), primary_key=primary_key, nullable=False)


def _sequence(*, primary_key: bool) -> sa.Column[int]:
    return sa.Column("sequence", sa.BigInteger, primary_key=primary_key, autoincrement=False, nullable=False)


def _numbers(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger, nullable=False) for name in names)


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, nullable=False) for name in names)


def upgrade() -> None:
    _create_fleet()
    _create_ledgers()
    _create_redemptions()
    _create_door()


def _create_fleet() -> None:
    op.create_table(
        "terminals",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("merchant", "site", "name"),
        sa.Column("public_key", sa.Text, nullable=False, unique=True),
        *_texts("state", "version"),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.Column("last_contact", MOMENT),
        sa.Column("waiting", sa.Integer),
        sa.Column("skew_ms", sa.BigInteger),
        *_numbers("last_sequence"),
        *_texts("last_hash"),
        sa.CheckConstraint("state IN ('active', 'quarantined', 'revoked')", name="state"),
    )


def _create_ledgers() -> None:
    op.create_table(
        "entries",
        _terminal(primary_key=True),
        _sequence(primary_key=True),
        *_texts("hash"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
    )
    op.create_table(
        "forked_entries",
        _terminal(primary_key=True),
        _sequence(primary_key=True),
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
    )
    op.create_table(
        "flags",
        _terminal(primary_key=True),
        _sequence(primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        *_texts("detail"),
        sa.Column("noted_at", MOMENT, nullable=False),
    )
    op.create_index("ix_flags_noted_at", "flags", ["noted_at"])


def _create_redemptions() -> None:
    op.create_table(
        "redemptions",
        sa.Column("id", sa.Text, primary_key=True),
        _terminal(primary_key=False),
        _sequence(primary_key=False),
        *_texts("state", "merchant", "site", "offer"),
        *_numbers("units", "voided_units", "list_fen", "pay_fen", "voided_list_fen", "voided_pay_fen"),
        *_texts("member", "masked", "cashier", "granted", "business_day"),
        sa.Column("authorised_at", MOMENT, nullable=False),
        sa.Column("arrived_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        *_texts("record"),
    )
    op.create_index("ix_redemptions_business_day_id", "redemptions", ["business_day", "id"])
    op.create_index("ix_redemptions_merchant_business_day_id", "redemptions", ["merchant", "business_day", "id"])
    op.create_index("ix_redemptions_changed_at_id", "redemptions", ["changed_at", "id"])


def _create_door() -> None:
    op.create_table(
        "enrolment_codes",
        sa.Column("digest", sa.Text, primary_key=True),
        *_texts("terminal", "merchant", "site", "created_by"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_key", sa.Text),
        sa.Column("used_at", MOMENT),
    )
    op.create_table(
        "nonces",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("window", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
    )

"""Pools, slices, holds and limits across merchants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _numbers(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger, nullable=False) for name in names)


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, nullable=False) for name in names)


def _terminal(*, primary_key: bool) -> sa.Column[str]:
    return sa.Column("terminal", sa.Text, primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Escrow: what is granted to whom, what of it is used."""
    _create_leases()
    _create_pools()
    _create_holds()
    op.create_table(
        "pool_samples",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("at", MOMENT, primary_key=True),
        *_numbers("max", "used", "allotted", "held"),
    )
    op.create_table(
        "usage_horizons",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1", name="one"), primary_key=True, autoincrement=False),
        *_numbers("horizon"),
        sa.Column("published_at", MOMENT, nullable=False),
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        _terminal(primary_key=True),
        *_numbers("generation", "confirmed"),
        *_texts("boot", "earlier_boots"),
        *_numbers("monotonic_ms", "sequence", "asked"),
        sa.Column("life_s", sa.Integer, nullable=False),
        sa.Column("reported_at", MOMENT),
        sa.Column("ends_at", MOMENT),
        *_texts("suspended"),
    )
    op.create_table(
        "allotments",
        sa.Column("key", sa.Text, primary_key=True),
        _terminal(primary_key=True),
        *_numbers("granted", "returned", "written_off", "used", "frozen", "excess"),
        sa.Column("recent", sa.Double, nullable=False),
        sa.Column("recent_at", MOMENT, nullable=False),
        *_numbers("slice"),
    )
    op.create_index("ix_allotments_terminal", "allotments", ["terminal"])


def _create_pools() -> None:
    op.create_table(
        "pools",
        sa.Column("key", sa.Text, primary_key=True),
        *_texts("offer", "limit", "policy"),
        *_numbers("max", "revision"),
        sa.Column("shared", sa.Boolean, nullable=False),
        *_texts("ends_on"),
        *_numbers("allotted", "excess", "used", "held"),
        sa.Column("fingerprint", sa.BigInteger),
        sa.Column("version", sa.BigInteger),
        sa.CheckConstraint("policy IN ('lease', 'flag', 'refuse')", name="policy"),
    )
    op.create_index(
        "ix_pools_shared",
        "pools",
        ["offer"],
        postgresql_where=sa.text("shared = true"),
        sqlite_where=sa.text("shared = 1"),
    )
    op.create_index("ix_pools_fingerprint", "pools", ["fingerprint"])
    op.create_index("ix_pools_version", "pools", ["version"])
    op.create_table(
        "spendings",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("terminal", sa.Text, primary_key=True),
        *_numbers("used"),
    )


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("redemption", sa.Text, primary_key=True),
        _terminal(primary_key=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        *_texts("state", "boot"),
        *_numbers("monotonic_ms"),
        sa.Column("life_s", sa.Integer, nullable=False),
        *_texts("amounts", "answer"),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('open', 'used', 'given-back', 'released')", name="state"),
    )
    op.create_index("ix_holds_terminal_state", "holds", ["terminal", "state"])

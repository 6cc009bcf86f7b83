"""What headquarters lets this terminal spend: the lease, allowances by key, holds given back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("asked_ms", sa.Integer, nullable=False),
        sa.Column("until_ms", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("ended", sa.Text),
        sa.Column("granted_once", sa.Integer, nullable=False),
    )
    op.create_table(
        "allowance",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("offer", sa.Text, nullable=False),
        sa.Column("limit_id", sa.Text, nullable=False),
        sa.Column("granted", sa.Integer, nullable=False),
        sa.Column("returned", sa.Integer, nullable=False),
        sa.Column("frozen", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "renounced",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("redemption", sa.Text, nullable=False, unique=True),
        sa.Column("attempt", sa.Integer, nullable=False),
    )

"""Totals per merchant: indexes of sales voided whole, and of steps that count for another day than the till's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

VOIDED = sa.text("state = 'voided'")
MOVED = sa.text("day <> business_day")


def upgrade() -> None:
    op.create_index(
        "ix_redemptions_voided",
        "redemptions",
        ["business_day", "merchant"],
        postgresql_where=VOIDED,
        sqlite_where=VOIDED,
    )
    op.create_index(
        "ix_settlement_steps_moved", "settlement_steps", ["merchant", "day"], postgresql_where=MOVED, sqlite_where=MOVED
    )

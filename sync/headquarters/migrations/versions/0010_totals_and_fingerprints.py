"""Totals per merchant: indexes of sales voided whole, and of steps that count for another day than the till's.
Fingerprints of usage keys: each stands for one key alone, and those that were found to stand for two.
Merchants that are counted anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

VOIDED = sa.text("state = 'voided'")
MOVED = sa.text("day <> business_day")
ALWAYS = 2**62  # a version that no terminal is beyond: what it was told is taken out with its next change, whenever


def upgrade() -> None:
    _index_sums()
    _part_fingerprints()
    op.create_table(
        "recounts",
        sa.Column("merchant", sa.Text, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )


def _part_fingerprints() -> None:
    op.create_table(
        "usage_collisions",
        sa.Column("fingerprint", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    repeated = "SELECT fingerprint FROM pools WHERE fingerprint IS NOT NULL GROUP BY fingerprint HAVING count(*) > 1"
    op.execute(f"INSERT INTO usage_collisions SELECT fingerprint, {ALWAYS} FROM ({repeated}) AS twice")  # noqa: S608
    op.execute("UPDATE pools SET fingerprint = NULL WHERE fingerprint IN (SELECT fingerprint FROM usage_collisions)")
    op.drop_index("ix_pools_fingerprint", "pools")
    op.create_index("ix_pools_fingerprint", "pools", ["fingerprint"], unique=True)


def _index_sums() -> None:
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

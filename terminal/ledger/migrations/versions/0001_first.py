"""The first ledger: entries guarded by triggers, two projections, one row about the file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# REPLACE deletes without firing delete triggers unless recursive_triggers is on; the insert trigger stops that way too.
_GUARDS = (
    """
    CREATE TRIGGER entry_follows_the_last BEFORE INSERT ON entry
    WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM entry)
    BEGIN SELECT RAISE(ABORT, 'a ledger entry follows the last one without a gap'); END
    """,
    """
    CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END
    """,
    """
    CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never deleted'); END
    """,
)


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("terminal", sa.Text, nullable=False),
        sa.Column("watermark", sa.Integer, nullable=False),
        sa.Column("watermark_hq_time", sa.Text),
        sa.Column("forked", sa.Text),
        sa.Column("probes", sa.Integer, nullable=False),
    )
    op.create_table(
        "entry",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("canonical", sa.LargeBinary, nullable=False),
    )
    for guard in _GUARDS:
        op.execute(guard)
    _create_projections()


def _create_projections() -> None:
    op.create_table(
        "redemption",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("business_day", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sa.Column("completed_at", sa.Text),
        sa.Column("cancelled_at", sa.Text),
        sa.Column("voided_at", sa.Text),
        sa.Column("pos_reference", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("settled_by", sa.Text),
        sa.Column("voided_units", sa.Integer, nullable=False),
        sa.Column("voided_list_fen", sa.Integer, nullable=False),
        sa.Column("voided_pay_fen", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("redemption_by_day", "redemption", ["business_day", "sequence"])
    op.create_index("redemption_unsettled", "redemption", ["sequence"], sqlite_where=sa.text("state = 'authorised'"))
    op.create_table(
        "usage",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("used", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )

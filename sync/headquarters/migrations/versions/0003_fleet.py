"""Fleet: what each terminal says of itself, keys that change, what becomes of forked entries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for name in ("boot", "book", "roll"):
        op.add_column("terminals", sa.Column(name, sa.Text))
    op.add_column("terminals", sa.Column("oldest_s", sa.Integer))
    op.add_column("terminals", sa.Column("readers", sa.Text))
    op.add_column("terminals", sa.Column("rotate_asked_at", MOMENT))
    op.add_column("terminals", sa.Column("key_changed_at", MOMENT))
    op.add_column("forked_entries", sa.Column("decision", sa.Text))
    op.add_column("forked_entries", sa.Column("decided_by", sa.Text))
    op.add_column("forked_entries", sa.Column("decided_at", MOMENT))

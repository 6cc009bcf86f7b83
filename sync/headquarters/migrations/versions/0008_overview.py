"""Overview: an index of the sales that nobody has completed, so that they are counted without reading the day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OPEN = sa.text("state = 'authorised'")


def upgrade() -> None:
    op.create_index("ix_redemptions_open", "redemptions", ["business_day"], postgresql_where=OPEN, sqlite_where=OPEN)

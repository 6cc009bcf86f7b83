"""The register of vouchers as headquarters keeps it; which register each terminal has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Vouchers by the hash of their code, the lists that bring them, and what terminals say they have."""
    _create_register()
    _create_lists()
    op.add_column("terminals", sa.Column("vouchers", sa.Text))


def _create_register() -> None:
    op.create_table(
        "vouchers",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("offer", sa.Text, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("last_day", sa.Date),
        sa.Column("merchants", sa.Text, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_vouchers_offer_version", "vouchers", ["offer", "version"])
    state = op.create_table(
        "voucher_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("key_version", sa.Integer),
        sa.Column("key_fingerprint", sa.Text),
    )
    op.bulk_insert(state, [{"id": 1, "version": 0}])
    op.create_table(
        "voucher_offers",
        sa.Column("offer", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
    )


def _create_lists() -> None:
    op.create_table(
        "voucher_lists",
        sa.Column("id", COUNTED, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("base_version", sa.BigInteger, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.Column("settled_by", sa.Text),
        sa.Column("done_at", MOMENT),
    )
    op.create_table(
        "voucher_rejects",
        sa.Column("list_id", sa.BigInteger, sa.ForeignKey("voucher_lists.id"), primary_key=True, autoincrement=False),
        sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.Text, nullable=False),
    )

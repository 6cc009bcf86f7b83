"""The roll of members as headquarters keeps it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, nullable=False) for name in names)


def _numbers(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger, nullable=False) for name in names)


def upgrade() -> None:
    """Members, what they were, lists on their way in, and the file that terminals start from."""
    _create_members()
    _create_imports()
    _create_snapshots()
    op.create_index("ix_redemptions_member_id", "redemptions", ["member", "id"])


def _create_members() -> None:
    op.create_table(
        "members",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        *_texts("standing"),
        sa.Column("card", sa.Text),
        sa.Column("member", sa.Boolean),
        *_texts("member_class"),
        sa.Column("issued", sa.Date),
        sa.Column("person", sa.LargeBinary),
        sa.Column("valid_until", sa.Date),
        sa.Column("due_at", MOMENT),
        sa.Column("by_person", sa.Boolean, nullable=False),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        sa.Column("replaced_by", sa.LargeBinary),
        sa.Column("since", MOMENT, nullable=False),
        *_texts("by"),
        *_numbers("version"),
        sa.Column("changed_at", MOMENT, nullable=False),
    )
    op.create_index("ix_members_version", "members", ["version"])
    op.create_index("ix_members_person", "members", ["person"])
    waits = sa.text("due_at IS NOT NULL")
    op.create_index("ix_members_due_at", "members", ["due_at"], sqlite_where=waits, postgresql_where=waits)
    op.create_table(
        "member_history",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("until", MOMENT, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("since", MOMENT, nullable=False),
        *_texts("standing", "by"),
    )
    state = op.create_table(
        "roll_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *_numbers("version"),
        sa.Column("key_version", sa.Integer),
        sa.Column("key_fingerprint", sa.Text),
        sa.Column("began_at", MOMENT),
        sa.Column("snapshot", sa.Text),
        sa.Column("building_until", MOMENT),
    )
    op.bulk_insert(state, [{"id": 1, "version": 0}])


def _create_imports() -> None:
    op.create_table(
        "roll_imports",
        sa.Column("id", COUNTED, primary_key=True),
        *_texts("kind", "state"),
        sa.Column("at", MOMENT, nullable=False),
        *_texts("by"),
        *_numbers("base_version"),
        *_texts("counts"),
        sa.Column("confirmed_by", sa.Text),
        sa.Column("done_at", MOMENT),
    )
    of_import = sa.ForeignKey("roll_imports.id")
    op.create_table(
        "roll_rejects",
        sa.Column("import_id", sa.BigInteger, of_import, primary_key=True, autoincrement=False),
        sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
        *_texts("reason"),
    )
    op.create_table(
        "roll_diff",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        *_numbers("number"),
        sa.Column("fresh", sa.Boolean, nullable=False),
        *_texts("old_standing", "standing"),
        sa.Column("card", sa.Text),
        sa.Column("member", sa.Boolean),
        *_texts("member_class"),
        sa.Column("issued", sa.Date),
        sa.Column("person", sa.LargeBinary),
        sa.Column("by_hand", sa.Boolean, nullable=False),
    )


def _create_snapshots() -> None:
    op.create_table(
        "roll_snapshots",
        sa.Column("name", sa.Text, primary_key=True),
        *_numbers("version", "size_bytes"),
        *_texts("sha256", "revision"),
        *_numbers("count"),
        sa.Column("built_at", MOMENT, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
    )
    op.create_table(
        "roll_chunks",
        sa.Column("snapshot", sa.Text, sa.ForeignKey("roll_snapshots.name"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )

"""Offer books from draft to terminal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, nullable=False) for name in names)


def upgrade() -> None:
    """Drafts, releases, roll-outs, and what each terminal has."""
    _create_drafts()
    _create_releases()
    _create_rollouts()


def _create_drafts() -> None:
    op.create_table(
        "book_drafts",
        sa.Column("id", NUMBER, primary_key=True),
        *_texts("title", "form", "text"),
        sa.Column("base", sa.BigInteger),
        *_texts("state"),
        sa.Column("version", sa.Integer, nullable=False),
        *_texts("author"),
        sa.Column("begun_at", MOMENT, nullable=False),
        *_texts("edited_by"),
        sa.Column("edited_at", MOMENT, nullable=False),
        sa.Column("submitted_by", sa.Text),
        sa.Column("submitted_at", MOMENT),
        sa.Column("approved_by", sa.Text),
        sa.Column("approved_at", MOMENT),
        sa.Column("approved_over", sa.BigInteger),
        sa.CheckConstraint("form IN ('toml', 'json')", name="form"),
        sa.CheckConstraint("state IN ('open', 'submitted', 'approved', 'released', 'discarded')", name="state"),
        sa.CheckConstraint("approved_by <> edited_by", name="two_persons"),
    )
    op.create_index("ix_book_drafts_state_id", "book_drafts", ["state", "id"])
    op.create_table(
        "book_writers",
        sa.Column("draft", sa.BigInteger, sa.ForeignKey("book_drafts.id"), primary_key=True),
        sa.Column("person", sa.Text, primary_key=True),
    )


def _create_releases() -> None:
    op.create_table(
        "book_releases",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        *_texts("sha256"),
        sa.Column("signed", sa.LargeBinary, nullable=False),
        *_texts("form", "text"),
        sa.Column("draft", sa.BigInteger, sa.ForeignKey("book_drafts.id"), unique=True),
        sa.Column("restores", sa.BigInteger, sa.ForeignKey("book_releases.revision")),
        *_texts("edited_by", "approved_by", "released_by"),
        sa.Column("released_at", MOMENT, nullable=False),
        *_texts("note"),
        sa.CheckConstraint("approved_by <> edited_by", name="two_persons"),
    )


def _create_rollouts() -> None:
    op.create_table(
        "book_stages",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("revision", sa.BigInteger, sa.ForeignKey("book_releases.revision"), nullable=False),
        sa.Column("everywhere", sa.Boolean, nullable=False),
        *_texts("target", "started_by"),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("stopped_by", sa.Text),
        sa.Column("stopped_at", MOMENT),
    )
    op.create_index("ix_book_stages_revision", "book_stages", ["revision"])
    op.create_table(
        "book_holdings",
        sa.Column("terminal", sa.Text, sa.ForeignKey("terminals.id"), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        *_texts("sha256", "fault"),
        sa.Column("told_at", MOMENT, nullable=False),
    )
    op.create_index("ix_book_holdings_revision", "book_holdings", ["revision"])

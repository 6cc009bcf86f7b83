"""The tables of this room: drafts and whose hands are in them, releases, where each is rolled out, who has which."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from sync.headquarters.tables import UtcTime, metadata

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up

book_drafts = Table(
    "book_drafts",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("title", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("text", Text, nullable=False),  # as a person wrote it, right or wrong
    Column("base", BigInteger),  # the release it was begun from; null: from nothing
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),  # counts every change, so that nobody writes over another's
    Column("author", Text, nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("edited_by", Text, nullable=False),
    Column("edited_at", UtcTime, nullable=False),
    Column("submitted_by", Text),
    Column("submitted_at", UtcTime),
    Column("approved_by", Text),
    Column("approved_at", UtcTime),
    Column("approved_over", BigInteger),  # the release that the approver saw it compared with; 0: none yet
    CheckConstraint("form IN ('toml', 'json')", name="form"),
    CheckConstraint("state IN ('open', 'submitted', 'approved', 'released', 'discarded')", name="state"),
    CheckConstraint("approved_by <> edited_by", name="two_persons"),  # null passes: not approved yet
    Index(None, "state", "id"),
)

book_writers = Table(
    "book_writers",
    metadata,
    Column("draft", BigInteger, ForeignKey("book_drafts.id"), primary_key=True),
    Column("person", Text, primary_key=True),  # has written in the draft, or handed it in: may never approve it
)

book_releases = Table(
    "book_releases",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),  # gapless from the first on
    Column("sha256", Text, nullable=False),
    Column(
        "signed", LargeBinary, nullable=False
    ),  # the signed form, gzip; made once, so that every worker has the same
    Column("form", Text, nullable=False),
    Column("text", Text, nullable=False),  # what the next draft begins with: comments and order as they were written
    Column("draft", BigInteger, ForeignKey("book_drafts.id"), unique=True),  # null: an earlier revision restored
    Column("restores", BigInteger, ForeignKey("book_releases.revision")),
    Column("edited_by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("released_by", Text, nullable=False),
    Column("released_at", UtcTime, nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("approved_by <> edited_by", name="two_persons"),
)

book_stages = Table(
    "book_stages",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("revision", BigInteger, ForeignKey("book_releases.revision"), nullable=False),
    Column("everywhere", Boolean, nullable=False),
    Column("target", Text, nullable=False),  # JSON: merchants, sites, terminals, percent
    Column("started_by", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("stopped_by", Text),
    Column("stopped_at", UtcTime),
    Index(None, "revision"),
)

book_holdings = Table(
    "book_holdings",
    metadata,
    Column("terminal", Text, ForeignKey("terminals.id"), primary_key=True),
    Column("revision", BigInteger, nullable=False),  # what it has, as it said; 0: none of ours yet
    Column("sha256", Text, nullable=False),
    Column("fault", Text, nullable=False),  # the code of why it does not take what it was given; empty: it does
    Column("told_at", UtcTime, nullable=False),
    Index(None, "revision"),
)

"""The tables of this room: what each step is worth, the lines of settlements, and what people decide about money.

`settlement_steps` is read off the ledgers, one row per completion and void, for ever in one month of one merchant;
`settlement_lines` are its sums, kept in the same transaction. A row of `settlements` is a closed month, signed.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from sync.headquarters.tables import UtcTime, metadata

ALL_OFFERS = ""  # in `subsidy_terms.offer`: every offer of the merchant that has no terms of its own

settlement_steps = Table(
    "settlement_steps",
    metadata,
    Column("redemption", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("terminal", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("merchant", Text, nullable=False),
    Column("offer", Text, nullable=False),
    Column("business_day", Text, nullable=False),  # as the counter says
    Column("day", Text, nullable=False),  # the same, but never after its arrival here and always in the calendar
    Column("month", Text, nullable=False),  # of the settlement it counts in, YYYY-MM
    Column("arrived_at", UtcTime, nullable=False),
    Column("units", BigInteger, nullable=False),  # a void's numbers are negative
    Column("list_fen", BigInteger, nullable=False),
    Column("pay_fen", BigInteger, nullable=False),
    Column("saving_fen", BigInteger, nullable=False),
    Column("kept_fen", BigInteger, nullable=False),  # the saving that the redemption has left after this step
    Column("share_bp", Integer, nullable=False),
    Column("subsidy_fen", BigInteger, nullable=False),
    CheckConstraint("kind IN ('completed', 'voided')", name="kind"),
    Index(None, "merchant", "month"),
    Index(None, "terminal", "business_day"),
)
# Steps of a clock that ran ahead count for another day than the counter's. Few; spelt out so that the index is found.
MOVED_STEP = text("day <> business_day")
Index(
    "ix_settlement_steps_moved",
    settlement_steps.c.merchant,
    settlement_steps.c.day,
    postgresql_where=MOVED_STEP,
    sqlite_where=MOVED_STEP,
)

settlement_lines = Table(
    "settlement_lines",
    metadata,
    Column("merchant", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("offer", Text, primary_key=True),
    Column("share_bp", Integer, primary_key=True, autoincrement=False),
    Column("steps", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("list_fen", BigInteger, nullable=False),
    Column("pay_fen", BigInteger, nullable=False),
    Column("saving_fen", BigInteger, nullable=False),
    Column("subsidy_fen", BigInteger, nullable=False),
    CheckConstraint("kind IN ('completed', 'voided', 'charge')", name="kind"),
    Index(None, "month", "merchant"),
)

settlements = Table(
    "settlements",
    metadata,
    Column("merchant", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("closed_at", UtcTime, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("subsidy_fen", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # the canonical bytes that are signed
    Column("hash", Text, nullable=False),
    Column("previous", Text, nullable=False),  # the hash of this merchant's settlement before; 64 zeros: the first
    Column("key", Text, nullable=False),  # headquarters' public key then, hex
    Column("signature", Text, nullable=False),  # hex
)

# Up to where each merchant is closed. Whoever adds to a merchant's lines reads this under the merchant's lock.
settled_merchants = Table(
    "settled_merchants",
    metadata,
    Column("merchant", Text, primary_key=True),
    Column("closed_through", Text, nullable=False),
    Column("last_hash", Text, nullable=False),
)

subsidy_terms = Table(
    "subsidy_terms",
    metadata,
    Column("merchant", Text, primary_key=True),
    Column("offer", Text, primary_key=True),
    Column("first_day", Text, primary_key=True),
    Column("share_bp", Integer, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", UtcTime, nullable=False),
    CheckConstraint("share_bp BETWEEN 0 AND 10000", name="share"),
)

# Merchants whose open months are being counted anew since their terms were changed; the row goes with the last step.
recounts = Table(
    "recounts",
    metadata,
    Column("merchant", Text, primary_key=True),
    Column("since", UtcTime, nullable=False),
)

_FLAG = ("terminal", "sequence", "code")

# What was decided on a finding; a later decision takes the place of an earlier one, the audit log keeps both.
decisions = Table(
    "decisions",
    metadata,
    Column("terminal", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    ForeignKeyConstraint(_FLAG, ["flags.terminal", "flags.sequence", "flags.code"], name="fk_decisions_flag"),
    CheckConstraint("decision IN ('accepted', 'charged', 'dismissed')", name="decision"),
)

# What a decision takes from a merchant, and gives back when the decision changes or the sale is voided.
charges = Table(
    "charges",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("terminal", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("redemption", Text),
    Column("follows_subsidy", Integer, nullable=False),  # 1: no more than the subsidy that is still paid for the sale
    Column("merchant", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("offer", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),  # what it adds to what is owed: negative for a charge
    Column("noted_at", UtcTime, nullable=False),
    Index(None, "terminal", "sequence", "code"),
    Index(None, "redemption"),
    Index(None, "merchant", "month"),
)

complaints = Table(
    "complaints",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("merchant", Text, nullable=False),
    Column("terminal", Text, nullable=False),  # empty: none named
    Column("day", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("outcome", Text, nullable=False),  # empty: still open
    Column("noted_by", Text, nullable=False),
    Column("noted_at", UtcTime, nullable=False),
    Index(None, "merchant", "day"),
)

day_statements = Table(
    "day_statements",
    metadata,
    Column("terminal", Text, ForeignKey("terminals.id"), primary_key=True),
    Column("day", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("closed_at", UtcTime, nullable=False),  # the counter's clock
    Column("closed_by", Text, nullable=False),  # empty: by itself
    Column("received_at", UtcTime, nullable=False),
    Column("statement", Text, nullable=False),  # as sent, JSON
    Column("differences", Integer, nullable=False),  # how many, when it came
    Index(None, "day", "terminal"),
)

__all__ = ["metadata"]

"""Settlements, conflicts settled, complaints and day statements; the steps of what is there already."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BEIJING = timezone(timedelta(hours=8))  # the calendar of every day since 1992
ROWS_AT_ONCE = 1000


def _texts(*names: str, key: bool = False) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, primary_key=key, nullable=False) for name in names)


def _numbers(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger, nullable=False) for name in names)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False, nullable=False)


def _counted_id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    steps, lines = _create_steps(), _create_lines()
    _create_settlements()
    _create_decisions()
    _create_reports()
    _fill(steps, lines)


def _create_steps() -> sa.Table:
    made = op.create_table(
        "settlement_steps",
        *_texts("redemption", key=True),
        _sequence(),
        *_texts("terminal", "kind", "merchant", "offer", "business_day", "day", "month"),
        _moment("arrived_at"),
        *_numbers("units", "list_fen", "pay_fen", "saving_fen", "kept_fen"),
        _whole("share_bp"),
        *_numbers("subsidy_fen"),
        sa.CheckConstraint("kind IN ('completed', 'voided')", name="kind"),
    )
    op.create_index("ix_settlement_steps_merchant_month", "settlement_steps", ["merchant", "month"])
    op.create_index("ix_settlement_steps_terminal_business_day", "settlement_steps", ["terminal", "business_day"])
    return made


def _create_lines() -> sa.Table:
    made = op.create_table(
        "settlement_lines",
        *_texts("merchant", "month", "day", "kind", "offer", key=True),
        sa.Column("share_bp", sa.Integer, primary_key=True, autoincrement=False, nullable=False),
        *_numbers("steps", "units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen"),
        sa.CheckConstraint("kind IN ('completed', 'voided', 'charge')", name="kind"),
    )
    op.create_index("ix_settlement_lines_month_merchant", "settlement_lines", ["month", "merchant"])
    return made


def _create_settlements() -> None:
    op.create_table(
        "settlements",
        *_texts("merchant", "month", key=True),
        _moment("closed_at"),
        *_texts("closed_by"),
        *_numbers("steps", "subsidy_fen"),
        sa.Column("document", sa.LargeBinary, nullable=False),
        *_texts("hash", "previous", "key", "signature"),
    )
    op.create_table("settled_merchants", *_texts("merchant", key=True), *_texts("closed_through", "last_hash"))
    op.create_table(
        "subsidy_terms",
        *_texts("merchant", "offer", "first_day", key=True),
        _whole("share_bp"),
        *_texts("set_by"),
        _moment("set_at"),
        sa.CheckConstraint("share_bp BETWEEN 0 AND 10000", name="share"),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        *_texts("terminal", key=True),
        _sequence(),
        *_texts("code", key=True),
        *_texts("decision", "note", "decided_by"),
        _moment("decided_at"),
        sa.ForeignKeyConstraint(
            ["terminal", "sequence", "code"],
            ["flags.terminal", "flags.sequence", "flags.code"],
            name="fk_decisions_flag",
        ),
        sa.CheckConstraint("decision IN ('accepted', 'charged', 'dismissed')", name="decision"),
    )
    op.create_table(
        "charges",
        _counted_id(),
        *_texts("terminal"),
        *_numbers("sequence"),
        *_texts("code"),
        sa.Column("redemption", sa.Text),
        _whole("follows_subsidy"),
        *_texts("merchant", "month", "offer", "day"),
        *_numbers("amount_fen"),
        _moment("noted_at"),
    )
    op.create_index("ix_charges_terminal_sequence_code", "charges", ["terminal", "sequence", "code"])
    op.create_index("ix_charges_redemption", "charges", ["redemption"])
    op.create_index("ix_charges_merchant_month", "charges", ["merchant", "month"])


def _create_reports() -> None:
    op.create_table(
        "complaints",
        _counted_id(),
        *_texts("merchant", "terminal", "day", "text", "outcome", "noted_by"),
        _moment("noted_at"),
    )
    op.create_index("ix_complaints_merchant_day", "complaints", ["merchant", "day"])
    op.create_table(
        "day_statements",
        sa.Column("terminal", sa.Text, sa.ForeignKey("terminals.id"), primary_key=True, nullable=False),
        *_texts("day", key=True),
        _sequence(),
        *_texts("hash"),
        _moment("closed_at"),
        *_texts("closed_by"),
        _moment("received_at"),
        *_texts("statement"),
        _whole("differences"),
    )
    op.create_index("ix_day_statements_day_terminal", "day_statements", ["day", "terminal"])


def _fill(steps: sa.Table, lines: sa.Table) -> None:
    """What the redemptions of before come to: a completion, and one void for all that was taken back of it."""
    connection = op.get_bind()
    redemptions = sa.Table("redemptions", sa.MetaData(), autoload_with=connection)
    after = ""
    while True:
        found = connection.execute(
            sa.select(redemptions)
            .where(redemptions.c.id > after, redemptions.c.state.in_(("completed", "voided")))
            .order_by(redemptions.c.id)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not found:
            break
        after = found[-1].id
        connection.execute(sa.insert(steps), [row for each in found for row in _steps_of(each)])
    names = ("merchant", "month", "day", "kind", "offer", "share_bp")
    sums = ("units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")
    keys = [steps.c[name] for name in names]
    added = sa.select(*keys, sa.func.count(), *(sa.func.sum(steps.c[name]) for name in sums)).group_by(*keys)
    connection.execute(sa.insert(lines).from_select([*names, "steps", *sums], added))


def _steps_of(redemption: Any) -> list[dict[str, Any]]:
    record = json.loads(redemption.record)
    arrived = redemption.arrived_at
    arrival_day = (arrived if arrived.tzinfo else arrived.replace(tzinfo=UTC)).astimezone(BEIJING).date()
    day = arrival_day.isoformat()
    with contextlib.suppress(ValueError):  # a terminal's day may be in no calendar
        day = min(date.fromisoformat(redemption.business_day).isoformat(), day)
    amounts = (fee.get("amount_fen") for fee in record["fees"])
    fees = sum(amount for amount in amounts if type(amount) is int and amount >= 0)
    saving = max(0, redemption.list_fen + fees - redemption.pay_fen)
    row = {
        "redemption": redemption.id,
        "sequence": redemption.sequence,  # of the authorisation: the completion's own is not kept in a redemption
        "terminal": redemption.terminal,
        "kind": "completed",
        "merchant": redemption.merchant,
        "offer": redemption.offer,
        "business_day": redemption.business_day,
        "day": day,
        "month": day[:7],
        "arrived_at": arrived,
        "units": redemption.units,
        "list_fen": redemption.list_fen,
        "pay_fen": redemption.pay_fen,
        "saving_fen": saving,
        "kept_fen": saving,
        "share_bp": 0,
        "subsidy_fen": 0,
    }
    if not redemption.voided_units:
        return [row]
    back_fees = fees * redemption.voided_units // redemption.units
    kept = max(
        0,
        (redemption.list_fen - redemption.voided_list_fen)
        + (fees - back_fees)
        - (redemption.pay_fen - redemption.voided_pay_fen),
    )
    void = row | {
        "sequence": record["last_sequence"],
        "kind": "voided",
        "units": -redemption.voided_units,
        "list_fen": -redemption.voided_list_fen,
        "pay_fen": -redemption.voided_pay_fen,
        "saving_fen": kept - saving,
        "kept_fen": kept,
    }
    return [row, void]

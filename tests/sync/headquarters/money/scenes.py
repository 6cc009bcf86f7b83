"""Ledgers pushed straight into the database, the settlement's judge at work, and what must always be true then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select

from sync.headquarters.ingest import ingest
from sync.headquarters.money.document import Line
from sync.headquarters.money.record import settle
from sync.headquarters.money.settlement import settlement, unsound
from sync.headquarters.money.steps import share_of
from sync.headquarters.money.tables import charges, settlement_lines, settlement_steps
from sync.headquarters.storage import Storage
from sync.headquarters.tables import redemptions
from sync.signing import DeviceKey
from terminal.ledger.project import RedemptionState
from terminal.serving.people import Person, Role
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger

KEY = DeviceKey.from_private(bytes(range(32)))
FINANCE = Person("f01", "财务", Role.FINANCE)
SOLD_STATES = (RedemptionState.COMPLETED.value, RedemptionState.VOIDED.value)


def moment(day: str, hour: int = 4) -> datetime:
    """An hour (UTC) of a day; 4 is noon in Shanghai."""
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)


def arrive(storage: Storage, ledger: WrittenLedger, now: datetime, first: int = 1, last: int | None = None) -> None:
    """Push entries of a ledger as they would come in at `now`."""
    with storage.write() as connection:
        ingest(connection, ledger.batch(first, last), now=now, judges=(settle,))


def lines_of(storage: Storage, month: str, merchant: str = MERCHANT) -> list[Line]:
    with storage.read() as connection:
        return settlement(connection, merchant, month).lines


def every_line(storage: Storage) -> Sequence[tuple[int, int, int, int, int]]:
    """Units, list, pay, saving and subsidy over all months and merchants but charges."""
    names = ("units", "list_fen", "pay_fen", "saving_fen", "subsidy_fen")
    sums = [func.coalesce(func.sum(settlement_lines.c[name]), 0) for name in names]
    with storage.read() as connection:
        row = connection.execute(select(*sums).where(settlement_lines.c.kind != "charge")).one()
    return [tuple(int(each) for each in row)]  # type: ignore[list-item]


def assert_money_adds_up(storage: Storage, merchants: Sequence[str] = (MERCHANT,)) -> None:
    """Every step in one line of one month, every line the sum of its steps; together: what redemptions have left."""
    column = redemptions.c
    left = [
        func.coalesce(func.sum(column[name] - column[f"voided_{name}"]), 0) for name in ("units", "list_fen", "pay_fen")
    ]
    with storage.read() as connection:
        sold = column.state.in_(SOLD_STATES)
        units, list_fen, pay_fen = (int(each) for each in connection.execute(select(*left).where(sold)).one())
        latest = (
            select(settlement_steps.c.redemption, func.max(settlement_steps.c.sequence).label("sequence"))
            .group_by(settlement_steps.c.redemption)
            .subquery()
        )
        kept = connection.execute(
            select(settlement_steps.c.kept_fen, settlement_steps.c.share_bp).join(
                latest,
                (settlement_steps.c.redemption == latest.c.redemption)
                & (settlement_steps.c.sequence == latest.c.sequence),
            )
        ).all()
        for merchant in merchants:
            assert unsound(connection, merchant, {KEY.public.hex()}) == []
        charged = connection.scalar(select(func.coalesce(func.sum(charges.c.amount_fen), 0)))
        in_lines = connection.scalar(
            select(func.coalesce(func.sum(settlement_lines.c.subsidy_fen), 0)).where(
                settlement_lines.c.kind == "charge"
            )
        )
    saving = sum(each.kept_fen for each in kept)
    subsidy = sum(share_of(each.kept_fen, each.share_bp) for each in kept)
    assert every_line(storage) == [(units, list_fen, pay_fen, saving, subsidy)]
    assert int(charged or 0) == int(in_lines or 0)

"""Totals from settlement's lines are those of the sales, whatever was sold, voided, late or wrongly dated."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import case, event, func, select

from sync.headquarters.money.settlement import close
from sync.headquarters.reports import MerchantTotal, totals
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import redemptions
from terminal.ledger.entry import EntryKind
from terminal.ledger.project import RedemptionState
from tests.sync.headquarters.money.scenes import FINANCE, KEY, arrive, moment
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger, known_ledger

MERCHANTS: Final = (MERCHANT, "别家", "only-cancels")
FIRST: Final = date(2026, 1, 10)
DAYS: Final = 60  # of sales, over two months; some come weeks later, some of a clock that runs ahead
SALES: Final = 120
PERIODS: Final = ((0, 0), (0, 10), (15, 25), (31, 50), (59, 59), (-30, 200))


def by_the_sales(storage: Storage, first: date, last: date) -> list[MerchantTotal]:
    """The same, added up over every sale."""
    column = redemptions.c
    completed = column.state == RedemptionState.COMPLETED.value

    def kept(amount: str) -> Any:
        return func.sum(case((completed, column[amount] - column[f"voided_{amount}"]), else_=0))

    query = (
        select(
            column.merchant,
            func.sum(case((completed, 1), else_=0)),
            func.sum(case((column.state == RedemptionState.AUTHORISED.value, 1), else_=0)),
            *(kept(name) for name in ("units", "list_fen", "pay_fen")),
        )
        .where(column.state != RedemptionState.CANCELLED.value)
        .where(column.business_day.between(first.isoformat(), last.isoformat()))
        .group_by(column.merchant)
        .order_by(column.merchant)
    )
    with storage.read() as connection:
        rows = [(merchant, *map(int, numbers)) for merchant, *numbers in connection.execute(query)]
    return [
        MerchantTotal(merchant, count, begun, units, listed, pay, listed - pay)
        for merchant, count, begun, units, listed, pay in rows
    ]


def _sell(ledger: WrittenLedger, chance: random.Random, number: int, day: date) -> None:
    """A sale of `day` and, at random, what followed it; in every order that a till can be in when its line breaks."""
    merchant = MERCHANTS[0] if number % 10 else MERCHANTS[1]
    pay_fen = chance.choice((2000, 2000, 2300))
    fees = [{"kind": "card", "amount_fen": pay_fen - 2000}]
    ledger.authorise(number, merchant=merchant, business_day=day.isoformat(), fees=fees, pay_fen=pay_fen)
    if chance.random() < 0.85:
        ledger.complete(number)
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            body = {"reason": "mistake", "units": 1, "list_fen": 4000, "pay_fen": pay_fen // 2, "gives_back": []}
            ledger.write(EntryKind.VOIDED, number, body)
    elif chance.random() < 0.5:
        ledger.cancel(number)


@pytest.mark.parametrize("seed", range(3))
def test_totals_are_those_of_the_sales(storage: Storage, seed: int) -> None:
    chance = random.Random(seed)
    ledgers = [known_ledger(storage, f"bj-000{number}") for number in range(3)]
    sent = [0, 0, 0]
    ledgers[0].authorise(9000, merchant=MERCHANTS[2], business_day=FIRST.isoformat())
    ledgers[0].cancel(9000)
    closed = False
    for number in range(1, SALES + 1):
        today = FIRST + timedelta(days=DAYS * number // SALES)
        at = chance.randrange(3)
        ahead = chance.choice((0, 0, 0, 0, 1, 40)) if at == 2 else 0
        _sell(ledgers[at], chance, number, today + timedelta(days=ahead))
        now = moment(today.isoformat())
        if chance.random() < (0.02 if at == 1 else 0.2):  # the second till is away for weeks
            arrive(storage, ledgers[at], now, sent[at] + 1)
            sent[at] = len(ledgers[at].messages)
        if not closed and today.isoformat() >= "2026-02-02":
            closed = True
            with storage.write() as connection:
                close(connection, MERCHANT, "2026-01", FINANCE, KEY, now=now)
    for each, ledger in enumerate(ledgers):
        if sent[each] < len(ledger.messages):
            arrive(storage, ledger, moment("2026-03-20"), sent[each] + 1)
    for begin, end in PERIODS:
        first, last = FIRST + timedelta(days=begin), FIRST + timedelta(days=end)
        with storage.read() as connection:
            found = totals(connection, first, last)
        assert found == by_the_sales(storage, first, last)
    assert {each.merchant for each in found} == set(MERCHANTS[:2])


def test_no_sale_is_read_for_the_totals(tmp_path: Path) -> None:
    """Every statement looks at lines, or at an index of few sales or steps."""
    storage = open_storage("", tmp_path)
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        plans.append(str(cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()))

    with storage.read() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        totals(connection, FIRST, FIRST)
    storage.close()
    assert len(plans) == 4
    for index in ("ix_redemptions_voided", "ix_redemptions_open", "ix_settlement_steps_moved", "settlement_lines"):
        assert sum(index in plan for plan in plans) == 1, plans

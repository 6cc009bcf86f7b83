"""Closing a day: what it says, when it closes itself, and that it survives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from terminal.ledger.ledger import Ledger
from terminal.reports import day_close
from terminal.reports.day_close import ClosedOffer, DayAhead, DayCloses, DayNotClosed
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale
from tests.fakes.till import FIRST_EVENING

DAY = date(2012, 12, 25)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(FIRST_EVENING)


@pytest.fixture
def ledger(tmp_path: Path, clock: SteppedClock) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "ledger.sqlite", "t01", clock)
    yield opened
    opened.close()


@pytest.fixture
def closes(tmp_path: Path, ledger: Ledger, clock: SteppedClock) -> DayCloses:
    return DayCloses(tmp_path / "day-closes.json", ledger, clock.wall)


def sell(ledger: Ledger, day: date = DAY) -> str:
    asked = sale(ledger.last_sequence() + 1, business_day=day.isoformat(), claims=())
    ledger.authorise(asked)
    ledger.complete(asked.id, "c01")
    return asked.id


def test_a_day_says_what_was_sold_and_voided_up_to_an_entry(ledger: Ledger, closes: DayCloses) -> None:
    sold = sell(ledger)
    ledger.void(sold, "m01", "mistake", 1)
    ledger.authorise(sale(99, business_day=DAY.isoformat(), claims=()))
    redemption = ledger.redemption(sold)
    assert redemption is not None
    closed = closes.close(DAY, "m01")
    assert (closed.sequence, closed.hash, closed.unsettled) == (4, ledger.last_hash(), 1)
    assert closed.offers == (
        ClosedOffer(
            redemption.offer,
            1,
            redemption.units,
            redemption.list_fen,
            redemption.pay_fen,
            1,
            redemption.voided_list_fen,
            redemption.voided_pay_fen,
        ),
    )


def test_closing_again_changes_nothing_until_something_came(ledger: Ledger, closes: DayCloses) -> None:
    sell(ledger)
    first = closes.close(DAY, "m01")
    closes.mark_sent(first)
    again = closes.close(DAY, "m02")
    assert (again.closed_by, again.sent) == ("m01", True)
    sell(ledger)
    assert closes.close(DAY, "m02").sales == 2
    assert [each.sent for each in closes.all()] == [True, False]


def test_a_day_that_has_not_come_is_not_closed(closes: DayCloses) -> None:
    with pytest.raises(DayAhead):
        closes.close(DAY + timedelta(days=1), "m01")


def test_days_that_nobody_closed_close_themselves(ledger: Ledger, closes: DayCloses, clock: SteppedClock) -> None:
    sell(ledger, DAY - timedelta(days=3))
    sell(ledger)
    (closed,) = closes.close_overdue()
    assert (closed.day, closed.closed_by) == ("2012-12-22", "")
    clock.now += timedelta(days=1)
    assert [each.day for each in closes.close_overdue()] == ["2012-12-25"]
    assert closes.close_overdue() == []


def test_a_day_sold_on_after_its_closing_closes_once_more(
    ledger: Ledger, closes: DayCloses, clock: SteppedClock
) -> None:
    sell(ledger)
    closes.close(DAY, "m01")
    sell(ledger)
    clock.now += timedelta(days=1)
    (again,) = closes.close_overdue()
    assert (again.sales, again.closed_by) == (2, "")


def test_what_is_unpaid_at_midnight_is_waited_for(ledger: Ledger, closes: DayCloses, clock: SteppedClock) -> None:
    ledger.authorise(sale(99, business_day=DAY.isoformat(), claims=()))
    clock.now = FIRST_EVENING.replace(hour=17)  # 01:00 in Beijing
    assert closes.close_overdue() == []
    clock.now = FIRST_EVENING.replace(hour=22)  # 06:00
    assert [each.unsettled for each in closes.close_overdue()] == [1]


def test_statements_outlive_the_daemon_and_are_bounded(
    tmp_path: Path, ledger: Ledger, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_close, "KEPT_MAX", 2)
    path = tmp_path / "day-closes.json"
    for back in (3, 2, 1):
        sell(ledger, DAY - timedelta(days=back))
    DayCloses(path, ledger, clock.wall).close_overdue()
    again = DayCloses(path, ledger, clock.wall)
    assert [each.day for each in again.all()] == ["2012-12-23", "2012-12-24"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_said(tmp_path: Path, ledger: Ledger, clock: SteppedClock) -> None:
    path = tmp_path / "day-closes.json"
    path.write_text('[{"day": 1}]')
    with pytest.raises(DayNotClosed):
        DayCloses(path, ledger, clock.wall).all()


def test_a_till_too_busy_to_be_counted_is_said(
    tmp_path: Path, ledger: Ledger, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = iter(range(1000))
    monkeypatch.setattr(ledger, "last_sequence", lambda: next(sequences))
    with pytest.raises(DayNotClosed):
        DayCloses(tmp_path / "day-closes.json", ledger, clock.wall).close(DAY, "m01")

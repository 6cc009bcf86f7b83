from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Words
from config.zone import SHANGHAI
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption, RedemptionState
from terminal.reports.daily import DailyReport, Sums, daily
from tests.fakes.clock import SteppedClock
from tests.fakes.redemptions import redemption
from tests.fakes.sales import sale

DAY = "2012-12-25"
CARD_FEE: tuple[dict[str, Any], ...] = ({"name": "base-card", "amount_fen": 300},)


@st.composite
def any_redemption(draw: st.DrawFn, sequence: int) -> Redemption:
    state = draw(st.sampled_from(list(RedemptionState)))
    units = draw(st.integers(1, 5))
    list_fen = draw(st.integers(0, 100_000))
    fee_fen = draw(st.sampled_from([0, 300, 1]))
    hour, minute = draw(st.integers(0, 23)), draw(st.integers(0, 59))
    return redemption(
        sequence,
        state,
        business_day=draw(st.sampled_from([DAY, DAY, DAY, "2012-12-26"])),
        cashier=draw(st.sampled_from(["c01", "c02", "m01"])),
        offer=draw(st.sampled_from(["winter-film", "laundry", "haircut"])),
        authorised_at=f"2012-12-25T{hour:02d}:{minute:02d}:00.000Z",
        units=units,
        list_fen=list_fen,
        pay_fen=draw(st.integers(0, list_fen)) + fee_fen,
        fees=({"name": "base-card", "amount_fen": fee_fen},),
        voided_units=draw(st.integers(0, units - 1)) if state is RedemptionState.COMPLETED else 0,
    )


@st.composite
def any_day(draw: st.DrawFn) -> list[Redemption]:
    count = draw(st.integers(0, 25))
    return draw(st.permutations([draw(any_redemption(sequence)) for sequence in range(1, count + 1)]))


def added(parts: Iterator[Sums]) -> Sums:
    return sum(parts, start=Sums())


@given(redemptions=any_day())
def test_every_breakdown_adds_up_to_the_total(redemptions: list[Redemption]) -> None:
    report = daily(redemptions, DAY)
    assert added(row.sums for row in report.offers) == report.total
    assert added(row.sums for row in report.cashiers) == report.total
    assert added(row.sums for row in report.hours) == report.total
    assert added(row.counted for row in report.redemptions) == report.total
    assert added(row.voided for row in report.redemptions) == report.voided
    assert sum(report.states.values()) == len(report.redemptions)


@given(redemptions=any_day())
def test_total_is_what_was_completed_less_what_was_voided(redemptions: list[Redemption]) -> None:
    done = [
        each
        for each in redemptions
        if each.business_day == DAY and each.state in (RedemptionState.COMPLETED, RedemptionState.VOIDED)
    ]
    total = daily(redemptions, DAY).total
    assert total.sales == sum(each.state is RedemptionState.COMPLETED for each in done)
    assert total.units == sum(each.units - each.voided_units for each in done)
    assert total.list_fen == sum(each.list_fen - each.voided_list_fen for each in done)
    assert total.pay_fen == sum(each.pay_fen - each.voided_pay_fen for each in done)


@given(redemptions=any_day())
def test_no_sum_that_counts_is_ever_negative(redemptions: list[Redemption]) -> None:
    report = daily(redemptions, DAY)
    for sums in (report.total, *(row.counted for row in report.redemptions)):
        assert min(sums.sales, sums.units, sums.list_fen, sums.pay_fen, sums.fees_fen, sums.saving_fen) >= 0


@given(redemptions=any_day())
def test_report_does_not_depend_on_the_order_given(redemptions: list[Redemption]) -> None:
    assert daily(redemptions, DAY) == daily(reversed(redemptions), DAY)


def test_completed_sale_counts_tickets_value_price_and_saving() -> None:
    report = daily([redemption()], DAY)
    assert report.total == Sums(sales=1, units=2, list_fen=16_000, pay_fen=2_000, fees_fen=0)
    assert report.total.saving_fen == 14_000


@pytest.mark.parametrize("state", [RedemptionState.AUTHORISED, RedemptionState.CANCELLED, RedemptionState.VOIDED])
def test_what_was_not_sold_in_the_end_comes_to_nothing_and_is_shown(state: RedemptionState) -> None:
    report = daily([redemption(state=state)], DAY)
    assert report.total == Sums()
    assert report.states[state] == 1
    assert [row.state for row in report.redemptions] == [state]
    assert report.redemptions[0].sold.pay_fen == 2_000


def test_fee_is_taken_on_the_pos_and_is_no_negative_saving() -> None:
    report = daily([redemption(units=1, list_fen=20_000, pay_fen=10_300, fees=CARD_FEE)], DAY)
    assert (report.total.pay_fen, report.total.fees_fen, report.total.saving_fen) == (10_300, 300, 10_000)


def test_sale_voided_in_part_counts_with_what_is_left_and_stands_among_the_voids() -> None:
    report = daily([redemption(voided_units=1, reason="客人退一张", settled_by="m01")], DAY, {"m01": "王经理"})
    assert report.total == Sums(sales=1, units=1, list_fen=8_000, pay_fen=1_000)
    assert report.voided == Sums(sales=0, units=1, list_fen=8_000, pay_fen=1_000)
    assert [(row.reason, row.settled_by, row.voided.units) for row in report.voids] == [("客人退一张", "王经理", 1)]


def test_voids_and_unsettled_hold_only_their_own() -> None:
    states = list(RedemptionState)
    report = daily([redemption(number, state) for number, state in enumerate(states, start=1)], DAY)
    assert [row.state for row in report.voids] == [RedemptionState.VOIDED]
    assert [row.state for row in report.unsettled] == [RedemptionState.AUTHORISED]
    assert report.states == dict.fromkeys(states, 1)


def test_typed_numbers_and_fallbacks_are_shown_with_who_approved_them() -> None:
    ways = [("manual", "m01"), ("fallback", None), ("stripe", None), ("contact", None)]
    sold = [redemption(n, entry_mode=mode, approved_by=who) for n, (mode, who) in enumerate(ways, start=1)]
    report = daily(sold, DAY, {"m01": "王经理"})
    assert [(row.entry_mode, row.approved_by) for row in report.without_chip] == [
        ("manual", "王经理"),
        ("fallback", None),
    ]
    assert report.total.sales == 4, "they count like all others"


def test_redemption_belongs_to_its_business_day_whatever_its_instant_says() -> None:
    late = redemption(1, authorised_at="2012-12-25T16:05:00.000Z")  # 00:05 on the 26th in Beijing
    other = redemption(2, business_day="2012-12-26")
    report = daily([late, other], DAY)
    assert [row.sequence for row in report.redemptions] == [1]
    assert report.hours[0].sums.sales == 1


@pytest.mark.parametrize(
    ("instant", "hour"),
    [("2012-12-25T15:59:59.999Z", 23), ("2012-12-25T16:00:00.000Z", 0), ("2012-12-25T02:30:00Z", 10)],
)
def test_hours_are_those_of_beijing(instant: str, hour: int) -> None:
    report = daily([redemption(authorised_at=instant)], DAY)
    assert [row.hour for row in report.hours] == list(range(24))
    assert [row.hour for row in report.hours if row.sums.sales] == [hour]
    assert report.redemptions[0].at == datetime.fromisoformat(instant).astimezone(SHANGHAI)


def test_offer_has_the_name_its_newest_sale_carries() -> None:
    renamed = {"zh": "冬季电影", "en": "Winter cinema"}
    report = daily([redemption(2, offer_name=renamed), redemption(1)], DAY)
    assert [row.name for row in report.offers] == [Words("冬季电影", "Winter cinema")]


def test_cashiers_are_named_where_a_name_is_known() -> None:
    report = daily([redemption(1, cashier="c01"), redemption(2, cashier="c02")], DAY, {"c01": "张三"})
    assert [(row.cashier, row.name) for row in report.cashiers] == [("c01", "张三"), ("c02", "c02")]


def test_day_without_sales_has_24_empty_hours_and_nothing_else() -> None:
    report = daily([], DAY)
    assert report == DailyReport(DAY, Sums(), Sums(), dict.fromkeys(RedemptionState, 0), (), (), report.hours, ())
    assert [row.sums for row in report.hours] == [Sums()] * 24


def test_report_of_a_real_ledger_counts_what_its_steps_left(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db", "T1", SteppedClock())
    try:
        kept, partly, whole, cancelled, _ = (ledger.authorise(sale(number)) for number in range(1, 6))
        for each in (kept, partly, whole):
            ledger.complete(each.id, "c01", "012345678901")
        ledger.void(partly.id, "m01", "退一张", 1)
        ledger.void(whole.id, "m01", "刷错卡", None)
        ledger.cancel(cancelled.id, "c01", "不要了")
        report = daily(ledger.redemptions(DAY), DAY)
    finally:
        ledger.close()
    assert report.total == Sums(sales=2, units=3, list_fen=24_000, pay_fen=3_000)
    assert report.voided == Sums(sales=1, units=3, list_fen=24_000, pay_fen=3_000)
    assert {state.value: count for state, count in report.states.items()} == {
        "authorised": 1,
        "completed": 2,
        "cancelled": 1,
        "voided": 1,
    }
    assert [row.reason for row in report.voids] == ["退一张", "刷错卡"]

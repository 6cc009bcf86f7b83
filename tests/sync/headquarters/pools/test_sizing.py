"""How large slices are: never more than there is, shrinking with the pool, enough for some hours where it is rich."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync.headquarters.pools.sizing import (
    AUTONOMY_H,
    LIFE_S_LAST,
    LIFE_S_PLENTY,
    RESERVE,
    SLICED_SHARE,
    PoolState,
    SliceState,
    decide,
    faded,
    life_s,
    rate_of,
)

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)


@st.composite
def pools(draw: st.DrawFn) -> PoolState:
    most = draw(st.integers(1, 20_000))
    allotted = draw(st.integers(0, most))
    used = draw(st.integers(0, allotted))
    terminals = draw(st.integers(0, 5_000))
    return PoolState(most, allotted, draw(st.integers(0, 3)), used, draw(st.floats(0, 10_000)), terminals)


slices = st.builds(SliceState, st.integers(0, 20_000), st.floats(0, 5_000), st.integers(0, 10))


@given(pools(), slices)
def test_a_decision_stays_within_what_is_free_and_what_is_unspent(pool: PoolState, at: SliceState) -> None:
    decision = decide(pool, at)
    assert 0 <= decision.grow <= pool.free
    assert 0 <= decision.recall <= at.unspent
    assert decision.grow == 0 or decision.recall == 0
    assert 0 <= decision.target <= pool.left * SLICED_SHARE


@given(pools(), slices)
def test_what_was_granted_is_not_called_back_in_the_next_breath(pool: PoolState, at: SliceState) -> None:
    """Unless it was granted because a sale had just been refused: that hint is of the moment."""
    quiet = replace(at, wanted=0)
    first = decide(pool, quiet)
    after = replace(pool, allotted=pool.allotted + first.grow)
    assert decide(after, replace(quiet, unspent=quiet.unspent + first.grow)).recall == 0 or first.grow == 0


@given(pools(), slices, st.integers(0, 20_000))
def test_slices_shrink_as_the_pool_runs_down(pool: PoolState, at: SliceState, sold: int) -> None:
    later = PoolState(
        pool.max, pool.allotted, pool.excess, min(pool.max, pool.used + sold), pool.recent, pool.terminals
    )
    assert decide(later, at).target <= decide(pool, at).target
    assert life_s(later) <= life_s(pool)


def test_a_quiet_terminal_is_not_left_without_where_the_pool_is_rich() -> None:
    quiet = SliceState(0, recent=0.0)
    assert decide(PoolState(20_000, 0, 0, 0, recent=0.0, terminals=1), quiet).grow == RESERVE
    assert decide(PoolState(20_000, 0, 0, 0, recent=0.0, terminals=5_000), quiet).grow == 2, "its part of the half"
    assert decide(PoolState(20_000, 0, 0, 19_990, recent=0.0, terminals=50), quiet).target == 0, "the last go by holds"


def test_a_busy_terminal_can_sell_for_hours_without_a_line() -> None:
    pool = PoolState(20_000, 1_000, 0, 500, recent=300.0, terminals=60)
    busy = SliceState(0, recent=30.0)
    assert decide(pool, busy).grow >= rate_of(30.0) * AUTONOMY_H


def test_a_terminal_that_sells_nothing_gives_back_when_others_are_short() -> None:
    idle = SliceState(40, recent=0.0)
    assert decide(PoolState(1_000, 990, 0, 800, recent=100.0, terminals=60), idle).recall > 30


def test_the_last_ticket_lies_at_headquarters() -> None:
    """Where a hold finds it, for whoever has the next buyer."""
    assert decide(PoolState(100, 100, 0, 99, recent=50.0, terminals=60), SliceState(1, recent=10.0)).recall == 1


def test_sales_fade_by_half_in_two_hours_and_a_clock_that_goes_back_fades_nothing() -> None:
    assert faded(8.0, NOON, NOON + timedelta(hours=2)) == 4.0
    assert faded(8.0, NOON, NOON - timedelta(hours=2)) == 8.0
    assert faded(8.0, NOON, NOON + timedelta(days=36_500)) < 1e-300


def test_leases_live_for_days_and_near_the_end_for_hours() -> None:
    assert life_s(PoolState(100, 0, 0, 0, 0.0, 1)) == LIFE_S_PLENTY
    assert life_s(PoolState(100, 100, 0, 99, 0.0, 1)) == LIFE_S_LAST

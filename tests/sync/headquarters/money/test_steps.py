"""Shares to the fen, and the month that a step counts in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.headquarters.money.months import effective_day, following, is_month, month_of, month_to_count_in, preceding
from sync.headquarters.money.steps import WHOLE_BP, Terms, share_of, share_on, subsidy_of

FEN = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("amount", "bp", "share"),
    [(6000, 5000, 3000), (3, 5000, 2), (1, 4999, 0), (1, 5000, 1), (0, 10_000, 0), (7, 10_000, 7), (7, 0, 0)],
)
def test_a_share_is_rounded_half_up(amount: int, bp: int, share: int) -> None:
    assert share_of(amount, bp) == share


@given(st.lists(FEN, min_size=1, max_size=8), st.integers(0, WHOLE_BP))
def test_steps_together_come_to_the_share_of_what_is_left(kept: list[int], bp: int) -> None:
    before, total = 0, 0
    for each in kept:
        total += subsidy_of(each, each - before, bp)
        before = each
    assert total == share_of(kept[-1], bp)
    assert total + subsidy_of(0, -before, bp) == 0


def test_an_offer_s_own_terms_come_before_those_for_all() -> None:
    terms = [Terms("", "2026-01-01", 3000), Terms("film", "2026-02-01", 5000), Terms("", "2026-03-01", 1000)]
    assert share_on(terms, "film", "2025-12-31") == 0
    assert share_on(terms, "film", "2026-01-31") == 3000
    assert share_on(terms, "film", "2026-03-01") == 5000
    assert share_on(terms, "hair", "2026-03-01") == 1000


def test_months_follow_each_other() -> None:
    assert (following("2026-01"), following("2026-12"), following("2026-11")) == ("2026-02", "2027-01", "2026-12")
    assert (preceding("2026-01"), preceding("2026-12")) == ("2025-12", "2026-11")
    assert month_of(datetime(2026, 1, 31, 16, tzinfo=UTC)) == "2026-02"
    assert [is_month(each) for each in ("2026-01", "2026-13", "2026-1", "")] == [True, False, False, False]


NOW = datetime(2026, 3, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("business_day", "day"),
    [
        ("2026-03-05", "2026-03-05"),
        ("2026-01-31", "2026-01-31"),
        ("2026-03-06", "2026-03-05"),
        ("2099-01-01", "2026-03-05"),
        ("2026-02-30", "2026-03-05"),
        ("0000-13-99", "2026-03-05"),
    ],
)
def test_a_day_that_cannot_be_is_the_day_of_arrival(business_day: str, day: str) -> None:
    assert effective_day(business_day, NOW) == day


@pytest.mark.parametrize(
    ("day", "closed", "month"),
    [
        ("2026-03-05", None, "2026-03"),
        ("2026-01-31", None, "2026-01"),
        ("2026-01-31", "2025-12", "2026-01"),
        ("2026-01-31", "2026-01", "2026-03"),
        ("2026-01-31", "2026-02", "2026-03"),
        ("2026-01-31", "2026-03", "2026-04"),  # a clock at headquarters that went back: never into a closed month
    ],
)
def test_a_late_step_counts_when_it_arrives_and_never_in_a_closed_month(
    day: str, closed: str | None, month: str
) -> None:
    assert month_to_count_in(day, NOW, closed) == month

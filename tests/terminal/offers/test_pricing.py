"""Prices by hand, and what must hold for any price and any bill."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.prices import FixedUnit, FlatUpTo, Free, LowestListed, NthFree, PayPercent, Price, Step, Tiers
from terminal.offers.pricing import Basket, amount_fen, at_list, capped, price_lines
from terminal.offers.sale import SaleLine
from terminal.offers.values import AMOUNT_FEN_MAX


def line(list_fen: int, quantity: int = 1, **answers: str) -> SaleLine:
    return SaleLine("any", quantity, list_fen, answers)


def tiers(by: Literal["units", "list_fen"]) -> Tiers:
    """From 3 on 90 percent, from 5 on 80."""
    steps = (Step.model_validate({"from": 3, "pay_bp": 9000}), Step.model_validate({"from": 5, "pay_bp": 8000}))
    return Tiers(kind="tiers", by=by, steps=steps)


def pays(price: Price, *lines: SaleLine) -> list[int]:
    priced = price_lines(price, Basket(lines))
    assert priced is not None
    return [one.pay_fen for one in priced]


@pytest.mark.parametrize(
    ("price", "lines", "expected"),
    [
        (FixedUnit(kind="fixed_unit", unit_fen=1000), [line(8000, 2)], [2000]),
        (FixedUnit(kind="fixed_unit", unit_fen=1000), [line(999, 2), line(1000)], [1998, 1000]),
        (PayPercent(kind="pay_percent", pay_bp=7500), [line(100_00)], [75_00]),
        (PayPercent(kind="pay_percent", pay_bp=9700), [line(1234)], [1197]),  # 1196.98
        (PayPercent(kind="pay_percent", pay_bp=5000), [line(485)], [243]),  # 242.5 goes up, not to the even neighbour
        (PayPercent(kind="pay_percent", pay_bp=5000), [line(1), line(1)], [1, 1]),  # once per line
        (PayPercent(kind="pay_percent", pay_bp=5000), [line(1, 2)], [1]),
        (PayPercent(kind="pay_percent", pay_bp=1), [line(4999), line(5000)], [0, 1]),
        (Free(kind="free"), [line(500, 3), line(0)], [0, 0]),
        (LowestListed(kind="lowest_listed", attribute="low"), [line(8000, 2, low="3500")], [7000]),
        (LowestListed(kind="lowest_listed", attribute="low"), [line(3000, low="3500")], [3000]),
        (FlatUpTo(kind="flat_up_to", pay_fen=1000, covers_fen=3000), [line(900)] * 3, [334, 333, 333]),
        (FlatUpTo(kind="flat_up_to", pay_fen=1000, covers_fen=3000), [line(0), line(0)], [0, 0]),
        (tiers("units"), [line(100, 2), line(101)], [180, 91]),  # three units: 90 percent of each line, half up
        (tiers("units"), [line(1000, 4), line(1000)], [3200, 800]),
        (tiers("units"), [line(1000, 2)], [2000]),  # below the first step
        (tiers("list_fen"), [line(2), line(2)], [2, 2]),  # 1.8 rounds up, line by line
        (NthFree(kind="nth_free", every=3, over="sale"), [line(500, 2), line(300, 1)], [1000, 0]),
        (NthFree(kind="nth_free", every=3, over="sale"), [line(500, 2), line(300, 4)], [1000, 600]),
        (NthFree(kind="nth_free", every=3, over="sale"), [line(500, 2)], [1000]),
    ],
)  # fmt: skip
def test_price_by_hand(price: Price, lines: list[SaleLine], expected: list[int]) -> None:
    assert pays(price, *lines) == expected


@pytest.mark.parametrize("typed", [None, "", "-1", "35.00", "3 500", "１２", "1e3", "100000001", "9" * 5000])
def test_lowest_listed_price_without_a_readable_answer_is_no_price(typed: str | None) -> None:
    answers = {} if typed is None else {"low": typed}
    price = LowestListed(kind="lowest_listed", attribute="low")
    assert price_lines(price, Basket([line(100, low="50"), line(8000, **answers)])) is None


@pytest.mark.parametrize(("typed", "fen"), [("0", 0), ("007", 7), ("100000000", AMOUNT_FEN_MAX)])
def test_amount_is_read_in_fen(typed: str, fen: int) -> None:
    assert amount_fen(typed) == fen


@pytest.mark.parametrize(
    ("stamped", "units", "free"), [(0, 9, 0), (0, 10, 1), (9, 1, 1), (9, 11, 2), (10, 9, 0), (19, 1, 1), (5, 20, 2)]
)
def test_every_tenth_is_free_over_the_sales_of_one_person(stamped: int, units: int, free: int) -> None:
    (priced,) = (
        price_lines(NthFree(kind="nth_free", every=10, over="person"), Basket([line(700, units)], stamped)) or ()
    )
    assert priced.pay_fen == (units - free) * 700


@pytest.mark.parametrize(
    ("most", "expected"), [(None, [5000, 500]), (5500, [5000, 500]), (1100, [9000, 900]), (1, [9999, 1000])]
)
def test_saving_is_capped_and_the_excess_paid_in_proportion(most: int | None, expected: list[int]) -> None:
    half = price_lines(PayPercent(kind="pay_percent", pay_bp=5000), Basket([line(10_000), line(1000)])) or ()
    assert [one.pay_fen for one in capped(half, most)] == expected


fen = st.integers(0, AMOUNT_FEN_MAX)
prices: st.SearchStrategy[Price] = st.one_of(
    st.builds(FixedUnit, kind=st.just("fixed_unit"), unit_fen=fen),
    st.builds(PayPercent, kind=st.just("pay_percent"), pay_bp=st.integers(1, 9999)),
    st.just(Free(kind="free")),
    st.builds(FlatUpTo, kind=st.just("flat_up_to"), pay_fen=fen, covers_fen=fen),
    st.just(LowestListed(kind="lowest_listed", attribute="low")),
)
bills = st.lists(
    st.builds(lambda f, q, low: line(f, q, low=str(low)), fen, st.integers(1, 999), fen), min_size=1, max_size=50
)


@given(prices, bills)
def test_no_line_pays_more_than_list_or_less_than_nothing(price: Price, bill: list[SaleLine]) -> None:
    priced = price_lines(price, Basket(bill))
    assert priced is not None
    assert len(priced) == len(bill)
    for one, listed in zip(priced, at_list(bill), strict=True):
        assert 0 <= one.pay_fen <= one.list_fen == listed.list_fen == listed.pay_fen


@given(fen, fen, bills)
def test_parts_of_a_flat_price_are_the_whole(pay_fen: int, covers_fen: int, bill: list[SaleLine]) -> None:
    total = sum(one.quantity * one.list_fen for one in bill)
    covered = min(total, covers_fen)
    expected = min(pay_fen, covered) + total - covered
    assert sum(pays(FlatUpTo(kind="flat_up_to", pay_fen=pay_fen, covers_fen=covers_fen), *bill)) == expected

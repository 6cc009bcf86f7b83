"""New terms for many sales are counted in portions: exact after each, whatever arrives meanwhile, whoever stops it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select

from sync.headquarters.money import recounts
from sync.headquarters.money.desk import MoneyDesk
from sync.headquarters.money.errors import SettlementChanged
from sync.headquarters.money.recounts import finish_all, is_recounting, recounting
from sync.headquarters.money.settlement import close, settlement, unsound
from sync.headquarters.money.tables import settlement_steps
from sync.headquarters.money.terms import NewTerms, set_terms
from sync.headquarters.storage import Storage, open_storage
from tests.sync.headquarters.money.office import office, sign_in
from tests.sync.headquarters.money.scenes import FINANCE, KEY, arrive, assert_money_adds_up, lines_of, moment
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger, known_ledger

SALES: Final = 24
PORTION: Final = 5
NOW: Final = moment("2026-02-03")


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recounts, "PORTION_MAX", PORTION)
    monkeypatch.setattr(recounts, "PASS_MAX", 2 * PORTION)


@pytest.fixture
def sold(storage: Storage, ledger: WrittenLedger) -> WrittenLedger:
    """Sales of two offers over two months, some void in part."""
    _sell(storage, ledger, SALES)
    return ledger


def _sell(storage: Storage, ledger: WrittenLedger, count: int) -> None:
    chance = random.Random(3)
    for number in range(1, count + 1):
        day = f"2026-01-{1 + number:02d}" if number % 3 else "2026-02-02"
        ledger.authorise(number, business_day=day, offer=chance.choice(("film", "park")), pay_fen=2000 + number)
        ledger.complete(number)
        if number % 4 == 0:
            ledger.void(number, 1)
    arrive(storage, ledger, NOW)


def set_share(storage: Storage, share_bp: int, first_day: str = "2026-01-01") -> None:
    with storage.write() as connection:
        wanted = NewTerms(first_day=date.fromisoformat(first_day), share_bp=share_bp)
        set_terms(connection, MERCHANT, wanted, FINANCE, now=NOW)


def pending(storage: Storage) -> bool:
    with storage.read() as connection:
        return is_recounting(connection, MERCHANT)


def shares(storage: Storage) -> set[int]:
    with storage.read() as connection:
        return set(connection.scalars(select(settlement_steps.c.share_bp)))


def assert_sound(storage: Storage) -> None:
    with storage.read() as connection:
        assert unsound(connection, MERCHANT, {KEY.public.hex()}) == []


def test_each_portion_leaves_every_line_the_sum_of_its_steps(storage: Storage, sold: WrittenLedger) -> None:
    set_share(storage, 3333)
    assert (pending(storage), shares(storage)) == (True, {0})
    sizes = []
    for size in recounting(storage, MERCHANT):
        sizes.append(size)
        assert_sound(storage)
    assert max(sizes) == PORTION
    assert sum(sizes) >= SALES
    assert (pending(storage), shares(storage)) == (False, {3333})
    assert_money_adds_up(storage)
    for month in ("2026-01", "2026-02"):
        assert all(line.steps for line in lines_of(storage, month))


def test_what_arrives_between_portions_has_the_new_share(storage: Storage, sold: WrittenLedger) -> None:
    """New sales, and voids of sales that are not counted anew yet."""
    set_share(storage, 5000)
    number = SALES
    for _ in recounting(storage, MERCHANT):
        number += 1
        begin = sold.next_sequence
        sold.authorise(number, business_day="2026-02-02", offer="film")
        sold.complete(number)
        sold.void(number - SALES, 1)
        arrive(storage, sold, NOW, begin)
        assert_sound(storage)
    assert number > SALES + 3
    assert shares(storage) == {5000}
    assert_money_adds_up(storage)


def test_terms_that_change_again_meanwhile_hold_in_the_end(storage: Storage, sold: WrittenLedger) -> None:
    set_share(storage, 5000)
    at_work = recounting(storage, MERCHANT)
    next(at_work)
    set_share(storage, 2500)
    set_share(storage, 100, "2026-02-01")
    for _ in at_work:
        assert_sound(storage)
    assert shares(storage) == {2500, 100}
    assert not pending(storage)
    assert_money_adds_up(storage)


def test_nothing_is_closed_before_the_last_portion(storage: Storage, sold: WrittenLedger) -> None:
    set_share(storage, 5000)
    with storage.read() as connection:
        seen = settlement(connection, MERCHANT, "2026-01").digest
    with pytest.raises(SettlementChanged), storage.write() as connection:
        close(connection, MERCHANT, "2026-01", FINANCE, KEY, now=NOW, seen=seen)
    desk = MoneyDesk(storage, lambda: NOW, KEY)
    with pytest.raises(SettlementChanged):
        desk.close(FINANCE, MERCHANT, "2026-01", seen)
    found = desk.settlement(MERCHANT, "2026-01")
    assert {line.share_bp for line in found.lines} == {5000}
    assert desk.close(FINANCE, MERCHANT, "2026-01", found.digest).state == "closed"
    assert_money_adds_up(storage)


def test_a_closed_month_keeps_its_share(storage: Storage, sold: WrittenLedger) -> None:
    desk = MoneyDesk(storage, lambda: NOW, KEY)
    desk.set_terms(FINANCE, MERCHANT, NewTerms(first_day=date(2026, 1, 1), share_bp=1000))
    desk.close(FINANCE, MERCHANT, "2026-01")
    desk.set_terms(FINANCE, MERCHANT, NewTerms(first_day=date(2026, 2, 1), share_bp=9000))
    assert not desk.is_recounting(MERCHANT)
    assert {line.share_bp for line in lines_of(storage, "2026-01")} == {1000}
    assert {line.share_bp for line in lines_of(storage, "2026-02")} == {9000}
    assert_money_adds_up(storage)


def test_few_sales_are_counted_with_the_terms_themselves(storage: Storage, ledger: WrittenLedger) -> None:
    _sell(storage, ledger, 3)
    set_share(storage, 5000)
    assert (pending(storage), shares(storage)) == (False, {5000})
    assert_money_adds_up(storage)


def test_many_steps_of_few_sales_are_not_taken_for_all(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, PORTION + 1):
        ledger.authorise(number, units=3)
        ledger.complete(number)
        ledger.void(number, 1)
    arrive(storage, ledger, NOW)
    set_share(storage, 5000)
    for _ in recounting(storage, MERCHANT):
        assert_sound(storage)
    assert shares(storage) == {5000}


def test_what_a_process_left_is_finished_at_the_next_start(
    storage: Storage, sold: WrittenLedger, database_url: str, tmp_path: Path
) -> None:
    set_share(storage, 5000)
    at_work: Iterator[int] = recounting(storage, MERCHANT)
    next(at_work)
    del at_work
    again = open_storage(database_url, tmp_path)
    finish_all(again)
    again.close()
    assert (pending(storage), shares(storage)) == (False, {5000})
    assert_money_adds_up(storage)


def test_headquarters_finishes_it_as_it_starts(tmp_path: Path) -> None:
    storage = open_storage("", tmp_path)
    _sell(storage, known_ledger(storage, "bj-0009"), SALES)
    set_share(storage, 5000)
    with office(tmp_path):
        pass
    assert (pending(storage), shares(storage)) == (False, {5000})
    storage.close()


def test_finance_is_told_while_it_goes_on(tmp_path: Path, database_url: str) -> None:
    with office(tmp_path, database_url) as client:
        sign_in(client, "fin1")
        storage = open_storage(database_url, tmp_path)
        _sell(storage, known_ledger(storage, "bj-0009"), SALES)
        terms, page = f"/api/v1/merchants/{MERCHANT}/terms", f"/settlement/{MERCHANT}/2026-01"
        assert not client.get(terms).json()["recounting"]
        set_share(storage, 5000)  # by another process, which then ends
        assert client.get(terms).json()["recounting"]
        assert "重新计算" in client.get(page).text
        told = client.post(terms, json={"first_day": "2026-02-02", "share_bp": 100}).json()
        assert (len(told["terms"]), told["recounting"]) == (2, False)
        assert "重新计算" not in client.get(page).text
        assert shares(storage) == {5000, 100}
        storage.close()

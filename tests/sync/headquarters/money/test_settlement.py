"""Settlements: what counts when, closing, and that nothing is ever lost, doubled or rewritten."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from sync.headquarters.money import terms
from sync.headquarters.money.document import FIRST, is_signed_by
from sync.headquarters.money.errors import EarlierMonthOpen, MonthNotOver, SettlementChanged, TermsSettled
from sync.headquarters.money.settlement import Settlement, close, cut, document_of, month_totals, settlement, unsound
from sync.headquarters.money.tables import settlement_lines, settlement_steps, settlements
from sync.headquarters.money.terms import NewTerms, TooManyTerms, set_terms
from sync.headquarters.people.tables import audit
from sync.headquarters.storage import Storage
from tests.sync.headquarters.money.scenes import FINANCE, KEY, arrive, assert_money_adds_up, lines_of, moment
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger, known_ledger

JAN, FEB, MAR = "2026-01", "2026-02", "2026-03"
FEBRUARY = moment("2026-02-03")


def close_month(storage: Storage, month: str = JAN, now: str = "2026-02-03", **asked: str) -> Settlement:
    with storage.write() as connection:
        return close(connection, MERCHANT, month, FINANCE, KEY, now=moment(now), **asked)


def set_share(storage: Storage, first_day: str, share_bp: int, offer: str = "", now: str = "2026-01-02") -> None:
    with storage.write() as connection:
        wanted = NewTerms.model_validate({"first_day": first_day, "share_bp": share_bp, "offer": offer})
        set_terms(connection, MERCHANT, wanted, FINANCE, now=moment(now))


def sell(ledger: WrittenLedger, number: int, day: str = "2026-01-05") -> None:
    ledger.authorise(number, business_day=day)
    ledger.complete(number)


def test_completed_sales_and_voids_count_and_cancelled_ones_do_not(storage: Storage, ledger: WrittenLedger) -> None:
    set_share(storage, "2026-01-01", 5000)
    sell(ledger, 1)
    sell(ledger, 2)
    ledger.void(2, 1)
    ledger.authorise(3)
    ledger.cancel(3)
    ledger.authorise(4)
    arrive(storage, ledger, moment("2026-01-05"))
    completed, voided = lines_of(storage, JAN)
    assert (completed.kind, completed.steps, completed.units, completed.list) == ("completed", 2, 4, 16_000)
    assert (completed.pay, completed.saving, completed.subsidy) == (4000, 12_000, 6000)
    assert (voided.kind, voided.steps, voided.units, voided.saving, voided.subsidy) == ("voided", 1, -1, -3000, -1500)
    assert_money_adds_up(storage)


def test_what_arrives_after_closing_counts_later_with_its_day(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2, "2026-01-31")
    arrive(storage, ledger, moment("2026-01-06"), 1, 2)
    closed = close_month(storage)
    arrive(storage, ledger, FEBRUARY, 3)
    late_void = ledger.next_sequence
    ledger.void(1)
    arrive(storage, ledger, moment("2026-03-01"), late_void)
    assert lines_of(storage, JAN) == closed.lines
    (late,) = lines_of(storage, FEB)
    assert (late.day, late.steps, late.kind) == ("2026-01-31", 1, "completed")
    (void,) = lines_of(storage, MAR)
    assert (void.day, void.kind, void.units) == ("2026-01-05", "voided", -2)
    assert_money_adds_up(storage)
    with storage.read() as connection:
        (total,) = month_totals(connection, month=FEB, limit=10)
    assert (total.merchant, total.late, total.state) == (MERCHANT, 1, "open")


def test_an_open_month_takes_what_belongs_to_it(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    ledger.void(1)
    arrive(storage, ledger, moment("2026-02-20"))
    assert [line.kind for line in lines_of(storage, JAN)] == ["completed", "voided"]
    assert lines_of(storage, FEB) == []


def test_a_day_ahead_of_its_arrival_counts_on_arrival(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1, "2031-07-01")
    arrive(storage, ledger, moment("2026-01-05"))
    close_month(storage)
    voided = ledger.next_sequence
    ledger.void(1)
    arrive(storage, ledger, FEBRUARY, voided)
    assert [line.day for line in lines_of(storage, JAN)] == ["2026-01-05"]
    assert [(line.day, line.kind) for line in lines_of(storage, FEB)] == [("2026-01-05", "voided")]
    assert_money_adds_up(storage)


def test_a_closed_settlement_is_signed_chained_and_noted(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2, "2026-02-01")
    arrive(storage, ledger, FEBRUARY)
    january = close_month(storage)
    february = close_month(storage, FEB, "2026-03-01")
    assert (january.state, january.previous, february.previous) == ("closed", FIRST, january.hash)
    with storage.read() as connection:
        form = document_of(connection, MERCHANT, FEB)
        noted = connection.execute(select(audit.c.person, audit.c.action, audit.c.detail)).all()
    assert form is not None
    assert is_signed_by(form["document"].encode(), form["signature"], KEY.public.hex())
    assert not is_signed_by(form["document"].replace('"units":2', '"units":3').encode(), form["signature"], form["key"])
    assert json.loads(form["document"])["previous"] == january.hash
    assert [tuple(each) for each in noted] == [
        ("f01", "settlement-closed", "2026-01 0 fen"),
        ("f01", "settlement-closed", "2026-02 0 fen"),
    ]


def test_closing_again_changes_nothing(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    arrive(storage, ledger, moment("2026-01-05"))
    first = close_month(storage)
    assert close_month(storage, now="2026-02-09") == first


def test_a_month_that_is_not_over_stays_open(storage: Storage) -> None:
    with pytest.raises(MonthNotOver):
        close_month(storage, FEB, "2026-02-28")


def test_months_are_closed_in_order(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2, "2026-02-01")
    arrive(storage, ledger, moment("2026-02-05"))
    with pytest.raises(EarlierMonthOpen) as refused:
        close_month(storage, FEB, "2026-03-01")
    assert refused.value.details["earlier"] == JAN


def test_a_month_without_sales_is_covered_by_the_next(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1, "2026-02-01")
    arrive(storage, ledger, moment("2026-02-05"))
    close_month(storage, FEB, "2026-03-01")
    before = ledger.next_sequence
    sell(ledger, 2, "2026-01-05")
    arrive(storage, ledger, moment("2026-03-02"), before)
    with storage.read() as connection:
        assert settlement(connection, MERCHANT, JAN).state == "covered"
    assert [line.day for line in lines_of(storage, MAR)] == ["2026-01-05"]
    assert_money_adds_up(storage)


def test_nobody_closes_what_they_have_not_seen(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2)
    arrive(storage, ledger, moment("2026-01-05"), 1, 2)
    with storage.read() as connection:
        seen = settlement(connection, MERCHANT, JAN).digest
    arrive(storage, ledger, moment("2026-01-05"), 3)
    with pytest.raises(SettlementChanged):
        close_month(storage, seen=seen)
    with storage.read() as connection:
        seen = settlement(connection, MERCHANT, JAN).digest
    assert close_month(storage, seen=seen).digest == seen


def test_terms_hold_for_open_months_and_never_for_settled_ones(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2, "2026-02-10")
    sell(ledger, 3, "2026-02-20")
    arrive(storage, ledger, moment("2026-02-21"))
    set_share(storage, "2026-01-01", 3333)
    assert [line.subsidy for line in lines_of(storage, JAN)] == [2000]
    close_month(storage)
    with pytest.raises(TermsSettled):
        set_share(storage, "2026-01-31", 1)
    set_share(storage, "2026-02-15", 10_000, offer="winter-film")
    assert [line.subsidy for line in lines_of(storage, JAN)] == [2000]
    assert [(line.share_bp, line.subsidy) for line in lines_of(storage, FEB)] == [(3333, 2000), (10_000, 6000)]
    voided = ledger.next_sequence
    ledger.void(1, 1)
    ledger.void(1, 1)
    arrive(storage, ledger, moment("2026-02-22"), voided)
    back = [line for line in lines_of(storage, FEB) if line.kind == "voided"]
    assert [(line.share_bp, line.subsidy) for line in back] == [(3333, -2000)]
    assert_money_adds_up(storage)


def test_changes_behind_our_back_are_found(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    arrive(storage, ledger, moment("2026-01-05"))
    close_month(storage)
    wrong = {
        "its lines were changed": update(settlement_lines).values(pay_fen=1),
        "not signed by headquarters' key": update(settlements).values(signature="00" * 64),
        "not the sums of its steps": update(settlement_steps).values(pay_fen=1),
        "does not follow": update(settlements).values(previous="11" * 32),
    }
    for words, change in wrong.items():
        with storage.engine.connect() as connection:
            connection.execute(change)
            found = unsound(connection, MERCHANT, {KEY.public.hex()})
            connection.rollback()
        assert any(words in each for each in found), words
    with storage.read() as connection:
        assert unsound(connection, MERCHANT, {KEY.public.hex()}) == []


def test_two_who_close_at_once_while_sales_arrive_lose_nothing(storage: Storage) -> None:
    ledgers = [known_ledger(storage, f"till-{number}") for number in range(3)]
    for number, ledger in enumerate(ledgers):
        for sold in range(20):
            sell(ledger, 100 * number + sold + 1)
    begin = threading.Barrier(5)
    closed: list[Settlement] = []

    def push(ledger: WrittenLedger) -> None:
        begin.wait(10)
        for first in range(1, 40, 2):
            arrive(storage, ledger, FEBRUARY, first, first + 1)

    def finish() -> None:
        begin.wait(10)
        closed.append(close_month(storage))

    threads = [threading.Thread(target=push, args=[each]) for each in ledgers]
    threads += [threading.Thread(target=finish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(closed) == 2
    assert closed[0] == closed[1]
    assert sum(line.steps for month in (JAN, FEB) for line in lines_of(storage, month)) == 60
    assert lines_of(storage, JAN) == closed[0].lines
    assert_money_adds_up(storage)


def test_a_whole_batch_counts_like_its_parts(storage: Storage, ledger: WrittenLedger) -> None:
    for number in range(1, 41):
        sell(ledger, number, f"2026-01-{number % 4 + 1:02d}")
        ledger.void(number, 1)
    arrive(storage, ledger, moment("2026-01-05"))
    lines = lines_of(storage, JAN)
    assert [(line.day, line.kind, line.steps) for line in lines] == [
        (f"2026-01-0{day}", kind, 10) for day in range(1, 5) for kind in ("completed", "voided")
    ]
    assert_money_adds_up(storage)


def test_a_merchant_has_so_many_terms_and_no_more(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "TERMS_MAX", 2)
    set_share(storage, "2026-01-01", 1)
    set_share(storage, "2026-01-01", 2)
    set_share(storage, "2026-01-02", 3)
    with pytest.raises(TooManyTerms):
        set_share(storage, "2026-01-03", 4)


def test_a_page_shows_so_many_lines_and_the_sums_of_all(storage: Storage, ledger: WrittenLedger) -> None:
    sell(ledger, 1)
    sell(ledger, 2, "2026-01-04")
    arrive(storage, ledger, moment("2026-01-05"))
    with storage.read() as connection:
        found = settlement(connection, MERCHANT, JAN)
    shown = cut(found, 1)
    assert (shown.lines, shown.totals, shown.digest) == (found.lines[:1], found.totals, found.digest)


def test_a_listing_is_paged(storage: Storage) -> None:
    for number in range(3):
        ledger = known_ledger(storage, f"till-{number}")
        ledger.authorise(number + 1, merchant=f"m{number}")
        ledger.complete(number + 1)
        arrive(storage, ledger, FEBRUARY - timedelta(days=20))
    with storage.read() as connection:
        page = month_totals(connection, month=JAN, limit=2)
        rest = month_totals(connection, month=JAN, limit=2, after=page[-1].merchant)
    assert [each.merchant for each in page + rest] == ["m0", "m1", "m2"]

"""Days that tills sold on and never closed: which, with what money, from when on, and at what cost."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import insert, text

from sync.headquarters import overview
from sync.headquarters.attention import COUNTED_MAX, matters
from sync.headquarters.money.days import take_statement
from sync.headquarters.money.steps import StepKind
from sync.headquarters.money.tables import day_statements, settlement_steps
from sync.headquarters.money.unclosed import (
    UNCLOSED_DAYS,
    UNCLOSED_PAGE_MAX,
    UnclosedDay,
    count_unclosed,
    days_due,
    latest_due,
    page_of_unclosed,
    unclosed_query,
)
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import terminals
from terminal.ledger.entry import GENESIS
from tests.sync.headquarters.money.office import office, sign_in
from tests.sync.headquarters.money.scenes import arrive, moment
from tests.sync.headquarters.money.test_days import statement
from tests.sync.headquarters.written_ledger import MERCHANT, SITE, WrittenLedger, known_ledger

DAY = "2026-01-05"
NEXT_NOON = moment("2026-01-06")  # noon in Shanghai
CITY: Final = 5_000
ASKED_S_MAX: Final = 3.0  # some 150 ms by itself on SQLite; a machine that runs other tests takes longer


@pytest.fixture
def sold(storage: Storage, ledger: WrittenLedger) -> WrittenLedger:
    """Two sales, one unit of one void; beside it a till that sold nothing, and one that only began a sale."""
    for number in (1, 2):
        ledger.authorise(number)
        ledger.complete(number)
    ledger.void(2, 1)
    arrive(storage, ledger, moment(DAY))
    known_ledger(storage, "bj-0002")
    begun = known_ledger(storage, "bj-0003")
    begun.authorise(3)
    arrive(storage, begun, moment(DAY))
    return ledger


def unclosed(storage: Storage, now: datetime, day: str | None = None, **asked: Any) -> list[UnclosedDay]:
    with storage.read() as connection:
        days = days_due(now, date.fromisoformat(day) if day else None)
        return page_of_unclosed(connection, days, limit=100, **asked)[0]


def test_a_day_is_due_at_noon_of_the_day_after() -> None:
    assert latest_due(NEXT_NOON) == date(2026, 1, 5)
    assert latest_due(NEXT_NOON - timedelta(seconds=1)) == date(2026, 1, 4)
    assert days_due(NEXT_NOON, date(2026, 1, 6)) == []
    assert days_due(NEXT_NOON, date(2020, 1, 1)) == ["2020-01-01"]
    assert (days_due(NEXT_NOON)[0], len(days_due(NEXT_NOON))) == ("2026-01-05", UNCLOSED_DAYS)


def test_a_day_that_was_sold_on_and_not_closed_is_told_with_its_money(storage: Storage, sold: WrittenLedger) -> None:
    told = UnclosedDay("bj-0001", MERCHANT, SITE, DAY, sales=2, voids=1, units=3, pay=3000)
    assert unclosed(storage, NEXT_NOON) == [told]
    assert unclosed(storage, NEXT_NOON, DAY) == [told]
    assert unclosed(storage, NEXT_NOON - timedelta(seconds=1)) == []
    assert unclosed(storage, NEXT_NOON, merchant="别家") == []


def test_a_statement_ends_it_whatever_came_later(storage: Storage, sold: WrittenLedger) -> None:
    with storage.write() as connection:
        take_statement(connection, statement(sold), NEXT_NOON)
    sold.void(1)
    arrive(storage, sold, NEXT_NOON, 6)
    assert unclosed(storage, NEXT_NOON) == []


def test_a_day_long_past_is_found_by_its_name_alone(storage: Storage, sold: WrittenLedger) -> None:
    later = NEXT_NOON + timedelta(days=UNCLOSED_DAYS)
    assert unclosed(storage, later - timedelta(days=1)) != []
    assert unclosed(storage, later) == []
    assert [each.terminal for each in unclosed(storage, later, DAY)] == ["bj-0001"]


def test_unclosed_days_are_paged_the_latest_first(storage: Storage) -> None:
    expected = []
    for name in ("bj-0001", "bj-0002"):
        ledger = known_ledger(storage, name)
        for number, day in enumerate(("2026-01-04", DAY)):
            ledger.authorise(int(name[-1]) * 10 + number, business_day=day)
            ledger.complete(int(name[-1]) * 10 + number)
            expected.append((day, name))
        arrive(storage, ledger, moment(DAY))
    seen: list[tuple[str, str]] = []
    after: str | None = ""
    with storage.read() as connection:
        while after is not None:
            (one,), after = page_of_unclosed(connection, days_due(NEXT_NOON), limit=1, after=after)
            seen.append((one.day, one.terminal))
        assert count_unclosed(connection, days_due(NEXT_NOON), COUNTED_MAX) == 4
        assert count_unclosed(connection, days_due(NEXT_NOON), 3) == 3
    assert seen == sorted(expected, key=lambda each: (each[0] != DAY, each[1]))


def test_they_need_a_person(storage: Storage, sold: WrittenLedger) -> None:
    with storage.read() as connection:
        told = matters(connection, overview.fleet_now(connection, NEXT_NOON, 1000), NEXT_NOON)
        before = matters(connection, overview.fleet_now(connection, moment(DAY), 1000), moment(DAY))
    assert [(each.key, each.count, each.path) for each in told] == [("unclosed", 1, "/days/unclosed")]
    assert before == []


def test_finance_sees_them_on_the_pages_and_through_the_api(tmp_path: Path, database_url: str) -> None:
    with office(tmp_path, database_url, now="2026-01-06") as client:
        assert client.get("/api/v1/days/unclosed").status_code == 401
        sign_in(client, "ed1")
        assert client.get("/api/v1/days/unclosed").status_code == 403
        sign_in(client, "fin1")
        answer = client.get("/api/v1/days/unclosed").json()
        assert (answer["due"], answer["next"]) == ("2026-01-05", None)
        (one,) = answer["days"]
        assert (one["terminal"], one["day"], one["sales"], one["pay"]) == ("bj-0001", DAY, 2, 3000)
        assert client.get("/api/v1/days/unclosed?day=2026-01-04").json()["days"] == []
        for path in ("/days", "/days/unclosed", f"/days/unclosed?day={DAY}"):
            page = client.get(path).text
            assert "有销售未日结" in page
            assert "bj-0001" in page, path
        assert "bj-0001" not in client.get("/days?day=2026-01-04").text
        assert 'href="/days/unclosed"' in client.get("/").text


def _fill_city(storage: Storage, silent: int) -> None:
    """5,000 tills that sold on two days, all but some of which closed them."""
    with storage.write() as connection:
        row: dict[str, Any] = {"site": "main", "state": "active", "version": "1", "enrolled_at": NEXT_NOON, "name": "t"}
        row |= {"last_sequence": 2, "last_hash": GENESIS.hex()}
        names = [f"bj-{number:05d}" for number in range(CITY)]
        own = [{"id": name, "merchant": f"m-{name[-3:]}", "public_key": name} for name in names]
        connection.execute(insert(terminals), [row | each for each in own])
        days = days_due(NEXT_NOON)[:2]
        step: dict[str, Any] = {"sequence": 2, "kind": StepKind.COMPLETED.value, "offer": "o", "arrived_at": NEXT_NOON}
        step |= {"units": 1, "list_fen": 40, "pay_fen": 10, "saving_fen": 30, "kept_fen": 30, "share_bp": 0}
        step |= {"month": "2026-01", "merchant": "m", "subsidy_fen": 0}
        sold = [
            step | {"redemption": f"{name}/{day}", "terminal": name, "business_day": day, "day": day}
            for name in names
            for day in days
        ]
        connection.execute(insert(settlement_steps), sold)
        stated: dict[str, Any] = {"sequence": 2, "hash": "", "closed_at": NEXT_NOON, "closed_by": ""}
        stated |= {"received_at": NEXT_NOON, "statement": "", "differences": 0}
        told = [stated | {"terminal": name, "day": day} for name in names[silent:] for day in days]
        connection.execute(insert(day_statements), told)


def test_a_city_of_five_thousand_tills_is_asked_quickly(storage: Storage) -> None:
    silent = 300
    _fill_city(storage, silent)
    with storage.read() as connection:
        began = time.monotonic()
        count = count_unclosed(connection, days_due(NEXT_NOON), COUNTED_MAX)
        found, later = page_of_unclosed(connection, days_due(NEXT_NOON), limit=UNCLOSED_PAGE_MAX)
        took = time.monotonic() - began
    assert count == 2 * silent
    assert (len(found), later) == (UNCLOSED_PAGE_MAX, f"{DAY}~bj-{UNCLOSED_PAGE_MAX - 1:05d}")
    assert took < ASKED_S_MAX


def test_sales_are_looked_at_by_their_index(tmp_path: Path) -> None:
    """On SQLite, which says so whatever the tables' size; PostgreSQL is given the same statement."""
    storage = open_storage("", tmp_path)
    with storage.read() as connection:
        compiled = unclosed_query([DAY], None, None).compile(connection.engine, compile_kwargs={"literal_binds": True})
        plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all())
    storage.close()
    assert "ix_settlement_steps_terminal_business_day" in plan
    assert "SCAN settlement_steps" not in plan

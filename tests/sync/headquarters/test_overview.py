"""The overview's numbers on both databases, its charts, and that a city of 5,000 terminals costs it no more."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import insert, select, text, update

from sync.headquarters import charts, overview
from sync.headquarters.app import create_app
from sync.headquarters.attention import COUNTED_MAX, Matter, matters
from sync.headquarters.books.tables import book_drafts
from sync.headquarters.ingest import ingest
from sync.headquarters.money.record import settle
from sync.headquarters.overview import Pace, PoolRun
from sync.headquarters.pools.tables import allotments, pool_samples, pools
from sync.headquarters.pools.views import Point, PoolView
from sync.headquarters.projection import FlagCode
from sync.headquarters.remembered import HELD_S_MAX, Remembered
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import OPEN_SALE, flags, redemptions, terminals
from sync.headquarters.terminal_list import ROWS_SHOWN
from sync.headquarters.vouchers.tables import voucher_lists
from terminal.ledger.entry import GENESIS
from terminal.serving.people import Role
from tests.sync.headquarters.client import HandClock, add_operator, hq_settings, served, sign_in
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, known_ledger

SKEW_MS_MAX: Final = 150_000
CITY: Final = 5_000
PAGE_BYTES_MAX: Final = 100_000
ANSWER_S_MAX: Final = 3.0  # some 50 ms by itself; a machine that runs other tests takes longer
DAY: Final = date(2026, 1, 5)


def rows_of_terminals(count: int, **changes: Any) -> list[dict[str, Any]]:
    row = {"site": "main", "state": "active", "version": "1", "enrolled_at": NOON, "last_sequence": 0}
    row |= {"last_hash": GENESIS.hex(), "last_contact": NOON, "skew_ms": 0, "waiting": 0}
    own = [{"id": f"bj-{n:05d}", "merchant": f"m-{n % 2000:04d}", "name": f"m {n}"} for n in range(count)]
    return [row | each | {"public_key": f"{number:064x}"} | changes for number, each in enumerate(own)]


def add_terminals(storage: Storage, rows: list[dict[str, Any]]) -> None:
    with storage.write() as connection:
        connection.execute(insert(terminals), rows)


def test_terminals_are_counted_by_how_they_are(storage: Storage) -> None:
    rows = rows_of_terminals(8)
    away = NOON - timedelta(seconds=overview.AWAY_AFTER_S + 1)
    changes: list[dict[str, Any]] = [
        {},
        {"skew_ms": -200_000},
        {"waiting": 7},
        {"last_contact": away},
        {"last_contact": None},
        {"state": "quarantined"},
        {"state": "revoked"},
        {"state": "revoked", "skew_ms": 999_999},
    ]
    rows = [row | change for row, change in zip(rows, changes, strict=True)]
    add_terminals(storage, rows)
    with storage.read() as connection:
        fleet = overview.fleet_now(connection, NOON, SKEW_MS_MAX)
    assert (fleet.up, fleet.away, fleet.quarantined, fleet.revoked) == (3, 2, 1, 2)
    assert (fleet.skewed, fleet.waiting, fleet.count) == (1, 7, 6)


def test_the_pace_counts_sales_in_the_minute_they_were_made(storage: Storage) -> None:
    ledger = known_ledger(storage, "bj-0001")
    ids = [_id(NOON - timedelta(minutes=minutes), number) for number, minutes in enumerate((0, 0, 3, 59, 60))]
    for number, _ in enumerate(ids):
        ledger.authorise(number + 1)
    with storage.write() as connection:
        ingest(connection, ledger.batch(), now=NOON)
        for number, (old,) in enumerate(connection.execute(select(redemptions.c.id).order_by("id")).all()):
            connection.execute(update(redemptions).where(redemptions.c.id == old).values(id=ids[number]))
    with storage.read() as connection:
        pace = overview.pace(connection, NOON + timedelta(seconds=59))
    assert len(pace.minutes) == overview.MINUTES_SHOWN
    assert (pace.minutes[-1], pace.minutes[-4], pace.minutes[0]) == (2, 1, 1)
    assert (pace.total, pace.most, pace.busiest) == (4, 2, NOON)


def _id(moment: datetime, number: int) -> str:
    first = overview.first_id_at(moment)
    return f"{first[:-4]}{number:04x}"


def test_totals_are_those_of_the_sales_and_say_what_waits(storage: Storage) -> None:
    ledger, other = known_ledger(storage, "bj-0001"), known_ledger(storage, "bj-0002")
    for number in (1, 2):
        ledger.authorise(number)
        ledger.complete(number)
    ledger.void(2, 1)
    ledger.authorise(3)
    other.authorise(4, merchant="别家")
    other.complete(4)
    with storage.write() as connection:
        for each in (ledger, other):
            ingest(connection, each.batch(), now=NOON, judges=(settle,))
    with storage.read() as connection:
        found = overview.totals(connection, DAY, DAY, shown=1)
        nothing = overview.totals(connection, DAY + timedelta(days=1), DAY + timedelta(days=1), shown=1)
    assert (found.whole.redemptions, found.whole.voids, found.whole.units, found.open) == (3, 1, 5, 1)
    assert (found.whole.list, found.whole.pay, found.whole.saving) == (20000, 5000, 15000)
    assert [merchant for merchant, _ in found.merchants] == [MERCHANT]
    assert found.others == 1
    assert (nothing.whole.redemptions, nothing.open) == (0, 0)


def test_sales_that_wait_are_found_by_an_index(tmp_path: Path) -> None:
    storage = open_storage("", tmp_path)
    query = select(redemptions.c.id).where(OPEN_SALE, redemptions.c.business_day.between("2026-01-05", "2026-01-05"))
    with storage.read() as connection:
        compiled = query.compile(connection.engine, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
    storage.close()
    assert "ix_redemptions_open" in str(plan)


def test_what_needs_a_person_is_one_short_list(storage: Storage) -> None:
    add_terminals(storage, [*rows_of_terminals(1, state="quarantined")])
    draft = {"title": "春节", "form": "toml", "text": "", "version": 1, "author": "e", "begun_at": NOON}
    draft |= {"edited_by": "e", "edited_at": NOON}
    key = "winter-film|pool"
    with storage.write() as connection:
        found = [{"terminal": "bj-00000", "sequence": n + 1, "detail": ""} for n in range(COUNTED_MAX + 1)]
        connection.execute(insert(flags).values(code=FlagCode.OVER_LIMIT.value, noted_at=NOON), found)
        connection.execute(
            insert(book_drafts), [draft | {"state": state} for state in ("submitted", "approved", "open")]
        )
        connection.execute(insert(pools).values(_pool(key)))
        connection.execute(insert(allotments).values(_allotment(key, frozen=5)))
        fleet = overview.fleet_now(connection, NOON, SKEW_MS_MAX)
        told = matters(connection, fleet, NOON)
    assert [(each.key, each.count, each.path) for each in told] == [
        ("quarantined", 1, "/terminals/bj-00000"),
        ("frozen", 5, "/pools/winter-film"),
        ("findings", COUNTED_MAX, "/conflicts"),
        ("approval", 1, "/campaigns/draft/1"),
        ("release", 1, "/campaigns/draft/2"),
    ]
    assert told[0] == Matter("quarantined", 1, "/terminals/bj-00000", (Role.OPERATOR,), "bj-00000", grave=True)
    assert [each.grave for each in told] == [True, True, False, False, False]


def test_a_list_of_vouchers_waits_for_whoever_may_confirm_it(storage: Storage) -> None:
    told = {"taken": 9, "repeated": 0, "rejected": 0, "new": 5, "changed": 1, "withdrawn": 2, "restored": 0}
    row = {"at": NOON, "by": "e", "base_version": 0, "counts": json.dumps(told | {"unchanged": 1, "offers": ["o"]})}
    with storage.write() as connection:
        connection.execute(insert(voucher_lists), [row | {"state": each} for each in ("done", "waiting", "discarded")])
        found = matters(connection, overview.fleet_now(connection, NOON, SKEW_MS_MAX), NOON)
    assert found == [Matter("voucher-list", 8, "/vouchers/lists/2", (Role.EDITOR, Role.APPROVER))]


def test_a_quiet_headquarters_asks_for_nobody(storage: Storage) -> None:
    with storage.read() as connection:
        assert matters(connection, overview.fleet_now(connection, NOON, SKEW_MS_MAX), NOON) == []


def _pool(key: str, **changes: Any) -> dict[str, Any]:
    row = {"key": key, "offer": "winter-film", "limit": "pool", "policy": "lease", "max": 1000, "revision": 1}
    row |= {"shared": True, "ends_on": "", "allotted": 40, "excess": 0, "used": 0, "held": 0}
    return row | changes


def _allotment(key: str, **changes: Any) -> dict[str, Any]:
    row = {"key": key, "terminal": "bj-00000", "granted": 40, "returned": 0, "written_off": 0, "used": 10, "frozen": 0}
    return row | {"excess": 0, "recent": 10.0, "recent_at": NOON, "slice": 40} | changes


def test_the_pools_that_go_first_are_shown_with_their_run(storage: Storage) -> None:
    with storage.write() as connection:
        for number in range(overview.POOLS_SHOWN + 2):
            connection.execute(insert(pools).values(_pool(f"k{number}", offer=f"o{number}", max=1000 + number)))
            connection.execute(insert(allotments).values(_allotment(f"k{number}", used=number)))
        for hours in (30, 2, 1):
            row = {"key": "k7", "at": NOON - timedelta(hours=hours), "max": 1007, "used": 5, "allotted": 9, "held": 0}
            connection.execute(insert(pool_samples).values(row))
    with storage.read() as connection:
        shown, count = overview.pools_running(connection, NOON)
    assert count == overview.POOLS_SHOWN + 2
    assert len(shown) == overview.POOLS_SHOWN
    ends = [run.pool.last_at for run in shown]
    assert ends == sorted(ends, key=lambda end: end or datetime.max.replace(tzinfo=UTC))
    run = next(each for each in shown if each.pool.key == "k7")
    assert [point.used for point in run.points] == [5, 5, 7]  # the one of 30 hours ago is not shown


def _run(points: list[tuple[int, int]], last_at: datetime | None) -> PoolRun:
    """(minutes ago, used) of a pool of 100."""
    pool = PoolView("k", "o", "l", "lease", 100, points[-1][1], 0, 0, 0, 0, 0, 1, 1.0, last_at)
    return PoolRun(pool, [Point(NOON - timedelta(minutes=ago), 100, used, 0, 0) for ago, used in points])


def test_a_run_goes_down_in_steps_and_ahead_to_its_end() -> None:
    drawn = charts.run_down(_run([(120, 0), (60, 50), (0, 75)], NOON + timedelta(hours=1)))
    assert drawn.left == "0.0,0.0 200.0,0.0 200.0,60.0 400.0,60.0 400.0,90.0"
    assert drawn.ahead == "400.0,90.0 600.0,120.0"
    assert (drawn.now_x, drawn.ends) == (400.0, NOON + timedelta(hours=1))


@pytest.mark.parametrize("last_at", [None, NOON, NOON - timedelta(hours=1)])
def test_no_forecast_is_drawn_where_there_is_none(last_at: datetime | None) -> None:
    assert charts.run_down(_run([(0, 0)], last_at)).ahead == ""


def test_a_forecast_that_is_far_off_goes_as_far_as_the_run() -> None:
    drawn = charts.run_down(_run([(120, 0), (0, 50)], NOON + timedelta(hours=20)))
    assert drawn.ends == NOON + timedelta(hours=2)
    assert drawn.ahead == "300.0,60.0 600.0,66.0"


def test_bars_are_as_tall_as_their_minutes() -> None:
    drawn = charts.bars(Pace(NOON, (0, 10, 5)))
    assert [bar.height for bar in drawn] == [0, charts.HEIGHT, charts.HEIGHT / 2]
    assert all(bar.y + bar.height == charts.HEIGHT for bar in drawn)


def test_an_answer_is_kept_as_long_as_it_was_dear() -> None:
    now, asked = [0.0], [0]

    def ask() -> int:
        asked[0] += 1
        now[0] += 0.1
        return asked[0]

    remembered = Remembered(lambda: now[0])
    assert remembered.answer("a", ask) == 1
    now[0] += 1.9
    assert remembered.answer("a", ask) == 1  # 20 times a tenth of a second
    assert remembered.answer("b", ask) == 2
    now[0] += 0.2
    assert remembered.answer("a", ask) == 3


def test_an_answer_that_costs_nothing_is_kept_where_it_changes_seldom() -> None:
    now = [0.0]
    remembered = Remembered(lambda: now[0], held_s_min=1.0)
    assert remembered.answer("a", lambda: 1) == 1
    now[0] += 0.9
    assert remembered.answer("a", lambda: 2) == 1
    now[0] += 0.2
    assert remembered.answer("a", lambda: 2) == 2


def test_an_answer_is_never_kept_for_long() -> None:
    now = [0.0]

    def ask() -> float:
        now[0] += 1000
        return now[0]

    remembered = Remembered(lambda: now[0])
    first = remembered.answer("a", ask)
    now[0] += HELD_S_MAX + 1
    assert remembered.answer("a", ask) != first


def test_a_city_of_five_thousand_terminals_is_answered_quickly_and_small(tmp_path: Path) -> None:
    add_operator(tmp_path)
    storage = open_storage("", tmp_path)
    add_terminals(storage, rows_of_terminals(CITY))
    storage.close()
    with served(create_app(hq_settings(tmp_path), HandClock())) as client:
        sign_in(client)
        assert re.search(rf'id="count-up">{CITY}<', _quickly(client, "/"))
        listed = _quickly(client, "/terminals?state=up")
        assert len(re.findall(r'id="t-bj', listed)) == ROWS_SHOWN
        seen, path = [], "/terminals?search=M-00"
        while path:
            page = _quickly(client, path)
            seen += re.findall(r'id="t-([^"]+)"', page)
            further = re.search(r'href="(/terminals\?[^"]*after=[^"]+)"', page)
            path = further[1].replace("&amp;", "&") if further else ""
    assert len(seen) == len(set(seen)) == 300  # of 2,000 merchants those from m-0000 to m-0099, three terminals each
    assert seen == sorted(seen)


def _quickly(client: httpx.Client, path: str) -> str:
    began = time.monotonic()
    page = client.get(path)
    assert time.monotonic() - began < ANSWER_S_MAX, path
    assert page.status_code == 200
    assert len(page.content) < PAGE_BYTES_MAX, f"{path}: {len(page.content)} bytes"
    return page.text

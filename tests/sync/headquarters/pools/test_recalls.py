"""Others are asked for units of a key once in a while, however many customers are refused meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, select

from sync.headquarters.pools import recalls
from sync.headquarters.pools.recalls import ASK_EVERY_S, ASKED_KEPT_MAX, due
from sync.headquarters.pools.rows import RECALL_EVERY_S
from sync.headquarters.pools.tables import leases
from sync.headquarters.storage import Storage
from tests.sync.headquarters.pools.city import POOL_KEY, City, Till, book
from tests.sync.headquarters.written_ledger import NOON


@pytest.fixture
def city(storage: Storage) -> City:
    """One till has the whole pool, and has not been heard of for a while."""
    city = City(storage, 3, book(10))
    rich = city.tills[0]
    city.exchange(rich)
    assert city.hold(rich, city.hold_request(rich, {POOL_KEY: 10 - city.pool().allotted})).granted
    city.pass_s(RECALL_EVERY_S + 1)
    return city


def asked(city: City, till: Till) -> int:
    with city.storage.read() as connection:
        return connection.scalar(select(leases.c.asked).where(leases.c.terminal == till.name)) or 0


@contextmanager
def looks(city: City) -> Iterator[list[str]]:
    """The scans for somebody to ask."""
    found: list[str] = []

    def seen(*told: Any) -> None:
        if "JOIN allotments" in told[2] and "ORDER BY" in told[2]:
            found.append(told[2])

    event.listen(city.storage.engine, "before_cursor_execute", seen)
    yield found
    event.remove(city.storage.engine, "before_cursor_execute", seen)


def refuse(city: City, till: Till) -> None:
    assert not city.hold(till, city.hold_request(till, {POOL_KEY: 1})).granted


def test_many_who_are_refused_look_once(city: City) -> None:
    rich, here, there = city.tills
    before = asked(city, rich)
    with looks(city) as found:
        for till in (here, there, here, there):
            refuse(city, till)
        assert len(found) == 1
        assert asked(city, rich) == before + 1
        city.pass_s(ASK_EVERY_S)
        refuse(city, there)
        assert len(found) == 2
        assert asked(city, rich) == before + 2


def test_each_key_is_asked_for_by_itself() -> None:
    engine = create_engine("sqlite://")
    assert due(engine, {"b", "a"}, NOON) == ["a", "b"]
    assert due(engine, {"a", "c"}, NOON + timedelta(seconds=ASK_EVERY_S - 1)) == ["c"]
    assert due(engine, {"a", "c"}, NOON + timedelta(seconds=ASK_EVERY_S)) == ["a"]


def test_another_database_is_another_city() -> None:
    assert due(create_engine("sqlite://"), {"a"}, NOON) == due(create_engine("sqlite://"), {"a"}, NOON) == ["a"]


def test_a_clock_that_is_set_back_keeps_nobody_waiting() -> None:
    engine = create_engine("sqlite://")
    due(engine, {"a"}, NOON)
    assert due(engine, {"a"}, NOON - timedelta(hours=1)) == ["a"]


def test_what_is_remembered_is_bounded() -> None:
    engine = create_engine("sqlite://")
    due(engine, map(str, range(ASKED_KEPT_MAX)), NOON)
    due(engine, {"more"}, NOON)
    assert list(recalls._asked[engine]) == ["more"]

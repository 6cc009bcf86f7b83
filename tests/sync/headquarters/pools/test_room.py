"""Room for a whole sale in one statement: all keys or none, on both databases, and never beyond a pool."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from sync.headquarters.pools import rows
from sync.headquarters.pools.room import take_room
from sync.headquarters.pools.tables import pools
from sync.headquarters.pools.terms import KeyTerms
from sync.headquarters.storage import Storage
from terminal.offers.counts import Offline

POOL = KeyTerms("film|pool|all", "film", "pool", Offline.LEASE, 10, 3, True, "2026-02-20")
CARD = KeyTerms("film|tickets|card=1", "film", "tickets", Offline.FLAG, 2, 3, False, "2026-02-20")
THREADS = 8
TRIES = 20


def take(storage: Storage, *wanted: tuple[KeyTerms, int]) -> dict[str, Any] | None:
    with storage.write() as connection:
        terms = {each.key: each for each, _ in wanted}
        return take_room(connection, terms, {each.key: amount for each, amount in wanted})


def counters(storage: Storage) -> dict[str, tuple[int, int]]:
    """Allotted and held of each pool."""
    with storage.read() as connection:
        return {row.key: (row.allotted, row.held) for row in connection.execute(select(pools))}


def test_what_is_leased_is_allotted_and_all_else_is_held(storage: Storage) -> None:
    taken = take(storage, (POOL, 2), (CARD, 1))
    assert taken is not None
    assert {key: (row["allotted"], row["held"], row["max"]) for key, row in taken.items()} == {
        POOL.key: (2, 0, 10),
        CARD.key: (0, 1, 2),
    }
    assert counters(storage) == {POOL.key: (2, 0), CARD.key: (0, 1)}


def test_nothing_is_taken_where_one_key_lacks_room(storage: Storage) -> None:
    assert take(storage, (POOL, 1), (CARD, 2)) is not None
    assert take(storage, (POOL, 1), (CARD, 1)) is None
    assert counters(storage) == {POOL.key: (1, 0), CARD.key: (0, 2)}


def test_more_than_the_limit_is_not_taken_of_a_pool_that_nobody_asked_for_yet(storage: Storage) -> None:
    assert take(storage, (POOL, 11)) is None
    assert counters(storage) == {}


def test_what_was_spent_beyond_slices_leaves_less(storage: Storage) -> None:
    assert take(storage, (POOL, 4)) is not None
    with storage.write() as connection:
        rows.add_to_pools(connection, {POOL.key: {"excess": 5}})
    assert take(storage, (POOL, 2)) is None
    assert take(storage, (POOL, 1)) is not None


@pytest.mark.parametrize("change", [{"max": 12}, {"revision": 4}, {"policy": Offline.REFUSE}, {"ends_on": ""}])
def test_a_limit_that_another_book_made_different_is_left_to_who_looks_closer(
    storage: Storage, change: dict[str, Any]
) -> None:
    assert take(storage, (POOL, 1)) is not None
    fields = {name: getattr(POOL, name) for name in KeyTerms.__slots__} | change
    assert take(storage, (KeyTerms(**fields), 1)) is None
    assert counters(storage) == {POOL.key: (1, 0)}


def test_an_earlier_book_s_sale_counts_under_the_later_book_s_limit(storage: Storage) -> None:
    assert take(storage, (POOL, 9)) is not None
    fields = {name: getattr(POOL, name) for name in KeyTerms.__slots__} | {"revision": 2, "max": 20}
    earlier = KeyTerms(**fields)
    assert take(storage, (earlier, 2)) is None
    assert take(storage, (earlier, 1)) is not None


def test_nothing_is_asked_for(storage: Storage) -> None:
    assert take(storage) == {}


def test_many_at_once_get_no_more_than_there_is(storage: Storage) -> None:
    granted = []

    def ask(first: int) -> None:
        for number in range(TRIES):
            card = KeyTerms(f"film|tickets|card={first + number}", *(getattr(CARD, n) for n in KeyTerms.__slots__[1:]))
            if take(storage, (POOL, 1), (card, 1)) is not None:
                granted.append(card.key)

    threads = [threading.Thread(target=ask, args=(at * 1000,)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == POOL.max
    after = counters(storage)
    assert after.pop(POOL.key) == (POOL.max, 0)
    assert {key for key, (_, held) in after.items() if held} == set(granted)

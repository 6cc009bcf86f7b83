"""Two keys with one fingerprint: found when the second appears, and then told to nobody, in whatever order it goes."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from sqlalchemy import func, select, text

from sync.headquarters.errors import StorageUnavailable
from sync.headquarters.pools.accounting import Accounting
from sync.headquarters.pools.fingerprints import repeated
from sync.headquarters.pools.tables import pools, spendings, usage_collisions
from sync.headquarters.storage import Storage
from sync.wire_usage import fingerprint
from tests.sync.headquarters.pools.city import City, book, person_key
from tests.sync.headquarters.pools.test_usage import Shelf, publish, use

SHORT_BITS: Final = 5
PERSONS: Final = 16
LOCK_WAIT_S: Final = 10


def short(key: str) -> int:
    """A fingerprint of which many keys share one."""
    return fingerprint(key) >> (64 - SHORT_BITS)


def same(_: str) -> int:
    """One for all keys."""
    return 2**63 + 7


@pytest.fixture
def city(storage: Storage) -> City:
    return City(storage, 2, book(1_000))


def collide(city: City) -> None:
    city.judge = Accounting(city.books, same)


def collisions(city: City) -> int:
    with city.storage.read() as connection:
        return connection.scalar(select(func.count()).select_from(usage_collisions)) or 0


def elsewhere(city: City, terminal: str) -> dict[str, int]:
    """Key by key what other terminals used of it, of all keys that headquarters ever counted."""
    with city.storage.read() as connection:
        query = select(spendings.c.key, func.sum(spendings.c.used).filter(spendings.c.terminal != terminal))
        return {key: int(used or 0) for key, used in connection.execute(query.group_by(spendings.c.key))}


def test_the_second_key_with_a_fingerprint_is_found_and_both_are_told_to_nobody(city: City) -> None:
    here, there = city.tills
    collide(city)
    shelf, later = Shelf(), Shelf()
    use(city, there, 1, 2)
    publish(city, here)
    shelf.fetch(city, here)
    assert shelf.amounts == {same(""): 2}
    assert collisions(city) == 0
    use(city, there, 2)
    assert collisions(city) == 1
    publish(city, here)
    assert not shelf.fetch(city, here), "by a change"
    assert shelf.amounts == {}
    assert later.fetch(city, here), "by a snapshot"
    assert later.amounts == {}
    for person in (1, 2, 3):
        use(city, there, person)
    publish(city, here)
    shelf.fetch(city, here)
    assert shelf.amounts == {}
    assert collisions(city) == 1


def test_two_in_one_batch_are_found(city: City) -> None:
    here, there = city.tills
    collide(city)
    for person in (1, 2):
        city.authorise(there, [{"key": person_key(person), "amount": 1, "max": 2}])
    city.push(there)
    assert collisions(city) == 1
    publish(city, here)
    shelf = Shelf()
    shelf.fetch(city, here)
    assert shelf.amounts == {}
    assert [city.pool(person_key(person)).used for person in (1, 2)] == [1, 1]


def test_keys_that_are_told_to_nobody_are_still_held_for_and_counted(city: City) -> None:
    here, there = city.tills
    collide(city)
    use(city, there, 1, 2)
    use(city, there, 2, 1)
    full = city.hold(here, city.hold_request(here, {person_key(1): 1}))
    free = city.hold(here, city.hold_request(here, {person_key(2): 1}))
    assert (full.granted, free.granted) == (False, True)


def test_what_a_terminal_is_told_is_exact_or_nothing(city: City) -> None:
    """With a fingerprint so short that many keys share one, by changes and by snapshots alike."""
    here = city.tills[0]
    chance = random.Random(5)
    city.judge = Accounting(city.books, short)
    shelf = Shelf()
    for number in range(40):
        use(city, chance.choice(city.tills), chance.randrange(PERSONS))
        if number % 4 == 0:
            publish(city, here)
            shelf.fetch(city, here)
            fresh = Shelf()
            fresh.fetch(city, here)
            truth = elsewhere(city, here.name)
            known = [short(key) for key in truth]
            exact = {short(key): used for key, used in truth.items() if used and known.count(short(key)) == 1}
            assert shelf.amounts == fresh.amounts == exact
    assert 0 < len(exact) < len(truth), "some told, some not"
    assert collisions(city) == len({each for each in known if known.count(each) > 1})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_that_come_at_once_cannot_both_be_kept(city: City) -> None:
    """The later waits for the earlier, is refused as if the database were busy, and finds it when it comes again."""
    here, there = city.tills
    collide(city)
    first = text(
        """INSERT INTO pools (key, offer, "limit", policy, max, revision, shared, ends_on, allotted, excess, used, held,
                              fingerprint, version)
        VALUES (:key, 'film', 'person', 'flag', 2, 1, false, '', 0, 0, 1, 0, :mark,
                CAST(CAST(pg_current_xact_id() AS text) AS bigint))"""
    )
    city.authorise(there, [{"key": person_key(2), "amount": 1, "max": 2}])
    with ThreadPoolExecutor(1) as pool:
        with city.storage.write() as connection:
            connection.execute(first, {"key": person_key(1), "mark": same("") - 2**63})
            pushed = pool.submit(city.push, there)
            _wait_for_a_waiter(city)
        with pytest.raises(StorageUnavailable):
            pushed.result(LOCK_WAIT_S)
    assert collisions(city) == 0
    city.push(there)
    assert collisions(city) == 1
    publish(city, here)
    shelf = Shelf()
    shelf.fetch(city, here)
    assert shelf.amounts == {}


def _wait_for_a_waiter(city: City) -> None:
    """Until a transaction waits for another's to end."""
    import stamina

    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
    for attempt in stamina.retry_context(on=AssertionError, attempts=None, timeout=LOCK_WAIT_S, wait_max=0.1):
        with attempt, city.storage.read() as connection:
            assert connection.scalar(waiting)


def test_the_database_holds_each_fingerprint_once(city: City) -> None:
    collide(city)
    for person in (1, 2, 3):
        use(city, city.tills[0], person)
    with city.storage.read() as connection:
        kept = connection.scalars(select(pools.c.fingerprint).where(pools.c.fingerprint.is_not(None))).all()
    assert kept == [same("") - 2**63]


def test_the_first_of_a_batch_keeps_its_fingerprint() -> None:
    assert repeated({"b": 1, "a": 1, "c": 2, "d": 1}) == {"b", "d"}

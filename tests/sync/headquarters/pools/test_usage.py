"""Who has used what elsewhere: the same at a terminal as at headquarters, in few bytes, under concurrent commits."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from sync.errors import MessageMalformed
from sync.headquarters.pools import usage
from sync.headquarters.storage import Storage
from sync.wire_usage import (
    USAGE_BYTES_MAX,
    USAGE_PAGE_PAIRS_MAX,
    Pair,
    decode_usage,
    fingerprint,
    floor_bits,
    pack,
    rice_parameter,
    sorted_pairs,
    unpack,
)
from tests.sync.headquarters.pools.city import City, Till, book, person_key

pairs = st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 2**53 - 1), max_size=40).map(
    lambda found: sorted(found.items())
)


@pytest.fixture
def city(storage: Storage) -> City:
    return City(storage, 2, book(1_000))


class Shelf:
    """What a terminal keeps of the feed."""

    def __init__(self) -> None:
        self.version = ""
        self.amounts: dict[int, int] = {}

    def fetch(self, city: City, till: Till) -> bool:
        """Fetch until it has what is published; whether that was a snapshot."""
        cursor, after = None, self.version
        while True:
            with city.storage.read() as connection:
                body = usage.answer(connection, till.place, after, cursor, now=city.now, books=city.books)
            assert len(body) <= USAGE_BYTES_MAX
            head, found = decode_usage(body)
            if head.snapshot and cursor is None:
                self.amounts = {}
            self.amounts.update(found)
            self.amounts = {key: amount for key, amount in self.amounts.items() if amount}
            if head.next is None:
                self.version = head.version
                return head.snapshot
            cursor, after = head.next, head.version


def publish(city: City, till: Till) -> str:
    city.pass_s(usage.PUBLISH_S)
    with city.storage.write() as connection:
        return str(usage.version_for(connection, till.place, city.now, city.books))


def use(city: City, till: Till, person: int, amount: int = 1) -> int:
    claims = [{"key": person_key(person), "amount": amount, "max": 2}]
    number = city.authorise(till, claims, units=amount)
    city.push(till)
    return number


def test_a_terminal_hears_of_what_others_used_and_not_of_its_own(city: City) -> None:
    here, there = city.tills
    shelf = Shelf()
    use(city, here, 1)
    number = use(city, there, 2, 2)
    version = publish(city, here)
    assert shelf.fetch(city, here)
    assert (shelf.version, shelf.amounts) == (version, {fingerprint(person_key(2)): 2})
    use(city, there, 1)
    city.cancel(there, number, [{"key": person_key(2), "amount": 2}])
    city.push(there)
    publish(city, here)
    assert not shelf.fetch(city, here)
    assert shelf.amounts == {fingerprint(person_key(1)): 1}
    assert not shelf.fetch(city, here)
    assert shelf.amounts == {fingerprint(person_key(1)): 1}, "a page that comes twice does no harm"


def test_the_version_moves_once_a_minute(city: City) -> None:
    here = city.tills[0]
    first = publish(city, here)
    use(city, here, 1)
    with city.storage.write() as connection:
        soon = usage.version_for(connection, here.place, city.now + timedelta(seconds=1), city.books)
    assert str(soon) == first
    assert publish(city, here) != first


def test_another_set_of_offers_begins_with_a_snapshot(city: City) -> None:
    here, there = city.tills
    shelf = Shelf()
    use(city, there, 1)
    publish(city, here)
    shelf.fetch(city, here)
    shelf.version = shelf.version.partition(".")[0] + "." + "0" * 16
    assert shelf.fetch(city, here)
    assert len(shelf.amounts) == 1


def test_a_snapshot_comes_in_pages(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = city.tills
    monkeypatch.setattr(usage, "USAGE_PAGE_PAIRS_MAX", 3)
    for person in range(8):
        use(city, there, person)
    publish(city, here)
    shelf = Shelf()
    assert shelf.fetch(city, here)
    assert shelf.amounts == {fingerprint(person_key(person)): 1 for person in range(8)}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_commit_that_is_overtaken_is_not_missed(city: City) -> None:
    """On PostgreSQL a transaction may write first and commit last; on SQLite there is one writer."""
    here, there = city.tills
    use(city, there, 1)
    use(city, there, 2)
    change = text(
        "UPDATE pools SET used = used + 1, version = CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
        " WHERE key = :key"
    )
    shelf = Shelf()
    with city.storage.engine.connect() as slow, slow.begin():
        slow.execute(change, {"key": person_key(1)})
        with city.storage.write() as quick:
            quick.execute(change, {"key": person_key(2)})
        publish(city, here)
        shelf.fetch(city, here)
        assert shelf.amounts[fingerprint(person_key(1))] == 1
    publish(city, here)
    assert not shelf.fetch(city, here)
    assert shelf.amounts == {fingerprint(person_key(1)): 2, fingerprint(person_key(2)): 2}


@given(pairs, st.integers(0, 63))
def test_pairs_come_back_as_they_went(sent: list[Pair], spare: int) -> None:
    rice = max(rice_parameter(sent), 48 + spare % 16)  # small parameters spell large gaps in unary
    assert unpack(pack(sent, rice), len(sent), rice) == sent


@given(pairs, st.data())
def test_bits_that_are_cut_off_or_spare_are_told(sent: list[Pair], data: st.DataObject) -> None:
    rice = max(50, rice_parameter(sent))
    coded = pack(sent, rice)
    with pytest.raises(MessageMalformed):
        unpack(coded + b"\x00", len(sent), rice)
    if coded:
        with pytest.raises(MessageMalformed):
            unpack(coded[: data.draw(st.integers(0, len(coded) - 1))], len(sent), rice)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with pytest.raises(MessageMalformed):
        decode_usage(body)


@pytest.mark.parametrize("count", [100, 20_000])
def test_the_size_is_near_what_any_exact_set_needs(count: int) -> None:
    """Within 5 percent of the floor, amounts of one included (a bit each)."""
    source = random.Random(7)
    found = sorted_pairs((source.getrandbits(64), 1) for _ in range(count))
    bits = len(pack(found, rice_parameter(found))) * 8
    assert floor_bits(count) <= bits <= 1.05 * floor_bits(count)
    assert count <= USAGE_PAGE_PAIRS_MAX


def test_two_keys_of_one_fingerprint_tell_the_larger_amount() -> None:
    assert sorted_pairs([(5, 1), (3, 1), (5, 2)]) == [(3, 1), (5, 2)]

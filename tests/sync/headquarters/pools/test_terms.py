"""What a key is counted for, and which keys a slice can be cut for at a place."""

from __future__ import annotations

from datetime import UTC, datetime

from sync.headquarters.pools.terms import KEY_BYTES_MAX, flagged_offers, leasable, storable, terms_of
from sync.headquarters.projection import Place
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.counts import Offline
from tests.sync.headquarters.books.campaign import WINTER
from tests.sync.headquarters.pools.city import POOL_KEY, book, person_key

CINEMA = Place("t", "gongren-julebu", "main")
CHRISTMAS = datetime(2012, 12, 25, 4, tzinfo=UTC)
WINTER_POOL = "winter-film|pool|campaign=winter-2012|campaign=winter-2012"


def winter(text: str = WINTER) -> LoadedBook:
    return LoadedBook.of(parse_book(text, "toml"))


def test_a_slice_is_cut_for_what_is_sold_at_a_place_from_the_day_before_on() -> None:
    loaded = winter()
    assert [each.key for each in leasable(loaded, CINEMA, CHRISTMAS)] == [WINTER_POOL]
    assert leasable(loaded, Place("t", "gongren-julebu", "elsewhere"), CHRISTMAS) == []
    assert leasable(loaded, Place("t", "nobody", "main"), CHRISTMAS) == []
    assert leasable(loaded, CINEMA, CHRISTMAS.replace(day=23)) == []
    assert len(leasable(loaded, CINEMA, CHRISTMAS.replace(day=24))) == 1
    assert leasable(loaded, CINEMA, CHRISTMAS.replace(year=2013, month=2, day=21)) == []


def test_a_pool_of_each_day_has_todays_key_and_tomorrows() -> None:
    daily = WINTER.replace(
        'per = ["campaign"], window = "campaign", offline = "lease"',
        'per = ["merchant"], window = "day", offline = "lease"',
    )
    keys = leasable(winter(daily), CINEMA, CHRISTMAS)
    assert [(each.key, each.ends_on) for each in keys] == [
        ("winter-film|pool|merchant=gongren-julebu|day=2012-12-25", "2012-12-26"),
        ("winter-film|pool|merchant=gongren-julebu|day=2012-12-26", "2012-12-27"),
    ]


def test_terms_come_from_the_book_and_without_one_from_the_terminal() -> None:
    loaded = book(100)
    pool, person = terms_of(loaded, POOL_KEY, 5), terms_of(loaded, person_key(1), 5)
    assert pool is not None
    assert person is not None
    assert (pool.policy, pool.max, pool.shared, pool.personal_flag) == (Offline.LEASE, 100, True, False)
    assert (person.policy, person.max, person.shared, person.personal_flag) == (Offline.FLAG, 2, False, True)
    unknown = terms_of(None, person_key(1), 5)
    assert unknown is not None
    assert (unknown.policy, unknown.max, unknown.shared) == (Offline.FLAG, 5, False)
    assert terms_of(loaded, "no-key", 5) is None
    local = [(o.id, each.id) for o in winter().book.offers for each in o.limits if each.offline is Offline.LOCAL]
    assert all(terms_of(winter(), f"{offer}|{limit}|person=v1:aa|x=y", 1) is None for offer, limit in local)


def test_the_usage_feed_is_of_what_is_sold_at_the_place() -> None:
    assert flagged_offers(winter(), CINEMA) == ["winter-film"]
    assert flagged_offers(winter(), Place("t", "nobody", "main")) == []


def test_keys_that_no_index_holds_are_told() -> None:
    assert storable("a" * KEY_BYTES_MAX)
    assert not storable("a" * (KEY_BYTES_MAX + 1))
    assert not storable("a\0b")

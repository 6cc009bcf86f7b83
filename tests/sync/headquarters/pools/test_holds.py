"""Holds, case by case; and what the sales of a batch do to them and to the limits."""

from __future__ import annotations

import random
import threading

import pytest

from config.errors import JingkaError
from sync.headquarters.pools.holds import HOLD_LIFE_S
from sync.headquarters.storage import Storage
from sync.wire_grants import HoldAnswer, HoldRequest
from tests.sync.headquarters.pools.city import POOL_KEY, City, book, person_key

ONE = person_key(1)
CUP = person_key(1, "cup")


@pytest.fixture
def city(storage: Storage) -> City:
    return City(storage, 3, book(10))


def claims(*pairs: tuple[str, int], most: int = 2) -> list[dict[str, object]]:
    return [{"key": key, "amount": amount, "max": most} for key, amount in pairs]


def held(city: City, key: str = ONE) -> tuple[int, int]:
    row = city.pool(key)
    return row.used, row.held


def test_a_hold_is_room_for_one_sale_and_is_used_up_by_it(city: City) -> None:
    here, there = city.tills[:2]
    number = city.next_number()
    answer = city.hold(here, city.hold_request(here, {ONE: 2}, redemption=number))
    assert (answer.granted, answer.life_s, held(city)) == (True, HOLD_LIFE_S, (0, 2))
    refused = city.hold(there, city.hold_request(there, {ONE: 1}))
    assert (refused.granted, refused.keys[0].used, refused.keys[0].max) == (False, 2, 2)
    city.authorise(here, claims((ONE, 2)), redemption=number, units=2)
    assert city.push(here) == ()
    assert held(city) == (2, 0)


def test_the_same_request_again_is_given_the_same_answer_and_no_second_room(city: City) -> None:
    here = city.tills[0]
    asked = city.hold_request(here, {ONE: 1, POOL_KEY: 3})
    first = city.hold(here, asked)
    city.pass_s(5)
    assert city.hold(here, asked) == first
    assert held(city) == (0, 1)
    assert city.pool().allotted == 3


def test_all_keys_or_none(city: City) -> None:
    here = city.tills[0]
    assert not city.hold(here, city.hold_request(here, {ONE: 3, POOL_KEY: 1})).granted
    assert (held(city), city.pool().allotted) == ((0, 0), 0)


def test_a_hold_given_back_makes_room_and_a_late_copy_of_it_finds_none(city: City) -> None:
    here = city.tills[0]
    asked = city.hold_request(here, {ONE: 2})
    city.hold(here, asked)
    city.give_back(here, asked)
    city.give_back(here, asked)
    assert held(city) == (0, 0)
    assert not city.hold(here, asked).granted
    early = city.hold_request(here, {ONE: 2})
    city.give_back(here, early)  # overtakes the request itself
    assert not city.hold(here, early).granted
    assert held(city) == (0, 0)


def test_another_attempt_takes_the_place_of_the_last(city: City) -> None:
    here, number = city.tills[0], city.next_number()
    first = city.hold_request(here, {ONE: 2}, redemption=number)
    city.hold(here, first)
    again = city.hold(here, city.hold_request(here, {ONE: 1}, redemption=number, attempt=2))
    assert (again.granted, again.keys[0].used, held(city)) == (True, 1, (0, 1))
    assert not city.hold(here, first).granted, "an old copy does not undo it"
    city.give_back(here, first)
    assert held(city) == (0, 1)


def test_a_hold_dies_only_when_it_can_be_used_no_more(city: City) -> None:
    here = city.tills[0]
    city.exchange(here)
    number = city.next_number()
    city.hold(here, city.hold_request(here, {ONE: 1}, redemption=number))
    city.pass_s(HOLD_LIFE_S - 10)
    city.exchange(here)
    assert held(city) == (0, 1)
    city.authorise(here, claims((ONE, 1)), redemption=number)  # in time, told late
    city.pass_s(600)
    city.deliver_report(here, here.report())  # not all is pushed: the sale may be among what is missing
    assert held(city) == (0, 1)
    city.exchange(here)
    assert held(city) == (1, 0)


@pytest.mark.parametrize("reboot", [False, True])
def test_a_hold_that_was_never_used_is_freed_by_the_next_report(city: City, reboot: bool) -> None:
    here = city.tills[0]
    city.exchange(here)
    city.hold(here, city.hold_request(here, {ONE: 1}))
    city.pass_s(60 if reboot else HOLD_LIFE_S + 1)
    if reboot:
        city.reboot(here)
    city.exchange(here)
    assert held(city) == (0, 0)


def test_the_one_without_a_hold_went_over_the_limit(city: City) -> None:
    """Whichever arrives first: who asked had a promise, who sold while cut off did not."""
    online, offline = city.tills[:2]
    number = city.next_number()
    city.hold(online, city.hold_request(online, {ONE: 2}, redemption=number))
    city.authorise(offline, claims((ONE, 1)))
    assert [code for _, code in city.push(offline)] == ["over-limit"]
    city.authorise(online, claims((ONE, 2)), redemption=number, units=2)
    assert city.push(online) == ()


def test_double_use_while_cut_off_is_flagged_once_and_each_time_it_goes_on(city: City) -> None:
    first, second = city.tills[:2]
    city.authorise(first, claims((ONE, 2)), units=2)
    city.authorise(second, claims((ONE, 1)))
    number = city.authorise(second, claims((ONE, 1)))
    assert city.push(second) == ()
    assert [code for _, code in city.push(first)] == ["over-limit"]
    city.cancel(second, number, claims((ONE, 1)))
    city.cancel(second, number - 1, claims((ONE, 1)))
    assert city.push(second) == ()
    city.authorise(second, claims((ONE, 1)))
    assert [code for _, code in city.push(second)] == ["over-limit"]
    assert held(city) == (3, 0)


def test_a_batch_that_comes_twice_counts_once(city: City) -> None:
    here = city.tills[0]
    city.authorise(here, claims((ONE, 2)), units=2)
    city.push(here)
    city.push(here, first=1)
    assert held(city) == (2, 0)


def test_a_book_that_is_none_of_ours_counts_by_the_terminals_own_number(city: City) -> None:
    here = city.tills[0]
    key = "elsewhere|card|card=v1:aa|day=2026-01-05"
    here.ledger.authorise(city.next_number(), claims=claims((key, 2)), merchant="cinema", site="main")
    here.ledger.authorise(city.next_number(), claims=claims((key, 1)), merchant="cinema", site="main")
    assert city.push(here) == ((2, "over-limit"),)


def test_claims_that_no_database_holds_are_found_and_stop_nothing(city: City) -> None:
    here = city.tills[0]
    for key, amount in (("a|b|" + "x" * 990 + "\0", 1), ("a|b|" + "月" * 900, 1), (ONE, 2**50)):
        city.authorise(here, claims((key, amount), most=amount))
    city.authorise(here, claims((ONE, 1)))
    assert [code for _, code in city.push(here)] == ["unreadable"] * 3
    assert held(city) == (1, 0)


def test_a_later_book_moves_the_limit(city: City) -> None:
    here = city.tills[0]
    city.exchange(here)
    later = City.__new__(City)
    later.__dict__.update(vars(city))
    later.book = book(40, revision=2)
    later.books = type(city.books)(later.book)
    later.exchange(here)
    assert (city.pool().max, city.pool().revision) == (40, 2)
    city.pass_s(1)
    city.exchange(city.tills[1])  # by the earlier book: the later one stays
    assert city.pool().max == 40


def test_a_terminal_that_is_doubted_is_held_nothing_hard(city: City) -> None:
    here = city.tills[0]
    city.exchange(here)
    disk = city.backup(here)
    city.exchange(here)
    city.exchange(here)
    city.restore(here, disk)
    city.exchange(here)
    assert not city.hold(here, city.hold_request(here, {CUP: 1})).granted
    assert not city.hold(here, city.hold_request(here, {POOL_KEY: 1})).granted
    assert city.hold(here, city.hold_request(here, {ONE: 1})).granted


def test_many_counters_at_once_never_get_more_than_there_is(city: City) -> None:
    """Threads on real transactions: sixteen ask for the last ten, in both orders of two keys."""
    asked: list[HoldRequest] = []
    for n in range(16):
        keys = [(POOL_KEY, 1), (person_key(n % 4), 1)]
        asked.append(city.hold_request(city.tills[n % 3], dict(keys if n % 2 else reversed(keys))))
    answers: list[HoldAnswer] = []
    start = threading.Barrier(4)

    def counter(part: int) -> None:
        start.wait(10)
        for n in range(part, 16, 4):
            answers.append(city.hold(city.tills[n % 3], asked[n]))

    threads = [threading.Thread(target=counter, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    granted = sum(answer.granted for answer in answers)
    assert len(answers) == 16
    assert granted == city.pool().allotted == 8  # two for each of four people


def test_batches_holds_and_reports_at_once_never_wait_for_each_other_in_a_ring(city: City) -> None:
    """Keys old and new, in every order, some beyond what was granted; whatever is refused, nothing fails."""
    source = random.Random(11)
    failed: list[JingkaError] = []
    start = threading.Barrier(3)

    def terminal(n: int, keys: list[list[str]]) -> None:
        till = city.tills[n]
        try:
            start.wait(10)
            for round_, wanted in enumerate(keys):
                number = 1_000 * (n + 1) + round_
                city.hold(till, city.hold_request(till, dict.fromkeys(wanted, 1), redemption=number))
                city.authorise(till, claims(*[(key, 1) for key in wanted]), redemption=number)
                city.push(till)
                city.deliver_report(till, till.report().model_copy(update={"monotonic_ms": 1_000 + round_}))
        except JingkaError as error:
            failed.append(error)

    names = [POOL_KEY, *(person_key(n) for n in range(8)), *(person_key(n, "cup") for n in range(4))]
    plans = [[source.sample(names, 4) for _ in range(8)] for _ in range(3)]
    threads = [threading.Thread(target=terminal, args=(n, plan)) for n, plan in enumerate(plans)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    for key in names:
        row = city.pool(key)
        used = sum(key in wanted for plan in plans for wanted in plan)
        if key == POOL_KEY:
            assert sum(each.used for each in city.allotted()) == used
        elif row is not None:
            assert (row.used, row.held) == (used, 0)

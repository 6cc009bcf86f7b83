"""Reports, case by case: growing, calling back, repeats, doubt, restored disks, and what a person decides."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from sync.headquarters.people.tables import audit
from sync.headquarters.pools import settling
from sync.headquarters.pools.errors import LeaseRunning, TerminalInQuarantine
from sync.headquarters.pools.feeds import LeasesFeed
from sync.headquarters.pools.leases import MARGIN_S, RENEW_S, current
from sync.headquarters.pools.sizing import RESERVE
from sync.headquarters.pools.tables import leases
from sync.headquarters.storage import Storage
from sync.headquarters.tables import TerminalState, terminals
from sync.wire_grants import LEASE_KEYS_MAX
from terminal.serving.people import Person, Role
from tests.sync.headquarters.pools.city import POOL_KEY, City, Till, book

OPERATOR = Person("op", "Operator", Role.OPERATOR)


@pytest.fixture
def city(storage: Storage) -> City:
    return City(storage, 3, book(100))


def settle_release(city: City, till: Till) -> int:
    with city.storage.write() as connection:
        return settling.release_frozen(connection, till.name, by=OPERATOR, now=city.now)


def settle_write_off(city: City, till: Till) -> int:
    with city.storage.write() as connection:
        return settling.write_off(connection, till.name, by=OPERATOR, now=city.now)


def news(city: City, till: Till) -> str | None:
    with city.storage.read() as connection:
        return LeasesFeed(lambda: city.now).version(connection, till.place)


def test_a_new_terminal_is_told_to_report_and_gets_a_first_slice(city: City) -> None:
    till = city.tills[0]
    assert news(city, till) == "new"
    answer = city.exchange(till)
    assert (answer.generation, answer.life_s > 0) == (1, True)
    assert 0 < till.spendable == city.pool().allotted
    assert news(city, till) == answer.version


def test_a_terminal_that_sells_more_is_granted_more(city: City) -> None:
    busy, idle = city.tills[:2]
    city.exchange(idle)
    for _ in range(6):
        city.exchange(busy)
        while city.sell(busy, 1):
            pass
    city.exchange(idle)  # it gives back what the other one is short of
    city.exchange(busy)
    assert busy.spendable > idle.spendable
    assert city.flagged() == []


def test_a_slice_that_runs_low_makes_news(city: City) -> None:
    till = city.tills[0]
    answer = city.exchange(till)
    while city.sell(till, 1):
        pass
    city.push(till)
    assert news(city, till) != answer.version


def test_a_lease_is_renewed_while_the_line_is_up(city: City) -> None:
    till = city.tills[0]
    answer = city.exchange(till)
    city.pass_s(RENEW_S + 1)
    assert news(city, till) != answer.version
    assert news(city, till) != city.exchange(till).version or news(city, till) == till.version


def test_the_same_report_again_changes_nothing(city: City) -> None:
    till = city.tills[0]
    told = till.report()
    first = city.deliver_report(till, told)
    assert city.deliver_report(till, told) == first.model_copy(update={"time": first.time})
    assert city.pool().allotted == first.grants[0].granted


def test_a_report_from_before_the_last_one_changes_nothing(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    old = till.report()
    city.pass_s(5)
    city.exchange(till)
    city.exchange(till)
    before = city.allotment(till)
    answer = city.deliver_report(till, old)
    assert city.allotment(till) == before
    assert answer.life_s > 0, "a message that was long under way is no reason to doubt the terminal"


def test_an_answer_that_is_lost_is_made_good_by_the_next(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    for _ in range(5):
        city.pass_s(1)
        city.deliver_report(till, till.report())  # five answers lost
    city.pass_s(1)
    assert city.exchange(till).life_s > 0
    assert till.granted == city.allotment(till).granted


def test_units_are_called_back_from_who_does_not_sell_and_found_by_who_does(city: City) -> None:
    idle, busy = city.tills[:2]
    asked = city.hold_request(idle, {POOL_KEY: 90})
    idle.granted = city.hold(idle, asked).keys[0].granted
    city.exchange(idle)
    assert idle.granted - idle.returned == RESERVE, "it was asked to return what it can spare, and did"
    refused = city.hold(busy, city.hold_request(busy, {POOL_KEY: 60}))
    assert refused.granted


def test_nothing_is_credited_that_the_terminal_cannot_have(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    sold = till.spendable
    city.write_sale(till, sold)
    city.push(till)
    till.returned += 1_000
    city.deliver_report(till, till.report())
    row = city.allotment(till)
    assert row.granted - row.returned >= row.used == sold


def test_a_terminal_that_came_from_a_backup_spends_nothing_until_a_person_says_so(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    disk = city.backup(till)
    city.exchange(till)
    city.exchange(till)
    city.restore(till, disk)
    answer = city.exchange(till)
    assert (answer.life_s, till.spendable) == (0, 0)
    assert city.allotment(till).frozen == city.allotment(till).granted > 0
    city.pass_s(10)
    assert city.exchange(till).life_s == 0, "saying it again helps nobody"
    assert settle_release(city, till) > 0
    city.pass_s(10)
    assert city.exchange(till).life_s > 0
    assert till.spendable > 0
    with city.storage.read() as connection:
        assert connection.scalars(select(audit.c.action)).all() == ["grants-released"]


def test_a_machine_that_was_away_and_started_anew_keeps_selling_from_new_units_only(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    before = till.spendable
    city.pass_s(3_600)
    city.reboot(till)
    answer = city.exchange(till)
    assert answer.grants[0].frozen == before
    assert till.spendable > 0, "new units are known to be unsold"
    assert settle_write_off(city, till) == before
    city.pass_s(1)
    city.exchange(till)
    assert city.pool().allotted == till.granted - till.returned - till.frozen


def test_a_disk_that_has_forgotten_sales_which_headquarters_has_is_told_from_a_late_report(city: City) -> None:
    """What it sold it would sell again: the sales that are here count, however old its last report is."""
    till = city.tills[0]
    city.exchange(till)
    disk = city.backup(till)
    city.sell(till, 2)
    city.push(till)
    told = till.report()
    city.pass_s(1)
    till.granted += 1
    city.write_sale(till, 1)
    city.push(till)  # overtakes the report
    assert city.deliver_report(till, told).life_s > 0
    city.restore(till, disk)
    assert city.exchange(till).life_s == 0


def test_a_terminal_that_stops_gives_its_units_back_and_is_not_doubted_in_the_morning(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    city.sell(till, 1)
    city.push(till)
    till.returned += till.granted - till.returned - till.used
    answer = city.deliver_report(till, till.report().model_copy(update={"closing": True}))
    till.take(answer, till.uptime_ms)
    assert (city.allotment(till).granted, city.allotment(till).returned) == (till.granted, till.granted - 1)
    assert city.pool().allotted == 1, "what is sold stays out, the rest is free for others overnight"
    assert news(city, till) != till.version, "it is asked to report as soon as it is back"
    city.pass_s(10 * 3600)
    city.reboot(till)
    assert city.exchange(till).grants[0].frozen == 0
    assert till.spendable > 0


def test_units_sold_given_back_and_returned_may_be_told_after_the_return(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    assert city.sell(till, 2)
    assert city.take_back(till)
    till.returned += till.granted - till.returned
    told = till.report().model_copy(update={"closing": True})
    city.deliver_report(till, told)  # before the sale and its cancellation are pushed
    assert city.pool().allotted == 0
    assert city.push(till) == ()
    assert (city.flagged(), city.pool().excess) == ([], 0)


def test_a_quick_restart_is_no_reason_to_doubt(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    city.pass_s(120)
    city.reboot(till)
    assert city.exchange(till).grants[0].frozen == 0
    assert till.spendable > 0


def test_sales_that_arrive_after_their_units_were_frozen_are_no_fault(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    before = till.spendable
    city.sell(till, 1)
    city.pass_s(3_600)
    city.reboot(till)
    city.deliver_report(till, till.report())  # before it has pushed
    assert city.allotment(till).frozen == before
    city.push(till)
    row = city.allotment(till)
    assert row.used == 1
    assert row.used + row.frozen <= row.granted
    assert city.flagged() == []


def test_a_lease_is_written_off_only_when_it_is_over(city: City) -> None:
    till = city.tills[0]
    life_s = city.exchange(till).life_s
    with pytest.raises(LeaseRunning):
        settle_write_off(city, till)
    city.pass_s(life_s + MARGIN_S)
    assert till.spendable == 0
    assert settle_write_off(city, till) == till.granted
    assert city.pool().allotted == 0
    city.write_sale(till, 1)  # a clock that stood still: it sold beyond its lease
    city.push(till)
    assert city.flagged() == [(till.name, 1, "after-lease")]
    assert city.pool().excess == 1


def test_a_shorter_life_counts_only_once_the_terminal_has_it(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    with city.storage.read() as connection:
        long_end = connection.scalar(select(leases.c.ends_at))
    other = city.tills[1]
    city.write_sale(other, 97)  # all but gone: lives are short now
    city.push(other)
    city.pass_s(1)
    told = till.report()
    answer = city.deliver_report(till, told)
    with city.storage.read() as connection:
        assert connection.scalar(select(leases.c.ends_at).where(leases.c.terminal == till.name)) <= long_end
    city.pass_s(1)
    city.deliver_report(till, till.report())  # the short one was lost: the long one may still run
    with city.storage.read() as connection:
        end = connection.scalar(select(leases.c.ends_at).where(leases.c.terminal == till.name))
    till.take(answer, told.monotonic_ms)
    assert end >= city.now + timedelta(seconds=answer.life_s)


def test_what_lies_at_a_terminal_in_quarantine_stays_frozen(city: City) -> None:
    till = city.tills[0]
    city.exchange(till)
    with city.storage.write() as connection:
        connection.execute(terminals.update().values(state=TerminalState.QUARANTINED.value))
    with pytest.raises(TerminalInQuarantine):
        settle_release(city, till)


def test_reading_the_grants_changes_nothing(city: City) -> None:
    till = city.tills[0]
    with city.storage.read() as connection:
        assert current(connection, till.name, city.now).grants == ()
    answer = city.exchange(till)
    with city.storage.read() as connection:
        read = current(connection, till.name, city.now)
    assert (read.grants, read.generation) == (answer.grants, answer.generation)
    assert len(read.grants) <= LEASE_KEYS_MAX

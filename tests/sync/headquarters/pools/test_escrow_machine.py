"""Terminals, a bad network, restored disks, offline sales, against headquarters: a pool is never oversold.

A report that goes through Hypothesis' hands may be lost, doubled, or come hours after it was written.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sync.headquarters.pools import settling
from sync.wire_grants import LeaseReport
from terminal.serving.people import Person, Role
from tests.sync.headquarters.pools.city import POOL_KEY, City, Till, book, quick_storage

OPERATOR = Person("op", "Operator", Role.OPERATOR)
TILLS = st.integers(0, 2)
EXAMPLES = int(os.environ.get("ESCROW_EXAMPLES", "20"))  # some seconds; thousands by hand


class Escrow(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._opened = quick_storage()
        self.city = City(self._opened.__enter__(), 3, book(24))
        self.late: list[tuple[Till, LeaseReport]] = []
        self.backups: dict[str, Till] = {}
        self.restored: set[str] = set()  # has lost sales that headquarters may never have heard of

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        for till in self.city.tills:
            self.city.exchange(till)
            answer = self.city.hold(till, self.city.hold_request(till, {POOL_KEY: 5}))
            till.granted = answer.keys[0].granted
            self.backups[till.name] = self.city.backup(till)

    @rule(n=TILLS, units=st.integers(1, 3), often=st.integers(1, 4))
    def sell(self, n: int, units: int, often: int) -> None:
        for _ in range(often):
            self.city.sell(self.city.tills[n], units)

    @rule(n=TILLS)
    def take_back(self, n: int) -> None:
        self.city.take_back(self.city.tills[n])

    @rule(n=TILLS, answered=st.booleans(), again=st.booleans())
    def push(self, n: int, answered: bool, again: bool) -> None:
        till = self.city.tills[n]
        self.city.push(till, answered=answered, first=1 if again and till.pushed else None)

    @rule(n=TILLS, answered=st.booleans(), wanted=st.integers(0, 4), keep=st.booleans())
    def exchange(self, n: int, answered: bool, wanted: int, keep: bool) -> None:
        till = self.city.tills[n]
        self.city.push(till)
        told = till.report(wanted)
        if keep:
            self.late.append((till, told))
        answer = self.city.deliver_report(till, told)
        if answered:
            till.take(answer, told.monotonic_ms)
        self.city.pass_s(1)

    @rule(n=TILLS)
    def write_a_report_that_comes_late(self, n: int) -> None:
        self.city.push(self.city.tills[n])
        self.late.append((self.city.tills[n], self.city.tills[n].report()))
        self.city.pass_s(1)

    @rule(which=st.integers(0, 20))
    def deliver_late(self, which: int) -> None:
        if self.late:
            till, told = self.late[which % len(self.late)]
            self.city.deliver_report(till, told)  # nobody waits for the answer any more

    @rule(n=TILLS, units=st.integers(1, 4), answered=st.booleans())
    def hold_and_sell(self, n: int, units: int, answered: bool) -> None:
        till = self.city.tills[n]
        asked = self.city.hold_request(till, {POOL_KEY: units})
        answer = self.city.hold(till, asked)
        assert self.city.hold(till, asked).granted == answer.granted  # the same answer again, and no more room taken
        if answered and answer.granted:
            till.granted = max(till.granted, answer.keys[0].granted)
            self.city.sell(till, units)
        self.city.pass_s(1)

    @rule(seconds=st.sampled_from([1, 60, 400, 3_600, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.city.pass_s(seconds)

    @rule(n=TILLS)
    def start_anew(self, n: int) -> None:
        self.city.reboot(self.city.tills[n])
        self.city.pass_s(1)

    @rule(n=TILLS)
    def back_up(self, n: int) -> None:
        till = self.city.tills[n]
        if till.name not in self.restored:
            self.backups[till.name] = self.city.backup(till)

    @rule(n=TILLS, heard=st.booleans())
    def sell_and_restore(self, n: int, heard: bool) -> None:
        till = self.city.tills[n]
        self.city.sell(till, 2)
        if heard:
            self.city.exchange(till)
        self.city.pass_s(700)  # nobody has a disk replaced in ten minutes
        self.city.restore(till, self.backups[till.name])
        self.restored.add(till.name)
        self.exchange(n, answered=True, wanted=0, keep=False)

    @rule(n=TILLS)
    def operator_releases(self, n: int) -> None:
        till = self.city.tills[n]
        if till.name not in self.restored:  # the operator has asked whether anything was restored
            with self.city.storage.write() as connection:
                settling.release_frozen(connection, till.name, by=OPERATOR, now=self.city.now)

    @rule(n=TILLS)
    def operator_writes_off(self, n: int) -> None:
        till = self.city.tills[n]
        over = till.uptime_ms >= till.lease_until_ms
        if till.name in self.restored or till.pushed < len(till.ledger.messages) or not over:
            return  # the operator waits for what the terminal still has to tell
        with self.city.storage.write() as connection:
            try:
                settling.write_off(connection, till.name, by=OPERATOR, now=self.city.now)
            except settling.LeaseRunning:
                return

    @invariant()
    def never_more_than_there_is(self) -> None:
        city, pool = self.city, self.city.pool()
        if pool is None:
            return
        allotted = city.allotted()
        assert pool.allotted == sum(each.granted - each.returned - each.written_off for each in allotted)
        assert 0 <= pool.allotted <= pool.max
        assert sum(city.given.values()) <= pool.max
        assert sum(each.used for each in allotted) <= pool.max
        assert pool.excess == 0 or self.restored
        for each in allotted:
            assert each.granted >= each.returned >= 0
            assert each.frozen >= 0

    @invariant()
    def nobody_may_sell_beyond_an_allotment(self) -> None:
        for till in self.city.tills:
            row = self.city.allotment(till)
            allotted = row.granted - row.returned - row.written_off if row is not None else 0
            assert self.city.given[till.name] + till.spendable <= allotted

    @invariant()
    def what_is_told_is_known(self) -> None:
        for till in self.city.tills:
            row = self.city.allotment(till)
            if row is not None and till.name not in self.restored and till.pushed == len(till.ledger.messages):
                assert row.used == till.used


Escrow.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEscrow = Escrow.TestCase

"""A pool over three tills, whatever happens between them and headquarters: it is never oversold."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sync.errors import LeaseOutdated, LineDown
from sync.grants import Leases
from terminal.ledger.bodies import UsageClaim
from terminal.ledger.errors import HoldLate, LimitMoved
from terminal.ledger.grants import Right, Wish, WishedKey, hold_of
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import rebuild
from tests.fakes.clock import SteppedClock
from tests.fakes.escrow import PaperHeadquarters, source
from tests.fakes.sales import sale

POOL = "film|pool|campaign=c|campaign=c"
UNITS = 10
TILLS = st.sampled_from(("t1", "t2", "t3"))
LOST = st.sampled_from(("nothing", "nothing", "request", "answer"))
GONE = LineDown("ask", "headquarters", reason="lost", timed_out=True)


@dataclass
class Counter:
    """One till: its file, its clock, and the sales that were made there."""

    name: str
    path: Path
    clock: SteppedClock
    ledger: Ledger
    sold: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def used(self) -> int:
        return self.ledger.used(POOL)


class PoolMachine(RuleBasedStateMachine):
    """Sales, voids, exchanges, recalls, holds, restarts and boots in any order."""

    @initialize()
    def open_three_tills(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pool-model-"))
        self.headquarters = PaperHeadquarters(POOL, UNITS)
        self.tills: dict[str, Counter] = {}
        for name in ("t1", "t2", "t3"):
            path, clock = self.directory / f"{name}.db", SteppedClock(boot_id=f"{name}-boot-1")
            self.tills[name] = Counter(name, path, clock, Ledger.open(path, name, clock))

    @rule(name=TILLS, lost=LOST, more=st.booleans())
    def exchange(self, name: str, lost: str, more: bool) -> None:
        till = self.tills[name]

        def reply(_: str, body: bytes) -> bytes:
            if lost == "request":
                raise GONE
            till.answers.append(self.headquarters.exchange(body, till.used(), more=more))
            if lost == "answer":
                raise GONE
            return till.answers[-1]

        leases = Leases(till.ledger.allowances, till.clock)
        if lost == "nothing":
            leases.fetch(source(name, reply), "anything")
            assert leases.version()
        else:
            with pytest.raises(LineDown):
                leases.fetch(source(name, reply), "anything")

    @rule(name=TILLS, total=st.integers(0, UNITS))
    def ask_back(self, name: str, total: int) -> None:
        """Headquarters wants `returned` of this till to reach a total."""
        self.headquarters.accounts[name].recall = total

    @rule(name=TILLS, units=st.integers(1, 4))
    def sell_from_the_slice(self, name: str, units: int) -> None:
        till = self.tills[name]
        standing = till.ledger.allowances.standing()
        left = standing.unspent().get(("film", "pool"), 0)
        live = till.ledger.allowances.is_live(standing.lease)
        wanted = sale(units=units, claims=(UsageClaim(POOL, units, UNITS),))
        if live and units <= left:
            till.sold.append(till.ledger.authorise(wanted, Right(frozenset({POOL}))).id)
        else:
            with pytest.raises(LimitMoved):
                till.ledger.authorise(wanted, Right(frozenset({POOL})))

    @rule(name=TILLS, units=st.integers(1, 4), late_ms=st.sampled_from((0, 0, 0, 40_000)))
    def sell_with_a_hold(self, name: str, units: int, late_ms: int) -> None:
        till = self.tills[name]
        wanted = sale(units=units, claims=(UsageClaim(POOL, units, UNITS),))
        wish = Wish(wanted.id, 1, "film", 1, "", units, (WishedKey(POOL, units, UNITS),))
        word = self.headquarters.hold(name, wish, till.clock.boot(), till.clock.monotonic_ms())
        if not word.granted:
            return
        till.clock.step(late_ms)
        right = Right(frozenset({POOL}), hold_of(wish, word, {POOL: ("film", "pool")}), "hold")
        if late_ms:
            with pytest.raises(HoldLate):
                till.ledger.authorise(wanted, right)
        else:
            till.sold.append(till.ledger.authorise(wanted, right).id)

    @rule(name=TILLS, which=st.integers(0, 20), void=st.booleans())
    def take_back(self, name: str, which: int, void: bool) -> None:
        till = self.tills[name]
        if not till.sold:
            return
        chosen = till.sold.pop(which % len(till.sold))
        if void:
            till.ledger.complete(chosen, "c01", None)
            till.ledger.void(chosen, "m01", "mistake")
        else:
            till.ledger.cancel(chosen, "c01", "not-paid")

    @rule(name=TILLS, which=st.integers(0, 20))
    def an_old_answer_arrives(self, name: str, which: int) -> None:
        till = self.tills[name]
        if not till.answers:
            return
        old = till.answers[which % len(till.answers)]
        generation = till.ledger.allowances.lease().generation
        leases = Leases(till.ledger.allowances, till.clock)
        with contextlib.suppress(LeaseOutdated):
            leases.fetch(source(name, lambda *_: old), "anything")
        assert till.ledger.allowances.lease().generation >= generation

    @rule(name=TILLS, boots=st.booleans(), rebuilds=st.booleans())
    def restart(self, name: str, boots: bool, rebuilds: bool) -> None:
        till = self.tills[name]
        till.ledger.close()
        if boots:
            till.clock.boot_id += "x"
            till.clock.since_boot_ms = 5_000
        if rebuilds:
            rebuild(till.path)
        till.ledger = Ledger.open(till.path, name, till.clock)

    @rule(name=TILLS, ms=st.sampled_from((1_000, 400_000, 700_000)))
    def time_passes(self, name: str, ms: int) -> None:
        self.tills[name].clock.step(ms)

    @invariant()
    def never_oversold(self) -> None:
        if not hasattr(self, "tills"):
            return
        assert sum(till.used() for till in self.tills.values()) <= UNITS
        assert self.headquarters.out <= UNITS
        for name, till in self.tills.items():
            grant = till.ledger.allowances.grant(POOL)
            if grant is not None:
                assert till.used() <= grant.allowance
                assert grant.granted <= self.headquarters.accounts[name].granted
                assert grant.returned >= self.headquarters.accounts[name].returned

    def teardown(self) -> None:
        if hasattr(self, "tills"):
            for till in self.tills.values():
                till.ledger.close()
            shutil.rmtree(self.directory)


TestPoolOverThreeTills = PoolMachine.TestCase
TestPoolOverThreeTills.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)

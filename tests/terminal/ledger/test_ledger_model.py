"""Any sequence of steps, repeats, conflicts, restarts and rebuilds, held against a model in plain dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.ledger.errors import LimitMoved, RedemptionConflict
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import rebuild
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

POOL = 12  # small, so that the limit is met often


@dataclass
class Modelled:
    """What the model believes of one redemption."""

    asked: Authorisation
    state: str = "authorised"
    voided: int = 0


class LedgerMachine(RuleBasedStateMachine):
    """The ledger under test beside its model."""

    sales = Bundle("sales")

    @initialize()
    def open_new(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-model-"))
        self.path = self.directory / "ledger.db"
        self.clock = SteppedClock()
        self.ledger = Ledger.open(self.path, "T1", self.clock)
        self.model: dict[str, Modelled] = {}
        self.entries = 0

    def pool_used(self) -> int:
        held = 0
        for each in self.model.values():
            if each.state != "cancelled":
                held += each.asked.units - each.voided
        return held

    @rule(target=sales, units=st.integers(1, 5))
    def authorise(self, units: int) -> Authorisation:
        asked = sale(units=units, claims=(UsageClaim("pool", units, POOL), UsageClaim(f"uses/{units}", 1, 100)))
        if self.pool_used() + units > POOL:
            with pytest.raises(LimitMoved) as caught:
                self.ledger.authorise(asked)
            assert caught.value.used == self.pool_used()
        else:
            answer = self.ledger.authorise(asked)
            self.entries += 1
            assert (answer.sequence, answer.repeat) == (self.entries, False)
            self.model[asked.id] = Modelled(asked)
        return asked

    @rule(asked=sales)
    def authorise_again(self, asked: Authorisation) -> None:
        if asked.id in self.model:
            answer = self.ledger.authorise(asked)
            assert answer.repeat
            assert answer.state == self.model[asked.id].state

    @rule(asked=sales)
    def authorise_another_sale_under_the_same_id(self, asked: Authorisation) -> None:
        if asked.id in self.model:
            with pytest.raises(RedemptionConflict):
                self.ledger.authorise(sale(7, id=asked.id))

    @rule(asked=sales)
    def complete(self, asked: Authorisation) -> None:
        known = self.model.get(asked.id)
        if known is None:
            return
        if known.state == "cancelled":
            with pytest.raises(RedemptionConflict):
                self.ledger.complete(asked.id, "c01", "000000000001")
            return
        fresh = known.state == "authorised"
        answer = self.ledger.complete(asked.id, "c01", "000000000001")
        known.state = "completed" if fresh else known.state
        self.entries += fresh
        assert (answer.state, answer.repeat) == (known.state, not fresh)

    @rule(asked=sales)
    def cancel(self, asked: Authorisation) -> None:
        known = self.model.get(asked.id)
        if known is None:
            return
        if known.state in ("completed", "voided"):
            with pytest.raises(RedemptionConflict):
                self.ledger.cancel(asked.id, "c01", "no money")
            return
        fresh = known.state == "authorised"
        assert self.ledger.cancel(asked.id, "c01", "no money").repeat is not fresh
        known.state = "cancelled"
        self.entries += fresh

    @rule(asked=sales, units=st.none() | st.integers(1, 6))
    def void(self, asked: Authorisation, units: int | None) -> None:
        known = self.model.get(asked.id)
        if known is None:
            return
        aim = known.asked.units if units is None else units
        if known.state not in ("completed", "voided") or aim > known.asked.units:
            with pytest.raises(RedemptionConflict):
                self.ledger.void(asked.id, "m01", "wrong", units)
            return
        fresh = aim > known.voided
        answer = self.ledger.void(asked.id, "m01", "wrong", units)
        known.voided = max(aim, known.voided)
        known.state = "voided" if known.voided == known.asked.units else "completed"
        self.entries += fresh
        assert (answer.state, answer.voided_units, answer.repeat) == (known.state, known.voided, not fresh)

    @rule(asked=consumes(sales))
    def forget(self, asked: Authorisation) -> None:
        """Keeps the bundle small; the ledger forgets nothing."""

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, "T1", self.clock)

    @rule()
    def rebuild_projections(self) -> None:
        self.ledger.close()
        assert rebuild(self.path).entries == self.entries
        self.ledger = Ledger.open(self.path, "T1", self.clock)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.ledger.last_sequence() == self.entries
        assert self.ledger.used("pool") == self.pool_used() <= POOL
        found = {each.id: (each.state.value, each.voided_units) for each in self.ledger.redemptions("2012-12-25")}
        assert found == {name: (each.state, each.voided) for name, each in self.model.items()}
        open_ids = [name for name, each in self.model.items() if each.state == "authorised"]
        assert [each.id for each in self.ledger.unsettled()] == open_ids

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            report = verify(self.path)
            assert report.ok, report
            assert report.entries == self.entries
            self.ledger.close()
            shutil.rmtree(self.directory)


TestLedgerAgainstModel = LedgerMachine.TestCase
TestLedgerAgainstModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

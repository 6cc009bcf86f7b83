"""Whatever arrives when, and whoever closes when: every step is in one line of one month, for ever."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sync.headquarters.money.document import Line
from sync.headquarters.money.errors import EarlierMonthOpen, TermsSettled
from sync.headquarters.money.months import month_of, preceding
from sync.headquarters.money.settlement import close
from sync.headquarters.money.terms import NewTerms, set_terms
from sync.headquarters.storage import Storage, open_storage
from tests.sync.headquarters.money.scenes import FINANCE, KEY, arrive, assert_money_adds_up, lines_of, moment
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger, known_ledger

TILLS = ("till-0", "till-1")
till = st.integers(0, len(TILLS) - 1)


class City(RuleBasedStateMachine):
    """Two tills of one merchant that sell, void and send as they please; headquarters closes months and sets terms."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.storage: Storage = open_storage("", Path(self._directory.name))
        self.now = moment("2026-01-15")
        self.closed: dict[str, list[Line]] = {}
        self.ledgers: list[WrittenLedger] = []
        self.sent = [0, 0]
        self.sold: list[list[int]] = [[], []]
        self.number = 0

    def teardown(self) -> None:
        self.storage.close()
        self._directory.cleanup()

    @initialize()
    def enrol(self) -> None:
        self.ledgers = [known_ledger(self.storage, each) for each in TILLS]

    @rule(at=till, days_off=st.integers(-70, 40), units=st.integers(1, 3), saving=st.integers(0, 99), fee=till)
    def authorise(self, at: int, days_off: int, units: int, saving: int, fee: int) -> None:
        self.number += 1
        day = (self.now + timedelta(days=days_off)).date().isoformat()
        money = {"list_fen": 4000 * units, "pay_fen": 4000 * units - saving * units + 300 * fee}
        fees = [{"kind": "card", "amount_fen": 300}] * fee
        self.ledgers[at].authorise(self.number, business_day=day, units=units, fees=fees, **money)
        self.sold[at].append(self.number)

    @precondition(lambda self: any(self.sold))
    @rule(at=till, data=st.data(), does=st.sampled_from(["complete", "complete", "cancel", "void", "void"]))
    def step(self, at: int, data: st.DataObject, does: str) -> None:
        """A next step of any sale, one that does not follow included: that is flagged, and counts for nothing."""
        if not self.sold[at]:
            return
        number = data.draw(st.sampled_from(self.sold[at]))
        if does == "void":
            self.ledgers[at].void(number, data.draw(st.integers(1, 3)))
        else:
            getattr(self.ledgers[at], does)(number)

    @rule(at=till, count=st.integers(1, 12))
    def send(self, at: int, count: int) -> None:
        """Some of what waits, with entries sent before once more."""
        last = min(self.sent[at] + count, len(self.ledgers[at].messages))
        if last:
            arrive(self.storage, self.ledgers[at], self.now, max(1, self.sent[at] - 1), last)
            self.sent[at] = max(last, self.sent[at])

    @rule(days=st.integers(1, 25))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(months_back=st.integers(1, 3))
    def close_month(self, months_back: int) -> None:
        month = month_of(self.now)
        for _ in range(months_back):
            month = preceding(month)
        try:
            with self.storage.write() as connection:
                found = close(connection, MERCHANT, month, FINANCE, KEY, now=self.now)
        except EarlierMonthOpen:
            return
        self.closed.setdefault(month, found.lines)

    @rule(days_off=st.integers(-60, 10), share_bp=st.sampled_from([0, 1, 3333, 5000, 10_000]))
    def set_share(self, days_off: int, share_bp: int) -> None:
        wanted = NewTerms(first_day=(self.now + timedelta(days=days_off)).date(), share_bp=share_bp)
        try:
            with self.storage.write() as connection:
                set_terms(connection, MERCHANT, wanted, FINANCE, now=self.now)
        except TermsSettled:
            return

    @invariant()
    def money_adds_up(self) -> None:
        if self.ledgers:
            assert_money_adds_up(self.storage)
            for month, lines in self.closed.items():
                assert lines_of(self.storage, month) == lines


TestCity = City.TestCase
TestCity.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)

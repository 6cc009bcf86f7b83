"""The cashier's use cases over the real rules and the real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uuid_utils
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from drivers.card import CardRemoved, EntryMode
from terminal.counter import PresentationGone
from terminal.held_quotes import HELD_QUOTES_MAX, HeldQuote, QuoteExpired, QuoteRequest, SaleRefused
from terminal.ledger.project import Redemption, RedemptionState
from terminal.ledger.verify import verify
from terminal.membership.roll import RollDamaged
from terminal.offers.refusal import RefusalCode
from terminal.offers.sale import SaleLine
from terminal.redemption_id import RedemptionIdInvalid, new_id
from tests.fakes.till import CARDS, READER, Till, open_till


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    opened = open_till(tmp_path)
    yield opened
    opened.ledger.close()


def film(till: Till, tickets: int = 2, form: str = "2d") -> HeldQuote:
    presented = till.counter.presentation
    assert presented is not None
    lines = (SaleLine("film-ticket", tickets, 8000, {"format": form}),)
    return asyncio.run(till.counter.quote(QuoteRequest(presented.id, "winter-film", lines, {})))


def authorise(till: Till, held: HeldQuote, redemption: str | None = None) -> Redemption:
    return asyncio.run(till.counter.authorise(redemption or new_id(), held.id, "c01"))


def test_two_tickets_are_sold_and_a_third_is_refused_with_its_numbers(till: Till) -> None:
    till.present("member")
    sold = authorise(till, film(till))
    assert (sold.state, sold.units, sold.pay_fen, sold.list_fen) == (RedemptionState.AUTHORISED, 2, 2000, 16000)
    again = film(till, tickets=1).quote
    assert not again.eligible
    (tickets, *_) = [each for each in again.refusals if each.code is RefusalCode.LIMIT_REACHED]
    assert (tickets.numbers["used"], tickets.numbers["max"]) == (2, 2)


def test_the_same_id_returns_the_first_answer_even_when_the_quote_is_gone(till: Till) -> None:
    till.present("member")
    held, redemption = film(till), new_id()
    first = authorise(till, held, redemption)
    assert replace(authorise(till, held, redemption), repeat=False) == first
    till.clock.step(24 * 3600 * 1000)
    late = authorise(till, held, redemption)
    assert late.repeat
    assert late.sequence == first.sequence
    assert till.ledger.last_sequence() == 1


def test_two_quotes_of_one_card_cannot_both_be_sold(till: Till) -> None:
    till.present("member")
    first, second = film(till), film(till)
    authorise(till, first)
    with pytest.raises(SaleRefused) as caught:
        authorise(till, second)
    assert RefusalCode.LIMIT_REACHED in {each.code for each in caught.value.refusals}
    assert till.ledger.last_sequence() == 1


def test_a_refused_quote_is_never_sold(till: Till) -> None:
    till.present("member")
    with pytest.raises(SaleRefused) as caught:
        authorise(till, film(till, form="3d"))
    assert [each.code for each in caught.value.refusals] == [RefusalCode.EXCLUDED]
    assert till.ledger.last_sequence() == 0


def test_a_quote_is_honoured_for_its_time_and_no_longer(till: Till) -> None:
    till.present("member")
    held = film(till)
    till.clock.step(301_000)
    with pytest.raises(QuoteExpired):
        authorise(till, held)


def test_quotes_are_bounded(till: Till) -> None:
    till.present("member")
    oldest = film(till)
    for _ in range(HELD_QUOTES_MAX):
        film(till)
    with pytest.raises(QuoteExpired):
        authorise(till, oldest)


def test_a_card_that_left_cannot_be_quoted(till: Till) -> None:
    till.present("member")
    presented = till.counter.presentation
    assert presented is not None
    till.counter.clear()
    with pytest.raises(PresentationGone):
        asyncio.run(till.counter.quote(QuoteRequest(presented.id, "winter-film", (), {})))


@pytest.mark.parametrize(
    "wrong",
    ["", "x", str(uuid_utils.uuid4()), str(uuid_utils.uuid7()).upper(), f"{{{uuid_utils.uuid7()}}}", "0" * 5000],
    ids=["empty", "letter", "version 4", "capitals", "braces", "far too long"],
)
def test_only_a_canonical_uuid7_is_an_id(till: Till, wrong: str) -> None:
    till.present("member")
    with pytest.raises(RedemptionIdInvalid):
        authorise(till, film(till), wrong or " ")


def test_a_tapped_card_may_leave_an_inserted_one_takes_its_answer_along(till: Till) -> None:
    assert CARDS["member"].entry_mode is EntryMode.CONTACTLESS
    till.present("member")
    till.counter.card_removed(READER)
    assert till.counter.presentation is not None
    assert CARDS["model-worker"].entry_mode is EntryMode.CONTACT
    till.present("model-worker")
    till.counter.card_removed(READER)
    assert till.counter.presentation is None


def test_one_tap_seen_twice_is_one_presentation(till: Till) -> None:
    till.present("member")
    first = till.counter.presentation
    till.present("member")
    assert till.counter.presentation is first
    till.clock.step(2000)
    till.present("member")
    assert till.counter.presentation is not first


def test_a_presentation_ends_by_elapsed_time(till: Till) -> None:
    till.present("member")
    till.clock.step(120_001)
    assert till.counter.presentation is None


def test_a_failed_read_forgets_the_card_before_it(till: Till) -> None:
    till.present("member")
    till.counter.card_failed(READER, CardRemoved("read card", READER))
    presented = till.counter.presentation
    assert presented is not None
    assert presented.failed
    assert presented.notice is not None
    assert presented.notice.code == "card-removed"


def test_a_damaged_roll_refuses_to_sell_and_says_why(till: Till) -> None:
    till.desk.fault = RollDamaged("look up", "roll.bin", reason="checksum")
    till.present("member")
    presented = till.counter.presentation
    assert presented is not None
    assert presented.failed
    assert presented.notice is till.desk.fault


def test_what_nobody_settles_is_cancelled_by_elapsed_time(till: Till) -> None:
    till.present("member")
    sold = authorise(till, film(till))
    assert asyncio.run(till.counter.cancel_overdue()) == []
    till.clock.step(1_800_001)
    (cancelled,) = asyncio.run(till.counter.cancel_overdue())
    assert (cancelled.id, cancelled.state, cancelled.reason) == (sold.id, RedemptionState.CANCELLED, "timeout")
    till.present("member")
    assert film(till).quote.eligible, "what was cancelled used nothing"


class AnyDay(RuleBasedStateMachine):
    """Two members, a slice of a few tickets, any order of steps: no limit is ever passed and the ledger stays whole."""

    directory: Path  # set by the test: a fresh one for each run
    runs = 0
    sold = 0

    @initialize()
    def open(self) -> None:
        AnyDay.runs += 1
        home = self.directory / str(AnyDay.runs)
        home.mkdir()
        self.path = home
        self.till = open_till(home, slices={"winter-film/pool": 3})
        self.sales: dict[str, str] = {}
        self.quotes: list[tuple[str, HeldQuote]] = []

    @rule(card=st.sampled_from(["member", "model-worker"]), tickets=st.integers(1, 3))
    def quote(self, card: str, tickets: int) -> None:
        self.till.clock.step(2000)
        self.till.present(card)
        self.quotes.append((card, film(self.till, tickets)))

    @precondition(lambda self: self.quotes)
    @rule(data=st.data())
    def sell(self, data: st.DataObject) -> None:
        card, held = data.draw(st.sampled_from(self.quotes))
        redemption = new_id()
        try:
            authorise(self.till, held, redemption)
        except (SaleRefused, QuoteExpired):
            return
        self.sales[redemption] = card
        AnyDay.sold += 1

    @precondition(lambda self: self.sales)
    @rule(data=st.data(), step=st.sampled_from(["complete", "cancel", "void"]))
    def settle(self, data: st.DataObject, step: str) -> None:
        redemption = data.draw(st.sampled_from(sorted(self.sales)))
        before = self.till.ledger.redemption(redemption)
        assert before is not None
        possible = {
            "complete": before.state in {RedemptionState.AUTHORISED, RedemptionState.COMPLETED},
            "cancel": before.state in {RedemptionState.AUTHORISED, RedemptionState.CANCELLED},
            "void": before.state in {RedemptionState.COMPLETED, RedemptionState.VOIDED},
        }[step]
        if not possible:
            return
        counter = self.till.counter
        if step == "complete":
            asyncio.run(counter.complete(redemption, "c01", None))
        elif step == "cancel":
            asyncio.run(counter.cancel(redemption, "c01", "customer-left"))
        else:
            asyncio.run(counter.void(redemption, "m01", "mistake", None))

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds: int) -> None:
        self.till.clock.step(seconds * 1000)

    @invariant()
    def no_limit_is_passed(self) -> None:
        if not hasattr(self, "till"):
            return
        gone = {RedemptionState.CANCELLED, RedemptionState.VOIDED}
        held = [(card, self.till.ledger.redemption(each)) for each, card in self.sales.items()]
        live = [(card, each) for card, each in held if each is not None and each.state not in gone]
        assert sum(each.units for _, each in live) <= 3
        for name in ("member", "model-worker"):
            mine = [each.units for card, each in live if card == name]
            assert len(mine) <= 1
            assert sum(mine) <= 2

    def teardown(self) -> None:
        if hasattr(self, "till"):
            path = self.till.ledger.path
            self.till.ledger.close()
            assert verify(path).ok


def test_no_order_of_steps_passes_a_limit(tmp_path: Path) -> None:
    AnyDay.directory = tmp_path
    run_state_machine_as_test(AnyDay, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
    assert AnyDay.sold, "the machine must sell, or it proves nothing"

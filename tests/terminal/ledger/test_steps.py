"""What follows from what, and what a void gives back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.ledger.bodies import Body, UsageClaim, Voiding, check_authorisation
from terminal.ledger.errors import RedemptionConflict
from terminal.ledger.head import Head
from terminal.ledger.journal import next_entry
from terminal.ledger.project import Redemption, RedemptionState, UsageChange, apply, usage_changes
from terminal.ledger.steps import cancellation, completion, voiding
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale


def after(state: Redemption | None, redemption: str, body: Body) -> Redemption:
    head = Head(0 if state is None else state.last_sequence)
    entry = next_entry(head, body, terminal="T1", clock=SteppedClock(), redemption=redemption, cashier="c02")
    return apply(state, entry)


def sold(units: int = 2, pay_fen: int = 2000, claims: tuple[UsageClaim, ...] = ()) -> Redemption:
    asked = check_authorisation(sale(units=units, pay_fen=pay_fen, claims=claims))
    return after(after(None, asked.id, asked), asked.id, completion_of())


def completion_of() -> Body:
    asked = check_authorisation(sale())
    body = completion(after(None, asked.id, asked), "1")
    assert body is not None
    return body


@given(
    units=st.integers(1, 12),
    pay_fen=st.integers(0, 10**7),
    uses=st.integers(1, 3),
    data=st.data(),
)
def test_voids_in_any_portions_give_back_exactly_what_was_taken(
    units: int, pay_fen: int, uses: int, data: st.DataObject
) -> None:
    claims = (UsageClaim("units", units, units), UsageClaim("use", 1, 9), UsageClaim("fen", max(pay_fen, 1), 10**8))
    now = sold(units, pay_fen, claims)
    aims = sorted(data.draw(st.sets(st.integers(1, units), max_size=3)) | {units})
    returned = dict.fromkeys(("units", "use", "fen"), 0)
    for aim in aims:
        body = voiding(now, "wrong", aim)
        assert isinstance(body, Voiding)
        now = after(now, now.id, body)
        for back in body.gives_back:
            returned[back.key] += back.amount
        assert returned["units"] == now.voided_units == aim
        assert returned["use"] == (1 if aim == units else 0)
        assert now.voided_pay_fen == pay_fen * aim // units
        assert (now.state is RedemptionState.VOIDED) is (aim == units)
    assert returned == {"units": units, "use": 1, "fen": max(pay_fen, 1)}
    assert (now.voided_list_fen, now.voided_pay_fen) == (now.list_fen, now.pay_fen)


def test_asking_for_fewer_than_are_void_already_changes_nothing() -> None:
    now = sold(units=3)
    body = voiding(now, "wrong", 2)
    assert body is not None
    now = after(now, now.id, body)
    assert voiding(now, "wrong", 2) is None
    assert voiding(now, "wrong", 1) is None
    assert voiding(now, "wrong", None) is not None


@pytest.mark.parametrize("units", [0, -1, 3])
def test_units_outside_the_sale_are_a_conflict(units: int) -> None:
    with pytest.raises(RedemptionConflict):
        voiding(sold(units=2), "wrong", units)


def test_no_step_follows_from_a_state_that_does_not_allow_it() -> None:
    asked = check_authorisation(sale())
    authorised = after(None, asked.id, asked)
    complete = completion_of()
    cancel = cancellation(authorised, "no money")
    void = voiding(sold(), "wrong", None)
    assert cancel is not None
    assert void is not None
    completed = after(authorised, asked.id, complete)
    cancelled = after(authorised, asked.id, cancel)
    voided = after(completed, asked.id, void)
    allowed = {(authorised.state, "Completion"), (authorised.state, "Cancellation"), (completed.state, "Voiding")}
    for state in (authorised, completed, cancelled, voided):
        for body in (asked, complete, cancel, void):
            if (state.state, type(body).__name__) in allowed:
                after(state, asked.id, body)
            else:
                with pytest.raises(RedemptionConflict):
                    after(state, asked.id, body)
    for body in (complete, cancel, void):
        with pytest.raises(RedemptionConflict, match="before authorised"):
            after(None, asked.id, body)


def test_more_cannot_be_voided_than_was_sold_however_the_entry_was_made() -> None:
    now = sold(units=2, pay_fen=2000)
    for body in (Voiding("x", 3, 0, 0, ()), Voiding("x", 1, 16_001, 0, ()), Voiding("x", 1, 0, 2001, ())):
        with pytest.raises(RedemptionConflict, match="more void"):
            after(now, now.id, body)


def test_the_entry_alone_says_what_is_used_and_given_back() -> None:
    asked = check_authorisation(sale(claims=(UsageClaim("k", 2, 5),)))
    begun = after(None, asked.id, asked)
    cancel = cancellation(begun, "no money")
    assert cancel is not None

    def changes(body: Body) -> tuple[UsageChange, ...]:
        return usage_changes(
            next_entry(Head(), body, terminal="T1", clock=SteppedClock(), redemption=asked.id, cashier="c01")
        )

    assert changes(asked) == (UsageChange("k", 2, 5),)
    assert changes(completion_of()) == ()
    assert changes(cancel) == (UsageChange("k", -2, None),)

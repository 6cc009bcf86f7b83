"""What headquarters lets a till spend: in the ledger's file, checked in the transaction of the sale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.ledger.errors import HoldLate, LimitMoved
from terminal.ledger.grants import Grant, HeldKey, Hold, LeaseWord, Right
from terminal.ledger.ledger import Ledger
from terminal.ledger.rebuild import rebuild
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

POOL = "film|pool|campaign=c|campaign=c"
OTHER = "film|pool|campaign=d|campaign=d"
LIFE_MS = 600_000
LEASED = Right(frozenset({POOL}))


def word(clock: SteppedClock, granted: int, generation: int = 1, **changes: object) -> LeaseWord:
    """One answer: `granted` of the pool in all, asked for just now."""
    grant = Grant(POOL, "film", "pool", granted)
    told = LeaseWord(generation, f"v{generation}", LIFE_MS, clock.monotonic_ms(), clock.boot(), (grant,))
    return replace(told, **changes)  # type: ignore[arg-type]


def tickets(count: int, key: str = POOL, max_units: int = 20_000) -> Authorisation:
    return sale(units=count, claims=(UsageClaim(key, count, max_units),), granted="lease")


def held(clock: SteppedClock, amount: int, granted: int, attempt: int = 1) -> Right:
    """A hold that topped the pool's slice up to `granted`."""
    keys = {POOL: HeldKey(amount, Grant(POOL, "film", "pool", granted))}
    return Right(frozenset({POOL}), Hold(attempt, keys, clock.boot(), clock.monotonic_ms() + 30_000), "hold")


def unspent(ledger: Ledger) -> int:
    return ledger.allowances.standing().unspent().get(("film", "pool"), 0)


def test_a_slice_is_spent_to_its_last_unit_and_no_further(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 3))
    done = ledger.authorise(tickets(2), LEASED)
    assert (done.claims[0].max, done.granted) == (3, "lease")
    with pytest.raises(LimitMoved) as caught:
        ledger.authorise(tickets(2), LEASED)
    assert (caught.value.used, caught.value.max) == (2, 3)
    ledger.authorise(tickets(1), LEASED)
    assert unspent(ledger) == 0


def test_what_is_cancelled_or_void_can_be_spent_again(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 3))
    first = ledger.authorise(tickets(3), LEASED)
    ledger.cancel(first.id, "c01", "not-paid")
    second = ledger.authorise(tickets(3), LEASED)
    ledger.complete(second.id, "c01", None)
    ledger.void(second.id, "m01", "mistake", 1)
    assert unspent(ledger) == 1
    ledger.authorise(tickets(1), LEASED)


def test_without_a_lease_nothing_leased_is_sold(ledger: Ledger) -> None:
    with pytest.raises(LimitMoved) as caught:
        ledger.authorise(tickets(1), LEASED)
    assert caught.value.max == 0
    assert ledger.last_sequence() == 0


def test_a_lease_ends_by_elapsed_time_whatever_the_wall_clock_says(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 9))
    clock.now = clock.now.replace(year=2030)
    ledger.authorise(tickets(1), LEASED)
    clock.since_boot_ms += LIFE_MS - 1
    clock.now = clock.now.replace(year=2001)
    ledger.authorise(tickets(1), LEASED)
    clock.since_boot_ms += 1
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)


def test_a_restart_keeps_the_lease_and_a_new_boot_does_not(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 9))
    ledger.close()
    again = Ledger.open(path, "T1", clock)
    again.authorise(tickets(1), LEASED)
    again.close()
    clock.boot_id, clock.since_boot_ms = "a-new-boot", 1_000
    booted = Ledger.open(path, "T1", clock)
    with pytest.raises(LimitMoved):
        booted.authorise(tickets(1), LEASED)
    assert booted.allowances.lease().due(clock.boot(), clock.monotonic_ms())
    booted.allowances.take(word(clock, 9, generation=2))
    booted.authorise(tickets(1), LEASED)
    booted.close()


def test_the_life_counts_from_before_the_question(ledger: Ledger, clock: SteppedClock) -> None:
    answered_late = word(clock, 9)
    clock.step(LIFE_MS)
    ledger.allowances.take(answered_late)
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)


def test_a_recall_takes_what_is_unspent_and_no_more(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 10))
    ledger.authorise(tickets(4), LEASED)
    assert ledger.allowances.take(word(clock, 10, 2, recalls={POOL: 8}))
    report = ledger.allowances.report()
    assert (report.generation, report.returned, report.sequence) == (2, {POOL: 6}, 1)
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)
    assert not ledger.allowances.take(word(clock, 10, 3, grants=(Grant(POOL, "film", "pool", 10, returned=6),)))


def test_an_answer_that_comes_twice_or_late_changes_nothing(ledger: Ledger, clock: SteppedClock) -> None:
    first = word(clock, 10, 2, recalls={POOL: 3})
    assert ledger.allowances.take(first)
    ledger.allowances.take(first)
    assert ledger.allowances.report().returned == {POOL: 3}
    clock.step(1000)
    ledger.allowances.take(word(clock, 4, generation=1))
    grant = ledger.allowances.grant(POOL)
    assert grant is not None
    assert (grant.allowance, ledger.allowances.lease().generation) == (7, 2)


def test_a_total_never_goes_down(ledger: Ledger, clock: SteppedClock) -> None:
    """A hold that was granted after the answer had been made."""
    ledger.allowances.take(word(clock, 2))
    ledger.authorise(tickets(5), held(clock, 3, granted=5))
    ledger.allowances.take(word(clock, 2, generation=2))
    grant = ledger.allowances.grant(POOL)
    assert grant is not None
    assert grant.granted == 5


def test_what_headquarters_counts_as_spent_is_not_spent_here(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 0, grants=(Grant(POOL, "film", "pool", 10, frozen=8),)))
    ledger.authorise(tickets(2), LEASED)
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)
    ledger.allowances.take(word(clock, 10, generation=2))
    ledger.authorise(tickets(8), LEASED)


def test_a_restored_file_takes_what_headquarters_knows_was_returned(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 0, 7, grants=(Grant(POOL, "film", "pool", 10, returned=6),)))
    grant = ledger.allowances.grant(POOL)
    assert grant is not None
    assert grant.allowance == 4


def test_a_key_that_is_no_longer_named_is_not_spent(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 10))
    ledger.allowances.take(word(clock, 0, 2, grants=(Grant(OTHER, "film", "pool", 1),)))
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)
    ledger.authorise(tickets(1, OTHER), Right(frozenset({OTHER})))


def test_a_lease_that_was_ended_holds_no_longer_until_the_next_answer(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.end("terminal-revoked")
    assert not ledger.allowances.lease().known
    ledger.allowances.take(word(clock, 10))
    ledger.allowances.end("terminal-revoked")
    ledger.allowances.end("terminal-revoked")
    assert ledger.allowances.lease().ended == "terminal-revoked"
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(1), LEASED)
    ledger.allowances.take(word(clock, 10, generation=2))
    ledger.authorise(tickets(1), LEASED)


# --- holds ------------------------------------------------------------------------------------------------------------


def test_a_hold_tops_the_slice_up_in_the_sale_itself(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 1))
    done = ledger.authorise(tickets(3), held(clock, 2, granted=3))
    assert (done.granted, done.claims[0].max) == ("hold", 3)
    ledger.cancel(done.id, "c01", "not-paid")
    ledger.authorise(tickets(3), LEASED)


def test_a_hold_over_the_whole_sale_needs_no_lease(ledger: Ledger, clock: SteppedClock) -> None:
    ledger.authorise(tickets(2), held(clock, 2, granted=2))
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(2), held(clock, 1, granted=4))


@pytest.mark.parametrize("spoil", ["time", "boot", "renounced"])
def test_a_hold_that_ended_or_was_given_back_is_not_spent(ledger: Ledger, clock: SteppedClock, spoil: str) -> None:
    right, wanted = held(clock, 2, granted=2), tickets(2)
    if spoil == "time":
        clock.step(30_000)
    elif spoil == "boot":
        clock.boot_id = "another-boot"
    else:
        assert ledger.allowances.renounce(wanted.id, 1)
    with pytest.raises(HoldLate):
        ledger.authorise(wanted, right)
    assert (ledger.last_sequence(), ledger.allowances.grant(POOL)) == (0, None)


def test_the_next_attempt_counts_after_one_was_given_back(ledger: Ledger, clock: SteppedClock) -> None:
    wanted = tickets(2)
    ledger.allowances.renounce(wanted.id, 2)
    assert ledger.allowances.renounced(wanted.id) == 2
    ledger.allowances.renounce(wanted.id, 1)
    assert ledger.allowances.renounced(wanted.id) == 2
    ledger.authorise(wanted, held(clock, 2, granted=2, attempt=3))
    assert not ledger.allowances.renounce(wanted.id, 3)


def test_a_hold_that_headquarters_counts_sale_by_sale_needs_no_slice(ledger: Ledger, clock: SteppedClock) -> None:
    """By headquarters' book, or by none, there are no slices of this limit."""
    keys = {POOL: HeldKey(2)}
    right = Right(frozenset({POOL}), Hold(1, keys, clock.boot(), clock.monotonic_ms() + 1), "hold")
    ledger.authorise(tickets(2), right)
    assert ledger.allowances.grant(POOL) is None
    assert not ledger.allowances.lease().granted_once
    with pytest.raises(LimitMoved):
        ledger.authorise(tickets(3), right)


def test_whatever_was_granted_once_is_remembered(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 0, grants=()))
    assert not ledger.allowances.lease().granted_once
    ledger.authorise(tickets(1), held(clock, 1, granted=1))
    assert ledger.allowances.lease().granted_once
    ledger.allowances.take(word(clock, 0, 2, grants=()))
    assert ledger.allowances.lease().granted_once


def test_a_repeat_needs_no_right(ledger: Ledger, clock: SteppedClock) -> None:
    wanted = tickets(2)
    ledger.authorise(wanted, held(clock, 2, granted=2))
    clock.step(LIFE_MS)
    assert ledger.authorise(wanted, LEASED).repeat


def test_a_sale_that_fails_leaves_no_trace_of_its_hold(ledger: Ledger, clock: SteppedClock) -> None:
    wanted = sale(units=2, claims=(UsageClaim(POOL, 2, 99), UsageClaim("mine", 2, 1)))
    with pytest.raises(LimitMoved):
        ledger.authorise(wanted, held(clock, 2, granted=2))
    assert ledger.allowances.grant(POOL) is None


# --- beside the entries -----------------------------------------------------------------------------------------------


def test_rebuild_and_verify_leave_the_grants_as_they_are(ledger: Ledger, path: Path, clock: SteppedClock) -> None:
    ledger.allowances.take(word(clock, 10))
    ledger.authorise(tickets(2), LEASED)
    ledger.authorise(tickets(9), held(clock, 1, granted=11))
    before = ledger.allowances.standing()
    assert verify(path).ok
    ledger.close()
    rebuild(path)
    again = Ledger.open(path, "T1", clock)
    assert again.allowances.standing() == before
    assert verify(path).ok
    again.close()


def test_only_so_many_renounced_sales_are_remembered(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminal.ledger.allowances.RENOUNCED_MAX", 3)
    ids = [tickets(1).id for _ in range(5)]
    for each in ids:
        ledger.allowances.renounce(each, 1)
    assert [ledger.allowances.renounced(each) for each in ids] == [0, 0, 1, 1, 1]


def test_no_grants_at_all_is_a_standing_too(ledger: Ledger, clock: SteppedClock) -> None:
    assert not ledger.allowances.standing().lease.known
    ledger.allowances.take(word(clock, 0, grants=()))
    standing = ledger.allowances.standing()
    assert (standing.lease.known, standing.grants) == (True, ())

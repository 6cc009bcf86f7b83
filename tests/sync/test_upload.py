"""Batches and their answers, one step at a time, under every fault the fake headquarters knows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import JingkaError, Retry
from sync import upload as upload_module
from sync.errors import (
    AnswerUnverified,
    HeadquartersBusy,
    HeadquartersFailing,
    HeadquartersRefused,
    LineDown,
    SyncError,
    TerminalRefused,
    TerminalRevoked,
    TerminalUnknown,
)
from sync.signing import WINDOW_S
from sync.wire import BATCH_ENTRIES_MAX
from tests.fakes.headquarters import Fault
from tests.fakes.road import KEY, TERMINAL, Road


def test_entries_go_in_order_in_full_batches_and_then_nothing_but_a_heartbeat() -> None:
    road = Road()
    road.outbox.add(BATCH_ENTRIES_MAX * 2 + 1)
    steps = [road.upload.step() for _ in range(4)]
    assert [(step.sent, step.more) for step in steps] == [(500, True), (500, True), (1, False), (0, False)]
    assert [len(batch) for batch in road.batches()] == [500, 500, 1, 0]
    assert road.outbox.watermarks == [0, 500, 1000, 1001]
    road.agree()


def test_a_batch_is_bounded_in_bytes_but_never_empty_while_something_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    road = Road()
    road.outbox.add(3, text="x" * 1_000)
    road.outbox.add(1, text="y" * 9_000)
    road.outbox.add(1)
    monkeypatch.setattr(upload_module, "BATCH_BYTES_MAX", 2_500)
    road.drain()
    assert road.batches() == [[1, 2], [3], [4], [5]]
    road.agree()


def test_the_body_arrives_to_the_letter_and_compressed() -> None:
    road = Road()
    road.outbox.add(50, text='庙会 "\\u0000" \t')
    road.upload.step()
    assert road.headquarters.requests[0].headers["content-encoding"] == "gzip"
    assert len(road.headquarters.requests[0].body) < sum(len(entry.canonical) for entry in road.outbox.stored)
    road.agree()


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.CUT_ANSWER, Fault.SLOW_ANSWER])
def test_a_lost_answer_is_repaired_by_sending_again_and_counts_once(fault: Fault) -> None:
    road = Road(fault)
    road.outbox.add(3)
    with pytest.raises(LineDown):
        road.upload.step()
    assert road.arrived() == [1, 2, 3]
    assert road.outbox.watermark() == 0, "not acknowledged to us is not acknowledged"
    road.outbox.add(2)
    road.drain()
    assert road.arrived() == [1, 2, 3, 4, 5]
    road.agree()


def test_the_watermark_never_passes_what_this_batch_sent_though_headquarters_has_more() -> None:
    """Five arrived and the answer was too slow, so fewer are sent; headquarters acknowledges all five."""
    road = Road(Fault.SLOW_ANSWER)
    road.outbox.add(5)
    with pytest.raises(LineDown):
        road.upload.step()
    assert road.upload.step().sent == 2
    assert road.outbox.watermark() == 2
    road.drain()
    road.agree()


def test_entries_written_during_a_drain_follow_without_a_hole() -> None:
    road = Road()
    road.outbox.add(2)
    original = road.headquarters.handle

    def handle_and_sell(request):  # type: ignore[no-untyped-def]
        if len(road.outbox.stored) < 20:
            road.outbox.add(3)
        return original(request)

    road.headquarters.handle = handle_and_sell  # type: ignore[method-assign]
    assert road.upload.step().more
    road.drain()
    assert len(road.outbox.stored) == 20
    road.agree()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DOWN, LineDown),
        (Fault.SLOW, LineDown),
        (Fault.ENDLESS_ANSWER, LineDown),
        (Fault.BUSY_429, HeadquartersBusy),
        (Fault.FAILING_500, HeadquartersFailing),
        (Fault.PROXY_502, HeadquartersFailing),
        (Fault.REFUSED_401, TerminalRefused),
        (Fault.SIGN_IN_PAGE, AnswerUnverified),
        (Fault.UNSIGNED_ANSWER, AnswerUnverified),
        (Fault.FORGED_ANSWER, AnswerUnverified),
    ],
)
@pytest.mark.parametrize("count", [0, 2])
def test_a_fault_stops_the_run_by_its_kind_and_moves_nothing(fault: Fault, error: type[SyncError], count: int) -> None:
    road = Road(fault)
    road.outbox.add(count)
    with pytest.raises(error) as caught:
        road.upload.step()
    assert caught.value.retry is Retry.RETRY
    assert road.outbox.watermarks == [0]
    assert road.outbox.forked is None
    road.drain()
    assert road.arrived() == list(range(1, count + 1))


def test_the_answer_to_an_earlier_request_moves_nothing() -> None:
    road = Road()
    road.outbox.add(2)
    road.upload.step()
    road.headquarters.faults.append(Fault.STALE_ANSWER)
    road.outbox.add(2)
    with pytest.raises(AnswerUnverified):
        road.upload.step()
    assert road.outbox.watermark() == 2


def test_a_request_delivered_twice_is_taken_once() -> None:
    road = Road(Fault.DUPLICATED)
    road.outbox.add(2)
    with pytest.raises(TerminalRefused) as caught:
        road.upload.step()
    assert caught.value.details["problem"] == "nonce-replayed"
    road.drain()
    road.agree()


def test_a_flagged_fact_is_reported_and_blocks_nothing_behind_it() -> None:
    road = Road()
    road.headquarters.flag = {2}
    road.outbox.add(4)
    step = road.upload.step()
    assert [(flag.sequence, flag.code) for flag in step.flagged] == [(2, "poison")]
    road.agree()


# --- who headquarters takes us for -----------------------------------------------------------------------------------


def test_a_terminal_unknown_to_headquarters_waits_to_be_known() -> None:
    road = Road()
    road.outbox.add(1)
    road.headquarters.terminals.clear()
    with pytest.raises(TerminalUnknown):
        road.upload.step()
    road.headquarters.terminals[TERMINAL] = KEY.public
    road.drain()
    road.agree()


def test_a_revoked_terminal_keeps_its_entries_until_it_is_let_in_again() -> None:
    road = Road()
    road.outbox.add(1)
    road.headquarters.revoked.add(TERMINAL)
    with pytest.raises(TerminalRevoked):
        road.upload.step()
    assert road.outbox.waiting().count == 1
    road.headquarters.revoked.clear()
    road.drain()
    road.agree()


@pytest.mark.parametrize("error_s", [-400_000_000, -WINDOW_S * 2, WINDOW_S * 2, 100_000_000])
def test_a_wrong_clock_holds_back_no_entry_and_is_measured(error_s: int) -> None:
    road = Road(clock_error_ms=error_s * 1000)
    road.outbox.add(2)
    assert road.upload.step().sent == 2
    road.agree()
    skew_ms = road.clock.skew_ms
    assert skew_ms is not None
    assert abs(skew_ms - error_s * 1000) < 2_000
    asked = len(road.headquarters.requests)
    road.outbox.add(1)
    road.upload.step()
    assert len(road.headquarters.requests) == asked + 1, "the time learned is used at once"


# --- too much at once -------------------------------------------------------------------------------------------------


def test_batches_shrink_until_they_pass_and_grow_again() -> None:
    road = Road()
    road.headquarters.entries_max = 70
    road.outbox.add(200)
    road.drain()
    assert [len(batch) for batch in road.batches()][:4] == [200, 100, 50, 100]
    road.headquarters.entries_max = 10_000
    road.outbox.add(BATCH_ENTRIES_MAX * 4)
    road.drain()
    assert max(len(batch) for batch in road.batches()) == BATCH_ENTRIES_MAX
    road.agree()


def test_a_headquarters_too_slow_for_a_batch_gets_smaller_ones() -> None:
    road = Road(Fault.SLOW, Fault.SLOW, Fault.SLOW)
    road.outbox.add(80)
    road.drain()
    assert [len(batch) for batch in road.batches()] == [10, 20, 40, 10]
    road.agree()


def test_a_slow_heartbeat_does_not_shrink_the_batches() -> None:
    road = Road(Fault.SLOW)
    with pytest.raises(LineDown):
        road.upload.step()
    road.outbox.add(80)
    road.drain()
    assert len(road.batches()[0]) == 80


def test_a_single_entry_that_is_refused_for_its_size_is_told_and_kept() -> None:
    road = Road()
    road.headquarters.entries_max = 0
    road.outbox.add(1)
    with pytest.raises(HeadquartersRefused) as caught:
        road.upload.step()
    assert caught.value.details["problem"] == "body-too-large"
    assert road.outbox.waiting().count == 1


# --- all of it at once ------------------------------------------------------------------------------------------------

ACTIONS = st.one_of(
    st.sampled_from([fault for fault in Fault if fault is not Fault.ENDLESS_ANSWER]),
    st.integers(min_value=1, max_value=40),  # so many new entries
    st.sampled_from(["step", "restart", "restore", "flag"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_whatever_happens_on_the_way_headquarters_ends_with_exactly_the_entries_in_order(script: list[object]) -> None:
    road = Road()
    for action in script:
        if isinstance(action, Fault):
            road.headquarters.faults.append(action)
        elif isinstance(action, int):
            road.outbox.add(action)
        elif action == "restart":
            road.upload = road.new_upload()
        elif action == "restore":
            kept = road.headquarters.entries.get(TERMINAL, [])
            road.headquarters.entries[TERMINAL] = kept[: len(kept) // 2]
        elif action == "flag":
            road.headquarters.flag.add(len(road.outbox.stored))
        else:
            try:
                road.upload.step()
            except JingkaError as error:
                if error.retry is not Retry.RETRY:
                    raise
    road.drain()
    road.headquarters.entries.setdefault(TERMINAL, [])
    road.agree()
    assert road.outbox.watermarks == sorted(set(road.outbox.watermarks))
    assert road.outbox.forked is None

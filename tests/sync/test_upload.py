"""Batches and their answers, one step at a time, under every fault the fake headquarters knows."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import JingkaError, Retry
from sync import upload as upload_module
from sync.enrolment import Enrolment
from sync.errors import (
    AnswerUnverified,
    ChainForked,
    HeadquartersBusy,
    HeadquartersFailing,
    HeadquartersRefused,
    LineDown,
    OutboxBroken,
    SequenceGap,
    SyncError,
    TerminalRefused,
    TerminalRevoked,
    TerminalUnknown,
)
from sync.line import Line
from sync.signing import WINDOW_S, DeviceKey
from sync.upload import REWINDS_MAX, Upload
from sync.wire import BATCH_ENTRIES_MAX, EntryBatch, decode_body, parse_message
from terminal.ledger.entry import StoredEntry
from tests.fakes.headquarters import FakeHeadquarters, Fault
from tests.fakes.outbox import FreeClock, MemoryOutbox

TERMINAL = "cinema-1"
KEY = DeviceKey.from_private(bytes(range(32)))
HEADQUARTERS_KEY = DeviceKey.from_private(bytes(range(32, 64)))
STEPS_MAX = 200  # far more than any script here needs


class Road:
    """An outbox, a headquarters, and the upload between them."""

    def __init__(self, *faults: Fault, clock_error_ms: int = 0) -> None:
        self.headquarters = FakeHeadquarters(key=HEADQUARTERS_KEY, faults=deque(faults))
        self.headquarters.terminals[TERMINAL] = KEY.public
        self.outbox = MemoryOutbox()
        self.clock = FreeClock(clock_error_ms)
        self.line = Line("http://hq.example", key=KEY, key_id=TERMINAL, transport=self.headquarters.transport())
        self.upload = self.new_upload()

    def new_upload(self) -> Upload:
        """As after a restart of the daemon."""
        enrolment = Enrolment(TERMINAL, "dahua", "lobby", "dahua lobby", HEADQUARTERS_KEY.public)
        return Upload(self.outbox, self.line, enrolment, self.clock)

    def drain(self) -> list[JingkaError]:
        """Steps until nothing waits, through whatever passes by itself; what stopped it on the way."""
        errors: list[JingkaError] = []
        for _ in range(STEPS_MAX):
            try:
                if not self.upload.step().more and not self.headquarters.faults:
                    return errors
            except JingkaError as error:
                if error.retry is not Retry.RETRY:
                    raise
                errors.append(error)
        raise AssertionError("never done")

    def arrived(self) -> list[int]:
        return self.headquarters.sequences(TERMINAL)

    def batches(self) -> list[list[int]]:
        """The sequences of each batch that arrived."""
        sent = []
        for request in self.headquarters.requests:
            plain = decode_body(request.body, request.headers.get("content-encoding"))
            sent.append([entry.sequence for entry in parse_message(EntryBatch, plain).entries])
        return sent

    def agree(self) -> None:
        """Headquarters has exactly the ledger, byte for byte, and the watermark says so."""
        kept = [StoredEntry(e.sequence, e.hash, e.body.encode()) for e in self.headquarters.entries[TERMINAL]]
        assert kept == self.outbox.stored
        assert self.outbox.watermark() == len(self.outbox.stored)


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


# --- gaps and forks --------------------------------------------------------------------------------------------------


def test_a_restored_headquarters_gets_what_it_lacks_again() -> None:
    road = Road()
    road.outbox.add(10)
    road.drain()
    road.headquarters.forget_after(TERMINAL, 4)
    road.outbox.add(1)
    road.drain()
    assert road.batches()[-2:] == [[11], [5, 6, 7, 8, 9, 10, 11]]
    road.agree()


def test_a_restored_headquarters_is_noticed_by_the_heartbeat() -> None:
    road = Road()
    road.outbox.add(10)
    road.drain()
    road.headquarters.forget_after(TERMINAL, 0)
    assert road.upload.step().more
    road.drain()
    road.agree()


def test_sending_again_goes_on_in_batches_below_the_watermark_and_survives_a_restart() -> None:
    road = Road()
    road.outbox.add(BATCH_ENTRIES_MAX * 2 + 100)
    road.drain()
    road.headquarters.forget_after(TERMINAL, 50)
    road.upload.step()
    road.upload.step()
    assert road.outbox.watermark() == 1100, "the watermark never goes back"
    road.upload = road.new_upload()
    road.drain()
    road.agree()


def test_a_ledger_that_headquarters_never_acknowledged_to_us_is_sent_again() -> None:
    """The watermark was lost (a rebuilt ledger): repeats are harmless."""
    road = Road()
    road.outbox.add(5)
    road.drain()
    road.outbox.watermarks = [0]
    road.drain()
    road.agree()


def test_another_entry_under_our_number_stops_the_upload_and_the_sales() -> None:
    road = Road()
    road.outbox.add(3)
    road.drain()
    canonical = b'{"sequence":3,"text":"sold by the copy"}'
    previous = bytes.fromhex(road.outbox.stored[1].hash)
    copy = StoredEntry(3, hashlib.sha256(previous + canonical).hexdigest(), canonical)
    road.outbox.stored[2:] = [copy]
    road.outbox.watermarks = [2]
    with pytest.raises(ChainForked) as caught:
        road.upload.step()
    assert caught.value.retry is Retry.STOP
    assert caught.value.details["sequence"] == 3
    assert road.outbox.forked is not None


@pytest.mark.parametrize("waiting", [True, False])
def test_a_ledger_older_than_headquarters_is_a_fork(waiting: bool) -> None:
    """An old backup of the terminal: headquarters has more than was ever written here."""
    road = Road()
    road.outbox.add(5)
    road.drain()
    del road.outbox.stored[3:]
    road.outbox.watermarks = [2 if waiting else 3]
    with pytest.raises(ChainForked) as caught:
        road.upload.step()
    assert caught.value.details["sequence"] == 4
    assert road.outbox.forked is not None
    assert road.outbox.watermark() == (2 if waiting else 3)


def answering(road: Road, problem: dict[str, object], *, signed: bool) -> Callable[..., object]:
    from sync.signing import HttpRequest, HttpResponse
    from sync.wire import ProblemCode

    def handle(request: HttpRequest) -> HttpResponse:
        code = ProblemCode(str(problem["code"]))
        answer = road.headquarters._problem(code, **{k: v for k, v in problem.items() if k != "code"})
        return road.headquarters._sign(answer, request, None if signed else DeviceKey.generate())

    return handle


@pytest.mark.parametrize("code", ["sequence-gap", "chain-forked", "clock-skewed"])
def test_an_instruction_that_is_not_provably_headquarters_is_not_followed(code: str) -> None:
    road = Road()
    road.outbox.add(5)
    road.drain()
    road.outbox.add(1)
    road.headquarters.handle = answering(road, {"code": code, "expected": 2}, signed=False)  # type: ignore[method-assign,assignment]
    with pytest.raises(AnswerUnverified):
        road.upload.step()
    assert road.outbox.forked is None
    assert road.outbox.watermark() == 5


def test_a_headquarters_that_sends_us_back_for_ever_is_a_fault_and_not_a_loop() -> None:
    road = Road()
    road.outbox.add(5)
    road.headquarters.handle = answering(road, {"code": "sequence-gap", "expected": 1}, signed=True)  # type: ignore[method-assign,assignment]
    for _ in range(REWINDS_MAX):
        assert road.upload.step().more
    with pytest.raises(SequenceGap) as caught:
        road.upload.step()
    assert caught.value.retry is Retry.RETRY


def test_a_gap_beyond_our_last_entry_is_a_fork() -> None:
    road = Road()
    road.outbox.add(5)
    road.headquarters.handle = answering(road, {"code": "sequence-gap", "expected": 9}, signed=True)  # type: ignore[method-assign,assignment]
    with pytest.raises(ChainForked):
        road.upload.step()


def test_a_gap_that_names_no_number_is_a_refusal() -> None:
    road = Road()
    road.outbox.add(1)
    road.headquarters.handle = answering(road, {"code": "sequence-gap"}, signed=True)  # type: ignore[method-assign,assignment]
    with pytest.raises(HeadquartersRefused):
        road.upload.step()


def test_a_ledger_with_a_hole_sends_nothing() -> None:
    road = Road()
    road.outbox.add(3)
    del road.outbox.stored[1]
    with pytest.raises(OutboxBroken):
        road.upload.step()
    assert not road.headquarters.requests


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

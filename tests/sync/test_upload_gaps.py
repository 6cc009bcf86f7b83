"""When the two ends do not hold the same: what is sent again, and what stops a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from config.errors import Retry
from sync.errors import AnswerUnverified, ChainForked, HeadquartersRefused, OutboxBroken, SequenceGap
from sync.signing import DeviceKey, HttpRequest, HttpResponse
from sync.upload import REWINDS_MAX
from sync.wire import BATCH_ENTRIES_MAX, ProblemCode
from terminal.ledger.entry import StoredEntry
from tests.fakes.road import TERMINAL, Road


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

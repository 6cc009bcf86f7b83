"""The agent's thread over real HTTP: it sends, notices, waits, comes back and ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from config.errors import Retry
from sync import agent as agent_module
from sync.agent import RETRY_S_MAX, RETRY_S_MIN, Agent, retry_wait_s
from sync.enrolment import KEY_FILE, enrol
from sync.line import CONNECT_S_MAX
from terminal.ledger.errors import LedgerDamaged
from terminal.ledger.queries import Waiting
from tests.fakes.headquarters import FakeHeadquarters, Fault, serve
from tests.fakes.outbox import FreeClock, MemoryOutbox

TERMINAL = "cinema-1"
NOTICED_S = 5.0  # DESIGN, "Sync"
PATIENCE_S = 15.0  # for what has no promised time; a test fails after it


def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
    """Waits for a condition; how long it took."""
    start_s = time.monotonic()
    tick = threading.Event()
    while not condition():
        assert time.monotonic() - start_s < within_s, "the condition did not come true in time"
        tick.wait(0.01)
    return time.monotonic() - start_s


class Counter:
    """One terminal's agent and what it works with."""

    def __init__(self, data_dir: Path) -> None:
        self.headquarters = FakeHeadquarters()
        self.outbox = MemoryOutbox()
        self.clock = FreeClock()
        self.data_dir = data_dir
        self.changes: list[tuple[bool, int, str | None]] = []
        self.agents: list[Agent] = []

    def enrol(self) -> None:
        code = self.headquarters.issue_code(TERMINAL)
        enrol("http://hq.example", code, self.data_dir, self.headquarters.transport())
        self.headquarters.requests.clear()

    def agent(self, url: str, *, heartbeat_s: float = 0.2, transport: httpx.BaseTransport | None = None) -> Agent:
        agent = Agent(
            ledger=self.outbox,
            data_dir=self.data_dir,
            url=url,
            clock=self.clock,
            heartbeat_s=heartbeat_s,
            on_change=lambda: self.changed(agent),
            transport=transport,
            jitter=lambda: 0.99,
        )
        self.agents.append(agent)
        return agent

    def changed(self, agent: Agent) -> None:
        status = agent.status()
        self.changes.append((status.online, status.waiting, status.last_error.code if status.last_error else None))

    def arrived(self) -> list[int]:
        return self.headquarters.sequences(TERMINAL)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    made = Counter(tmp_path)
    yield made
    for agent in made.agents:
        agent.stop(PATIENCE_S)


def code_of(agent: Agent) -> str | None:
    error = agent.status().last_error
    return error.code if error else None


def test_an_entry_is_at_headquarters_as_soon_as_it_is_written(counter: Counter) -> None:
    counter.enrol()
    with serve(counter.headquarters) as url:
        agent = counter.agent(url, heartbeat_s=60)
        agent.start()
        until(lambda: agent.status().online)
        counter.outbox.add(3)
        agent.wake()
        until(lambda: counter.outbox.watermark() == 3)
        status = agent.status()
        agent.stop(PATIENCE_S)
    assert counter.arrived() == [1, 2, 3]
    assert (status.enrolled, status.online, status.waiting, status.oldest_s) == (True, True, 0, None)
    assert status.last_error is None
    assert status.last_contact is not None
    assert status.skew_ms is not None
    assert abs(status.skew_ms) < 5_000


def test_an_outage_is_noticed_and_its_end_too_and_nothing_is_lost_between(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(1)
    with serve(counter.headquarters) as url:
        agent = counter.agent(url, heartbeat_s=1)
        agent.start()
        until(lambda: agent.status().online and counter.arrived() == [1])
        port = int(url.rpartition(":")[2])
    noticed_s = until(lambda: not agent.status().online, NOTICED_S)
    counter.outbox.add(2)
    agent.wake()
    until(lambda: (False, 2, "line-down") in counter.changes)
    status = agent.status()
    assert status.waiting == 2
    assert status.oldest_s is not None
    with serve(counter.headquarters, port):
        back_s = until(lambda: agent.status().online, NOTICED_S)
        until(lambda: counter.outbox.watermark() == 3)
        agent.stop(PATIENCE_S)
    assert noticed_s < NOTICED_S
    assert back_s < NOTICED_S
    assert counter.arrived() == [1, 2, 3]
    assert counter.changes[-1] == (True, 0, None)


def test_a_connection_cut_in_the_middle_of_real_answers_counts_each_entry_once(counter: Counter) -> None:
    counter.enrol()
    counter.headquarters.faults.extend([Fault.LOST_ANSWER, Fault.CUT_ANSWER, Fault.PROXY_502, Fault.SIGN_IN_PAGE])
    counter.outbox.add(5)
    with serve(counter.headquarters) as url:
        agent = counter.agent(url)
        agent.start()
        until(lambda: counter.outbox.watermark() == 5)
        agent.stop(PATIENCE_S)
    assert counter.arrived() == [1, 2, 3, 4, 5]
    assert not counter.headquarters.faults


def test_headquarters_is_not_hammered_while_it_asks_for_patience(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(1)
    counter.headquarters.faults.append(Fault.BUSY_429)
    counter.headquarters.retry_after = "300"
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    until(lambda: code_of(agent) == "headquarters-busy")
    counter.outbox.add(1)
    agent.wake()
    time.sleep(0.5)  # a stretch in which an impatient agent would have asked again
    assert not counter.arrived()
    assert not agent.status().online
    agent.hurry()
    until(lambda: counter.outbox.watermark() == 2)
    assert agent.status().online


def test_a_short_patience_ends_by_itself(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(1)
    counter.headquarters.faults.append(Fault.BUSY_429)
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    took_s = until(lambda: counter.outbox.watermark() == 1)
    assert took_s >= 0.9, "Retry-After: 1"


def test_a_fork_stops_the_agent_for_good_with_an_error_to_show(counter: Counter) -> None:
    counter.enrol()
    transport = counter.headquarters.transport()
    counter.outbox.add(2)
    agent = counter.agent("http://hq.example", transport=transport)
    agent.start()
    until(lambda: counter.outbox.watermark() == 2)
    del counter.outbox.stored[1:]
    counter.outbox.watermarks = [1]
    until(lambda: code_of(agent) == "chain-forked")
    error = agent.status().last_error
    assert error is not None
    assert error.retry is Retry.STOP
    assert counter.outbox.forked
    asked = len(counter.headquarters.requests)
    agent.wake()
    time.sleep(0.6)  # three heartbeats' time
    assert len(counter.headquarters.requests) == asked


def test_a_terminal_enrolled_while_the_daemon_runs_begins_to_send(counter: Counter) -> None:
    counter.outbox.add(2)
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    until(lambda: code_of(agent) == "not-enrolled")
    assert not agent.status().enrolled
    counter.enrol()
    until(lambda: counter.outbox.watermark() == 2)
    assert agent.status().enrolled


def test_a_key_that_others_may_read_is_shown_and_nothing_is_sent(counter: Counter) -> None:
    counter.enrol()
    (counter.data_dir / KEY_FILE).chmod(0o644)
    counter.outbox.add(1)
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    until(lambda: code_of(agent) == "key-exposed")
    assert not counter.headquarters.requests
    (counter.data_dir / KEY_FILE).chmod(0o600)
    agent.hurry()
    until(lambda: counter.outbox.watermark() == 1)


def test_without_an_address_everything_is_kept_and_no_thread_runs(counter: Counter) -> None:
    counter.outbox.add(1)
    agent = counter.agent("")
    threads = threading.active_count()
    agent.start()
    assert threading.active_count() == threads
    assert agent.status().waiting == 1
    assert not agent.status().enrolled
    report = agent.push_now()
    assert report.error is not None
    assert report.error.code == "not-enrolled"


def test_a_push_by_hand_empties_the_queue_and_reports(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(1_200)
    counter.headquarters.flag = {7}
    report = counter.agent("http://hq.example", transport=counter.headquarters.transport()).push_now()
    assert (report.sent, report.acknowledged, report.waiting, report.error) == (1_200, 1_200, 0, None)
    assert [flag.sequence for flag in report.flagged] == [7]


def test_a_push_by_hand_says_what_stopped_it(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(600)
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.push_now()
    counter.outbox.add(1)
    counter.headquarters.faults.append(Fault.DOWN)
    report = agent.push_now()
    assert (report.sent, report.acknowledged, report.waiting) == (0, 600, 1)
    assert report.error is not None
    assert report.error.code == "line-down"


def test_a_push_by_hand_ends_in_time(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "PUSH_S_MAX", 0.0)
    counter.enrol()
    counter.outbox.add(1)
    report = counter.agent("http://hq.example", transport=counter.headquarters.transport()).push_now()
    assert (report.sent, report.waiting) == (0, 1)


def test_many_pushes_at_once_are_one_drainer(counter: Counter) -> None:
    counter.enrol()
    counter.outbox.add(3_000)
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    reports = []
    pushes = [threading.Thread(target=lambda: reports.append(agent.push_now())) for _ in range(4)]
    for push in pushes:
        push.start()
    for push in pushes:
        push.join(PATIENCE_S)
    until(lambda: counter.outbox.watermark() == 3_000)
    assert [report.error for report in reports] == [None] * 4
    assert counter.arrived() == list(range(1, 3_001))


def test_a_wait_ends_with_stop(counter: Counter) -> None:
    counter.enrol()
    agent = counter.agent("http://hq.example", heartbeat_s=60, transport=counter.headquarters.transport())
    agent.start()
    until(lambda: agent.status().online)
    before_s = time.monotonic()
    agent.stop(PATIENCE_S)
    assert time.monotonic() - before_s < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "sync-agent"]


def test_stop_does_not_wait_longer_than_it_is_told(counter: Counter) -> None:
    counter.enrol()
    release = threading.Event()
    inside = threading.Event()
    original = counter.headquarters.handle

    def slow(request):  # type: ignore[no-untyped-def]
        inside.set()
        release.wait(PATIENCE_S)
        return original(request)

    counter.headquarters.handle = slow  # type: ignore[method-assign]
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    assert inside.wait(PATIENCE_S)
    before_s = time.monotonic()
    agent.stop(0.2)
    assert time.monotonic() - before_s < 2
    release.set()
    agent.stop(PATIENCE_S)


def test_a_change_is_told_once(counter: Counter) -> None:
    counter.enrol()
    agent = counter.agent("http://hq.example", heartbeat_s=0.05, transport=counter.headquarters.transport())
    agent.start()
    until(lambda: len(counter.headquarters.requests) > 5)
    assert counter.changes == [(True, 0, None)]


def test_a_ledger_that_cannot_be_read_is_shown_and_tried_again(counter: Counter) -> None:
    counter.enrol()
    good = counter.outbox.watermark

    def damaged() -> int:
        raise LedgerDamaged("read", "ledger", reason="cut off")

    counter.outbox.watermark = damaged  # type: ignore[method-assign]
    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    until(lambda: code_of(agent) == "ledger-damaged")
    counter.outbox.watermark = good  # type: ignore[method-assign]
    agent.hurry()
    until(lambda: agent.status().online)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_programs_fault_ends_the_thread_loudly(counter: Counter, caplog: pytest.LogCaptureFixture) -> None:
    counter.enrol()

    def broken() -> Waiting:
        raise ZeroDivisionError

    agent = counter.agent("http://hq.example", transport=counter.headquarters.transport())
    agent.start()
    until(lambda: agent.status().online)
    good = counter.outbox.waiting
    counter.outbox.waiting = broken  # type: ignore[method-assign]
    agent.hurry()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "sync-agent"])
    counter.outbox.waiting = good  # type: ignore[method-assign]
    assert code_of(agent) == "agent-failed"
    assert "ZeroDivisionError" in caplog.text


def test_waits_grow_to_a_bound_that_lets_the_end_of_an_outage_be_noticed() -> None:
    assert retry_wait_s(1, 0.0) == RETRY_S_MIN / 2
    waits = [retry_wait_s(failures, 0.999) for failures in range(1, 5_000)]
    assert waits == sorted(waits)
    assert waits[-1] <= RETRY_S_MAX
    assert RETRY_S_MAX + CONNECT_S_MAX < NOTICED_S


def test_terminals_do_not_come_back_all_at_once() -> None:
    assert retry_wait_s(10, 0.0) < retry_wait_s(10, 0.5) < retry_wait_s(10, 0.99)

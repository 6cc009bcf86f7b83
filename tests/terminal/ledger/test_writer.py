"""One writer, many callers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from terminal.ledger.bodies import UsageClaim
from terminal.ledger.errors import LedgerBusy, LimitMoved
from terminal.ledger.ledger import Ledger
from terminal.ledger.verify import verify
from terminal.ledger.writer import WAITING_CALLS_MAX, WriterThread
from tests.fakes.sales import sale

THREADS = 16
CAP = 50


def test_sixteen_threads_use_up_a_cap_exactly(ledger: Ledger, path: Path) -> None:
    together = threading.Barrier(THREADS)

    def buy(thread: int) -> int:
        together.wait(timeout=30)
        sold = 0
        for number in range(10):
            with contextlib.suppress(LimitMoved):
                ledger.authorise(sale(thread * 100 + number, claims=(UsageClaim("pool", 1, CAP),)))
                sold += 1
        return sold

    with ThreadPoolExecutor(THREADS) as threads:
        assert sum(threads.map(buy, range(THREADS))) == CAP
    assert ledger.used("pool") == CAP
    assert ledger.last_sequence() == CAP
    assert verify(path).ok


def test_the_same_id_from_many_threads_is_one_sale(ledger: Ledger) -> None:
    asked = sale()
    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(ledger.authorise, [asked] * THREADS))
    assert [answer.repeat for answer in answers].count(False) == 1
    assert {answer.sequence for answer in answers} == {1}


def test_asyncio_callers_hop_once_to_the_writer(ledger: Ledger) -> None:
    async def buy() -> int:
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(
            *(loop.run_in_executor(ledger.writer, ledger.authorise, sale(number)) for number in range(20))
        )
        return len({answer.sequence for answer in answers})

    assert asyncio.run(buy()) == 20


def test_a_call_on_the_writer_thread_runs_there_and_then(ledger: Ledger) -> None:
    def inner() -> str:
        return threading.current_thread().name

    assert ledger.writer.run(lambda: ledger.writer.run(inner)).startswith("ledger-writer")
    assert inner() != ledger.writer.run(inner)


def test_reads_go_on_while_the_writer_is_in_a_transaction(ledger: Ledger) -> None:
    first = ledger.authorise(sale(1))
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger._writing.transaction("hold", "test") as step:
            step.execute("UPDATE usage SET used = 77", ())
            inside.set()
            assert leave.wait(30)

    held = ledger.writer.submit(hold)
    assert inside.wait(30)
    try:
        assert ledger.redemption(first.id) == first
        assert ledger.used(first.claims[0].key) == 2
        assert ledger.health().ok
    finally:
        leave.set()
        held.result(30)


def test_an_exception_within_a_step_leaves_nothing_behind(ledger: Ledger) -> None:
    asked = sale()

    def fail() -> None:
        with ledger._writing.transaction("fail", "test") as step:
            step.record(None, asked.id, "c01", asked)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.writer.run(fail)
    assert ledger.last_sequence() == 0
    assert ledger.authorise(asked).sequence == 1


def test_the_queue_is_bounded_and_empties_again() -> None:
    writer = WriterThread()
    leave = threading.Event()
    try:
        waiting = [writer.submit(leave.wait, 30) for _ in range(WAITING_CALLS_MAX)]
        with pytest.raises(LedgerBusy):
            writer.submit(leave.wait, 30)
        leave.set()
        assert all(call.result(30) for call in waiting)
        assert writer.run(lambda: 7) == 7
    finally:
        leave.set()
        writer.shutdown()


def test_nothing_is_written_after_closing(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        ledger.authorise(sale())

"""Holds over a signed line: an answer in time, one too late, none at all; the event loop never waits for longer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.enrolment import enrol
from sync.holds import LAST_HOLDS_MAX, WAITING_MAX, Holds
from terminal.ledger.grants import Wish, WishedKey
from terminal.redemption_id import new_id
from tests.fakes.escrow import PaperHeadquarters
from tests.fakes.headquarters import Fault
from tests.fakes.holding_headquarters import HoldingHeadquarters

POOL = "film|pool|campaign=c|campaign=c"
DONE_S_MAX = 10.0


class RunningClock:
    """The machine's own, under a boot of its own."""

    skew_ms = 0

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def boot(self) -> str:
        return "boot-1"


@dataclass
class Scene:
    """An enrolled terminal's holds and their headquarters."""

    headquarters: HoldingHeadquarters
    holds: Holds
    late: list[tuple[str, int]] = field(default_factory=list)
    online: bool = True
    told: threading.Event = field(default_factory=threading.Event)


def wish(amount: int = 1, redemption: str = "", attempt: int = 1) -> Wish:
    return Wish(redemption or new_id(), attempt, "film", 1, "", amount, (WishedKey(POOL, amount, 5),))


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DONE_S_MAX
    while not true():
        assert time.monotonic() < deadline_s, "never came true"
        time.sleep(0.005)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    headquarters = HoldingHeadquarters(paper=PaperHeadquarters(POOL, 5))
    enrol("http://hq.test", headquarters.issue_code("t1"), tmp_path, headquarters.transport())
    made: list[Scene] = []

    def late(redemption: str, attempt: int) -> None:
        made[0].late.append((redemption, attempt))

    holds = Holds(
        data_dir=tmp_path,
        url="http://hq.test",
        clock=RunningClock(),
        online=lambda: made[0].online,
        on_late=late,
        transport=headquarters.transport(),
        wait_s=0.3,
    )
    made.append(Scene(headquarters, holds))
    yield made[0]
    headquarters.gate.set()
    holds.close()


def test_a_hold_is_granted_with_its_end_and_its_totals(scene: Scene) -> None:
    before_ms = RunningClock().monotonic_ms()
    word = asyncio.run(scene.holds.ask(wish(2)))
    assert word is not None
    assert (word.granted, word.boot) == (True, "boot-1")
    assert (word.keys[POOL].used, word.keys[POOL].max, word.keys[POOL].granted) == (2, 5, 2)
    assert 30_000 <= word.until_ms - before_ms < 35_000
    (told,) = scene.holds.last
    assert told.answer == "granted"
    assert 0 <= told.took_ms < 5_000


def test_a_refusal_comes_with_numbers(scene: Scene) -> None:
    word = asyncio.run(scene.holds.ask(wish(6)))
    assert word is not None
    assert (word.granted, word.keys[POOL].left) == (False, 5)
    assert scene.holds.last[0].answer == "refused"


def test_what_comes_too_late_is_not_waited_for_and_is_told(scene: Scene) -> None:
    scene.headquarters.gate.clear()
    asked = wish(2)

    async def ask() -> float:
        began_s = time.monotonic()
        assert await scene.holds.ask(asked) is None
        return time.monotonic() - began_s

    async def run() -> float:
        took_s = await ask()
        assert scene.late == []
        scene.headquarters.gate.set()
        return took_s

    assert 0.25 < asyncio.run(run()) < 2.0
    until(lambda: scene.late == [(asked.redemption, 1)])
    assert scene.holds.last[0].answer == "late"


def test_a_refusal_that_comes_too_late_needs_no_giving_back(scene: Scene) -> None:
    scene.headquarters.gate.clear()

    async def run() -> None:
        assert await scene.holds.ask(wish(6)) is None
        scene.headquarters.gate.set()
        assert (await scene.holds.ask(wish(1))) is not None  # the thread is done with the late one

    asyncio.run(run())
    assert scene.late == []


def test_a_wish_that_waited_behind_a_hanging_one_is_never_sent(scene: Scene) -> None:
    scene.headquarters.gate.clear()
    first, second = wish(1), wish(1)

    async def run() -> None:
        assert await asyncio.gather(scene.holds.ask(first), scene.holds.ask(second)) == [None, None]
        scene.headquarters.gate.set()
        assert (await scene.holds.ask(wish(1))) is not None

    asyncio.run(run())
    assert (second.redemption, 1) not in scene.headquarters.paper.holds
    assert scene.late == [(first.redemption, 1)]


def test_only_so_many_wishes_wait(scene: Scene) -> None:
    scene.headquarters.gate.clear()

    async def run() -> list[object]:
        asks = [asyncio.ensure_future(scene.holds.ask(wish(1))) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        began_s = time.monotonic()
        assert await scene.holds.ask(wish(1)) is None
        assert time.monotonic() - began_s < 0.2
        scene.headquarters.gate.set()
        return list(await asyncio.gather(*asks))

    assert asyncio.run(run())[0] is not None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.DOWN, "line-down"),
        (Fault.SLOW, "line-down"),
        (Fault.LOST_ANSWER, "line-down"),
        (Fault.FORGED_ANSWER, "answer-unverified"),
        (Fault.SIGN_IN_PAGE, "answer-unverified"),
        (Fault.REFUSED_401, "terminal-refused"),
        (Fault.BUSY_429, "headquarters-busy"),
        (Fault.FAILING_500, "headquarters-failing"),
    ],
)
def test_whatever_else_comes_is_no_answer(scene: Scene, fault: Fault, code: str) -> None:
    scene.headquarters.faults.append(fault)
    assert asyncio.run(scene.holds.ask(wish(1))) is None
    assert scene.holds.last[0].answer == code
    assert asyncio.run(scene.holds.ask(wish(1))) is not None


def test_the_answer_that_was_lost_is_given_again(scene: Scene) -> None:
    asked = wish(5)
    scene.headquarters.faults.append(Fault.LOST_ANSWER)
    assert asyncio.run(scene.holds.ask(asked)) is None
    word = asyncio.run(scene.holds.ask(asked))
    assert word is not None
    assert word.granted


def test_a_hold_is_given_back_under_its_attempt(scene: Scene) -> None:
    asked = wish(1, attempt=3)
    asyncio.run(scene.holds.ask(asked))
    scene.holds.give_back(asked.redemption, 3)
    until(lambda: scene.headquarters.deleted == [(asked.redemption, 3)])
    scene.headquarters.faults.append(Fault.DOWN)
    scene.holds.give_back(asked.redemption, 3)
    assert asyncio.run(scene.holds.ask(wish(1))) is not None


def test_it_is_ready_while_the_agent_reaches_headquarters(scene: Scene, tmp_path: Path) -> None:
    assert scene.holds.ready
    scene.online = False
    assert not scene.holds.ready
    nowhere = Holds(data_dir=tmp_path, url="", clock=RunningClock(), online=lambda: True)
    assert not nowhere.ready
    nowhere.close()
    nowhere.give_back("x", 1)


def test_without_an_enrolment_there_is_no_answer(tmp_path: Path) -> None:
    unknown = Holds(data_dir=tmp_path, url="http://hq.test", clock=RunningClock(), online=lambda: True)
    assert asyncio.run(unknown.ask(wish(1))) is None
    assert unknown.last[0].answer == "not-enrolled"
    unknown.close()


def test_only_the_last_ones_are_kept(scene: Scene) -> None:
    async def run() -> None:
        for _ in range(LAST_HOLDS_MAX + 3):
            await scene.holds.ask(wish(6))

    asyncio.run(run())
    assert len(scene.holds.last) == LAST_HOLDS_MAX

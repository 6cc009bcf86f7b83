"""Who is signed in, and who tries PINs, as the database has it: the same for every worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sync.headquarters.people import sessions as room
from sync.headquarters.people.lockouts import FORGOTTEN_AFTER, StoredLockouts
from sync.headquarters.people.sessions import PEEK_S, SEEN_EVERY_S, StoredSessions
from sync.headquarters.people.tables import pin_tries
from sync.headquarters.people.tables import sessions as sessions_table
from sync.headquarters.storage import Storage
from terminal.serving.lockouts import GLOBAL_TRIES_MAX, GLOBAL_WINDOW_S, TRIES_BEFORE_WAIT, WAIT_FIRST_S, PinLocked
from terminal.serving.people import Person, Role
from tests.sync.headquarters.client import HandClock
from tests.sync.headquarters.scene import count

LI = Person("op1", "李敏", Role.OPERATOR)
IDLE_S, ABSOLUTE_S = 600.0, 3600.0


class Worker(StoredSessions):
    """One worker's end; `people` is what the file of people says."""

    def __init__(self, storage: Storage, clock: HandClock) -> None:
        self.people = {LI.id: LI}
        self.elapsed_s = 0.0
        super().__init__(
            "hq",
            storage,
            person_of=self.people.get,
            clock=clock,
            idle_s=IDLE_S,
            absolute_s=ABSOLUTE_S,
            monotonic_s=lambda: self.elapsed_s,
        )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_a_session_is_good_at_every_worker_until_it_is_ended(storage: Storage, clock: HandClock) -> None:
    one, other = Worker(storage, clock), Worker(storage, clock)
    token = one.begin(LI)
    assert other.person(token) == other.peek(token) == LI
    one.end(token)
    assert other.person(token) is None
    assert other.peek(token) == LI  # a watcher's page, for `PEEK_S` at most
    other.elapsed_s += PEEK_S
    assert other.peek(token) is None
    assert one.peek(token) is None


def test_the_token_itself_is_nowhere(storage: Storage, clock: HandClock) -> None:
    token = Worker(storage, clock).begin(LI)
    with storage.read() as connection:
        assert token not in str(connection.execute(select(sessions_table)).one())


@pytest.mark.parametrize("token", ["", "x", "\udc80"])
def test_no_token_of_ours_is_nobody(storage: Storage, clock: HandClock, token: str) -> None:
    worker = Worker(storage, clock)
    assert (worker.person(token), worker.peek(token)) == (None, None)
    worker.end(token)


def test_idle_ends_a_session_and_being_there_keeps_it(storage: Storage, clock: HandClock) -> None:
    worker = Worker(storage, clock)
    token = worker.begin(LI)
    for _ in range(5):
        clock.now += timedelta(seconds=IDLE_S - SEEN_EVERY_S)
        assert worker.person(token) == LI
    for _ in range(3):  # a page that polls is nobody
        clock.now += timedelta(seconds=IDLE_S / 3)
        worker.elapsed_s += PEEK_S
        worker.peek(token)
    assert worker.person(token) is None


def test_a_session_ends_after_a_long_shift(storage: Storage, clock: HandClock) -> None:
    worker = Worker(storage, clock)
    token = worker.begin(LI)
    while clock.now < HandClock().now + timedelta(seconds=ABSOLUTE_S - 300):
        clock.now += timedelta(seconds=300)
        assert worker.person(token) == LI
    clock.now += timedelta(seconds=300)
    assert worker.person(token) is None
    worker.begin(LI)
    assert count(storage, sessions_table) == 1  # what is over is swept when the next one begins


def test_who_is_struck_off_or_moved_is_so_at_once(storage: Storage, clock: HandClock) -> None:
    worker = Worker(storage, clock)
    token = worker.begin(LI)
    worker.people[LI.id] = Person("op1", "李敏", Role.AUDITOR)
    assert worker.person(token) == Person("op1", "李敏", Role.AUDITOR)
    worker.people.clear()
    assert (worker.person(token), worker.peek(token)) == (None, None)


def test_sessions_are_bounded(storage: Storage, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SESSIONS_MAX", 3)
    worker = Worker(storage, clock)
    tokens = []
    for _ in range(5):
        clock.now += timedelta(seconds=1)
        tokens.append(worker.begin(LI))
    assert count(storage, sessions_table) == 3
    assert [worker.person(token) is not None for token in tokens] == [False, False, True, True, True]


def test_what_is_peeked_at_is_bounded(storage: Storage, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PEEKED_MAX", 2)
    worker = Worker(storage, clock)
    for number in range(4):
        worker.peek(f"token-{number}")
    assert len(worker._peeked) == 2


def test_wrong_pins_make_one_wait_at_every_worker(storage: Storage, clock: HandClock) -> None:
    workers = [StoredLockouts(storage, clock), StoredLockouts(storage, clock)]
    for number in range(TRIES_BEFORE_WAIT):
        workers[number % 2].begin("op1", 0)
    for worker in workers:
        with pytest.raises(PinLocked) as locked:
            worker.begin("op1", 0)
        assert locked.value.details["wait_s"] == WAIT_FIRST_S + 1
    workers[0].begin("op2", 0)  # another number need not wait
    clock.now += timedelta(seconds=WAIT_FIRST_S)
    workers[1].begin("op1", 0)
    with pytest.raises(PinLocked) as locked:
        workers[0].begin("op1", 0)
    assert locked.value.details["wait_s"] == 2 * WAIT_FIRST_S + 1


def test_the_right_pin_forgets_the_slips(storage: Storage, clock: HandClock) -> None:
    lockouts = StoredLockouts(storage, clock)
    for _ in range(GLOBAL_TRIES_MAX):
        for _ in range(TRIES_BEFORE_WAIT - 1):
            lockouts.begin("op1", 0)
            clock.now += timedelta(seconds=GLOBAL_WINDOW_S)
        lockouts.begin("op1", 0)
        lockouts.succeeded("op1")
    assert count(storage, pin_tries) == 0


def test_all_tries_together_are_bounded_and_forgotten(storage: Storage, clock: HandClock) -> None:
    lockouts = StoredLockouts(storage, clock)
    clock.now = clock.now.replace(second=0)
    for number in range(GLOBAL_TRIES_MAX):
        lockouts.begin(f"x{number}", 0)
    with pytest.raises(PinLocked):
        lockouts.begin("op1", 0)
    clock.now += timedelta(seconds=GLOBAL_WINDOW_S)
    lockouts.begin("op1", 0)
    assert count(storage, pin_tries) == GLOBAL_TRIES_MAX + 1
    clock.now += FORGOTTEN_AFTER
    lockouts.begin("op1", 0)
    assert count(storage, pin_tries) == 1


def test_a_new_role_counts_without_a_restart(tmp_path: Path) -> None:
    from terminal.serving.people import People, add_person

    path = tmp_path / "people.toml"
    add_person(path, LI, "13572468")
    people = People.load(path)
    add_person(path, Person("op1", "李敏", Role.AUDITOR), "13572468", replace=True)
    changed = people.current("op1")
    assert changed is not None
    assert changed.role is Role.AUDITOR

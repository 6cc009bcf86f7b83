from __future__ import annotations

from itertools import count

from starlette.responses import Response

from terminal.serving.people import Person, Role
from terminal.serving.sessions import SESSIONS_MAX, TOKEN_BYTES, Sessions, elapsed_s

WANG = Person("c01", "王芳", Role.CASHIER)


class HandClock:
    """Elapsed seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(clock: HandClock, **options: float) -> Sessions:
    numbers = count()
    return Sessions("s", idle_s=10, absolute_s=25, clock=clock, token=lambda: f"token-{next(numbers)}", **options)  # type: ignore[arg-type]


def test_a_session_ends_after_its_idle_time() -> None:
    clock = HandClock()
    sessions = make(clock)
    token = sessions.begin(WANG)
    clock.now = 9.9
    assert sessions.person(token) == WANG
    clock.now = 19.8
    assert sessions.person(token) == WANG
    clock.now = 29.8
    assert sessions.person(token) is None


def test_a_session_ends_after_its_whole_time_however_busy() -> None:
    clock = HandClock()
    sessions = make(clock)
    token = sessions.begin(WANG)
    for second in range(25):
        clock.now = second
        assert sessions.person(token) == WANG
    clock.now = 25
    assert sessions.person(token) is None


def test_a_page_that_looks_by_itself_does_not_keep_a_session_alive() -> None:
    clock = HandClock()
    sessions = make(clock)
    token = sessions.begin(WANG)
    clock.now = 9
    assert sessions.peek(token) == WANG
    clock.now = 10
    assert sessions.peek(token) is None


def test_signing_out_ends_the_session() -> None:
    sessions = make(HandClock())
    token = sessions.begin(WANG)
    sessions.end(token)
    sessions.end(token)
    assert sessions.person(token) is None


def test_the_least_recently_used_session_gives_way_at_the_bound() -> None:
    sessions = make(HandClock())
    tokens = [sessions.begin(WANG) for _ in range(SESSIONS_MAX)]
    assert sessions.person(tokens[0]) == WANG
    sessions.begin(WANG)
    assert sessions.peek(tokens[0]) == WANG
    assert sessions.peek(tokens[1]) is None
    assert len(sessions._sessions) == SESSIONS_MAX


def test_ended_sessions_are_swept_when_another_begins() -> None:
    clock = HandClock()
    sessions = make(clock)
    for _ in range(5):
        sessions.begin(WANG)
    clock.now = 10
    sessions.begin(WANG)
    assert len(sessions._sessions) == 1


def test_tokens_are_long_random_and_not_kept() -> None:
    sessions = Sessions("s", idle_s=10)
    tokens = {sessions.begin(WANG) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= TOKEN_BYTES * 4 // 3 for token in tokens)
    assert not any(token.encode() in key for key in sessions._sessions for token in tokens)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    response = Response()
    Sessions("s", idle_s=10, secure=True).hand_out(response, "x")
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith("s=x;")
    assert {"httponly", "samesite=strict", "secure", "path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "max-age" not in cookie


def test_elapsed_time_never_goes_back() -> None:
    first = elapsed_s()
    assert elapsed_s() >= first

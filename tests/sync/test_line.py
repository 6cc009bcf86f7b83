"""The line's bounds: how long, how much, and what it does not do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from sync import line as line_module
from sync.errors import LineDown
from sync.line import CONNECT_S_MAX, HEARTBEAT_STEP_S_MAX, STEP_S_MAX, Line
from sync.refusals import RETRY_AFTER_S_DEFAULT, RETRY_AFTER_S_MAX, refusal, retry_after_s
from sync.signing import DeviceKey, HttpResponse
from sync.wire import ANSWER_BYTES_MAX

KEY = DeviceKey.from_private(bytes(range(32)))
NOW = datetime(2012, 12, 25, 1, 30, tzinfo=UTC)
NOTICED_S = 5.0  # DESIGN, "Sync": an outage is noticed in under 5 s
HEARTBEAT_S = 3.0  # the default of `headquarters.heartbeat_s`


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A peer that lets connect and then says only what a test makes it say."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def to(listener: socket.socket) -> Line:
    return Line(f"http://127.0.0.1:{listener.getsockname()[1]}", key=KEY, key_id="cinema-1")


def test_the_bounds_let_an_outage_be_noticed_in_time() -> None:
    assert STEP_S_MAX < NOTICED_S
    assert HEARTBEAT_S + HEARTBEAT_STEP_S_MAX < NOTICED_S
    assert HEARTBEAT_S + CONNECT_S_MAX < NOTICED_S


def test_a_peer_that_never_answers_is_given_up_after_the_step(silent: socket.socket) -> None:
    line = to(silent)
    before_s = time.monotonic()
    with pytest.raises(LineDown) as caught:
        line.post("/x", b"{}", now=NOW, step_s=0.3)
    assert 0.2 < time.monotonic() - before_s < 3
    assert caught.value.details["timed_out"] is True
    line.close()


def test_a_port_where_nobody_listens_is_a_line_down_at_once(silent: socket.socket) -> None:
    line = to(silent)
    silent.close()
    with pytest.raises(LineDown) as caught:
        line.post("/x", b"{}", now=NOW)
    assert caught.value.details["timed_out"] is False
    line.close()


def test_an_answer_that_drips_is_cut_off(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "ANSWER_S_MAX", 0.5)
    done = threading.Event()

    def drip() -> None:
        peer, _ = silent.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not done.wait(0.05):
                try:
                    peer.sendall(b" ")
                except OSError:
                    return

    dripping = threading.Thread(target=drip)
    dripping.start()
    line = to(silent)
    try:
        with pytest.raises(LineDown) as caught:
            line.post("/x", b"{}", now=NOW)
        assert caught.value.details["reason"] == "answer too slow"
    finally:
        done.set()
        line.close()
        dripping.join(5)


def test_an_answer_over_its_bound_is_cut_off(silent: socket.socket) -> None:
    def flood() -> None:
        peer, _ = silent.accept()
        with peer:
            received = b""
            while not received.endswith(b"\r\n\r\n{}"):  # closing on unread bytes would reset the connection
                received += peer.recv(65536)
            try:
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n" + bytes(ANSWER_BYTES_MAX * 8))
            except OSError:
                return

    flooding = threading.Thread(target=flood)
    flooding.start()
    line = to(silent)
    with pytest.raises(LineDown) as caught:
        line.post("/x", b"{}", now=NOW)
    assert caught.value.details["reason"] == "answer too long"
    line.close()
    flooding.join(5)


def test_a_peer_that_does_not_speak_http_is_a_line_down(silent: socket.socket) -> None:
    def greet() -> None:
        peer, _ = silent.accept()
        with peer:
            peer.sendall(b"220 smtp ready\r\n")
            peer.recv(65536)

    greeting = threading.Thread(target=greet)
    greeting.start()
    line = to(silent)
    with pytest.raises(LineDown):
        line.post("/x", b"{}", now=NOW)
    line.close()
    greeting.join(5)


def test_a_proxy_that_a_shell_exports_does_not_decide_where_entries_go(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
    silent.settimeout(0.2)
    line = Line("http://127.0.0.1:9", key=KEY, key_id="cinema-1")
    with pytest.raises(LineDown):
        line.post("/x", b"{}", now=NOW)
    with pytest.raises(TimeoutError):
        silent.accept()
    line.close()


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        (str(RETRY_AFTER_S_MAX + 1), RETRY_AFTER_S_MAX),
        ("9" * 5_000, RETRY_AFTER_S_MAX),
        ("", RETRY_AFTER_S_DEFAULT),
        ("-1", RETRY_AFTER_S_DEFAULT),
        ("1.5", RETRY_AFTER_S_DEFAULT),
        ("²", RETRY_AFTER_S_DEFAULT),
        ("Wed, 21 Oct 2015 07:28:00 GMT", RETRY_AFTER_S_DEFAULT),
    ],
)
def test_retry_after_is_heeded_within_bounds(value: str, wait_s: int) -> None:
    response = HttpResponse(429, {"Retry-After": value}, b"")
    assert retry_after_s(response) == wait_s
    assert refusal(response, "hq", "send").details["wait_s"] == wait_s

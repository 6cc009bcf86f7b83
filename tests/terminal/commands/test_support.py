"""What the support dump says of cards and readers, by what listens at the daemon's address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from config.settings import TerminalSettings, load_terminal
from terminal.commands.support import ANSWER_BYTES_MAX, told_by_daemon, write_support
from terminal.demo import prepare


@contextmanager
def listening(body: bytes, status: int = 200) -> Iterator[tuple[int, list[str]]]:
    """A server that answers everything with `body`; its port and the paths it was asked for."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                return  # the caller has heard enough

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> TerminalSettings:
    return load_terminal(prepare(tmp_path / "demo", "virtual")[0])


def at(settings: TerminalSettings, port: int) -> TerminalSettings:
    return settings.model_copy(update={"terminal": settings.terminal.model_copy(update={"port": port})})


def test_the_dump_holds_what_the_daemon_tells(settings: TerminalSettings) -> None:
    told = {"readers": [{"name": "virtual"}], "outcomes": []}
    with listening(json.dumps(told).encode()) as (port, asked):
        assert told_by_daemon(at(settings, port)) == told
    assert asked == ["/api/v1/readers"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 503),
        (b"<html>", 200),
        (b"[]", 200),
        (b'"' + b"x" * ANSWER_BYTES_MAX + b'"', 200),
    ],
    ids=["an error", "no JSON", "other JSON", "too much"],
)
def test_an_answer_that_is_no_daemons_is_told_as_such(settings: TerminalSettings, body: bytes, status: int) -> None:
    with listening(body, status) as (port, _):
        told = told_by_daemon(at(settings, port))
    assert list(told) == ["unknown"]
    assert f"127.0.0.1:{port}" in told["unknown"]


def test_the_dump_says_when_no_daemon_runs(settings: TerminalSettings) -> None:
    with listening(b"{}") as (port, _):
        pass  # nobody listens there any more
    assert "ConnectError" in told_by_daemon(at(settings, port))["unknown"]
    assert "terminal.port" in told_by_daemon(at(settings, 0))["unknown"]


def test_the_dump_says_when_there_are_no_settings(tmp_path: Path) -> None:
    out = tmp_path / "support.json"
    write_support(tmp_path / "none.toml", out)
    assert "daemon" in json.loads(out.read_text(encoding="utf-8"))["reading"]["unknown"]

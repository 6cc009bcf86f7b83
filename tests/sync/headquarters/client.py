"""Talking to headquarters over a real socket: as a terminal that signs, as a person who has signed in."""

from __future__ import annotations

import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from config.places import PEOPLE_FILE
from config.settings import HqSettings
from sync.private_file import create_private
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_request, verify_response
from sync.wire import EntryBatch, encode_body, encode_message, entries_path
from terminal.serving.people import Person, Role, add_person
from tests.sync.headquarters.written_ledger import NOON

START_S_MAX = 20.0
OPERATOR_PIN = "13572468"


@dataclass(slots=True)
class HandClock:
    """Headquarters' clock, moved by hand."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


def hq_settings(data_dir: Path, database_url: str = "", **changes: Any) -> HqSettings:
    """Settings as `jingka hq` would load them."""
    fields: dict[str, Any] = {
        "data_dir": data_dir,
        "host": "127.0.0.1",
        "port": 0,
        "database_url": database_url,
        "language": "zh",
        "clock_skew_s_max": 300,
        "code_life_s": 3600,
    }
    return HqSettings(**(fields | changes))


@cache
def _people() -> bytes:
    """The file of people, made once: each PIN costs 30 ms of argon2."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / PEOPLE_FILE
        add_person(path, Person("op1", "李敏", Role.OPERATOR), OPERATOR_PIN)
        add_person(path, Person("c01", "王芳", Role.CASHIER), "1234")
        return path.read_bytes()


def add_operator(data_dir: Path) -> None:
    """The operator `op1`, and a cashier who has strayed into headquarters' list of people."""
    create_private(data_dir / PEOPLE_FILE, _people())


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """The application behind a real server on a free port; a client that knows its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        deadline = time.monotonic() + START_S_MAX
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server takes too long to start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(START_S_MAX)
        listening.close()


def sign_in(client: httpx.Client, person: str = "op1", pin: str = OPERATOR_PIN) -> None:
    answer = client.post("/api/v1/session", json={"person": person, "pin": pin})
    assert answer.status_code == 200, answer.text


@dataclass(slots=True)
class SigningTerminal:
    """A terminal's end, with every part of a request open to be spoilt."""

    client: httpx.Client
    clock: HandClock
    terminal: str
    key: DeviceKey = field(default_factory=DeviceKey.generate)
    sent: HttpRequest | None = None

    def signed(self, path: str, plain: bytes, *, key_id: str | None = None, at: datetime | None = None) -> HttpRequest:
        """A good request, unless told otherwise."""
        body, encoding = encode_body(plain)
        headers = {"content-type": "application/json"} | ({"content-encoding": encoding} if encoding else {})
        request = HttpRequest("POST", str(self.client.base_url.join(path)), headers, body)
        signature = sign_request(
            request, key=self.key, key_id=key_id or self.terminal, now=at or self.clock.now, nonce=secrets.token_hex(16)
        )
        return HttpRequest("POST", request.url, headers | signature, body)

    def send(self, request: HttpRequest) -> HttpResponse:
        """The request as it is."""
        self.sent = request
        answer = self.client.request(request.method, request.url, headers=dict(request.headers), content=request.body)
        return HttpResponse(answer.status_code, dict(answer.headers), answer.content)

    def push(self, batch: EntryBatch) -> HttpResponse:
        return self.send(self.signed(entries_path(self.terminal), encode_message(batch)))

    def proves(self, answer: HttpResponse, headquarters_key: bytes) -> bool:
        """Whether the answer is headquarters' to the request sent last; raises where it is not."""
        assert self.sent is not None
        return verify_response(answer, self.sent, headquarters_key=headquarters_key) is not None

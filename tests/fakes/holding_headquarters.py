"""The fake headquarters with leases and holds: real signatures and faults, the arithmetic of `escrow`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from sync.signing import HttpRequest, HttpResponse
from sync.wire import encode_message, parse_message
from sync.wire_grants import HOLDS_PATH, HeldKey, HoldAnswer, HoldRequest, leases_path
from terminal.ledger.grants import Wish, WishedKey
from tests.fakes.escrow import TIME, PaperHeadquarters
from tests.fakes.headquarters import FakeHeadquarters

BLOCKED_S_MAX = 10.0


@dataclass
class HoldingHeadquarters(FakeHeadquarters):
    """`gate` closed: a hold is taken in, and its answer waits. `used`: what a terminal's entries say of the pool."""

    paper: PaperHeadquarters = field(default_factory=lambda: PaperHeadquarters("", 0))
    used: Callable[[str], int] = lambda _: 0
    gate: threading.Event = field(default_factory=threading.Event)
    deleted: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def _take(self, request: HttpRequest, path: str) -> HttpResponse:
        if path.startswith(HOLDS_PATH):
            terminal = self._verify(request, self.terminals)
            return self._hold(request, terminal) if request.method == "POST" else self._delete(request)
        terminal = path.split("/")[-2]
        if path == leases_path(terminal):
            self._verify(request, self.terminals)
            return _json(self.paper.exchange(self._decoded(request), self.used(terminal)))
        return super()._take(request, path)

    def _hold(self, request: HttpRequest, terminal: str) -> HttpResponse:
        asked = parse_message(HoldRequest, self._decoded(request))
        keys = tuple(WishedKey(each.key, each.amount, each.max) for each in asked.keys)
        wish = Wish(asked.redemption, asked.attempt, asked.offer, asked.revision, "", asked.units, keys)
        word = self.paper.hold(terminal, wish, asked.boot, asked.monotonic_ms)
        told = tuple(
            HeldKey(key=key, used=each.used, max=each.max, granted=each.granted) for key, each in word.keys.items()
        )
        self.gate.wait(BLOCKED_S_MAX)
        return _json(encode_message(HoldAnswer(granted=word.granted, keys=told, life_s=30, time=TIME)))

    def _delete(self, request: HttpRequest) -> HttpResponse:
        url = httpx.URL(request.url)
        self.deleted.append((url.path.rpartition("/")[2], int(url.params["attempt"])))
        return _json(encode_message(HoldAnswer(granted=False, time=TIME)))


def _json(body: bytes) -> HttpResponse:
    return HttpResponse(200, {"content-type": "application/json"}, body)

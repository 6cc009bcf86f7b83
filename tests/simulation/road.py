"""The lines of a city that is played out: cut, lossy, doubling, and late; each terminal has one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from sync.enrolment import Enrolment
from sync.errors import LineDown
from sync.feeds import Source
from sync.line import Exchange, Line
from sync.refusals import refusal
from sync.signing import HttpRequest, HttpResponse
from tests.simulation.headquarters import Headquarters, Killed
from tests.simulation.story import Story

URL = "http://hq.example"
LATE_S_MAX = 6 * 3600  # of a copy that some box on the way kept


@dataclass(frozen=True, slots=True)
class Weather:
    """Shares of messages that something happens to."""

    lost_request: float
    lost_answer: float
    killed: float  # headquarters' worker dies before it commits
    doubled: float  # twice at once
    late_copy: float  # once more, hours later


@dataclass(slots=True)
class Road:
    """From one terminal to headquarters."""

    terminal: str
    headquarters: Headquarters
    weather: Weather
    chance: random.Random
    story: Story
    later: Callable[[float, Callable[[], None]], None]  # seconds from now
    cut: bool = False
    calm: bool = False  # at the end: nothing goes wrong any more

    def call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The answer, or `LineDown`."""
        if self.cut:
            raise self._down("cut")
        if self.calm:
            return self.headquarters.answer(method, path, body)
        if self._happens(self.weather.lost_request):
            raise self._down("request lost")
        if self._happens(self.weather.killed):
            try:
                self.headquarters.answer(method, path, body, killed=True)
            except Killed:
                raise self._down("worker killed") from None
        answer = self.headquarters.answer(method, path, body)
        if self._happens(self.weather.doubled):
            self.story.counts["doubled"] += 1
            answer = self.headquarters.answer(method, path, body)
        if self._happens(self.weather.late_copy):
            self.story.counts["late copies"] += 1
            self.later(self.chance.uniform(1, LATE_S_MAX), lambda: self._again(method, path, body))
        if self._happens(self.weather.lost_answer):
            raise self._down("answer lost")
        return answer

    def _again(self, method: str, path: str, body: bytes) -> None:
        """A copy arrives that nobody waits for. The service refuses a used nonce; here it must do no harm even so."""
        self.headquarters.answer(method, path, body)

    def _happens(self, share: float) -> bool:
        return self.chance.random() < share

    def _down(self, reason: str) -> LineDown:
        self.story.counts[reason] += 1
        return LineDown("post", URL, reason=reason, timed_out=False)


@dataclass(slots=True)
class RoadSource:
    """`sync.feeds.Source` over a road."""

    road: Road
    step_s: float = 0.0

    @property
    def terminal(self) -> str:
        return self.road.terminal

    def get(self, path: str, *, answer_bytes_max: int = 0) -> bytes:
        return self._body("GET", path, b"")

    def post(self, path: str, plain: bytes, *, answer_bytes_max: int = 0) -> bytes:
        return self._body("POST", path, plain)

    def delete(self, path: str) -> bytes:
        return self._body("DELETE", path, b"")

    def _body(self, method: str, path: str, plain: bytes) -> bytes:
        status, body = self.road.call(method, path, plain)
        if status != 200:
            raise refusal(HttpResponse(status, {}, body), URL, "ask")
        return body

    def as_source(self) -> Source:
        return cast("Source", self)


@dataclass(slots=True)
class RoadLine:
    """What `Upload` needs of a line, over a road."""

    road: Road
    url: str = URL
    sent: list[str] = field(default_factory=list)

    def post(self, path: str, plain: bytes, *, now: datetime, step_s: float = 0.0) -> Exchange:
        status, body = self.road.call("POST", path, plain)
        return Exchange(HttpRequest("POST", URL + path, {}, plain), HttpResponse(status, {}, body))

    def as_line(self) -> Line:
        return cast("Line", self)


def enrolment_of(terminal: str, merchant: str, site: str) -> Enrolment:
    """As headquarters would have said."""
    return Enrolment(terminal, merchant, site, f"{merchant} {site}", bytes(32))

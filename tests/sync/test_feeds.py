"""What the agent fetches: only what is newer, only when nothing waits, and a feed that fails holds up no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from config.errors import JingkaError
from sync.enrolment import Enrolment
from sync.errors import LineDown
from sync.feeds import LEAVE_STEP_S, RETRY_S_MAX, Feeds, Source
from sync.line import Line

NOWHERE = cast("Source", None)  # these feeds ask nobody


@dataclass
class Told:
    """A feed that has what it was told to fetch, unless it fails."""

    name: str
    has: str = ""
    error: JingkaError | None = None
    tries: list[str] = field(default_factory=list)

    def version(self) -> str:
        return self.has

    def fetch(self, source: Source, wanted: str) -> None:
        self.tries.append(wanted)
        if self.error is not None:
            raise self.error
        self.has = wanted


@dataclass
class Watch:
    """Seconds, moved by hand."""

    s: float = 0.0

    def __call__(self) -> float:
        return self.s


def test_only_what_is_newer_is_fetched() -> None:
    book, roll = Told("book"), Told("roll", has="4")
    feeds = Feeds((book, roll), Watch())
    assert feeds.follow({"book": "7", "roll": "4", "weather": "fair"}, NOWHERE)
    assert (book.tries, roll.tries) == (["7"], [])
    assert not feeds.follow({"book": "7", "roll": "4"}, NOWHERE)
    assert book.tries == ["7"]


def test_a_feed_that_fails_waits_longer_each_time_and_holds_up_no_other() -> None:
    gone = LineDown("fetch", "headquarters", reason="refused", timed_out=False)
    book, roll, watch = Told("book", error=gone), Told("roll"), Watch()
    feeds = Feeds((book, roll), watch)
    assert feeds.follow({"book": "7", "roll": "4"}, NOWHERE)
    assert roll.has == "4"
    assert feeds.faults() == {"book": gone}
    assert not feeds.follow({"book": "7", "roll": "4"}, NOWHERE)
    assert book.tries == ["7"]
    waits: list[float] = []
    begun_s = watch.s
    while len(waits) < 9:
        watch.s += 0.5
        feeds.follow({"book": "7"}, NOWHERE)
        if len(book.tries) == len(waits) + 2:
            waits.append(watch.s - begun_s)
            begun_s = watch.s
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_S_MAX
    book.error = None
    watch.s += RETRY_S_MAX
    assert feeds.follow({"book": "8"}, NOWHERE)
    assert (book.has, feeds.faults()) == ("8", {})


def test_only_who_has_something_to_say_says_it_when_the_terminal_stops_and_a_failure_ends_nothing() -> None:
    gone = LineDown("ask", "headquarters", reason="refused", timed_out=False)
    said: list[str] = []

    @dataclass
    class Talkative(Told):
        def leave(self, source: Source) -> None:
            said.append(self.name)
            assert source.step_s == LEAVE_STEP_S
            if self.error is not None:
                raise self.error

    source = Source(cast("Line", None), cast("Enrolment", None), lambda: datetime(2026, 1, 5, tzinfo=UTC))
    Feeds((Talkative("leases", error=gone), Told("book"), Talkative("usage")), Watch()).leave(source)
    assert said == ["leases", "usage"]


def test_news_of_the_version_that_is_there_ends_a_trouble() -> None:
    book = Told("book", has="6", error=LineDown("fetch", "headquarters", reason="refused", timed_out=False))
    feeds = Feeds((book,), Watch())
    feeds.follow({"book": "7"}, NOWHERE)
    assert feeds.faults()
    feeds.follow({"book": "6"}, NOWHERE)  # rolled back meanwhile
    assert not feeds.faults()

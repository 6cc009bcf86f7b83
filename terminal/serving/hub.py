"""Live events: from the daemon to every open page, as server-sent events (HTML standard, "Server-sent events").

`publish` encodes once and hands the bytes to each subscriber's bounded queue; it never waits. Whoever reads too slowly
is told `resync` and let go: the browser reconnects by itself and asks for the whole state, so nothing stale stays on a
page. Everything here runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from terminal.serving.problems import TooManyStreams

QUEUE_EVENTS_MAX = 64  # a page reads within milliseconds; 64 events are several minutes of a busy counter
SUBSCRIBERS_MAX = 32  # browsers open six streams a host at most; a counter has one or two
KEEP_ALIVE_S = 15  # proxies and browsers drop silent streams after 30 s and more (HTML standard advises 15)
RETRY_MS = 1000  # how soon a browser reconnects; well under the 5 s in which an outage must show

KEEP_ALIVE = b": keep-alive\n\n"
RESYNC = "resync"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready for the wire."""

    name: str
    wire: bytes


@dataclass(eq=False, slots=True)
class _Subscriber:
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_EVENTS_MAX))


class Hub:
    """Fans events out."""

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()
        self._closed = False

    @property
    def subscribers(self) -> int:
        """How many listen now."""
        return len(self._subscribers)

    def publish(self, event: str, data: Mapping[str, object]) -> None:
        """Send `data` as JSON to everyone who listens."""
        if not self._subscribers:
            return
        message = Event(event, encode(event, data))
        for subscriber in list(self._subscribers):
            if subscriber.queue.full():
                self._let_go(subscriber)
            else:
                subscriber.queue.put_nowait(message)

    async def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on, until the hub closes or the reader is too slow (its last event is then `resync`).

        Raises `TooManyStreams` at the first step when `SUBSCRIBERS_MAX` listen already.
        """
        subscriber = self._enter()
        try:
            while (event := await subscriber.queue.get()) is not None:
                yield event
        finally:
            self._subscribers.discard(subscriber)

    async def stream(
        self,
        greeting: Callable[[], Iterable[tuple[str, Mapping[str, object]]]],
        alive: Callable[[], bool] = lambda: True,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> AsyncIterator[bytes]:
        """The bytes of one event stream: `greeting` (the state now), then events, with a comment when it is quiet.

        Ends when `alive` says no (the session is over), looked at before every event and every comment.
        """
        subscriber = self._enter()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            for name, data in greeting():
                yield encode(name, data)
            while True:
                event: Event | None
                try:
                    event = await asyncio.wait_for(subscriber.queue.get(), keep_alive_s)
                except TimeoutError:
                    if not alive():
                        return
                    yield KEEP_ALIVE
                    continue
                if event is None or not alive():
                    return
                yield event.wire
        finally:
            self._subscribers.discard(subscriber)

    def room(self) -> None:
        """Raise `TooManyStreams` when nobody more may listen: to be asked before an answer begins."""
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            raise TooManyStreams("open event stream", "events", count_max=SUBSCRIBERS_MAX)

    def close(self) -> None:
        """End every stream after what it has still to tell, so that the server can stop; later ones end at once."""
        self._closed = True
        for subscriber in list(self._subscribers):
            if subscriber.queue.full():
                self._let_go(subscriber)
            else:
                self._subscribers.discard(subscriber)
                subscriber.queue.put_nowait(None)

    def _enter(self) -> _Subscriber:
        self.room()
        subscriber = _Subscriber()
        if self._closed:
            subscriber.queue.put_nowait(None)
        self._subscribers.add(subscriber)
        return subscriber

    def _let_go(self, subscriber: _Subscriber) -> None:
        """Empty the full queue for `resync` and the end mark, and forget the subscriber."""
        self._subscribers.discard(subscriber)
        for _ in range(QUEUE_EVENTS_MAX):
            subscriber.queue.get_nowait()
        subscriber.queue.put_nowait(Event(RESYNC, encode(RESYNC, {})))
        subscriber.queue.put_nowait(None)


def encode(event: str, data: Mapping[str, object]) -> bytes:
    """One event on the wire. JSON has no line breaks, so one `data` line is enough."""
    assert event.isascii(), event
    assert "\n" not in event, event
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    return f"event: {event}\ndata: {body}\n\n".encode()

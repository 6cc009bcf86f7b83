"""Lines between real processes that can be cut, slowed, blocked and made to leak; loopback only.

    with Lines() as lines:
        line = lines.lay(hq_port)          # a client connects to 127.0.0.1:line.port
        line.weather = Weather.CUT         # every connection ends, new ones end at once
        line.weather = Weather.FAIR

One thread and one event loop carry all lines. What a connection loses it loses in the middle of what is being said,
in either direction: a request that never arrives, an answer that headquarters has committed and nobody hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self, TypeVar

LOOPBACK: Final = "127.0.0.1"
CHUNK_BYTES: Final = 64 * 1024
SLOW_S: Final = (0.1, 0.7)  # for each piece that passes: a hold, which waits 0.8 s, sometimes comes too late
LEAK_SHARE: Final = 0.15  # of the pieces that pass: the connection ends in the middle of one
SILENCE_S: Final = 60.0  # what a silent line keeps longest; the other end gives up long before
BEGIN_WAIT_S: Final = 10.0

Said = TypeVar("Said")


class Weather(Enum):
    """How a line is."""

    FAIR = "fair"
    SLOW = "slow"
    LEAKY = "leaky"  # a piece is cut in the middle, and the connection ends
    SILENT = "silent"  # nothing passes, nothing ends
    CUT = "cut"  # every connection ends, and each new one at once


@dataclass(eq=False)
class LeakyLine:
    """One line. `weather` may be set from any thread; what is under way feels it with its next piece."""

    port: int
    upstream_port: int
    chance: random.Random
    connections: int = 0
    leaks: int = 0
    _weather: Weather = Weather.FAIR
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def weather(self) -> Weather:
        """How it is now."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        # A silent line that comes back has lost what it swallowed: such a connection is of no use to anybody.
        if self._weather in (Weather.CUT, Weather.FAIR):
            for writer in list(self._open):
                writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from its begin to its end."""
        self.connections += 1
        if self._weather is Weather.CUT:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            try:
                inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self.upstream_port)
            except OSError:
                return
            self._open.add(inner_writer)
            ways = (
                asyncio.ensure_future(self._pass_on(reader, inner_writer)),
                asyncio.ensure_future(self._pass_on(inner_reader, writer)),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                self._open.discard(inner_writer)
                await _end(inner_writer)
        finally:
            self._open.discard(writer)
            await _end(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(CHUNK_BYTES):
                if self._weather is Weather.SLOW:
                    await asyncio.sleep(self.chance.uniform(*SLOW_S))
                if self._weather is Weather.SILENT:
                    await asyncio.sleep(SILENCE_S)
                    return
                if self._weather is Weather.LEAKY and self.chance.random() < LEAK_SHARE:
                    self.leaks += 1
                    writer.write(piece[: self.chance.randrange(len(piece))])
                    await writer.drain()
                    return
                writer.write(piece)
                await writer.drain()


class Lines:
    """All lines of a test, on one thread."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="leaky-lines", daemon=True)
        self._servers: list[asyncio.Server] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BEGIN_WAIT_S)
        self._loop.close()

    def lay(self, upstream_port: int) -> LeakyLine:
        """A line to this port, in fair weather."""
        return self._do(self._begin(upstream_port))

    async def _begin(self, upstream_port: int) -> LeakyLine:
        line = LeakyLine(0, upstream_port, random.Random(self._chance.random()), _loop=self._loop)
        server = await asyncio.start_server(line.carry, LOOPBACK, 0)
        line.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        return line

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        carrying = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    def _do(self, work: Coroutine[Any, Any, Said]) -> Said:
        done: Future[Said] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(BEGIN_WAIT_S)


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

"""A till of the tests on a real port, for a browser: any book, any place, any moment; its cards are presented by hand.

with served(till, people) as site:
    site.present("member")
    page.goto(site.url)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import uvicorn
from fastapi import FastAPI

from terminal.serving.people import People
from terminal.web.app import create_app
from tests.fakes.till import Till

START_WAIT_S = 20.0
ANSWER_WAIT_S = 20.0
ANOTHER_TAP_MS = 2000  # a second look at the same card sooner is the same presentation


@dataclass
class ServedTill:
    """Where it is served, and the hands at its reader. The counter lives on the server's loop: all goes through it."""

    till: Till
    url: str
    loop: asyncio.AbstractEventLoop

    def present(self, card: str) -> None:
        """Hold a card of the drawer to the reader."""
        self.do(lambda: self._present(card))

    def do(self, act: Callable[[], None]) -> None:
        """Do something to the till on its own loop, and wait until it is done."""

        async def acted() -> None:
            act()

        asyncio.run_coroutine_threadsafe(acted(), self.loop).result(ANSWER_WAIT_S)

    def _present(self, card: str) -> None:
        self.till.clock.step(ANOTHER_TAP_MS)
        self.till.present(card)


@contextlib.contextmanager
def served(till: Till, people: People) -> Iterator[ServedTill]:
    """Serve the till's pages on a free port until the block ends."""
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loops.append(asyncio.get_running_loop())
        ready.set()
        yield

    app = create_app(replace(till.parts(people), lifespan=lifespan))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served-till")
        thread.start()
        try:
            assert ready.wait(START_WAIT_S), "the till did not start"
            yield ServedTill(till, f"http://127.0.0.1:{listener.getsockname()[1]}", loops[0])
        finally:
            loops[0].call_soon_threadsafe(till.hub.close)
            server.should_exit = True
            thread.join(START_WAIT_S)
            assert not thread.is_alive()

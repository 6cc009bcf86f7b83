"""Live events from worker to worker, over PostgreSQL's LISTEN and NOTIFY.

Each worker has one connection of its own for it, and sends what has gathered a few times a second: a notification takes
a lock over the whole database as it commits, so ingest must not carry one in each of its transactions. An event that is
lost (the database was restarted) costs nothing but time: pages are told to look at everything anew.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine

from terminal.serving.hub import RESYNC

if TYPE_CHECKING:
    import psycopg

logger = logging.getLogger(__name__)

CHANNEL: Final = "jingka_events"
TURN_S: Final = 0.2  # a page of another worker is behind by that much
PAYLOAD_BYTES_MAX: Final = 7_900  # PostgreSQL takes less than 8000 bytes
PENDING_MAX: Final = 64  # events of one turn; a page's queue holds no more either, older ones give way
RETRY_S: Final = 2.0
STOP_S_MAX: Final = 5.0

Receive = Callable[[str, Mapping[str, object]], None]


class Broadcast:
    """One worker's ear and mouth. `send` from any thread; `receive` is called from the broadcast's own."""

    def __init__(self, engine: Engine, receive: Receive) -> None:
        self._engine = engine
        self._receive = receive
        self._pending: deque[tuple[str, Mapping[str, object]]] = deque(maxlen=PENDING_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End, within the turn in hand."""
        self._stopping.set()
        self._thread.join(STOP_S_MAX)

    def send(self, event: str, data: Mapping[str, object]) -> None:
        """Tell the other workers, soon."""
        self._pending.append((event, data))

    def _run(self) -> None:
        import psycopg

        missed = False
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    if missed:
                        self._receive(RESYNC, {})
                    missed = True
                    while not self._stopping.is_set():
                        self._turn(connection)
            except psycopg.Error as error:
                logger.warning("live events of other workers are missed: %s", type(error).__name__)
                self._stopping.wait(RETRY_S)

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        _, parameters = self._engine.dialect.create_connect_args(self._engine.url)
        connection = psycopg.connect(**parameters, autocommit=True)
        connection.execute(f"LISTEN {CHANNEL}")
        return connection

    def _turn(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        for notice in connection.notifies(timeout=TURN_S):
            if notice.pid != connection.info.backend_pid:
                for event, data in json.loads(notice.payload):
                    self._receive(event, data)
        payload = self._payload()
        if payload is not None:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    def _payload(self) -> str | None:
        """The latest of what is pending that fits one notification, oldest first."""
        parts: list[str] = []
        size = 2
        while self._pending:
            part = json.dumps(self._pending.pop(), ensure_ascii=False, separators=(",", ":"), default=str)
            size += len(part.encode()) + 1
            if size > PAYLOAD_BYTES_MAX:
                self._pending.clear()
                break
            parts.append(part)
        return f"[{','.join(reversed(parts))}]" if parts else None

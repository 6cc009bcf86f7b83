"""The one writer: its thread, its connection, and the rule that after a fault the disk is proven before a sale."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from terminal.ledger import database, journal, projections
from terminal.ledger.bodies import Body
from terminal.ledger.clock import Clock
from terminal.ledger.errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerDisk,
    LedgerForked,
    LedgerFull,
    LedgerLocked,
    LedgerStopped,
)
from terminal.ledger.head import Head, HeadFile
from terminal.ledger.project import Redemption

WAITING_CALLS_MAX = 256  # at half a millisecond each the last waits 0.13 s; more means the disk hangs
PROBE_WAIT_MS = 1000  # while the disk is full: at most one write probe a second, however often the cashier tries

_PASSING = (LedgerFull, LedgerDisk, LedgerLocked)  # may be over by itself; damage and a fork are not

T = TypeVar("T")


class WriterThread(ThreadPoolExecutor):
    """The executor with one thread on which all writes happen, in the order in which they were asked.

    `loop.run_in_executor(ledger.writer, ledger.authorise, a)` hops once: a call made on the thread itself runs
    directly.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="ledger-writer", initializer=self._note_thread)
        self._room = threading.BoundedSemaphore(WAITING_CALLS_MAX)
        self._ident: int | None = None

    def _note_thread(self) -> None:
        self._ident = threading.get_ident()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue `fn`. Raises `LedgerBusy` when `WAITING_CALLS_MAX` calls wait already."""
        if not self._room.acquire(blocking=False):
            raise LedgerBusy("queue", "ledger", waiting=WAITING_CALLS_MAX)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:  # shut down: the call never entered the queue
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def run(self, fn: Callable[..., T], *args: Any) -> T:
        """`fn(*args)` on the writer's thread; its result or its exception."""
        if threading.get_ident() == self._ident:
            return fn(*args)
        return self.submit(fn, *args).result()


class Transaction:
    """What may be done between BEGIN IMMEDIATE and COMMIT. `head` moves with each appended entry."""

    __slots__ = ("_terminal", "clock", "execute", "head")

    def __init__(self, connection: Connection, head: Head, terminal: str, clock: Clock) -> None:
        self.execute = database.driver(connection)
        self.head = head
        self._terminal = terminal
        self.clock = clock

    def record(self, current: Redemption | None, redemption: str, cashier: str, body: Body) -> Redemption:
        """Append one entry and project it: the redemption after it."""
        following = journal.next_entry(
            self.head, body, terminal=self._terminal, clock=self.clock, redemption=redemption, cashier=cashier
        )
        after = projections.project(self.execute, current, following, body)
        self.head = journal.append(self.execute, self.head, following)
        return after


class Writer:
    """The connection that may write. Every method runs on the writer's thread."""

    def __init__(self, path: Path, terminal: str, clock: Clock, head_file: HeadFile) -> None:
        self.head = Head()
        self.stopped: LedgerStopped | None = None  # read by other threads: replaced whole
        self._path = path
        self._terminal = terminal
        self.clock = clock
        self._head_file = head_file
        self._engine = database.writing_engine(path)
        self._connection: Connection | None = None
        self._probe_due_ms = 0

    def open(self) -> None:
        """Connect, migrate when behind, and prove the file's end.

        Raises `LedgerStopped` kinds; nothing stays open then.
        """
        try:
            with database.faults("open", str(self._path)):
                self._connection = self._engine.connect()
                with self._connection.begin():
                    self._migrate(self._connection)
                    self.head = self._prove(self._connection)
        except LedgerStopped:
            self.close()
            raise
        self._head_file.write(self.head)

    def close(self) -> None:
        """Close the connection; the last one out moves the WAL into the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self, operation: str, subject: str) -> Iterator[Transaction]:
        """One durable step: commits at the end of the block, rolls back on any exception.

        Raises what stands in the way of selling (`LedgerStopped`), now or since an earlier call.
        """
        connection = self._ready(operation, subject)
        try:
            with connection.begin():
                step = Transaction(connection, self.head, self._terminal, self.clock)
                yield step
        except database.SQLITE_FAULTS as error:
            fault = database.database_fault(error, operation, subject)
            self.stop(fault)
            raise fault from error
        except LedgerStopped as error:
            self.stop(error)
            raise
        if step.head is not self.head:
            self.head = step.head
            self._head_file.write(step.head)

    def probe(self) -> None:
        """Prove that the ledger can be written again, and end the stop. Raises the `LedgerStopped` that still holds.

        A new connection, the chain's end, and one durable write. After damage also SQLite's own check of every page.
        """
        damaged = isinstance(self.stopped, LedgerDamaged)
        if isinstance(self.stopped, LedgerForked):
            raise self.stopped
        self.close()
        try:
            self.open()
            assert self._connection is not None
            with database.faults("probe", str(self._path)), self._connection.begin():
                if damaged:
                    check_pages(self._connection, self._path)
                self._connection.exec_driver_sql("UPDATE ledger SET probes = probes + 1")
        except LedgerStopped as error:
            self.stopped = error
            raise
        self.stopped = None

    def _ready(self, operation: str, subject: str) -> Connection:
        """The connection, unless sales are stopped; a full or failing disk is tried again at most once a second."""
        if self.stopped is not None:
            now_ms = self.clock.monotonic_ms()
            if not isinstance(self.stopped, _PASSING) or now_ms < self._probe_due_ms:
                raise type(self.stopped)(operation, subject, **self.stopped.details)
            self._probe_due_ms = now_ms + PROBE_WAIT_MS
            self.probe()
        assert self._connection is not None, "the ledger is open"
        return self._connection

    def stop(self, error: LedgerStopped) -> None:
        """Refuse every write from now on with `error`."""
        self.stopped = error
        self._probe_due_ms = self.clock.monotonic_ms() + PROBE_WAIT_MS

    def _migrate(self, connection: Connection) -> None:
        if database.is_behind(connection, self._path):
            database.upgrade(connection)
            connection.exec_driver_sql(
                "INSERT INTO ledger (one, terminal, watermark, probes) VALUES (1, ?, 0, 0) ON CONFLICT DO NOTHING",
                (self._terminal,),
            )

    def _prove(self, connection: Connection) -> Head:
        """The head, after checking whose ledger this is, its last entries, and that it is the latest copy."""
        path = str(self._path)
        about = connection.exec_driver_sql(
            "SELECT terminal, CAST(watermark AS INTEGER) AS watermark, forked FROM ledger"
        ).first()
        if about is None:
            raise LedgerDamaged("open", path, reason="the row about the ledger is missing")
        if about.terminal != self._terminal:
            raise LedgerForked("open", path, reason=f"it belongs to terminal {about.terminal}")
        if about.forked is not None:
            raise LedgerForked("open", path, reason=about.forked)
        head = journal.check_tail(database.driver(connection), self._terminal, path)
        if about.watermark > head.sequence:
            raise LedgerForked("open", path, reason=f"headquarters has {about.watermark}, here are {head.sequence}")
        noted = self._head_file.read()
        if noted is not None and not self._holds(connection, noted):
            raise LedgerForked("open", path, reason=f"entry {noted.sequence} had been written and is not here")
        return head

    def _holds(self, connection: Connection, noted: Head) -> bool:
        if noted.sequence == 0:
            return True
        row = connection.exec_driver_sql("SELECT hash FROM entry WHERE sequence = ?", (noted.sequence,)).first()
        return row is not None and bytes(row[0]) == noted.hash


def check_pages(connection: Connection, path: Path) -> None:
    """SQLite's own check of every page. Raises `LedgerDamaged`."""
    row = connection.exec_driver_sql("PRAGMA quick_check(1)").first()
    if row is None or row[0] != "ok":
        raise LedgerDamaged("check", str(path), reason="SQLite finds a broken page")

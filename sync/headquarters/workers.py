"""Several workers on one port: a parent that holds the socket, starts them, and starts again whichever ends.

The parent serves nothing and has no threads, so that forking is sound. All workers accept from its one socket: whoever
is free takes the next connection, and none is lost while a worker is being replaced. A worker whose parent is gone ends
by itself, for the pipe that the parent holds closes with it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sync.headquarters.errors import PortUnavailable

logger = logging.getLogger(__name__)

# A worker that ended sooner than this has not begun to be useful: the next try waits, longer each time.
USEFUL_S: Final = 10.0
RESTART_S_MIN: Final = 0.5
RESTART_S_MAX: Final = 30.0
# To finish requests (`app.SHUTDOWN_S`) and give back connections; then a worker is killed. Within systemd's 20 s.
STOP_S_MAX: Final = 10.0
BACKLOG: Final = 2048  # uvicorn's own; connections wait here while a worker is replaced
_WATCH_S: Final = 1.0  # a signal ends the wait at once; this only bounds what a lost one could cost

_WATCHED: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The socket that workers share. Raises `PortUnavailable`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        shared = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise PortUnavailable("listen", f"{host}:{port}", reason=reason) from error
    with shared:
        yield shared


def restart_wait_s(failures: int) -> float:
    """How long after the end of a worker the next one starts; `failures`: ends in a row that came too soon."""
    return 0.0 if failures == 0 else min(RESTART_S_MAX, RESTART_S_MIN * 2.0 ** min(failures - 1, 10))


@dataclass(slots=True)
class _Slot:
    """One worker's place; times are monotonic seconds."""

    number: int
    pid: int | None = None
    began_s: float = 0.0
    due_s: float = 0.0
    failures: int = 0


class Supervisor:
    """Keeps `count` workers running until SIGTERM or SIGINT; `run` wants a process of its own."""

    def __init__(self, count: int, work: Callable[[], int]) -> None:
        """`work` is what a worker does, in its own process, until SIGTERM; it returns the exit code."""
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._work = work
        self._alive_end, self._parent_end = os.pipe()

    def run(self) -> None:
        """Start them, watch them, and end them when asked to."""
        assert threading.active_count() == 1, "a process with threads must not fork"
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            while True:
                self._start_due()
                told = signal.sigtimedwait(_WATCHED, self._wait_s())
                if told is not None and told.si_signo != signal.SIGCHLD:
                    break
                self._reap()
        finally:
            self._stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(self._alive_end)
            os.close(self._parent_end)

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.pid is None and time.monotonic() >= slot.due_s:
                slot.began_s = time.monotonic()
                slot.pid = self._fork(slot.number)

    def _wait_s(self) -> float:
        due = [slot.due_s - time.monotonic() for slot in self._slots if slot.pid is None]
        return max(0.0, min([_WATCH_S, *due]))

    def _fork(self, number: int) -> int:
        pid = os.fork()
        if pid:
            logger.info("worker %d runs as process %d", number, pid)
            return pid
        code = 1
        try:
            os.close(self._parent_end)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            threading.Thread(target=self._end_with_parent, name="parent-watch", daemon=True).start()
            code = self._work()
        except Exception:
            logger.exception("worker %d", number)
        finally:
            logging.shutdown()
            os._exit(code)

    def _end_with_parent(self) -> None:
        """In a worker: nothing is ever written to the pipe, so reading ends when the parent does."""
        os.read(self._alive_end, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _reap(self) -> None:
        """Take leave of the workers that have ended, and say when the next ones start."""
        for slot in self._slots:
            if slot.pid is None:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid == 0:
                continue
            now_s = time.monotonic()
            slot.failures = slot.failures + 1 if now_s - slot.began_s < USEFUL_S else 0
            wait_s = restart_wait_s(slot.failures)
            slot.pid, slot.due_s = None, now_s + wait_s
            code = os.waitstatus_to_exitcode(status)
            logger.warning("worker %d (process %d) ended with %d; again in %.1f s", slot.number, pid, code, wait_s)

    def _stop(self) -> None:
        """Ask every worker to end, and wait; kill what does not."""
        deadline_s = time.monotonic() + STOP_S_MAX
        self._tell(signal.SIGTERM)
        while self._running() and time.monotonic() < deadline_s:
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
        if self._running():
            logger.warning("workers that do not end are killed")
            self._tell(signal.SIGKILL)
            for slot in self._slots:
                if slot.pid is not None:
                    os.waitpid(slot.pid, 0)

    def _running(self) -> bool:
        for slot in self._slots:
            if slot.pid is not None and os.waitpid(slot.pid, os.WNOHANG)[0]:
                slot.pid = None
        return any(slot.pid is not None for slot in self._slots)

    def _tell(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(slot.pid, number)

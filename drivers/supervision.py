"""Readers kept running: one thread each, started again with backoff whatever ends them, and their states for the page.

No reader's death is silent: a typed `ReaderError` becomes its status, anything else a `ReaderCrashed` that names the
fault's type and place (never its text, which may hold what the reader was reading), and so does the end of its thread.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from config.errors import JingkaError, Words
from drivers.card import CardRead, ReaderBusy, ReaderError, ReaderForbidden, ReaderMissing, ReaderServiceDown, Step
from drivers.reader import Reader, ReaderListener, ReaderState, ReaderStatus

READER_NAMES_MAX = 32  # names one reader may tell (PC/SC allows 16 readers; replugged ones may come under new names)
STOP_WAIT_S = 3.0  # a reader ends within a second of `stop`; a card exchange under way may take two more


class ReaderCrashed(ReaderError):
    """A reader's code ended in a way it must not: a defect, told and started again."""

    code = "reader-crashed"
    what = Words("读卡程序异常（{fault}，{place}）", "the reader's program failed ({fault}, {place})")
    hint = Words(
        "系统会自动重启读卡程序；若反复出现请联系技术支持", "it is started again; call support if it keeps coming back"
    )


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a reader is started again: doubling, and so short that a replug is over in a second.

    A try in vain costs a system call or two: waiting longer would spare nothing and keep a cashier waiting.
    """

    first_s: float = 0.2
    longest_s: float = 0.5
    healthy_s: float = 1.0  # a run that was ready and lasted this long, or read a card, begins the row anew

    def delay_s(self, failures: int) -> float:
        """The wait after the `failures`-th failure in a row, counted from 1."""
        doublings = min(failures - 1, 16)  # beyond any sensible ratio; keeps the power small
        return min(self.first_s * 2.0**doublings, self.longest_s)


class Supervisor:
    """Runs `readers` and passes all they tell on to `listener`, each on its reader's own thread."""

    def __init__(self, readers: Sequence[Reader], listener: ReaderListener, *, backoff: Backoff | None = None) -> None:
        self._stop = threading.Event()
        self._posts = [_Post(reader, listener, self._stop, backoff or Backoff()) for reader in readers]

    def start(self) -> None:
        """Start one thread per reader; once only."""
        for post in self._posts:
            post.start()

    def stop(self, timeout_s: float = STOP_WAIT_S) -> tuple[str, ...]:
        """Ask all readers to end and wait `timeout_s` for all together; the names of those that did not end in time."""
        self._stop.set()
        deadline = time.monotonic() + timeout_s
        return tuple(post.reader.name for post in self._posts if not post.join(deadline - time.monotonic()))

    def statuses(self) -> tuple[ReaderStatus, ...]:
        """Every reader's state now, in the order of the settings.

        A reader that stands for several (PC/SC `*`) shows each name it has told; so take the whole picture from here on
        every `reader_changed`.
        """
        return tuple(status for post in self._posts for status in post.statuses())


class _Post:
    """One reader, its thread, and what it has told; a `ReaderListener` that stands before the real one."""

    def __init__(self, reader: Reader, listener: ReaderListener, stop: threading.Event, backoff: Backoff) -> None:
        self.reader = reader
        self._listener = listener
        self._stop = stop
        self._backoff = backoff
        self._lock = threading.Lock()
        self._told: dict[str, ReaderStatus] = {}
        self._ready = False  # the present run got as far as a working reader
        self._has_read = False  # and as far as a whole card
        self._thread = threading.Thread(target=self._stand, name=f"reader {reader.name}", daemon=True)
        self._note(self._own_status(ReaderState.STARTING))

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended; waits for it at most `timeout_s`."""
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def statuses(self) -> tuple[ReaderStatus, ...]:
        with self._lock:
            return tuple(self._told.values())

    def card_read(self, read: CardRead) -> None:
        self._has_read = True
        self._listener.card_read(read)

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        self._listener.card_failed(reader, error, steps)

    def card_removed(self, reader: str) -> None:
        self._listener.card_removed(reader)

    def reader_changed(self, status: ReaderStatus) -> None:
        self._ready = self._ready or status.state in {ReaderState.READY, ReaderState.CARD}
        self._note(status)
        self._listener.reader_changed(status)

    def _stand(self) -> None:
        """The thread's whole life: an end that no `except` should stop (SystemExit, a listener's fault) is told too."""
        try:
            self._keep_running()
        finally:
            if not self._stop.is_set():
                crashed = ReaderCrashed("run reader", self.reader.name, fault="thread", place="ended")
                self._tell_all(ReaderState.FAILED, crashed)

    def _keep_running(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            error = self._run_once()
            if error is None:
                break
            lasted = time.monotonic() - began >= self._backoff.healthy_s
            healthy = self._has_read or (self._ready and lasted)
            failures = 1 if healthy else failures + 1
            self._tell_all(state_for(error), error)
            self._stop.wait(self._backoff.delay_s(failures))
        self._tell_all(ReaderState.STOPPED, None)

    def _run_once(self) -> ReaderError | None:
        """One run of the reader: None when it was asked to end, else what ended it, bare of frames and causes."""
        self._ready = self._has_read = False
        try:
            self._run()
        except ReaderError as error:
            # The frames behind an error, and the error it came from, may hold a card's bytes: they end here.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        if self._stop.is_set():
            return None
        return ReaderCrashed("run reader", self.reader.name, fault="returned", place="run")

    def _run(self) -> None:
        try:
            self.reader.run(self, self._stop)
        except ReaderError:
            raise
        except Exception as fault:
            raise ReaderCrashed(
                "run reader", self.reader.name, fault=type(fault).__name__, place=_place_of(fault)
            ) from fault

    def _tell_all(self, state: ReaderState, error: ReaderError | None) -> None:
        """The reader as a whole is in `state`: every name it told is, and after that it goes by its own name again.

        Told once: the same failure at each new try changes nothing, least of all since when it lasts.
        """
        own = self._own_status(state, error)
        with self._lock:
            before = self._told.get(own.name)
            if before is not None and before.state is state and type(before.error) is type(error):
                return
            others = [status for status in self._told.values() if status.name != own.name]
            self._told = {own.name: own}
        for status in others:
            if status.state is not ReaderState.MISSING:
                self._listener.reader_changed(ReaderStatus(status.name, status.kind, state, own.since_ns, error))
        self._listener.reader_changed(own)

    def _note(self, status: ReaderStatus) -> None:
        """Keep the newest status of each name; a name of its own replaces the reader's placeholder."""
        with self._lock:
            if status.name != self.reader.name:
                self._told.pop(self.reader.name, None)
            if status.name not in self._told and len(self._told) >= READER_NAMES_MAX:
                missing = (name for name, told in self._told.items() if told.state is ReaderState.MISSING)
                self._told.pop(next(missing, next(iter(self._told))))
            self._told[status.name] = status

    def _own_status(self, state: ReaderState, error: JingkaError | None = None) -> ReaderStatus:
        return ReaderStatus(self.reader.name, self.reader.kind, state, time.monotonic_ns(), error)


def state_for(error: ReaderError) -> ReaderState:
    """The state that a reader is in when `error` has ended its run."""
    match error:
        case ReaderMissing():
            return ReaderState.MISSING
        case ReaderServiceDown():
            return ReaderState.SERVICE_DOWN
        case ReaderForbidden():
            return ReaderState.FORBIDDEN
        case ReaderBusy():
            return ReaderState.BUSY
        case _:
            return ReaderState.FAILED


def _place_of(fault: BaseException) -> str:
    """The file and line where `fault` was raised: enough for a defect report, and no data."""
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"

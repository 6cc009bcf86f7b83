"""The terminal's end of sync: a thread that brings what the ledger holds to headquarters, and says how it stands.

It sends as soon as an entry is there, and an empty batch every few seconds when none is: so an outage shows on the page
in under 5 s, and so does its end. Whatever goes wrong here, selling goes on; only a forked ledger stops it, by the
ledger's own hand. One lock makes it one drainer, whoever asks for a push.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config.errors import JingkaError
from sync.errors import (
    AgentFailed,
    AnswerUnverified,
    ChainForked,
    HeadquartersBusy,
    HeadquartersFailing,
    LineDown,
    NotEnrolled,
    TerminalRefused,
    TerminalRevoked,
    TerminalUnknown,
)

if TYPE_CHECKING:
    import httpx

    from sync.feeds import Feed, Feeds, Source
    from sync.line import Exchange
    from sync.upload import Clock, Outbox, Step, Upload
    from sync.wire import Condition, Flag

logger = logging.getLogger(__name__)

# With at most 1.5 s to connect (`line`), the end of an outage is noticed in under 5 s.
RETRY_S_MIN: Final = 0.25
RETRY_S_MAX: Final = 3.0
# Refused, not cut off: nothing at this end will change it soon, and headquarters should not be hammered.
REFUSED_RETRY_S: Final = 30.0
# How often an enrolment is looked for that `jingka enrol` may have written meanwhile: one `open` of a missing file.
ENROLMENT_POLL_S: Final = 2.0
# `push_now` is for a person who waits: long enough for a day's entries, not for a month's.
PUSH_S_MAX: Final = 60.0
# While the terminal stops: the last sales of the day. A longer queue waits for the next start.
LEAVE_STEPS_MAX: Final = 3


def retry_wait_s(failures: int, jitter: float) -> float:
    """How long to wait after `failures` failures in a row (1 or more); `jitter` in [0, 1) keeps terminals apart."""
    ceiling_s = min(RETRY_S_MAX, RETRY_S_MIN * 2.0 ** min(failures - 1, 10))
    return ceiling_s * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How sync stands: `online` means that headquarters has just taken what we sent (or the heartbeat)."""

    enrolled: bool
    online: bool
    waiting: int
    oldest_s: int | None  # how long the oldest entry has waited, by the PC's clock; None: none waits
    last_contact: datetime | None  # the PC's clock at headquarters' last proven answer
    skew_ms: int | None  # how far the PC's clock is ahead of headquarters'
    last_error: JingkaError | None
    revoked: bool = False  # headquarters provably does not accept this terminal any more


@dataclass(frozen=True, slots=True)
class PushReport:
    """What one push did; `error` is what ended it before the queue was empty."""

    sent: int
    acknowledged: int  # the watermark after it
    waiting: int
    flagged: tuple[Flag, ...]
    error: JingkaError | None


class Agent:
    """Joins one ledger and one headquarters. All methods may be called from any thread."""

    def __init__(
        self,
        *,
        ledger: Outbox,
        data_dir: Path,
        url: str,
        clock: Clock,
        heartbeat_s: float = 3.0,
        on_change: Callable[[], None] = lambda: None,
        transport: httpx.BaseTransport | None = None,
        jitter: Callable[[], float] = random.random,
        feeds: Sequence[Feed] | Callable[[], Sequence[Feed]] = (),
        on_refused: Callable[[JingkaError], None] = lambda _: None,
        condition: Callable[[], Condition | None] = lambda: None,
    ) -> None:
        """`url` empty: no headquarters is set, entries are kept. `on_change` is called from the agent's thread, when
        `status` has changed in `enrolled`, `online`, `waiting` or the kind of error; it must return at once.
        `on_refused`: told from the same thread when headquarters provably does not accept this terminal any more.
        `condition`: how the terminal is, asked from that thread before each heartbeat. `feeds`: what is fetched, or
        what makes it when the line is opened.
        """
        self._outbox = ledger
        self._data_dir = data_dir
        self._url = url
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._on_change = on_change
        self._transport = transport
        self._jitter = jitter
        self._feeds = feeds
        self._on_refused = on_refused
        self._condition = condition
        self._stamp: object = None  # of the key and the enrolment in use
        self._rotating = False  # headquarters has asked for a new key
        self._following: Feeds | None = None
        self._source: Source | None = None

        self._draining = threading.Lock()  # held for one step: the upload's cursor and connection
        self._upload: Upload | None = None
        self._on_close = contextlib.ExitStack()  # the lines
        self._failures = 0

        self._signal = threading.Condition()  # guards the three flags below
        self._stopping = False
        self._entry_ready = False
        self._hurried = False
        self._thread: threading.Thread | None = None

        self._online = False
        self._error: JingkaError | None = None
        self._last_contact: datetime | None = None
        self._shown: tuple[object, ...] = ()

    # --- for the daemon and its pages ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread; without a URL there is nothing to do and none is started."""
        assert self._thread is None, "an agent starts once"
        if self._url:
            self._thread = threading.Thread(target=self._run, name="sync-agent", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread after the step in hand, waiting at most `timeout_s`; what waits is in the ledger."""
        with self._signal:
            self._stopping = True
            self._signal.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                logger.warning("the sync agent is still in an exchange after %.1f s", timeout_s)

    def wake(self) -> None:
        """An entry is there. Returns at once; does not cut short a wait that headquarters or an outage imposes."""
        with self._signal:
            self._entry_ready = True
            self._signal.notify_all()

    def hurry(self) -> None:
        """A person asks: try now, whatever wait is on. Returns at once."""
        with self._signal:
            self._hurried = True
            self._signal.notify_all()

    @property
    def online(self) -> bool:
        """Whether headquarters has just taken what we sent; reads nothing."""
        return self._online

    def feed_faults(self) -> Mapping[str, JingkaError]:
        """What each feed last failed with, by its name, until it succeeds."""
        return {} if self._following is None else self._following.faults()

    def push_now(self) -> PushReport:
        """Sends, on the caller's thread, until nothing waits or something stops it; at most `PUSH_S_MAX`."""
        deadline_s = time.monotonic() + PUSH_S_MAX
        sent, more = 0, True
        flagged: list[Flag] = []
        error: JingkaError | None = None
        while more and time.monotonic() < deadline_s:
            try:
                step = self._step()
            except JingkaError as stopped:
                error = stopped
                break
            sent += step.sent
            flagged += step.flagged
            more = step.more
        return PushReport(sent, self._outbox.watermark(), self._outbox.waiting().count, tuple(flagged), error)

    def status(self) -> SyncStatus:
        """How it stands now; reads the ledger, sends nothing. Raises the ledger's errors."""
        waiting = self._outbox.waiting()
        return SyncStatus(
            enrolled=self._upload is not None,
            online=self._online,
            waiting=waiting.count,
            oldest_s=_age_s(waiting.oldest_at, self._clock.wall()),
            last_contact=self._last_contact,
            skew_ms=self._clock.skew_ms,
            last_error=self._error,
            revoked=isinstance(self._error, TerminalRevoked) and bool(self._error.details.get("proven")),
        )

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                with self._signal:
                    self._entry_ready = False  # whatever is in the ledger by now goes with the next step
                wait_s, on_entry = self._turn()
                self._show()
                self._wait(wait_s, on_entry=on_entry)
            self._leave()
        except Exception as error:
            self._online, self._error = False, AgentFailed("run", "sync agent", reason=type(error).__name__)
            logger.exception("the sync agent has stopped")
            self._on_change()
            raise
        finally:
            self._on_close.close()

    def _leave(self) -> None:
        """Say goodbye while the line is up. Without it nobody waits: all of it can be said at the next start."""
        if not self._online or self._following is None or self._source is None:
            return
        try:
            for _ in range(LEAVE_STEPS_MAX):
                if not self._step().more:
                    break
            if self._outbox.waiting().count == 0:  # what is given up must be told after what was sold
                self._following.leave(self._source)
        except JingkaError as error:
            logger.info("stopping without a goodbye: %s", error)

    def _turn(self) -> tuple[float | None, bool]:
        """One step; how long to wait then (None: until a person acts), and whether a new entry ends the wait."""
        try:
            step = self._step()
        except NotEnrolled:
            return ENROLMENT_POLL_S, False
        except ChainForked:
            return None, False
        except (HeadquartersBusy, HeadquartersFailing) as error:
            asked_s = error.details["wait_s"]
            assert isinstance(asked_s, int), "a refusal that asks for patience says how much"
            return max(retry_wait_s(self._failures, self._jitter()), float(asked_s)), False
        except (LineDown, AnswerUnverified):
            return retry_wait_s(self._failures, self._jitter()), False
        except JingkaError:
            return REFUSED_RETRY_S, False
        at_once = step.more or self._rotate() or self._fetch(step)
        return (0.0 if at_once else self._heartbeat_s), True

    def _fetch(self, step: Step) -> bool:
        """What headquarters has that this terminal has not, once everything is sent; whether there was anything."""
        if self._following is None or self._source is None:
            return False
        return self._following.follow(step.news, self._source)

    def _step(self) -> Step:
        """One exchange under the lock, and what it says about the line."""
        with self._draining:
            try:
                step = self._opened().step()
            except JingkaError as error:
                self._failed(error)
                self._mend(error)
                raise
            if step.receipt is not None:
                self._keep(step.receipt)
            self._rotating = step.rotate_key
            if not self._online:
                logger.info("headquarters is reached")
            self._failures, self._online, self._error = 0, True, None
            self._last_contact = self._clock.wall()
            return step

    def _opened(self) -> Upload:
        """The upload with the key and the enrolment that are on disk now."""
        from sync.rotation import stamp_of

        stamp = stamp_of(self._data_dir)
        if self._upload is None or stamp != self._stamp:
            self._on_close.close()
            self._upload = None
            self._upload = self._open()
            self._stamp = stamp
        return self._upload

    def _mend(self, error: JingkaError) -> None:
        """What a refusal may come from that this terminal can put right by itself; tried again with the next step."""
        from sync.rotation import follow_headquarters, is_rotating, rotate_key

        try:
            if isinstance(error, TerminalRefused) and is_rotating(self._data_dir):
                rotate_key(self._url, self._data_dir, self._transport, self._hq_now)
            elif isinstance(error, AnswerUnverified):
                follow_headquarters(self._url, self._data_dir, self._transport)
        except JingkaError as failed:
            logger.info("not mended: %s", failed)

    def _rotate(self) -> bool:
        """A new key, when headquarters has asked for one and nothing waits; whether there is one now."""
        from sync.rotation import rotate_key

        if not self._rotating:
            return False
        self._rotating = False
        try:
            rotate_key(self._url, self._data_dir, self._transport, self._hq_now)
        except JingkaError as error:
            logger.warning("no new key: %s", error)
            return False
        return True

    def _hq_now(self) -> datetime:
        return self._clock.wall() - timedelta(milliseconds=self._clock.skew_ms or 0)

    def _keep(self, receipt: Exchange) -> None:
        from sync.receipt import keep_receipt

        try:
            keep_receipt(self._data_dir, receipt)
        except OSError as error:  # a receipt less; the next one proves as much
            logger.warning("the receipt is not kept: %s", error.strerror)

    def _open(self) -> Upload:
        """The upload of an enrolled terminal. Imports late: httpx and pydantic are no part of the daemon's start."""
        from sync.enrolment import KEY_FILE, load_enrolment
        from sync.line import Line
        from sync.signing import DeviceKey
        from sync.upload import Upload

        if not self._url:
            raise NotEnrolled("open", "headquarters")
        enrolment = load_enrolment(self._data_dir)
        key = DeviceKey.load(self._data_dir / KEY_FILE)
        line = Line(self._url, key=key, key_id=enrolment.terminal, transport=self._transport)
        self._on_close.callback(line.close)
        upload = Upload(self._outbox, line, enrolment, self._clock, self._condition)
        feeds = tuple(self._feeds() if callable(self._feeds) else self._feeds)
        if feeds:
            from sync.feeds import Feeds, Source

            # A line of its own: a person's `push_now` need not wait for a book.
            fetching = Line(self._url, key=key, key_id=enrolment.terminal, transport=self._transport)
            self._on_close.callback(fetching.close)
            self._following = Feeds(feeds, time.monotonic)
            self._source = Source(fetching, enrolment, upload.now)
        return upload

    def _failed(self, error: JingkaError) -> None:
        if self._online or self._error is None or self._error.code != error.code:
            logger.warning("sync: %s", error)  # once for each change, not for each try
        self._failures += 1
        self._online, self._error = False, error
        if error.details.get("proven") and isinstance(error, (TerminalRevoked, TerminalUnknown)):
            self._on_refused(error)

    def _wait(self, wait_s: float | None, *, on_entry: bool) -> None:
        with self._signal:
            self._signal.wait_for(
                lambda: self._stopping or self._hurried or (on_entry and self._entry_ready), timeout=wait_s
            )
            self._hurried = False

    def _show(self) -> None:
        """Tells `on_change` once for each change that a page shows."""
        waiting: int | None = None
        try:
            waiting = self._outbox.waiting().count
        except JingkaError as error:
            self._failed(error)
        shown = (self._upload is not None, self._online, waiting, self._error.code if self._error else None)
        if shown != self._shown:
            self._shown = shown
            self._on_change()


def _age_s(instant: str | None, now: datetime) -> int | None:
    """Seconds since an RFC 3339 instant; never negative, for the PC's clock may have been moved since."""
    if instant is None:
        return None
    return max(0, int((now - datetime.fromisoformat(instant).astimezone(UTC)).total_seconds()))

"""Joins the parts of the terminal, starts and stops them: the only place that knows them all.

What cannot work at start (a damaged roll, a book that does not parse) does not stop the daemon: it serves its pages,
says what is wrong and refuses to sell. Only without a ledger, a key or its people there is nothing to serve: then every
page and call answers with that one error (`terminal.web.fault`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hmac
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from config import log
from config.errors import JingkaError, Retry, Words
from config.places import DAEMON_PID_FILE, DAY_CLOSES_FILE, LEDGER_FILE, PEOPLE_FILE, vouchers_file
from config.settings import TerminalSettings
from config.zone import SHANGHAI
from drivers.card import Authenticity, CardRead, Step
from drivers.chip_first import CHIP_KINDS, ChipFirst
from drivers.outcomes import Outcomes
from drivers.reader import ReaderStatus
from drivers.supervision import Supervisor
from sync.agent import Agent
from sync.elsewhere import UsageElsewhere
from sync.grants import Leases, UsageFeed, Wants
from sync.holds import Holds
from sync.released_book import ReleasedBook
from terminal.book_file import BookFile
from terminal.counter import Counter
from terminal.demo_cards import DemoCardPlayer
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from terminal.membership.desk import IssuerRange, MembershipDesk
from terminal.membership.token import ProgrammeKey, load_programme_key
from terminal.offers.sale import Place
from terminal.readers import chip_terms, make_readers
from terminal.reports.day_close import DayCloses
from terminal.serving.hub import Hub
from terminal.serving.people import People
from terminal.status import Status, condition_told
from terminal.vouchers.desk import VoucherDesk
from terminal.web.app import WebParts, create_app
from terminal.web.fault import create_fault_app

if TYPE_CHECKING:
    from sync.feeds import Feed

logger = logging.getLogger(__name__)

TICK_S = 1.0  # how often stale presentations, overdue authorisations and a replaced book are looked for
QUIET_START_S = 0.3  # sync waits this long: its libraries take as long to load as the rest of the start
SHUTDOWN_S = 3  # open event streams are cut after this, so that a restart is quick
PROOF_DOMAIN = b"proof:"  # so that no proof's hash equals a card's or a person's token


class EnrolledElsewhere(JingkaError):
    """The enrolment in the data directory names another terminal than the settings do."""

    code = "enrolled-elsewhere"
    retry = Retry.STOP
    what = Words("设置的终端是{subject}，入网的是{enrolled}", "the settings say {subject}, the enrolment {enrolled}")
    hint = Words("请更正设置中的 [terminal]，或重新入网", "correct the [terminal] settings, or enrol again")


def serve(settings: TerminalSettings) -> int:
    """Run until SIGTERM or SIGINT. Returns the process's exit code; raises `JingkaError` when nothing can be served."""
    log.configure(settings.log.level, settings.log.format)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    hub = Hub()
    try:
        app = Daemon(settings, hub).app
    except JingkaError as error:
        logger.error("the terminal cannot sell: %s", error)  # noqa: TRY400 - a typed error needs no traceback
        app = create_fault_app(error, settings.terminal.language)
    server = Server(
        uvicorn.Config(
            app,
            host=settings.terminal.host,
            port=settings.terminal.port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_S,
        ),
        hub.close,
    )
    gc.freeze()  # what the start has made stays: no later collection need look at it, nor hold up a card for it
    gc.enable()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C again when it has ended cleanly
        server.run()
    return 0 if server.started else 1


class Server(uvicorn.Server):
    """uvicorn that ends the open event streams first: it would wait `SHUTDOWN_S` for them otherwise."""

    def __init__(self, config: uvicorn.Config, hang_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._hang_up = hang_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        self._hang_up()
        super().handle_exit(sig, frame)


class Daemon:
    """All parts of one terminal, built from its settings; `app` starts and stops the threads with its lifespan."""

    def __init__(self, settings: TerminalSettings, hub: Hub) -> None:
        self.clock = SystemClock()
        self.hub = hub
        terminal = settings.terminal
        key = load_programme_key(settings.membership.programme_key)
        people = People.load(settings.data_dir / PEOPLE_FILE)
        _check_enrolment(settings)
        self._desk = desk = MembershipDesk(
            [IssuerRange(each.name, each.low, each.high) for each in settings.membership.issuers],
            key,
            settings.membership.roll,
            settings.membership.changes,
        )
        vouchers = _voucher_desk(settings, key)
        terms, keys_fault = chip_terms(settings.authenticity, settings.support.reads_dir, self.clock.wall)
        readers, presenter = make_readers(settings.readers, settings.demo, terms)
        self.ledger = Ledger.open(settings.data_dir / LEDGER_FILE, terminal.name, self.clock)
        released = ReleasedBook(settings.data_dir, settings.offers.signed_by)
        self.closes = DayCloses(settings.data_dir / DAY_CLOSES_FILE, self.ledger, self.clock.wall)
        self.elsewhere, self._wants = UsageElsewhere(settings.data_dir), Wants()
        self.agent = self._make_agent(settings, lambda: self._feeds(settings, key, released, vouchers))
        self.holds = self._make_holds(settings)
        outcomes = Outcomes(self, self.clock.wall)
        self._book_file = BookFile(settings.offers.book, settings.offers.signed_by, released)
        self.counter = self._make_counter(settings, desk, vouchers, outcomes, _proof_keeper(key))
        chip_readers = any(reader.kind in CHIP_KINDS for reader in settings.readers)
        chip_first = ChipFirst(outcomes, fallback_s=settings.counter.fallback_s, chip_readers=chip_readers)
        self.supervisor = Supervisor(readers, chip_first)
        self.status = Status(
            settings,
            counter=self.counter,
            desk=desk,
            ledger=self.ledger,
            agent=self.agent,
            supervisor=self.supervisor,
            outcomes=outcomes,
            clock=self.clock,
            keys_fault=keys_fault,
            vouchers=vouchers,
            elsewhere=self.elsewhere,
            holds=self.holds,
        )
        self._pid_file = settings.data_dir / DAEMON_PID_FILE
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app = create_app(
            WebParts(
                counter=self.counter,
                people=people,
                hub=self.hub,
                status=self.status.now,
                language=terminal.language,
                session_idle_s=settings.counter.session_idle_s,
                demo=DemoCardPlayer(presenter, self.counter.clear) if presenter else None,
                today=self.today,
                closes=self.closes,
                on_close=self.agent.hurry,
                lifespan=self.lifespan,
            )
        )

    def today(self) -> date:
        """The business day: Shanghai's calendar day now."""
        return self.clock.wall().astimezone(SHANGHAI).date()

    # --- the parts ------------------------------------------------------------------------------------------------

    def _make_agent(self, settings: TerminalSettings, feeds: Callable[[], Sequence[Feed]]) -> Agent:
        return Agent(
            ledger=self.ledger,
            data_dir=settings.data_dir,
            url=settings.headquarters.url,
            clock=self.clock,
            heartbeat_s=settings.headquarters.heartbeat_s,
            on_change=self._queue_changed,
            feeds=feeds,
            on_refused=lambda error: self.ledger.allowances.end(error.code),
            condition=lambda: condition_told(self.status.now(), self.clock.boot()),
        )

    def _make_holds(self, settings: TerminalSettings) -> Holds:
        return Holds(
            data_dir=settings.data_dir,
            url=settings.headquarters.url,
            clock=self.clock,
            online=lambda: self.agent.online,
            on_late=lambda redemption, attempt: self._on_loop(self.counter.rights.give_back_late, redemption, attempt),
        )

    def _make_counter(
        self,
        settings: TerminalSettings,
        desk: MembershipDesk,
        vouchers: VoucherDesk,
        outcomes: Outcomes,
        keep_proof: Callable[[str], str],
    ) -> Counter:
        terminal = settings.terminal
        return Counter(
            place=Place(terminal.merchant, terminal.site, terminal.name),
            desk=desk,
            book=self._book_file.load(),
            ledger=self.ledger,
            clock=self.clock,
            events=self.hub,
            times=settings.counter,
            slices=settings.offers.slices,
            keep_proof=keep_proof,
            on_entry=self.agent.wake,
            accept={Authenticity(each) for each in settings.authenticity.accept},
            on_typed=outcomes.note,
            vouchers=vouchers,
            elsewhere=self.elsewhere,
            holder=self.holds,
            want=self._wants.note,
        )

    # --- the readers' threads hand over to the event loop --------------------------------------------------------

    def card_read(self, read: CardRead) -> None:
        """From a reader's thread."""
        self._on_loop(self.counter.card_read, read)

    def card_failed(self, reader: str, error: JingkaError, steps: tuple[Step, ...] = ()) -> None:
        """From a reader's thread."""
        self._on_loop(self.counter.card_failed, reader, error)

    def card_removed(self, reader: str) -> None:
        """From a reader's thread."""
        self._on_loop(self.counter.card_removed, reader)

    def reader_changed(self, status: ReaderStatus) -> None:
        """From a reader's thread."""
        self._on_loop(
            self.hub.publish,
            "reader",
            {
                "name": status.name,
                "state": status.state.value,
                "code": status.error.code if status.error else None,
            },
        )

    def _feeds(
        self, settings: TerminalSettings, key: ProgrammeKey, released: ReleasedBook, vouchers: VoucherDesk
    ) -> Sequence[Feed]:
        """What headquarters hands out, the roll and the vouchers first, for what was lost or withdrawn cannot wait.
        Made when the line is opened: what they import is no part of the start.
        """
        from sync.book_feed import BookFeed
        from sync.days import DaysFeed
        from sync.roll_feed import RollFeed, RollFiles
        from sync.voucher_feed import VoucherFeed

        membership = settings.membership
        changes = membership.changes or membership.roll.with_name(f"{membership.roll.name}.changes")
        roll = RollFeed(RollFiles(membership.roll, changes, settings.data_dir), key)
        register = VoucherFeed(vouchers, key)
        return (roll, register, *self._grant_feeds(), BookFeed(released), DaysFeed(self.closes))

    def _grant_feeds(self) -> tuple[Leases, UsageFeed]:
        """What headquarters lets this terminal spend, and what others used."""

        def changed() -> None:
            self._on_loop(self.counter.usage_changed)

        return (
            Leases(self.ledger.allowances, self.clock, self._wants, changed),
            UsageFeed(self.elsewhere, time.monotonic, changed),
        )

    def _queue_changed(self) -> None:
        sync = self.agent.status()
        self._on_loop(self.hub.publish, "headquarters", {"online": sync.online, "waiting": sync.waiting})

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        """A reader may still speak while the loop is closing: then there is nobody left to tell."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call, *arguments)

    # --- start and stop -------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Readers, sync and the tick run while the pages are served; the ledger closes last."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGUSR1, self.agent.hurry)  # `jingka sync now`
        ticking = asyncio.create_task(self._tick())
        self._pid_file.write_text(str(os.getpid()), encoding="ascii")
        self.supervisor.start()
        syncing = self._loop.call_later(QUIET_START_S, self.agent.start)
        try:
            yield
        finally:
            ticking.cancel()
            syncing.cancel()
            self.hub.close()
            await asyncio.to_thread(self.supervisor.stop, SHUTDOWN_S)
            await asyncio.to_thread(self.agent.stop, SHUTDOWN_S)
            await asyncio.to_thread(self.holds.close)
            self._loop = None
            self._pid_file.unlink(missing_ok=True)
            self._desk.close()
            self.ledger.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            _ = self.counter.presentation  # looking clears a stale one
            if self._book_file.changed:
                self.counter.replace_book(await asyncio.to_thread(self._book_file.load))
            try:
                await self.counter.cancel_overdue()
            except JingkaError as error:
                logger.warning("overdue sales stay open: %s", error)


def _check_enrolment(settings: TerminalSettings) -> None:
    """What headquarters knows this terminal as is what its ledger must say. Raises `EnrolledElsewhere`."""
    from sync.enrolment import load_enrolment
    from sync.errors import NotEnrolled

    try:
        known = load_enrolment(settings.data_dir)
    except NotEnrolled:
        return
    ours = settings.terminal
    if (known.terminal, known.merchant, known.site) != (ours.name, ours.merchant, ours.site):
        enrolled = f"{known.terminal} ({known.merchant}, {known.site})"
        raise EnrolledElsewhere("start", f"{ours.name} ({ours.merchant}, {ours.site})", enrolled=enrolled)


def _proof_keeper(key: ProgrammeKey) -> Callable[[str], str]:
    return lambda proof: hmac.digest(key.secret, PROOF_DOMAIN + proof.encode(), "sha256").hex()


def _voucher_desk(settings: TerminalSettings, key: ProgrammeKey) -> VoucherDesk:
    named = settings.offers.vouchers
    return VoucherDesk(vouchers_file(named, settings.data_dir), key, expected=named is not None)

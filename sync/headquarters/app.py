"""Headquarters as a web service: terminals on one side, people on the other."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI

from config.places import PEOPLE_FILE
from sync.errors import KeyExists
from sync.headquarters.arrivals import Arrivals
from sync.headquarters.books.api import book_routes
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.judge import OfferJudge
from sync.headquarters.books.office import BookFeed, BookOffice, office_routes
from sync.headquarters.books.pages import campaign_pages
from sync.headquarters.books.release import release_key_file
from sync.headquarters.clocks import ClockJudge
from sync.headquarters.door import headquarters_key
from sync.headquarters.errors import WorkersNeedPostgresql
from sync.headquarters.fleet_api import fleet_routes
from sync.headquarters.fleet_pages import fleet_pages
from sync.headquarters.money.api import days_routes, money_routes
from sync.headquarters.money.days import DaysFeed
from sync.headquarters.money.desk import READS as MONEY_READS
from sync.headquarters.money.desk import MoneyDesk, former_keys
from sync.headquarters.money.pages import money_pages
from sync.headquarters.money.record import settle
from sync.headquarters.names import Names
from sync.headquarters.pages import page_routes
from sync.headquarters.people.lockouts import StoredLockouts
from sync.headquarters.people.routes import audit_pages, audit_routes
from sync.headquarters.people.sessions import StoredSessions
from sync.headquarters.people_api import event_routes, health_routes, report_routes, session_routes
from sync.headquarters.pools.accounting import Accounting
from sync.headquarters.pools.feeds import LeasesFeed, UsageFeed
from sync.headquarters.pools.office import pool_routes
from sync.headquarters.pools.terms import ReleasedBooks
from sync.headquarters.roll.office import RollOffice
from sync.headquarters.service import Headquarters, utc_now
from sync.headquarters.storage import open_storage
from sync.headquarters.terminal_api import STATUSES, extra_of, succession_routes, terminal_routes
from sync.headquarters.vouchers.desk import READERS as VOUCHER_READERS
from sync.headquarters.vouchers.office import VouchersOffice
from sync.headquarters.workers import Supervisor, listening
from sync.private_file import create_private
from sync.signing import DeviceKey
from sync.wire import BODY_BYTES_MAX
from terminal.serving.assets import STATIC_PATH, Assets
from terminal.serving.guard import LOOPBACK_HOSTS, Guard
from terminal.serving.hub import Hub
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from terminal.serving.lockouts import Lockouts
from terminal.serving.pages import NavLink, Pages
from terminal.serving.people import HEADQUARTERS_ROLES, People, Role
from terminal.serving.problems import PROBLEM_RESPONSES, install_problems
from terminal.serving.sign_in import Gate, sign_in_routes

if TYPE_CHECKING:
    from config.settings import HqSettings

HERE: Final = Path(__file__).parent
COOKIE: Final = "jingka_headquarters"  # not a terminal's: in the demonstration both are served by one machine
SESSION_IDLE_S: Final = 4 * 3600
# A batch of 500 makes some 50,000 objects that live until it is taken in: to look for garbage among them every 700 new
# ones, as Python does unless told otherwise, is a twentieth of the work.
GARBAGE_OBJECTS: Final = 50_000
GARBAGE_GENERATIONS: Final = (20, 100)
# A thread that computes (a batch) gives way after this long to one that is ready (a hold that the database answered).
# Python's own 5 ms, once for each of a hold's statements, would be most of its time.
SWITCH_S: Final = 0.001
SHUTDOWN_S: Final = 3  # open event streams are cut after this, so that a restart is quick
NAV: Final = (
    NavLink("/", "nav.overview", HEADQUARTERS_ROLES),
    NavLink("/terminals", "nav.terminals", HEADQUARTERS_ROLES),
    NavLink("/campaigns", "nav.campaigns", HEADQUARTERS_ROLES),
    NavLink("/pools", "nav.pools", HEADQUARTERS_ROLES),
    NavLink("/vouchers", "nav.vouchers", VOUCHER_READERS),
    NavLink("/merchants", "nav.merchants", MONEY_READS),
    NavLink("/settlement", "nav.settlement", MONEY_READS),
    NavLink("/conflicts", "nav.conflicts", MONEY_READS),
    NavLink("/days", "nav.days", MONEY_READS),
    NavLink("/members", "nav.members", (Role.OPERATOR, Role.AUDITOR)),
    NavLink("/roll", "nav.roll", (Role.OPERATOR, Role.APPROVER, Role.AUDITOR)),
    NavLink("/audit", "nav.audit", (Role.OPERATOR, Role.AUDITOR)),
)


def serve(settings: HqSettings) -> int:
    """Run until SIGINT (returns the process's exit code) or SIGTERM (which then ends the process; of several workers
    it ends each, and the exit code is returned).

    Raises `JingkaError` when nothing can be served.
    """
    if settings.workers == 1:
        return _serve_alone(settings)
    prepare(settings)
    with listening(settings.host, settings.port) as shared:
        Supervisor(settings.workers, lambda: _serve_alone(settings, shared)).run()
    return 0


def prepare(settings: HqSettings) -> None:
    """What is made once, before workers begin: key, people, tables. Raises what `create_app` does, and
    `WorkersNeedPostgresql`.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    headquarters_key(settings.data_dir)
    _make_people_file(settings.data_dir / PEOPLE_FILE)
    storage = open_storage(settings.database_url, settings.data_dir)
    storage.close()
    if settings.workers > 1 and storage.engine.dialect.name != "postgresql":
        raise WorkersNeedPostgresql("serve", "hq.workers", workers=settings.workers)


def _serve_alone(settings: HqSettings, shared: socket.socket | None = None) -> int:
    """One process that serves, on its own port or from the socket that workers share."""
    import uvicorn

    app = create_app(settings)
    gc.collect()
    gc.freeze()  # what is here now stays for good: a batch's garbage is looked for without looking at all of it
    gc.set_threshold(GARBAGE_OBJECTS, *GARBAGE_GENERATIONS)
    sys.setswitchinterval(SWITCH_S)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands Ctrl-C on once everything is closed
        server.run(sockets=[shared] if shared else None)
    return 0 if server.started else 1


@dataclass(frozen=True, slots=True)
class _Parts:
    """What one worker is made of."""

    settings: HqSettings
    key: DeviceKey
    hq: Headquarters
    gate: Gate
    hub: Hub
    arrivals: Arrivals
    roll: RollOffice
    vouchers: VouchersOffice
    books: ReleasedBooks
    campaigns: CampaignDesk
    money: MoneyDesk
    names: Names
    assets: Assets
    pages: Pages


def create_app(settings: HqSettings, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The application; the database and the key are opened, and made at the first start.

    Raises the errors of `open_storage`, of the key file and of the file of people.
    """
    parts = _make_parts(settings, clock)
    app = FastAPI(
        title="京卡 headquarters",
        version=version("jingka-terminal"),
        docs_url=None,  # the documentation page would load scripts from elsewhere; /openapi.json is served
        redoc_url=None,
        responses=PROBLEM_RESPONSES,
        lifespan=lambda _: _running(parts),
    )
    install_problems(
        app, default_language=settings.language, statuses=STATUSES, extra_of=extra_of, page_of=parts.pages.problem
    )
    for router in _routers(parts):
        app.include_router(router)
    app.mount(STATIC_PATH, parts.assets)
    app.add_middleware(
        Guard,
        hosts=LOOPBACK_HOSTS | {settings.host, *settings.names},
        default_language=settings.language,
        body_bytes_max=BODY_BYTES_MAX,
    )
    return app


def _make_parts(settings: HqSettings, clock: Callable[[], datetime]) -> _Parts:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = headquarters_key(settings.data_dir)
    storage = open_storage(settings.database_url, settings.data_dir)
    people = _people(settings.data_dir / PEOPLE_FILE, StoredLockouts(storage, utc_now))
    sessions = StoredSessions(COOKIE, storage, person_of=people.current, clock=utc_now, idle_s=SESSION_IDLE_S)
    gate, hub = Gate(people, sessions), Hub()
    roll, books, names, assets = RollOffice(settings, storage, clock), ReleasedBooks(), Names(storage), Assets()
    vouchers = VouchersOffice(settings, storage, books, clock)
    return _Parts(
        settings=settings,
        key=key,
        hq=Headquarters(
            storage,
            key,
            clock_skew_s_max=settings.clock_skew_s_max,
            code_life_s=settings.code_life_s,
            clock=clock,
            judges=(ClockJudge(settings.clock_skew_s_max), OfferJudge(), roll.judge, Accounting(books), settle),
            feeds=(BookFeed(), roll.feed, LeasesFeed(clock), UsageFeed(clock, books), DaysFeed(), vouchers.feed),
        ),
        gate=gate,
        hub=hub,
        arrivals=Arrivals(hub, storage.engine),
        roll=roll,
        vouchers=vouchers,
        books=books,
        campaigns=CampaignDesk(storage, clock, release_key_file(settings)),
        money=MoneyDesk(storage, clock, key, former_keys(settings.data_dir)),
        names=names,
        assets=assets,
        pages=Pages(
            HERE / "templates",
            catalogue=load_catalogue(SERVING_LOCALE, HERE / "locale"),
            assets=assets,
            nav=NAV,
            visitor=gate.visitor,
            default_language=settings.language,
            data_words=names.words,
        ),
    )


@asynccontextmanager
async def _running(parts: _Parts) -> AsyncIterator[None]:
    """The threads and streams of one worker, for as long as it serves."""
    parts.arrivals.begin()
    parts.roll.start()
    warming = asyncio.create_task(asyncio.to_thread(parts.pages.warm))
    recounting = asyncio.create_task(asyncio.to_thread(parts.money.finish_recounts))
    try:
        yield
    finally:
        parts.arrivals.end()
        await asyncio.to_thread(parts.roll.stop)
        parts.hub.close()
        await warming
        await recounting
        parts.hq.storage.close()


def _routers(parts: _Parts) -> Iterator[APIRouter]:
    """Every room's addresses: terminals', then people's."""
    hq, gate, pages, language = parts.hq, parts.gate, parts.pages, parts.settings.language
    yield health_routes(hq)
    yield terminal_routes(hq, parts.arrivals, language)
    yield office_routes(hq, BookOffice(hq, parts.key, release_key_file(parts.settings)), language)
    yield days_routes(hq, language)
    yield session_routes(gate)
    yield sign_in_routes(gate, pages, STATUSES)
    yield succession_routes(parts.settings.data_dir)
    yield fleet_routes(hq, gate)
    yield fleet_pages(hq, gate, pages)
    yield audit_routes(hq, gate)
    yield audit_pages(hq, gate, pages)
    yield report_routes(hq, gate)
    yield event_routes(parts.hub, gate)
    yield book_routes(parts.campaigns, gate)
    yield campaign_pages(parts.campaigns, gate, pages)
    yield from parts.roll.routes(hq, gate, pages)
    yield from parts.vouchers.routes(hq, gate, pages)
    yield from pool_routes(hq, parts.books, gate, pages, language)
    yield money_routes(parts.money, gate, language)
    yield money_pages(parts.money, gate, pages)
    yield page_routes(hq, gate, pages, parts.names, parts.settings.clock_skew_s_max)


def _people(path: Path, lockouts: Lockouts) -> People:
    """Who may sign in; a file with nobody in it at the first start, so that terminals need not wait for people."""
    _make_people_file(path)
    return People.load(path, lockouts)


def _make_people_file(path: Path) -> None:
    with contextlib.suppress(KeyExists):
        create_private(path, b"")

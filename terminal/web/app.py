"""The terminal's web application: the API, the pages and the guard before them, joined to the parts of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path

from fastapi import FastAPI

from terminal.serving.assets import STATIC_PATH, Assets
from terminal.serving.guard import LOOPBACK_HOSTS, Guard
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from terminal.serving.pages import NavLink, Pages
from terminal.serving.people import Role
from terminal.serving.problems import PROBLEM_RESPONSES, install_problems
from terminal.serving.sessions import Sessions
from terminal.serving.sign_in import Gate, sign_in_routes
from terminal.web.api import STATUSES, card_routes, extra_of, sale_routes, session_routes
from terminal.web.counter_page import counter_routes, settle_routes
from terminal.web.day import day_routes, report_routes
from terminal.web.demo import demo_routes
from terminal.web.form_page import form_routes
from terminal.web.health import health_routes
from terminal.web.parts import StatusNow, SyncNow, WebParts
from terminal.web.readers import reader_routes
from terminal.web.status_page import status_routes
from terminal.web.typed_card import typed_card_routes

__all__ = ["StatusNow", "SyncNow", "WebParts", "create_app"]

HERE = Path(__file__).parent
COOKIE = "jingka_terminal"  # not headquarters' name: in the demonstration both are served by one machine
WARM_AFTER_S = 0.5  # the first answers come first: compiling competes with them for the one interpreter
NAV = (
    NavLink("/", "nav.counter", (Role.CASHIER, Role.MANAGER)),
    NavLink("/day", "nav.day", (Role.MANAGER,)),
    NavLink("/status", "nav.status", (Role.MANAGER,)),
)


def create_app(parts: WebParts) -> FastAPI:
    """The application for `parts`. Its lifespan runs `parts.lifespan` around everything."""
    gate = Gate(parts.people, Sessions(COOKIE, idle_s=parts.session_idle_s))
    assets = Assets(HERE / "static")
    pages = Pages(
        HERE / "templates",
        catalogue=load_catalogue(SERVING_LOCALE, HERE / "locale"),
        assets=assets,
        nav=NAV,
        visitor=gate.visitor,
        default_language=parts.language,
    )
    app = FastAPI(
        title="京卡 terminal",
        version="1",  # of the API, as in its paths
        docs_url=None,  # the documentation page would load scripts from elsewhere; /openapi.json is served
        redoc_url=None,
        responses=PROBLEM_RESPONSES,
        lifespan=lambda app: _lifespan(app, parts, pages),
    )
    install_problems(app, default_language=parts.language, statuses=STATUSES, extra_of=extra_of, page_of=pages.problem)
    app.include_router(health_routes(parts))
    app.include_router(reader_routes(parts))
    app.include_router(session_routes(gate))
    app.include_router(card_routes(parts, gate))
    app.include_router(sale_routes(parts, gate))
    app.include_router(report_routes(parts, gate))
    app.include_router(sign_in_routes(gate, pages, STATUSES))
    app.include_router(counter_routes(parts, gate, pages))
    app.include_router(form_routes(parts, gate, pages))
    app.include_router(settle_routes(parts, gate, pages))
    app.include_router(typed_card_routes(parts, gate, pages))
    app.include_router(day_routes(parts, gate, pages))
    app.include_router(status_routes(parts, gate, pages))
    if parts.demo is not None:
        app.include_router(demo_routes(parts.demo))
    app.mount(STATIC_PATH, assets)
    app.add_middleware(Guard, hosts=LOOPBACK_HOSTS, default_language=parts.language)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI, parts: WebParts, pages: Pages) -> AsyncIterator[None]:
    """The daemon's own lifespan, with the templates compiled soon after."""
    daemon: AbstractAsyncContextManager[object] = parts.lifespan(app) if parts.lifespan else nullcontext()
    async with daemon:
        warming = asyncio.create_task(_warm(pages))
        try:
            yield
        finally:
            parts.hub.close()
            warming.cancel()
            with suppress(asyncio.CancelledError):
                await warming


async def _warm(pages: Pages) -> None:
    await asyncio.sleep(WARM_AFTER_S)
    await asyncio.to_thread(pages.warm)

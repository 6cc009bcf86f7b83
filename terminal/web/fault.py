"""What is served when the terminal cannot work at all (a damaged ledger): one error, everywhere, with its hint."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from config.errors import JingkaError, Language
from terminal.serving.assets import STATIC_PATH, Assets
from terminal.serving.guard import LOOPBACK_HOSTS, Guard
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from terminal.serving.pages import Pages
from terminal.serving.problems import install_problems
from terminal.web.app import HERE

FAULT_STATUS = 503
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_fault_app(error: JingkaError, language: Language) -> FastAPI:
    """An application that answers every request with `error`; `/healthz` is a problem too, so that watchers see it."""
    assets = Assets(HERE / "static")
    pages = Pages(
        HERE / "templates",
        catalogue=load_catalogue(SERVING_LOCALE, HERE / "locale"),
        assets=assets,
        nav=(),
        visitor=lambda _: None,
        default_language=language,
    )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    install_problems(app, default_language=language, statuses={JingkaError: FAULT_STATUS}, page_of=pages.problem)
    app.mount(STATIC_PATH, assets)

    @app.api_route("/{path:path}", methods=METHODS)
    async def fault() -> Response:
        raise error.with_traceback(None)  # or each request would lengthen it

    app.add_middleware(Guard, hosts=LOOPBACK_HOSTS, default_language=language)
    return app

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from config.errors import JingkaError, Retry, Words
from terminal.serving.assets import STATIC_PATH, Assets
from terminal.serving.guard import LOOPBACK_HOSTS, Guard
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from terminal.serving.pages import NavLink, Pages
from terminal.serving.people import People, Person, Role, add_person
from terminal.serving.problems import install_problems
from terminal.serving.sessions import Sessions
from terminal.serving.sign_in import Gate, sign_in_routes

BASE = "http://127.0.0.1:8520"


class TillJammed(JingkaError):
    code = "till-jammed"
    retry = Retry.RETRY
    what = Words("钱箱卡住（{times} 次）", "the till is jammed ({times} times)")
    hint = Words("请敲一下", "give it a knock")


class TillGone(JingkaError):
    code = "till-gone"
    retry = Retry.PARK


class Coin(BaseModel):
    fen: int


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def people_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "people.toml"
    add_person(path, Person("c01", "王芳", Role.CASHIER), "1234")
    add_person(path, Person("m01", "李强", Role.MANAGER), "4321")
    return path


@pytest.fixture
def app(people_file: Path, tmp_path: Path) -> FastAPI:
    """A small page server with everything of this room joined as the real ones join it."""
    for language in ("zh", "en"):
        words = '[room]\nname = "试验"\nshort = "试"\n[nav]\nme = "Me"\nsafe = "Safe"\n'
        (tmp_path / f"{language}.toml").write_text(words, encoding="utf-8")
    gate = Gate(People.load(people_file), Sessions("jingka_test", idle_s=600))
    assets = Assets()
    pages = Pages(
        catalogue=load_catalogue(SERVING_LOCALE, tmp_path),
        assets=assets,
        nav=[NavLink("/me", "nav.me", (Role.CASHIER, Role.MANAGER)), NavLink("/safe", "nav.safe", (Role.MANAGER,))],
        visitor=gate.visitor,
        default_language="zh",
    )
    app = FastAPI(docs_url=None, redoc_url=None)
    install_problems(app, default_language="zh", statuses={TillGone: 410}, page_of=pages.problem)
    app.include_router(sign_in_routes(gate, pages, {}))
    app.mount(STATIC_PATH, assets)

    @app.get("/jammed")
    @app.get("/api/jammed")
    async def jammed() -> None:
        raise TillJammed("open till", "till", times=3, wait_s=7)

    @app.get("/gone")
    async def gone() -> None:
        raise TillGone("open till", "till")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret detail")

    @app.post("/coin")
    async def coin(coin: Coin) -> dict[str, int]:
        return {"fen": coin.fen}

    @app.get("/safe")
    async def safe(request: Request) -> dict[str, str]:
        return {"id": gate.require(request, Role.MANAGER).id}

    @app.get("/me")
    async def me(request: Request) -> dict[str, str]:
        return {"id": gate.person(request).id}

    app.add_middleware(Guard, hosts=LOOPBACK_HOSTS, default_language="zh")
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from terminal.serving.people import People, Person, Role, add_person
from terminal.web.app import create_app
from tests.fakes.till import Till, open_till

BASE = "http://127.0.0.1:8520"


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
def till(tmp_path: Path) -> Iterator[Till]:
    till = open_till(tmp_path)
    yield till
    till.ledger.close()


@pytest.fixture
def app(till: Till, people_file: Path) -> FastAPI:
    return create_app(till.parts(People.load(people_file), demo=True))


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody signed in."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


@pytest.fixture
async def cashier(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        await client.post("/api/v1/session", json={"cashier": "c01", "pin": "1234"})
        yield client


@pytest.fixture
async def manager(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        await client.post("/api/v1/session", json={"cashier": "m01", "pin": "4321"})
        yield client

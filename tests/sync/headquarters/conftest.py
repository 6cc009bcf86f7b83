"""Every test that asks for `storage` runs twice: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.storage import Storage, open_storage
from tests.fakes.postgres import PostgresCluster
from tests.sync.headquarters.client import HandClock, SigningTerminal, hq_settings, served
from tests.sync.headquarters.scene import Scene
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    with PostgresCluster.start() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database; the empty URL means SQLite in the data directory."""
    if request.param == "sqlite":
        yield ""
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    with cluster.database() as url:
        yield url


@pytest.fixture
def storage(database_url: str, tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(database_url, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ledger(storage: Storage) -> WrittenLedger:
    """The ledger of a terminal that headquarters knows and has nothing of yet."""
    return known_ledger(storage, "bj-0001")


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    clock = HandClock()
    app = create_app(hq_settings(tmp_path, database_url), clock)
    storage = open_storage(database_url, tmp_path)
    with served(app) as client:
        terminal = SigningTerminal(client, clock, "bj-0001")
        ledger = known_ledger(storage, "bj-0001", terminal.key.public.hex())
        key = headquarters_key(tmp_path).public
        yield Scene(app, clock, storage, terminal, ledger, key, tmp_path, database_url)
    storage.close()

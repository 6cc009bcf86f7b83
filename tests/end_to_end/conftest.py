"""What the end-to-end tests share: one PostgreSQL and one pcscd for a module; each test has its own installation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.virtual.pty import PtyPresenter
from tests.fakes.pcscd import PcscDaemon
from tests.fakes.postgres import PostgresCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """A real PostgreSQL server."""
    with PostgresCluster.start() as running:
        yield running


@pytest.fixture
def database_url(cluster: PostgresCluster) -> Iterator[str]:
    """An empty database on it."""
    with cluster.database() as url:
        yield url


@pytest.fixture
def pcscd() -> Iterator[PcscDaemon]:
    """A real pcscd with two virtual slots."""
    with PcscDaemon.start() as running:
        yield running


@pytest.fixture
def stripes() -> Iterator[PtyPresenter]:
    """A stripe reader on a pseudo-terminal of the test."""
    presenter = PtyPresenter()
    yield presenter
    presenter.unplug()

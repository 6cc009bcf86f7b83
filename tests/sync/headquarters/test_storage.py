"""The schema is what the migrations make; a database that is away, busy, newer or foreign is named."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text

from sync.headquarters import storage as room
from sync.headquarters.errors import StorageNewer, StorageUnavailable, StorageUnsupported
from sync.headquarters.schema import SCHEMA_REVISION, metadata
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import attempts, nonces
from tests.fakes.postgres import PostgresCluster

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_migrations_make_the_tables_of_this_version(storage: Storage) -> None:
    with storage.read() as connection:
        found = {name for name in inspect(connection).get_table_names() if name != "alembic_version"}
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert found == set(metadata.tables)
        assert compare_metadata(context, metadata) == []
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == SCHEMA_REVISION


def test_opening_again_changes_nothing(storage: Storage, database_url: str, tmp_path: Path) -> None:
    with storage.write() as connection:
        connection.execute(insert(attempts).values(subject="enrol x", window=1, count=3))
    again = open_storage(database_url, tmp_path)
    with again.read() as connection:
        assert connection.scalar(select(attempts.c.count)) == 3
    again.close()


def test_workers_that_start_together_agree_on_the_schema(database_url: str, tmp_path: Path) -> None:
    opened: list[Storage] = []
    start = threading.Barrier(4)

    def open_one() -> None:
        start.wait(10)
        opened.append(open_storage(database_url, tmp_path))

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 4
    for each in opened:
        each.close()


def test_a_newer_database_is_refused(storage: Storage, database_url: str, tmp_path: Path) -> None:
    with storage.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageNewer) as refused:
        open_storage(database_url, tmp_path)
    assert refused.value.details["found"] == "9999"


def test_a_failed_write_leaves_nothing(storage: Storage) -> None:
    def write_and_fail() -> None:
        with storage.write() as connection:
            connection.execute(insert(attempts).values(subject="enrol x", window=1, count=3))
            raise EOFError

    with pytest.raises(EOFError):
        write_and_fail()
    with storage.read() as connection:
        assert connection.scalar(select(attempts.c.count)) is None


def test_moments_come_back_as_they_went_in(storage: Storage) -> None:
    shanghai = NOON.astimezone(timezone(timedelta(hours=8)))
    with storage.write() as connection:
        connection.execute(insert(nonces).values(key_id="t", nonce="n", expires_at=shanghai))
        found = connection.scalar(select(nonces.c.expires_at))
        assert found == NOON
        assert found is not None
        assert found.utcoffset() == timedelta(0)
        assert connection.scalar(select(nonces.c.nonce).where(nonces.c.expires_at <= NOON)) == "n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WAIT_S", 0.2)
    monkeypatch.setattr(room, "POOL_CONNECTIONS", 1)
    monkeypatch.setattr(room, "POOL_OVERFLOW", 0)


@pytest.mark.usefixtures("impatient")
def test_more_requests_than_connections_are_told_to_come_again(database_url: str, tmp_path: Path) -> None:
    storage = open_storage(database_url, tmp_path)
    with storage.read(), pytest.raises(StorageUnavailable), storage.read():
        pass
    storage.close()


@pytest.mark.usefixtures("impatient")
def test_a_second_writer_of_the_file_is_told_to_come_again(tmp_path: Path) -> None:
    one, other = open_storage("", tmp_path), open_storage("", tmp_path)
    with one.write(), pytest.raises(StorageUnavailable, match="OperationalError"), other.write():
        pass
    one.close()
    other.close()


def test_a_database_that_restarts_costs_no_request(postgres: PostgresCluster, tmp_path: Path) -> None:
    with postgres.database() as url:
        storage = open_storage(url, tmp_path)
        postgres.restart()
        with storage.read() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        storage.close()


def test_a_plain_postgresql_url_is_understood(postgres: PostgresCluster, tmp_path: Path) -> None:
    with postgres.database() as url:
        open_storage(url.replace("postgresql+psycopg://", "postgresql://"), tmp_path).close()


@pytest.mark.parametrize("url", ["mysql://somewhere/db", "no url at all", "oracle+x://"])
def test_other_databases_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageUnsupported):
        open_storage(url, tmp_path)


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable) as refused:
        open_storage(f"postgresql://nobody@/nowhere?host={tmp_path}", tmp_path)
    assert "nobody" not in str(refused.value)

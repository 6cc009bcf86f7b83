"""The book meant for a terminal is looked up once in an acknowledgement, however many feeds go by it."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.meant import meant_for
from sync.headquarters.books.stages import Target
from sync.headquarters.storage import Storage
from sync.headquarters.tables import terminals
from sync.wire import EntryBatch
from tests.sync.headquarters.books.campaign import EDITOR, add_terminal, desk_of, released
from tests.sync.headquarters.scene import Scene

MERCHANT, SITE = "gongren-julebu", "main"
TABLES = ("book_stages", "book_holdings")


@contextmanager
def looks() -> Iterator[dict[str, int]]:
    """How often each of the tables that decide is looked at, by any connection."""
    found = dict.fromkeys(TABLES, 0)

    def seen(*told: Any) -> None:
        for table in TABLES:
            found[table] += f"FROM {table}" in told[2].partition("WHERE")[0]

    event.listen(Engine, "before_cursor_execute", seen)
    yield found
    event.remove(Engine, "before_cursor_execute", seen)


def roll_out(desk: CampaignDesk) -> None:
    desk.roll_out(EDITOR, released(desk).revision, Target(everywhere=True))


def test_an_acknowledgement_looks_once(scene: Scene) -> None:
    with scene.storage.write() as connection:
        connection.execute(update(terminals).values(merchant=MERCHANT, site=SITE))
    roll_out(desk_of(scene.storage, scene.data_dir))
    with looks() as found:
        answer = scene.terminal.push(EntryBatch(terminal=scene.terminal.terminal, entries=()))
    news = json.loads(answer.body)["news"]
    assert news["book"].startswith("1:")
    assert "usage" in news
    assert found == dict.fromkeys(TABLES, 1)


def test_what_was_found_is_forgotten_with_its_connection(storage: Storage, tmp_path: Path) -> None:
    place = add_terminal(storage, "bj-0100", MERCHANT, SITE)
    with storage.read() as connection:
        assert meant_for(connection, place) is None
    roll_out(desk_of(storage, tmp_path))
    with storage.read() as connection, looks() as found:
        chosen = meant_for(connection, place)
        assert chosen is not None
        assert meant_for(connection, place) == chosen
    assert found == dict.fromkeys(TABLES, 1)
    gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("database_url", [""], indirect=True)
def test_each_terminal_is_looked_up_by_itself(storage: Storage, tmp_path: Path) -> None:
    here, nowhere = (add_terminal(storage, f"bj-010{n}", (MERCHANT, "别家")[n], SITE) for n in (0, 1))
    desk = desk_of(storage, tmp_path)
    desk.roll_out(EDITOR, released(desk).revision, Target(merchants=(MERCHANT,)))
    with storage.read() as connection:
        assert meant_for(connection, here) is not None
        assert meant_for(connection, nowhere) is None

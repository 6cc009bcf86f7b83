"""A headquarters that serves, with one person of each role and two months of a merchant's sales."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert

from config.places import PEOPLE_FILE
from sync.headquarters.app import create_app
from sync.headquarters.projection import FlagCode
from sync.headquarters.storage import Storage, open_storage
from sync.headquarters.tables import flags
from sync.private_file import create_private
from terminal.serving.people import Person, Role, add_person
from tests.sync.headquarters.client import HandClock, hq_settings, served
from tests.sync.headquarters.client import sign_in as enter
from tests.sync.headquarters.money.scenes import arrive, moment
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger

PIN = "24681357"
ROLES = {"op1": Role.OPERATOR, "fin1": Role.FINANCE, "aud1": Role.AUDITOR, "ed1": Role.EDITOR}


@cache
def people_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / PEOPLE_FILE
        for person, role in ROLES.items():
            add_person(path, Person(person, f"{role}", role), PIN)
        return path.read_bytes()


def sign_in(client: httpx.Client, person: str) -> httpx.Client:
    enter(client, person, PIN)
    return client


def fill(storage: Storage) -> WrittenLedger:
    """January: two sales, one flagged, one unit void; one sale of January that arrives in February."""
    ledger = known_ledger(storage, "bj-0001")
    for number in (1, 2):
        ledger.authorise(number)
        ledger.complete(number)
    ledger.void(2, 1)
    arrive(storage, ledger, moment("2026-01-05"))
    with storage.write() as connection:
        row: dict[str, Any] = {"terminal": ledger.terminal, "sequence": 1, "code": FlagCode.OVER_LIMIT.value}
        connection.execute(insert(flags).values(**row, detail="3 of 2", noted_at=moment("2026-01-06")))
    return ledger


@contextmanager
def office(data_dir: Path, database_url: str = "", now: str = "2026-02-03") -> Iterator[httpx.Client]:
    """Headquarters at noon of a day, filled; nobody has signed in."""
    create_private(data_dir / PEOPLE_FILE, people_bytes())
    storage = open_storage(database_url, data_dir)
    fill(storage)
    storage.close()
    with served(create_app(hq_settings(data_dir, database_url), HandClock(moment(now)))) as client:
        yield client

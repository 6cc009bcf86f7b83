"""One headquarters that serves, and one terminal that it knows."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import func, select

from sync.headquarters.storage import Storage
from sync.headquarters.tables import terminals
from sync.signing import HttpResponse
from tests.sync.headquarters.client import HandClock, SigningTerminal
from tests.sync.headquarters.written_ledger import WrittenLedger

WAIT_S_MAX = 30.0  # for a condition; the machine may be busy


@dataclasses.dataclass
class Scene:
    """One headquarters and one terminal that it knows."""

    app: FastAPI
    clock: HandClock
    storage: Storage
    terminal: SigningTerminal
    ledger: WrittenLedger
    key: bytes
    data_dir: Path
    database_url: str


def code_of(answer: HttpResponse) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    assert document["hint"]
    code: str = document["code"]
    return code


def count(storage: Storage, table: Any) -> int:
    with storage.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def terminal_of(storage: Storage, holds: Callable[[Any], bool]) -> Any:
    """The one terminal's row, once `holds` says so of it; waits for that within bounds."""
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        with storage.read() as connection:
            row = connection.execute(select(terminals)).one()
        if holds(row):
            return row
        assert time.monotonic() < deadline, "the terminal's row stays as it is"
        time.sleep(0.02)

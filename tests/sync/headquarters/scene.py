"""One headquarters that serves, and one terminal that it knows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import func, select

from sync.headquarters.storage import Storage
from sync.signing import HttpResponse
from tests.sync.headquarters.client import HandClock, SigningTerminal
from tests.sync.headquarters.written_ledger import WrittenLedger


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

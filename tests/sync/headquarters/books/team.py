"""The campaign team with their PINs, signed in at a headquarters that serves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx

from config.places import PEOPLE_FILE
from sync.private_file import create_private
from terminal.serving.people import add_person
from tests.sync.headquarters.books.campaign import APPROVER, AUDITOR, EDITOR, OPERATOR
from tests.sync.headquarters.client import sign_in

PINS = {EDITOR.id: "1111", APPROVER.id: "2222", OPERATOR.id: "3333", AUDITOR.id: "4444"}


@cache
def people_file() -> bytes:
    """Made once: each PIN costs 30 ms of argon2."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / PEOPLE_FILE
        for person in (EDITOR, APPROVER, OPERATOR, AUDITOR):
            add_person(path, person, PINS[person.id])
        return path.read_bytes()


def add_team(data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    create_private(data_dir / PEOPLE_FILE, people_file())


@contextmanager
def signed_in(client: httpx.Client, person: str) -> Iterator[httpx.Client]:
    """A client of their own, with their session."""
    with httpx.Client(base_url=client.base_url, trust_env=False, timeout=30) as own:
        sign_in(own, person, PINS[person])
        yield own

"""What commands do first at headquarters: open its own database, beside a running service, and ask who acts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.settings import HqSettings
    from sync.headquarters.storage import Storage
    from terminal.serving.people import Person

By = Annotated[str, typer.Option("--person", help="who does this; their PIN is asked for, or read from the input")]


@contextmanager
def headquarters_storage(settings: HqSettings) -> Iterator[Storage]:
    """Headquarters' database, closed at the end. Raises what `open_storage` does."""
    from sync.headquarters.storage import open_storage

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    storage = open_storage(settings.database_url, settings.data_dir)
    try:
        yield storage
    finally:
        storage.close()


def typed_pin(person: str) -> str:
    """The person's PIN: asked for at a terminal, else a line of the input."""
    interactive = sys.stdin.isatty()
    pin: str = typer.prompt(f"PIN ({person})", hide_input=True) if interactive else sys.stdin.readline().strip()
    return pin


def person_with(settings: HqSettings, storage: Storage, person: str, pin: str) -> Person:
    """Who acts, by their PIN; wrong tries count with those made on the pages. Raises what `People.check_pin` does."""
    from config.places import PEOPLE_FILE
    from sync.headquarters.people.lockouts import StoredLockouts
    from sync.headquarters.service import utc_now
    from terminal.serving.people import People
    from terminal.serving.sessions import elapsed_s

    people = People.load(settings.data_dir / PEOPLE_FILE, StoredLockouts(storage, utc_now))
    return people.check_pin(person, pin, elapsed_s())


def person_at(settings: HqSettings, storage: Storage, person: str, *roles: str) -> Person:
    """As `person_with`, for who has one of these roles. Raises `RoleMissing` too."""
    from terminal.serving.problems import RoleMissing

    known = person_with(settings, storage, person, typed_pin(person))
    if known.role.value not in roles:
        raise RoleMissing("confirm", "role")
    return known

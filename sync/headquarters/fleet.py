"""The terminals that headquarters knows: who they are, how they are, and whether their keys still count."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from sync.headquarters.errors import TerminalMissing
from sync.headquarters.people import audit
from sync.headquarters.projection import Place
from sync.headquarters.storage import insert_or
from sync.headquarters.tables import TerminalState, flags, terminals
from sync.wire import Condition
from terminal.ledger.entry import GENESIS
from terminal.serving.people import Person

TERMINALS_PAGE_MAX: Final = 1000  # one answer; a city has 5,000


@dataclass(frozen=True, slots=True)
class TerminalView:
    """A terminal as people see it; `flags` counts findings. What it says of itself is None until it has.

    `last_sequence` and `last_hash` are its receipt as headquarters holds it; `readers` are name and state.
    """

    id: str
    merchant: str
    site: str
    name: str
    state: TerminalState
    version: str
    enrolled_at: datetime
    last_contact: datetime | None
    waiting: int | None
    skew_ms: int | None
    last_sequence: int
    last_hash: str
    boot: str | None
    book: str | None
    roll: str | None
    vouchers: str | None
    oldest_s: int | None
    readers: tuple[tuple[str, str], ...] | None
    rotate_asked_at: datetime | None
    key_changed_at: datetime | None
    flags: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a terminal is known by (its public key, 32 bytes), its state, and where it stands."""

    key: bytes
    state: TerminalState
    place: Place


# Asked with each request. A statement that stands is not built anew, nor its key in SQLAlchemy's cache worked out.
_IDENTITY: Final = select(
    terminals.c.id, terminals.c.public_key, terminals.c.state, terminals.c.merchant, terminals.c.site
).where(terminals.c.id == bindparam("terminal"))
_PLACE: Final = select(terminals.c.id, terminals.c.merchant, terminals.c.site).where(
    terminals.c.id == bindparam("terminal")
)


def identity_of(connection: Connection, terminal: str) -> Identity | None:
    """None for an unknown terminal."""
    found = connection.execute(_IDENTITY, {"terminal": terminal}).one_or_none()
    if found is None:
        return None
    place = Place(found.id, found.merchant, found.site)
    return Identity(bytes.fromhex(found.public_key), TerminalState(found.state), place)


def place_of(connection: Connection, terminal: str) -> Place:
    """Where a terminal stands. Raises `TerminalMissing`."""
    found = connection.execute(_PLACE, {"terminal": terminal}).one_or_none()
    if found is None:
        raise TerminalMissing("look up", terminal)
    return Place(found.id, found.merchant, found.site)


def is_taken(connection: Connection, terminal: str) -> bool:
    """Whether there is a terminal of this id, in whatever state."""
    return connection.scalar(select(terminals.c.id).where(terminals.c.id == terminal)) is not None


def add(
    connection: Connection,
    *,
    terminal: str,
    merchant: str,
    site: str,
    public_key: str,
    version: str,
    now: datetime,
) -> bool:
    """A new terminal with nothing sent yet; False when its id or its key (hex) belongs to one already."""
    row: dict[str, Any] = {
        "id": terminal,
        "merchant": merchant,
        "site": site,
        "name": f"{merchant} {site}",
        "public_key": public_key,
        "state": TerminalState.ACTIVE.value,
        "version": version,
        "enrolled_at": now,
        "last_sequence": 0,
        "last_hash": GENESIS.hex(),
    }
    statement = insert_or(connection, terminals).values(row).on_conflict_do_nothing().returning(terminals.c.id)
    return connection.scalar(statement) is not None


def revoke(connection: Connection, terminal: str, *, by: Person | None = None, now: datetime | None = None) -> None:
    """From now on its key counts for nothing; its entries stay. Raises `TerminalMissing`."""
    changed = connection.execute(
        update(terminals).where(terminals.c.id == terminal).values(state=TerminalState.REVOKED.value)
    )
    if changed.rowcount == 0:
        raise TerminalMissing("revoke", terminal)
    if by is not None and now is not None:
        audit.note(connection, by, "terminal-revoked", terminal, now=now)


def page_of_terminals(
    connection: Connection, *, after: str = "", limit: int = TERMINALS_PAGE_MAX
) -> list[TerminalView]:
    """The terminals behind the id `after`, by id, at most `limit` (which is cut to `TERMINALS_PAGE_MAX`)."""
    page = _VIEWS.where(terminals.c.id > after).order_by(terminals.c.id).limit(min(limit, TERMINALS_PAGE_MAX))
    return [_view(each) for each in connection.execute(page).mappings()]


def terminal_of(connection: Connection, terminal: str) -> TerminalView:
    """One terminal. Raises `TerminalMissing`."""
    found = connection.execute(_VIEWS.where(terminals.c.id == terminal)).mappings().one_or_none()
    if found is None:
        raise TerminalMissing("look up", terminal)
    return _view(found)


def told(condition: Condition) -> dict[str, Any]:
    """The columns that a terminal's word on itself fills."""
    readers = [[reader.name, reader.state] for reader in condition.readers]
    return {
        "version": _plain(condition.version),
        "boot": _plain(condition.boot),
        "book": _plain(condition.book),
        "roll": _plain(condition.roll),
        "vouchers": _plain(condition.vouchers),
        "oldest_s": condition.oldest_s,
        "readers": json.dumps(readers, ensure_ascii=False),
    }


def _plain(text: str | None) -> str | None:
    """PostgreSQL's text holds every character but NUL."""
    return text.replace("\0", "") if text is not None else None


def _view(row: RowMapping) -> TerminalView:
    readers = None if row["readers"] is None else tuple((name, state) for name, state in json.loads(row["readers"]))
    return TerminalView(**{**row, "state": TerminalState(row["state"]), "readers": readers})


_VIEWS: Final = select(
    *[terminals.c[name] for name in TerminalView.__dataclass_fields__ if name != "flags"],
    select(func.count()).where(flags.c.terminal == terminals.c.id).scalar_subquery().label("flags"),
)

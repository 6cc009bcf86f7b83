"""The city's terminals to look through: a filter, a search, and a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from sync.headquarters.money.tables import decisions
from sync.headquarters.overview import AWAY_AFTER_S
from sync.headquarters.tables import TerminalState, flags, terminals

ROWS_SHOWN: Final = 100  # about 60 kB of page
SEARCH_CHARS_MAX: Final = 64  # as long as an id or a merchant may be


class Wanted(StrEnum):
    """Which terminals: the active ones are up or away."""

    ALL = "all"
    UP = "up"
    AWAY = "away"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"
    SKEWED = "skewed"  # active, with a clock that is far off


@dataclass(frozen=True, slots=True)
class Row:
    """A terminal in the list; `open` counts its unsettled findings."""

    id: str
    merchant: str
    site: str
    state: str
    version: str
    last_contact: datetime | None
    waiting: int | None
    skew_ms: int | None
    open: int
    up: bool


_COLUMNS: Final = [terminals.c[name] for name in Row.__dataclass_fields__ if name not in ("open", "up")]
_SAME: Final = and_(*(decisions.c[name] == flags.c[name] for name in ("terminal", "sequence", "code")))
_OPEN: Final = (
    select(func.count(flags.c.code))
    .select_from(flags.outerjoin(decisions, _SAME))
    .where(flags.c.terminal == terminals.c.id, decisions.c.decision.is_(None))
    .scalar_subquery()
    .label("open")
)


def page_of(
    connection: Connection,
    now: datetime,
    *,
    wanted: Wanted = Wanted.ALL,
    search: str = "",
    merchants: Sequence[str] = (),
    after: str = "",
    skew_ms_max: int,
) -> tuple[list[Row], str | None]:
    """The terminals behind the id `after`, by id, and the `after` of the next page (None: there is none).

    `search` is part of an id, a merchant or a site; `merchants` are further ones that are meant, found by their names.
    """
    since = now - timedelta(seconds=AWAY_AFTER_S)
    conditions = [terminals.c.id > after, *_state(wanted, since, skew_ms_max), *_search(search, merchants)]
    query = select(*_COLUMNS, _OPEN).where(*conditions).order_by(terminals.c.id).limit(ROWS_SHOWN + 1)
    rows = [
        Row(**row, up=_is_up(row["state"], row["last_contact"], since)) for row in connection.execute(query).mappings()
    ]
    shown = rows[:ROWS_SHOWN]
    return shown, shown[-1].id if len(rows) > ROWS_SHOWN else None


def _state(wanted: Wanted, since: datetime, skew_ms_max: int) -> list[ColumnElement[bool]]:
    contact = terminals.c.last_contact
    active = terminals.c.state == TerminalState.ACTIVE.value
    match wanted:
        case Wanted.ALL:
            return []
        case Wanted.UP:
            return [active, contact >= since]
        case Wanted.AWAY:
            return [active, or_(contact.is_(None), contact < since)]
        case Wanted.SKEWED:
            return [active, func.abs(terminals.c.skew_ms) > skew_ms_max]
        case Wanted.QUARANTINED | Wanted.REVOKED:
            return [terminals.c.state == wanted.value]


def _search(search: str, merchants: Sequence[str]) -> list[ColumnElement[bool]]:
    if not search:
        return []
    columns = (terminals.c.id, terminals.c.merchant, terminals.c.site)
    found = [column.icontains(search, autoescape=True) for column in columns]
    return [or_(*found, terminals.c.merchant.in_(merchants))]


def _is_up(state: str, last_contact: datetime | None, since: datetime) -> bool:
    return state == TerminalState.ACTIVE and last_contact is not None and last_contact >= since

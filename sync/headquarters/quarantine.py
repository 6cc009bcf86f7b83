"""Two stories of one terminal: looking at the one that was kept apart, and deciding what becomes of it.

Headquarters' own story stays as it is: it was acknowledged, and settlements may stand on it. What the other copy sent
lies beside it until a person decides: each entry is adopted (the sale counts, judged like any other) or dismissed
(noted as no fact). The machine itself goes on as a new terminal, for two copies of one ledger cannot both go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update

from sync.headquarters.errors import NothingToDecide
from sync.headquarters.fleet import place_of
from sync.headquarters.ingest import Judge, adopt_entries
from sync.headquarters.people import audit
from sync.headquarters.tables import TerminalState, forked_entries, terminals
from terminal.ledger.bodies import Authorisation, parse_body
from terminal.ledger.entry import Entry, parse_entry
from terminal.ledger.errors import EntryInvalid
from terminal.serving.people import Person

FORKED_PAGE_MAX: Final = 500
DECIDED_AT_ONCE_MAX: Final = 500


class ForkDecision(StrEnum):
    """What a person makes of an entry of the other story."""

    ADOPTED = "adopted"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class ForkedView:
    """One entry of the other story as people see it; what could not be read is None."""

    sequence: int
    hash: str
    received_at: datetime
    kind: str | None
    redemption: str | None
    at: str | None
    cashier: str | None
    offer: str | None
    units: int | None
    pay: int | None
    masked: str | None
    decision: ForkDecision | None
    decided_by: str | None


def page_of_forked(connection: Connection, terminal: str, *, after: int = 0) -> list[ForkedView]:
    """The other story's entries from the number `after` on (excluded), at most `FORKED_PAGE_MAX`."""
    query = (
        select(forked_entries)
        .where(forked_entries.c.terminal == terminal, forked_entries.c.sequence > after)
        .order_by(forked_entries.c.sequence, forked_entries.c.hash)
        .limit(FORKED_PAGE_MAX)
    )
    return [_view(row) for row in connection.execute(query)]


def undecided(connection: Connection, terminal: str) -> int:
    """How many entries of the other story wait for a decision."""
    query = select(func.count()).select_from(forked_entries)
    wanted = (forked_entries.c.terminal == terminal, forked_entries.c.decision.is_(None))
    return connection.scalar(query.where(*wanted)) or 0


def decide(
    connection: Connection,
    terminal: str,
    hashes: Sequence[str] | None,
    decision: ForkDecision,
    *,
    by: Person,
    now: datetime,
    judges: Sequence[Judge] = (),
) -> int:
    """Decide on the undecided entries with these `hashes`, or the next `DECIDED_AT_ONCE_MAX`; how many were.

    Adopting goes in the order of the story, and an entry that does not follow from what is known is flagged, as one
    that arrives is. Raises `TerminalMissing`, `NothingToDecide`.
    """
    place = place_of(connection, terminal)
    connection.execute(select(terminals.c.id).where(terminals.c.id == terminal).with_for_update())
    wanted = [forked_entries.c.terminal == terminal, forked_entries.c.decision.is_(None)]
    if hashes is not None:
        wanted.append(forked_entries.c.hash.in_(hashes[:DECIDED_AT_ONCE_MAX]))
    order = (forked_entries.c.sequence, forked_entries.c.hash)
    query = select(forked_entries).where(*wanted).order_by(*order).limit(DECIDED_AT_ONCE_MAX)
    rows = connection.execute(query).all()
    if not rows:
        raise NothingToDecide("decide", terminal)
    if decision is ForkDecision.ADOPTED:
        adopt_entries(connection, place, [(row.sequence, row.body) for row in rows], now=now, judges=judges)
    chosen = (forked_entries.c.terminal == terminal, forked_entries.c.hash.in_([row.hash for row in rows]))
    changed = {"decision": decision.value, "decided_by": by.id, "decided_at": now}
    connection.execute(update(forked_entries).where(*chosen).values(changed))
    detail = f"{len(rows)}: {rows[0].sequence}-{rows[-1].sequence}"
    audit.note(connection, by, f"fork-{decision.value}", terminal, now=now, detail=detail)
    return len(rows)


def retire(connection: Connection, terminal: str, *, by: Person, now: datetime) -> None:
    """End the quarantine: headquarters' story stands, the terminal is revoked, its machine may enrol under a new id.

    Raises `NothingToDecide` when it is not quarantined.
    """
    quarantined = (terminals.c.id == terminal, terminals.c.state == TerminalState.QUARANTINED)
    changed = connection.execute(update(terminals).where(*quarantined).values(state=TerminalState.REVOKED.value))
    if changed.rowcount == 0:
        raise NothingToDecide("retire", terminal)
    audit.note(connection, by, "terminal-retired", terminal, now=now)


def _view(row: Row[Any]) -> ForkedView:
    entry, sale = _read(row.body)
    return ForkedView(
        sequence=row.sequence,
        hash=row.hash,
        received_at=row.received_at,
        kind=entry.kind.value if entry else None,
        redemption=entry.redemption if entry else None,
        at=entry.at if entry else None,
        cashier=entry.cashier if entry else None,
        offer=sale.offer if sale else None,
        units=sale.units if sale else None,
        pay=sale.pay_fen if sale else None,
        masked=sale.masked if sale else None,
        decision=ForkDecision(row.decision) if row.decision else None,
        decided_by=row.decided_by,
    )


def _read(body: bytes) -> tuple[Entry | None, Authorisation | None]:
    try:
        entry = parse_entry(body)
        sale = parse_body(entry)
    except EntryInvalid:
        return None, None
    return entry, sale if isinstance(sale, Authorisation) else None

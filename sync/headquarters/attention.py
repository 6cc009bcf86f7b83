"""What needs a person now, as one short list: each matter with how much of it there is, where it is settled, by whom.

Everybody at headquarters sees the whole list, so that nobody wonders; the page offers the way only to whom it is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, func, select

from sync.headquarters.books.desk import DECIDES, RELEASES, WRITES
from sync.headquarters.books.drafts import DraftState
from sync.headquarters.books.tables import book_drafts, book_holdings
from sync.headquarters.money.desk import SETTLES
from sync.headquarters.money.tables import decisions
from sync.headquarters.money.unclosed import count_unclosed, days_due
from sync.headquarters.overview import Fleet
from sync.headquarters.pools.tables import allotments, leases, pools
from sync.headquarters.roll.api import CHECKERS
from sync.headquarters.roll.imports import ImportState, latest
from sync.headquarters.roll.tables import members
from sync.headquarters.tables import TerminalState, flags, terminals
from sync.headquarters.vouchers.desk import CONFIRMERS
from sync.headquarters.vouchers.lists import ListState
from sync.headquarters.vouchers.lists import latest as latest_vouchers
from terminal.membership.standing import Standing
from terminal.serving.people import Role

COUNTED_MAX: Final = 1000  # of findings and cards: "1000+" says as much as a larger number, and costs no long count
ONE_LIST: Final = 10  # newest lists looked at; at most one of them waits


@dataclass(frozen=True, slots=True)
class Matter:
    """`key` names the words; `count` how many (`COUNTED_MAX`: at least that); `what`: which one, when it is one.

    `path` is where it is settled, by people of `roles`. `grave`: a sale or a card is held up, or money may be wrong.
    """

    key: str
    count: int
    path: str
    roles: tuple[Role, ...]
    what: str = ""
    grave: bool = False


def matters(connection: Connection, fleet: Fleet, now: datetime) -> list[Matter]:
    """The grave ones first."""
    found = [
        *_quarantined(connection, fleet),
        *_frozen(connection),
        *_roll(connection),
        *_vouchers(connection),
        *_findings(connection),
        *_overdue(connection, now),
        *_unclosed(connection, now),
        *_drafts(connection),
        *_refused_books(connection),
        *_clocks(fleet),
    ]
    return sorted(found, key=lambda matter: not matter.grave)


def _quarantined(connection: Connection, fleet: Fleet) -> Iterator[Matter]:
    if not fleet.quarantined:
        return
    state = terminals.c.state == TerminalState.QUARANTINED.value
    one = connection.scalar(select(terminals.c.id).where(state)) if fleet.quarantined == 1 else None
    path = f"/terminals/{one}" if one else "/terminals?state=quarantined"
    yield Matter("quarantined", fleet.quarantined, path, (Role.OPERATOR,), one or "", grave=True)


def _frozen(connection: Connection) -> Iterator[Matter]:
    """Units that a terminal may not sell until somebody has asked there."""
    query = (
        select(func.coalesce(func.sum(allotments.c.frozen), 0), func.count(pools.c.offer.distinct()))
        .select_from(pools.join(allotments, allotments.c.key == pools.c.key))
        .where(pools.c.shared.is_(True), allotments.c.frozen > 0)
    )
    units, offers = connection.execute(query).one()
    if units:
        one = None
        if offers == 1:
            joined = pools.join(allotments, allotments.c.key == pools.c.key)
            shared = (pools.c.shared.is_(True), allotments.c.frozen > 0)
            one = connection.scalar(select(pools.c.offer).select_from(joined).where(*shared).limit(1))
        yield Matter(
            "frozen", int(units), f"/pools/{one}" if one else "/pools", (Role.OPERATOR,), one or "", grave=True
        )
        return
    suspended = connection.scalar(select(func.count()).select_from(leases).where(leases.c.suspended != ""))
    if suspended:
        yield Matter("suspended", suspended, "/pools", (Role.OPERATOR,), grave=True)


def _roll(connection: Connection) -> Iterator[Matter]:
    for view in latest(connection, ONE_LIST):
        if view.state in (ImportState.WAITING, ImportState.SECOND):
            suspicious = view.preview.suspicious
            key = "list-suspicious" if suspicious else "list"
            yield Matter(key, view.preview.changes, f"/roll/{view.id}", CHECKERS, grave=suspicious)


def _vouchers(connection: Connection) -> Iterator[Matter]:
    for view in latest_vouchers(connection, ONE_LIST):
        if view.state is ListState.WAITING:
            yield Matter("voucher-list", view.preview.changes, f"/vouchers/lists/{view.id}", CONFIRMERS)


def _findings(connection: Connection) -> Iterator[Matter]:
    same = and_(*(decisions.c[name] == flags.c[name] for name in ("terminal", "sequence", "code")))
    unsettled = select(flags.c.code).outerjoin(decisions, same).where(decisions.c.decision.is_(None))
    count = connection.scalar(select(func.count()).select_from(unsettled.limit(COUNTED_MAX).subquery()))
    if count:
        yield Matter("findings", count, "/conflicts", SETTLES)


def _overdue(connection: Connection, now: datetime) -> Iterator[Matter]:
    """Cards whose loss was told by telephone and not confirmed in time."""
    waits = (members.c.due_at <= now, members.c.standing == Standing.SUSPENDED.value)
    overdue = select(members.c.token).where(*waits).limit(COUNTED_MAX).subquery()
    count = connection.scalar(select(func.count()).select_from(overdue))
    if count:
        yield Matter("overdue", count, "/members", (Role.OPERATOR,))


def _unclosed(connection: Connection, now: datetime) -> Iterator[Matter]:
    """Days that tills sold on and never closed: what they sold is here, and nobody at the shop has counted it."""
    count = count_unclosed(connection, days_due(now), COUNTED_MAX)
    if count:
        yield Matter("unclosed", count, "/days/unclosed", SETTLES)


def _drafts(connection: Connection) -> Iterator[Matter]:
    """Books that wait for the second person, or for their release."""
    columns = (book_drafts.c.state, func.count(), func.min(book_drafts.c.id), func.min(book_drafts.c.title))
    wanted = {DraftState.SUBMITTED.value: ("approval", DECIDES), DraftState.APPROVED.value: ("release", RELEASES)}
    query = select(*columns).where(book_drafts.c.state.in_(wanted)).group_by(book_drafts.c.state)
    for state, count, one, title in connection.execute(query.order_by(book_drafts.c.state.desc())):
        key, roles = wanted[state]
        path = f"/campaigns/draft/{one}" if count == 1 else "/campaigns"
        yield Matter(key, count, path, roles, title if count == 1 else "")


def _refused_books(connection: Connection) -> Iterator[Matter]:
    count = connection.scalar(select(func.count()).select_from(book_holdings).where(book_holdings.c.fault != ""))
    if count:
        yield Matter("book-refused", count, "/campaigns", WRITES)


def _clocks(fleet: Fleet) -> Iterator[Matter]:
    if fleet.skewed:
        yield Matter("clocks", fleet.skewed, "/terminals?state=skewed", (Role.OPERATOR,))

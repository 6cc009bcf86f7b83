"""Counting the open months of a merchant anew after its terms were changed, a portion of its sales at a time.

From the moment that terms are set, what arrives has the new share: whoever sets them holds the merchant alone, so
nobody is adding by the old ones. What had the old share can only become less. It is found without a lock and changed in
portions, each a transaction that holds the merchant alone and moves its steps from line to line, so every line is the
sum of its steps after each, and a till's batch waits for one portion at the most. A row in `recounts` stands until the
last is done: nobody closes a month of the merchant before, and whoever starts headquarters anew finishes it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from config.errors import JingkaError
from sync.headquarters.money.record import CHARGE, KEYS, SUMS, add_lines, hold_alone, hold_open, terms_of
from sync.headquarters.money.steps import Terms
from sync.headquarters.money.sums import AMOUNTS, share_held, subsidy_at
from sync.headquarters.money.tables import recounts, settlement_lines, settlement_steps
from sync.headquarters.storage import Storage, insert_or

logger: Final = logging.getLogger(__name__)

# Sales of one transaction: some 100 ms, as long as a batch of a till's may wait. A merchant with no more to change is
# counted anew in the very transaction that sets its terms.
PORTION_MAX: Final = 2_000
PASS_MAX: Final = 50_000  # ids of sales held in memory: 5 MB


def recount_or_note(connection: Connection, merchant: str, terms: Sequence[Terms], through: str, now: datetime) -> None:
    """Bring the steps after the month `through` under `terms`: at once, or noted for `recounting` when there are many.

    In a transaction that holds the merchant alone.
    """
    found = _outdated(connection, merchant, terms, through, PORTION_MAX + 1)
    if len(found) > PORTION_MAX:
        row = {"merchant": merchant, "since": now}
        connection.execute(insert_or(connection, recounts).values(row).on_conflict_do_nothing())
        return
    _recount(connection, merchant, terms, through, sorted(set(found)))
    _end(connection, merchant)


def is_recounting(connection: Connection, merchant: str) -> bool:
    """Whether some of the merchant's open steps still have an earlier share."""
    return connection.scalar(select(recounts.c.merchant).where(recounts.c.merchant == merchant)) is not None


def recounting(storage: Storage, merchant: str) -> Iterator[int]:
    """Finish the merchant, portion by portion; each is committed when its number of sales is given."""
    while True:
        with storage.read() as connection:
            if not is_recounting(connection, merchant):
                return
            terms, through = _terms(connection, merchant)
            found = sorted(set(_outdated(connection, merchant, terms, through, PASS_MAX)))
        for begin in range(0, len(found), PORTION_MAX):
            portion = found[begin : begin + PORTION_MAX]
            with storage.write() as connection:
                hold_alone(connection, merchant)
                _recount(connection, merchant, *_terms(connection, merchant), portion)
            yield len(portion)
        if not found:
            with storage.write() as connection:
                hold_alone(connection, merchant)
                if _terms(connection, merchant)[0] == terms:  # else they were changed again meanwhile
                    _end(connection, merchant)


def finish(storage: Storage, merchant: str) -> None:
    """All of `recounting`."""
    deque(recounting(storage, merchant), maxlen=0)


def finish_all(storage: Storage) -> None:
    """Every merchant that a process which ended has left; what goes wrong is left for the next start."""
    try:
        with storage.read() as connection:
            merchants = list(connection.scalars(select(recounts.c.merchant).order_by(recounts.c.merchant)))
        for merchant in merchants:
            finish(storage, merchant)
    except JingkaError as error:
        logger.warning("open months are not all counted anew: %s", error.code)


def _terms(connection: Connection, merchant: str) -> tuple[list[Terms], str]:
    """What holds now, in order, and up to where the merchant is closed."""
    found = terms_of(connection, [merchant]).get(merchant, [])
    ordered = sorted(found, key=lambda each: (each.offer, each.first_day))
    return ordered, hold_open(connection, [merchant]).get(merchant, "")


def _open_steps(merchant: str, through: str) -> ColumnElement[bool]:
    return (settlement_steps.c.merchant == merchant) & (settlement_steps.c.month > through)


def _outdated(connection: Connection, merchant: str, terms: Sequence[Terms], through: str, count_max: int) -> list[str]:
    """The sales of open steps with another share than their terms say: one for each step, `count_max` at most."""
    column = settlement_steps.c
    query = select(column.redemption).where(_open_steps(merchant, through), column.share_bp != share_held(terms))
    return list(connection.scalars(query.limit(count_max)))


def _recount(
    connection: Connection, merchant: str, terms: Sequence[Terms], through: str, redemptions: Sequence[str]
) -> None:
    """Give every open step of these sales the share that `terms` say, and move it to the line it now belongs to."""
    if not redemptions:
        return
    mine = _open_steps(merchant, through) & settlement_steps.c.redemption.in_(redemptions)
    share = share_held(terms)
    before = _lines(connection, mine, -1)
    changed = update(settlement_steps).where(mine, settlement_steps.c.share_bp != share)
    connection.execute(changed.values(share_bp=share, subsidy_fen=subsidy_at(share)))
    add_lines(connection, before + _lines(connection, mine, 1))
    column = settlement_lines.c
    empty = (column.merchant == merchant) & (column.month > through) & (column.steps == 0) & (column.kind != CHARGE)
    connection.execute(delete(settlement_lines).where(empty))


def _lines(connection: Connection, steps: ColumnElement[bool], sign: int) -> list[dict[str, Any]]:
    """The lines of these steps alone, to be added (`sign` 1) or taken away (-1)."""
    column = settlement_steps.c
    keys = [column[name] for name in KEYS]
    sums = [func.count(), *(func.sum(column[name]) for name in AMOUNTS)]
    found = connection.execute(select(*keys, *sums).where(steps).group_by(*keys))
    return [
        dict(zip(KEYS, row[: len(KEYS)], strict=True))
        | {name: sign * int(number) for name, number in zip(SUMS, row[len(KEYS) :], strict=True)}
        for row in found
    ]


def _end(connection: Connection, merchant: str) -> None:
    connection.execute(delete(recounts).where(recounts.c.merchant == merchant))

"""The projections in the file: `redemption` and `usage`, written in the transaction of the entry they follow from.

Every function takes `execute`, so the writer, the rebuild (same tables, emptied) and the verification (temporary
tables of the same names) run the same statements.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from sqlalchemy import bindparam, select

from terminal.ledger.bodies import Authorisation, Body, parse_body
from terminal.ledger.database import Execute
from terminal.ledger.entry import Entry, decode_entry
from terminal.ledger.errors import EntryInvalid, LedgerDamaged, LimitMoved
from terminal.ledger.project import Redemption, RedemptionState, UsageChange, advance, begin, changes_of
from terminal.ledger.tables import CANONICAL, driver_text, entry, redemption

# A redemption's changing part and the entry that opened it, which holds all the rest.
REDEMPTIONS: Final = select(*redemption.c, CANONICAL.label("canonical")).join_from(
    redemption, entry, redemption.c.sequence == entry.c.sequence
)
_COLUMNS = tuple(column.name for column in REDEMPTIONS.selected_columns)
_BY_ID = driver_text(REDEMPTIONS.where(redemption.c.id == bindparam("id")))
_PLAIN_COLUMNS = (
    "last_sequence",
    "completed_at",
    "cancelled_at",
    "voided_at",
    "pos_reference",
    "reason",
    "settled_by",
    "voided_units",
    "voided_list_fen",
    "voided_pay_fen",
)
_INSERT = driver_text(redemption.insert())
_UPDATE = """
    UPDATE redemption SET state = ?, last_sequence = ?, completed_at = ?, cancelled_at = ?, voided_at = ?,
        pos_reference = ?, reason = ?, settled_by = ?, voided_units = ?, voided_list_fen = ?, voided_pay_fen = ?
    WHERE id = ?
"""
# Check and increment in one statement: a first use that fits is inserted, a later one that fits is added, else 0 rows.
_CLAIM = """
    INSERT INTO usage (key, used) SELECT ?, ? WHERE ? <= ?
    ON CONFLICT (key) DO UPDATE SET used = used + excluded.used WHERE used + excluded.used <= ?
"""
_GIVE_BACK = "UPDATE usage SET used = used - ? WHERE key = ? AND used >= ?"
_AFTER_ANY = "\U0010ffff"  # sorts after whatever may follow a prefix
_LATEST_USED = "SELECT key FROM usage WHERE key >= ? AND key < ? AND used > 0 ORDER BY key DESC LIMIT 1"
_USED = "SELECT used FROM usage WHERE key = ?"


def load(execute: Execute, redemption_id: str) -> Redemption | None:
    """The redemption as it stands, None when there is none."""
    row = execute(_BY_ID, (redemption_id,)).fetchone()
    return None if row is None else from_row(row)


def from_row(row: Any) -> Redemption:
    """A row of `REDEMPTIONS`, from SQLAlchemy or from the driver, as the redemption it stands for.

    Raises `LedgerDamaged` when the row and its entry do not fit each other.
    """
    changing = dict(zip(_COLUMNS, row, strict=True))
    try:
        opened = decode_entry(changing["canonical"])
        body = parse_body(opened)
        state = RedemptionState(changing["state"])
    except (EntryInvalid, ValueError) as error:  # ValueError: a state that is none
        raise LedgerDamaged("read", str(changing["id"]), reason="the redemption cannot be read") from error
    if not isinstance(body, Authorisation):
        raise LedgerDamaged("read", str(changing["id"]), reason="its sequence names another kind of entry")
    return dataclasses.replace(
        begin(body, opened),
        state=state,
        **{name: changing[name] for name in _PLAIN_COLUMNS},
    )


def project(execute: Execute, current: Redemption | None, following: Entry, body: Body) -> Redemption:
    """Write what `following` with its `body` makes of `current` and of the usage counts; the redemption after it.

    Raises `LimitMoved` when a claim no longer fits, and whatever `advance` raises; the caller's transaction then rolls
    back.
    """
    after = advance(current, following, body)
    if current is None:
        _insert(execute, after)
    else:
        _update(execute, after)
    for change in changes_of(body):
        _change_usage(execute, after, change)
    return after


def used(execute: Execute, key: str) -> int:
    """What is used up under `key`."""
    row = execute(_USED, (key,)).fetchone()
    return 0 if row is None else int(row[0])


def latest_used(execute: Execute, prefix: str) -> str | None:
    """The last key of those that begin with `prefix` and have something used."""
    row = execute(_LATEST_USED, (prefix, prefix + _AFTER_ANY)).fetchone()
    return None if row is None else str(row[0])


def _change_usage(execute: Execute, after: Redemption, change: UsageChange) -> None:
    if change.max is not None:
        fits = (change.key, change.amount, change.amount, change.max, change.max)
        if execute(_CLAIM, fits).rowcount != 1:
            now = used(execute, change.key)
            raise LimitMoved("authorise", after.id, key=change.key, used=now, max=change.max)
    elif execute(_GIVE_BACK, (-change.amount, change.key, -change.amount)).rowcount != 1:
        raise LedgerDamaged("give back", after.id, reason="more given back than was used")


def _insert(execute: Execute, new: Redemption) -> None:
    execute(_INSERT, (new.id, new.sequence, new.business_day, *_changing(new)))


def _update(execute: Execute, new: Redemption) -> None:
    execute(_UPDATE, (*_changing(new), new.id))


def _changing(new: Redemption) -> tuple[Any, ...]:
    return (new.state.value, *(getattr(new, name) for name in _PLAIN_COLUMNS))

"""Who may change the roll, and how the changes are numbered.

Every change holds the one row of `roll_state` until it is committed, and takes from it as many numbers as it changes
cards. So whoever reads a version there knows that everything up to it is committed and visible, whatever other workers
are doing; and two cards never share a number, so a terminal can go on from any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from sync.headquarters.roll.errors import HashingKeyForeign
from sync.headquarters.roll.tables import roll_state
from terminal.membership.token import ProgrammeKey


@dataclass(frozen=True, slots=True)
class RollState:
    """Where the roll stands. `version` 0: there is none; `snapshot` names the newest file for terminals."""

    version: int
    key_version: int | None
    key_fingerprint: str | None
    began_at: datetime | None
    snapshot: str | None


_STATE: Final = select(*(roll_state.c[name] for name in RollState.__dataclass_fields__)).where(roll_state.c.id == 1)


def state_of(connection: Connection) -> RollState:
    """One look-up by key: asked at every heartbeat."""
    return RollState(*connection.execute(_STATE).one())


def take(connection: Connection, key: ProgrammeKey | None, count: int, now: datetime) -> int:
    """Lock the roll until the transaction ends and take `count` numbers; the last one before them.

    The first change ever makes `key` the roll's. `key` None: the change brings no new token (the clock's). Raises
    `HashingKeyForeign` for another key.
    """
    locked = connection.execute(select(roll_state).where(roll_state.c.id == 1).with_for_update()).mappings().one()
    values = {"version": locked["version"] + count}
    if key is not None and locked["key_fingerprint"] is None:
        values |= {"key_version": key.version, "key_fingerprint": key.fingerprint, "began_at": now}
    connection.execute(update(roll_state).where(roll_state.c.id == 1).values(values))
    if key is not None and locked["key_fingerprint"] is not None:
        check_key(RollState(*(locked[name] for name in RollState.__dataclass_fields__)), key)
    before: int = locked["version"]
    return before


def check_key(state: RollState, key: ProgrammeKey) -> None:
    """Raise `HashingKeyForeign` unless this very key made the roll, or there is none yet."""
    if state.key_fingerprint is not None and (state.key_version, state.key_fingerprint) != (
        key.version,
        key.fingerprint,
    ):
        raise HashingKeyForeign(
            "check key",
            "roll",
            roll=f"v{state.key_version}/{state.key_fingerprint}",
            key=f"v{key.version}/{key.fingerprint}",
        )

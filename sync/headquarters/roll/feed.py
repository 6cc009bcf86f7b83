"""The feed `roll`: what a terminal is told of the roll, from the version that it has."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from sync.headquarters.projection import Place
from sync.headquarters.roll import snapshot, versions
from sync.headquarters.roll.errors import SnapshotMissing
from sync.headquarters.roll.tables import members
from sync.wire import timestamp
from sync.wire_roll import CHANGES_MAX, PAGE_RECORDS_MAX, ROLL_FEED, Base, RollAnswer
from terminal.membership.build import packed_record
from terminal.membership.standing import MemberClass, Standing


class RollFeed:
    """Names the roll's version in every acknowledgement."""

    name: Final = ROLL_FEED

    def version(self, connection: Connection, place: Place) -> str | None:
        """The roll's version; None until there is a file to start from."""
        state = versions.state_of(connection)
        return None if state.snapshot is None else str(state.version)


def answer(connection: Connection, *, base: str, after: int, now: datetime) -> RollAnswer:
    """What changed after the version `after`, for a terminal that stands on `base` (empty: on none).

    Raises `SnapshotMissing` while there is no snapshot.
    """
    state = versions.state_of(connection)  # first: everything up to its version is visible from here on
    newest = None if state.snapshot is None else snapshot.base_of(connection, state.snapshot)
    if newest is None or state.key_version is None or state.key_fingerprint is None:
        raise SnapshotMissing("answer", ROLL_FEED)
    records, version, more = _records_after(connection, after, state.version)
    return RollAnswer(
        version=version,
        more=more,
        records=base64.b64encode(records).decode("ascii"),
        base=_base_for(connection, base, newest, state.version),
        key_version=state.key_version,
        key_fingerprint=state.key_fingerprint,
        time=timestamp(now),
    )


def _base_for(connection: Connection, base: str, newest: Base, version: int) -> Base:
    """The terminal's own as long as its changes are few: a delta is ten thousand times smaller than a roll."""
    own = snapshot.base_of(connection, base) if base else None
    return own if own is not None and version - own.version <= CHANGES_MAX else newest


def _records_after(connection: Connection, after: int, upto: int) -> tuple[bytes, int, bool]:
    """Records of at most one page, the version they reach, and whether more are behind."""
    columns = (members.c.token, members.c.person, members.c.issued, members.c.standing, members.c.member_class)
    on_the_roll = members.c.standing != Standing.UNKNOWN.value
    query = select(members.c.version, *columns).where(members.c.version > after, members.c.version <= upto, on_the_roll)
    rows = connection.execute(query.order_by(members.c.version).limit(PAGE_RECORDS_MAX)).all()
    records = b"".join(
        packed_record(token, person, issued, Standing(standing), MemberClass(member_class))
        for _, token, person, issued, standing, member_class in rows
    )
    if len(rows) < PAGE_RECORDS_MAX:
        return records, upto, False
    last: int = rows[-1].version
    return records, last, last < upto

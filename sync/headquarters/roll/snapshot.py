"""The file that terminals start from: made of the members in the background, kept in the database chunk by chunk.

Any worker on any machine can hand out any chunk, and a standby has them too. The version is read before the cards, so
a card that changes meanwhile may be newer in the file than the version says; the changes after it name it once more.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, or_, select, update

from sync.headquarters.roll import versions
from sync.headquarters.roll.errors import SnapshotMissing
from sync.headquarters.roll.tables import members, roll_chunks, roll_snapshots, roll_state
from sync.headquarters.storage import Storage
from sync.wire_roll import CHUNK_BYTES, Base
from terminal.membership.build import packed_record, write_records
from terminal.membership.roll import RollHeader
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey

# A terminal that has half of the older one may finish it; each is half a gigabyte in the database.
SNAPSHOTS_KEPT: Final = 2
CHUNKS_PER_COMMIT: Final = 16  # 8 MB: on SQLite the terminals' entries wait that long, some 50 ms
# A worker that builds is believed to for this long: ten million cards take two minutes on a small machine.
BUILD_S_MAX: Final = 1800
ROWS_PER_FETCH: Final = 10_000


def wanted(connection: Connection, changes_max: int) -> bool:
    """Whether there is a roll and no snapshot, or more than `changes_max` cards have changed since the newest."""
    state = versions.state_of(connection)
    if state.version == 0:
        return False
    newest = None if state.snapshot is None else base_of(connection, state.snapshot)
    return newest is None or state.version - newest.version > changes_max


def build_if_wanted(
    storage: Storage, key: ProgrammeKey, *, changes_max: int, data_dir: Path, now: datetime
) -> Base | None:
    """Make a snapshot when it is time and no other worker does; what was made."""
    with storage.read() as connection:
        if not wanted(connection, changes_max):
            return None
        versions.check_key(versions.state_of(connection), key)
    if not _claim(storage, now):
        return None
    try:
        return build(storage, key, data_dir=data_dir, now=now)
    finally:
        with storage.write() as connection:
            connection.execute(update(roll_state).values(building_until=None))


def build(storage: Storage, key: ProgrammeKey, *, data_dir: Path, now: datetime) -> Base:
    """Make a snapshot of the members as they are, and let terminals know. Raises `RollNotWritten`."""
    with tempfile.TemporaryDirectory(prefix=".roll.", dir=data_dir) as folder:
        path = Path(folder) / "roll"
        with storage.read() as connection:
            version = versions.state_of(connection).version
            header = write_records(_records(connection), path, key, now)
        base = _stored(storage, path, header, version, now)
    with storage.write() as connection:
        connection.execute(update(roll_snapshots).where(roll_snapshots.c.name == base.name).values(whole=True))
        connection.execute(update(roll_state).values(snapshot=base.name))
    _forget_old(storage)
    return base


def base_of(connection: Connection, name: str) -> Base | None:
    """The snapshot of that name, if it is whole and still kept."""
    columns = [roll_snapshots.c[field] for field in Base.model_fields]
    query = select(*columns).where(roll_snapshots.c.name == name, roll_snapshots.c.whole)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Base(**row)


def chunk(connection: Connection, name: str, number: int) -> bytes:
    """One chunk. Raises `SnapshotMissing`."""
    query = select(roll_chunks.c.body).where(roll_chunks.c.snapshot == name, roll_chunks.c.number == number)
    body: bytes | None = connection.scalar(query)
    if body is None:
        raise SnapshotMissing("read", name)
    return body


def _claim(storage: Storage, now: datetime) -> bool:
    """Whether this worker may build now."""
    free = or_(roll_state.c.building_until.is_(None), roll_state.c.building_until < now)
    until = now + timedelta(seconds=BUILD_S_MAX)
    with storage.write() as connection:
        return connection.execute(update(roll_state).where(free).values(building_until=until)).rowcount == 1


def _records(connection: Connection) -> Iterator[bytes]:
    """Every card on the roll as a record of the file."""
    columns = (members.c.token, members.c.person, members.c.issued, members.c.standing, members.c.member_class)
    query = select(*columns).where(members.c.standing != Standing.UNKNOWN.value)
    standings = {standing.value: standing for standing in Standing}
    classes = {each.value: each for each in MemberClass}
    rows = connection.execute(query, execution_options={"stream_results": True, "yield_per": ROWS_PER_FETCH})
    for token, person, issued, standing, member_class in rows:
        yield packed_record(token, person, issued, standings[standing], classes[member_class])


def _stored(storage: Storage, path: Path, header: RollHeader, version: int, now: datetime) -> Base:
    """The file in the database, in several transactions; it counts for nothing yet."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        base = Base(
            name=f"{version}-{sha256[:16]}",
            version=version,
            size_bytes=path.stat().st_size,
            sha256=sha256,
            revision=header.revision,
        )
        file.seek(0)
        with storage.write() as connection:
            _remove(connection, base.name)
            row = {**base.model_dump(), "count": header.count, "built_at": now, "whole": False}
            connection.execute(insert(roll_snapshots).values(row))
        number = 0
        while body := file.read(CHUNK_BYTES * CHUNKS_PER_COMMIT):
            cut = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
            rows = [{"snapshot": base.name, "number": number + at, "body": each} for at, each in enumerate(cut)]
            with storage.write() as connection:
                connection.execute(insert(roll_chunks), rows)
            number += len(cut)
    return base


def _forget_old(storage: Storage) -> None:
    """Drop all but the newest `SNAPSHOTS_KEPT`, and what a build that was cut off left behind."""
    with storage.write() as connection:
        query = select(roll_snapshots.c.name).where(roll_snapshots.c.whole).order_by(roll_snapshots.c.version.desc())
        kept = list(connection.scalars(query.limit(SNAPSHOTS_KEPT)))
        old = list(connection.scalars(select(roll_snapshots.c.name).where(roll_snapshots.c.name.not_in(kept))))
    for name in old:
        with storage.write() as connection:
            _remove(connection, name)


def _remove(connection: Connection, name: str) -> None:
    connection.execute(delete(roll_chunks).where(roll_chunks.c.snapshot == name))
    connection.execute(delete(roll_snapshots).where(roll_snapshots.c.name == name))

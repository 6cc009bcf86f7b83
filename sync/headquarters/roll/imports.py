"""From a list to the roll: preview, confirmation, and one transaction that makes it count.

One list waits at a time; a newer one takes its place. What persons or the clock changed after the comparison stays as
they left it. A list that takes too many cards out of use needs a second person's word.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, case, func, insert, literal, null, select, text, update

from sync.headquarters.people import audit
from sync.headquarters.roll import staging, versions
from sync.headquarters.roll.errors import ImportMissing, ImportSettled, SecondPersonNeeded
from sync.headquarters.roll.tables import member_history, members, roll_diff, roll_imports, roll_rejects
from sync.headquarters.storage import Storage, insert_or, writing
from terminal.membership.csv_list import Rejected
from terminal.membership.list_workers import read_list_blocks
from terminal.membership.official_lists import Block, BlockRead, ListKind, blocks_of, read_block
from terminal.membership.standing import Standing
from terminal.membership.token import ProgrammeKey
from terminal.serving.people import Person

IMPORTS_SHOWN_MAX: Final = 50
UPLOAD_SUBJECT: Final = "upload"
_OUT_OF_USE: Final = (Standing.SUSPENDED.value, Standing.LOST.value, Standing.WITHDRAWN.value)


class ImportState(StrEnum):
    """Where a list stands."""

    WAITING = "waiting"  # compared; nobody has confirmed it
    SECOND = "second"  # one person has; it takes another
    DONE = "done"
    DISCARDED = "discarded"  # by a person, or by a newer list


@dataclass(frozen=True, slots=True)
class Moved:
    """How many cards go from one standing to another; from `unknown`: they are new on the roll."""

    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a list held and would do.

    `kept`: cards that it names as good and that stay out of use, for a person here said so. `losing_percent`: of the
    active cards, how many would be so no more; `suspicious`: that is over the bound.
    """

    lines: int
    taken: int
    repeated: int
    rejected: int
    changes: int
    kept: int
    moved: list[Moved]
    losing_percent: float
    suspicious: bool


@dataclass(frozen=True, slots=True)
class ImportView:
    """A list as people see it; `confirmed_by` is who said yes, first when it takes two."""

    id: int
    kind: ListKind
    state: ImportState
    at: datetime
    by: str
    confirmed_by: str | None
    done_at: datetime | None
    preview: Preview


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that was set aside: its number in the file and why, never its text."""

    line: int
    reason: str


def preview_file(
    storage: Storage,
    path: Path,
    kind: ListKind,
    key: ProgrammeKey,
    *,
    by: Person,
    now: datetime,
    jump_percent_max: float,
    progress: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
) -> ImportView:
    """Read the list at `path`, in several processes when it is long, and say what it would do.

    Raises `CardListError`, `HashingKeyForeign`, `StorageUnavailable`.
    """
    reads = read_list_blocks(path, kind, key, processes)
    return _previewed(storage, reads, kind, key, by=by, now=now, jump_percent_max=jump_percent_max, progress=progress)


def preview_upload(
    storage: Storage,
    content: bytes,
    kind: ListKind,
    key: ProgrammeKey,
    *,
    by: Person,
    now: datetime,
    jump_percent_max: float,
) -> ImportView:
    """The same of a list that came with a request, and lies in memory alone."""
    file = io.BytesIO(content)
    reads = (
        (block, read_block(io.BytesIO(content), block, kind, key)) for block in blocks_of(file, kind, UPLOAD_SUBJECT)
    )
    return _previewed(storage, reads, kind, key, by=by, now=now, jump_percent_max=jump_percent_max)


def confirm(storage: Storage, number: int, key: ProgrammeKey, *, by: Person, now: datetime) -> ImportView:
    """Put the list in force, or note the first of two confirmations (`state` says which).

    Raises `ImportMissing`, `ImportSettled`, `SecondPersonNeeded` (the same person twice), `HashingKeyForeign`.
    """
    with storage.write() as connection:
        view = _locked(connection, number)
        if view.preview.suspicious and view.confirmed_by == by.id:
            raise SecondPersonNeeded("confirm", str(number), percent=view.preview.losing_percent)
        if view.preview.suspicious and view.confirmed_by is None:
            _settle(connection, number, ImportState.SECOND, confirmed_by=by.id)
        else:
            _apply(connection, view, key, now)
            _settle(connection, number, ImportState.DONE, confirmed_by=view.confirmed_by or by.id, done_at=now)
        audit.note(connection, by, "roll-confirm", str(number), now=now, detail=_told(view))
        return find(connection, number)


def discard(storage: Storage, number: int, *, by: Person, now: datetime) -> ImportView:
    """Forget a waiting list. Raises `ImportMissing`, `ImportSettled`."""
    with storage.write() as connection:
        view = _locked(connection, number)
        staging.empty(connection)
        _settle(connection, number, ImportState.DISCARDED, done_at=now)
        audit.note(connection, by, "roll-discard", str(number), now=now, detail=_told(view))
        return find(connection, number)


def find(connection: Connection, number: int) -> ImportView:
    """The list of that number. Raises `ImportMissing`."""
    row = connection.execute(select(roll_imports).where(roll_imports.c.id == number)).mappings().one_or_none()
    if row is None:
        raise ImportMissing("find", str(number))
    return _view(row)


def latest(connection: Connection, limit: int = IMPORTS_SHOWN_MAX) -> list[ImportView]:
    """The lists, latest first."""
    query = select(roll_imports).order_by(roll_imports.c.id.desc()).limit(min(limit, IMPORTS_SHOWN_MAX))
    return [_view(row) for row in connection.execute(query).mappings()]


def rejected(connection: Connection, number: int) -> list[RejectedLine]:
    """The first lines of the list that were set aside."""
    query = select(roll_rejects.c.line, roll_rejects.c.reason).where(roll_rejects.c.import_id == number)
    return [RejectedLine(*row) for row in connection.execute(query.order_by(roll_rejects.c.line))]


def _previewed(
    storage: Storage,
    reads: Iterator[tuple[Block, BlockRead]],
    kind: ListKind,
    key: ProgrammeKey,
    *,
    by: Person,
    now: datetime,
    jump_percent_max: float,
    progress: Callable[[int], None] = lambda _: None,
) -> ImportView:
    with storage.apart() as connection:
        with connection.begin():  # only reads what others see: a long list holds up nobody
            versions.check_key(versions.state_of(connection), key)
            loaded = staging.load(connection, reads, progress)
        with writing(connection):
            staging.hold(connection)
            base = versions.state_of(connection).version  # what changes from here on, the list will not touch
            changes, kept = staging.compare(connection, kind)
            preview = _judged(connection, loaded, changes, kept, jump_percent_max)
            number = _noted(connection, kind, preview, base, by=by, now=now)
            _keep_rejected(connection, number, loaded.rejected or [])
            staging.drop(connection)
            view = find(connection, number)
            audit.note(connection, by, "roll-import", str(number), now=now, detail=_told(view))
        return view


def _judged(
    connection: Connection, loaded: staging.Loaded, changes: int, kept: int, jump_percent_max: float
) -> Preview:
    moved = _moved(connection)
    losing = _losing_percent(connection, moved)
    return Preview(
        lines=loaded.lines,
        taken=loaded.taken,
        repeated=loaded.repeated,
        rejected=loaded.rejected_count,
        changes=changes,
        kept=kept,
        moved=moved,
        losing_percent=losing,
        suspicious=losing > jump_percent_max,
    )


def _noted(connection: Connection, kind: ListKind, preview: Preview, base: int, *, by: Person, now: datetime) -> int:
    """The new list's number; whichever waited before waits no more."""
    waiting = roll_imports.c.state.in_((ImportState.WAITING.value, ImportState.SECOND.value))
    connection.execute(update(roll_imports).where(waiting).values(state=ImportState.DISCARDED.value, done_at=now))
    row = {
        "kind": kind.value,
        "state": ImportState.WAITING.value,
        "at": now,
        "by": by.id,
        "base_version": base,
        "counts": json.dumps(asdict(preview)),
    }
    number = connection.scalar(insert(roll_imports).values(row).returning(roll_imports.c.id))
    assert number is not None
    return int(number)


def _keep_rejected(connection: Connection, number: int, lines: list[Rejected]) -> None:
    if lines:
        rows = [{"import_id": number, "line": each.line, "reason": each.reason.value} for each in lines]
        connection.execute(insert(roll_rejects), rows)


def _moved(connection: Connection) -> list[Moved]:
    columns = (roll_diff.c.old_standing, roll_diff.c.standing)
    found = connection.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns))
    return [Moved(before, after, count) for before, after, count in found]


def _losing_percent(connection: Connection, moved: list[Moved]) -> float:
    """Of the active cards, how many per cent would be active no more."""
    active = Standing.ACTIVE.value
    count = connection.scalar(select(func.count()).select_from(members).where(members.c.standing == active)) or 0
    losing = sum(each.count for each in moved if each.before == active and each.after != active)
    return round(100 * losing / count, 2) if count else 0.0


def _locked(connection: Connection, number: int) -> ImportView:
    """A list that still waits, ours until the transaction ends."""
    staging.hold(connection)
    query = select(roll_imports).where(roll_imports.c.id == number).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ImportMissing("find", str(number))
    view = _view(row)
    if view.state not in (ImportState.WAITING, ImportState.SECOND):
        raise ImportSettled("confirm", str(number), state=view.state.value)
    return view


def _settle(connection: Connection, number: int, state: ImportState, **values: Any) -> None:
    connection.execute(update(roll_imports).where(roll_imports.c.id == number).values(state=state.value, **values))


def _apply(connection: Connection, view: ImportView, key: ProgrammeKey, now: datetime) -> None:
    """Make the list count, but for cards that have changed since it was compared."""
    before = versions.take(connection, key, view.preview.changes, now)
    base = connection.scalar(select(roll_imports.c.base_version).where(roll_imports.c.id == view.id))
    by = f"import {view.id}"
    same = and_(members.c.token == roll_diff.c.token, ~roll_diff.c.fresh, members.c.version <= base)
    moves = members.c.standing != roll_diff.c.standing
    spells = select(
        members.c.token,
        literal(now, member_history.c.until.type),
        roll_diff.c.number + before,
        members.c.since,
        members.c.standing,
        members.c.by,
    ).where(same, moves)
    columns = ["token", "until", "version", "since", "standing", "by"]
    connection.execute(insert(member_history).from_select(columns, spells))
    listed = {name: roll_diff.c[name] for name in ("standing", "card", "member", "member_class", "issued", "person")}
    card_same = members.c.card.is_not_distinct_from(roll_diff.c.card)
    connection.execute(
        update(members)
        .where(same)
        .values(
            **listed,
            by_hand=roll_diff.c.by_hand,
            by_person=and_(members.c.by_person, roll_diff.c.standing.in_(_OUT_OF_USE)),
            # The list's word takes the place of an activation that runs; a temporary card ends all the same.
            due_at=case(
                (card_same, members.c.due_at), (members.c.valid_until.is_not(None), members.c.due_at), else_=null()
            ),
            since=case((moves, literal(now, members.c.since.type)), else_=members.c.since),
            by=case((moves, literal(by)), else_=members.c.by),
            version=roll_diff.c.number + before,
            changed_at=now,
        )
    )
    _add_fresh(connection, before, by, now)
    staging.empty(connection)


def _add_fresh(connection: Connection, before: int, by: str, now: datetime) -> None:
    names = ["token", "standing", "card", "member", "member_class", "issued", "person", "by_hand"]
    rows = select(
        *(roll_diff.c[name] for name in names),
        literal(False),
        literal(now, members.c.since.type),
        literal(by),
        roll_diff.c.number + before,
        literal(now, members.c.changed_at.type),
    ).where(roll_diff.c.fresh)
    columns = [*names, "by_person", "since", "by", "version", "changed_at"]
    connection.execute(insert_or(connection, members).from_select(columns, rows).on_conflict_do_nothing())
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE members"))  # or the first comparison after a first list plans for nothing


def _view(row: RowMapping) -> ImportView:
    counts = json.loads(row["counts"])
    moved = [Moved(**each) for each in counts.pop("moved")]
    return ImportView(
        id=row["id"],
        kind=ListKind(row["kind"]),
        state=ImportState(row["state"]),
        at=row["at"],
        by=row["by"],
        confirmed_by=row["confirmed_by"],
        done_at=row["done_at"],
        preview=Preview(moved=moved, **counts),
    )


def _told(view: ImportView) -> str:
    preview = view.preview
    return (
        f"{view.kind.value}: {preview.changes} changes, {preview.rejected} lines set aside, {preview.losing_percent}%"
    )

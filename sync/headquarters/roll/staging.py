"""A list on its way in: loaded beside the roll, compared with it, and nothing of it counts yet.

The list lies in a temporary table of one connection. What it would change goes into `roll_diff`, row by row as each
card would be afterwards, so that putting it in force is one plain transaction, however long the list was.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    LargeBinary,
    Select,
    Text,
    and_,
    case,
    column,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    table,
    text,
    true,
)

from sync.headquarters.roll.tables import members, roll_diff
from terminal.membership.csv_list import REJECTED_KEPT_MAX, Rejected
from terminal.membership.official_lists import NULL, STAGED_COLUMNS, Block, BlockRead, ListKind
from terminal.membership.standing import MemberClass, Standing

COMPARE_MEMORY: Final = "256MB"  # for sorting and joining ten million cards; one such comparison runs at a time

_COLUMNS: Final = (
    column("token", LargeBinary),
    column("place", BigInteger),
    column("standing", Text),
    column("member_class", Text),
    column("issued", Date),
    column("person", LargeBinary),
)
_LISTED: Final = table("roll_listed", *_COLUMNS)
_FIELDS: Final = ("standing", "card", "member", "member_class", "issued", "person", "by_hand")
_BLOCKED: Final = (Standing.SUSPENDED.value, Standing.LOST.value)
_GONE_AT_THE_BANK: Final = (Standing.EXPIRED.value, Standing.LOST.value)


@dataclass(slots=True)
class Loaded:
    """What a list held: good lines and all lines, those set aside (the first `REJECTED_KEPT_MAX`), repeated cards."""

    lines: int = 0
    taken: int = 0
    repeated: int = 0
    rejected: list[Rejected] | None = None
    rejected_count: int = 0


def load(connection: Connection, reads: Iterator[tuple[Block, BlockRead]], progress: Callable[[int], None]) -> Loaded:
    """Fill the temporary table with the list, each card's last line only. `progress` is told the octets done."""
    drop(connection)
    kind = "BYTEA" if _is_postgresql(connection) else "BLOB"
    typed = f"token {kind}, place BIGINT, standing TEXT, member_class TEXT, issued DATE, person {kind}"
    connection.execute(text(f"CREATE TEMPORARY TABLE roll_staged ({typed})"))
    loaded = Loaded(rejected=[])
    put = _copied if _is_postgresql(connection) else _inserted
    put(connection, _counted(reads, loaded, progress))
    names = ", ".join(STAGED_COLUMNS)
    ranked = "row_number() OVER (PARTITION BY token ORDER BY place DESC) AS rank"
    connection.execute(
        text(
            f"CREATE TEMPORARY TABLE roll_listed AS SELECT {names} "  # noqa: S608 - our own names
            f"FROM (SELECT {names}, {ranked} FROM roll_staged) AS ranked WHERE rank = 1"
        )
    )
    connection.execute(text("DROP TABLE roll_staged"))
    if _is_postgresql(connection):
        connection.execute(text("ANALYZE roll_listed"))
    loaded.repeated = loaded.taken - (connection.scalar(select(func.count()).select_from(_LISTED)) or 0)
    return loaded


def drop(connection: Connection) -> None:
    """Take the temporary tables away; harmless when there are none."""
    for name in ("roll_staged", "roll_listed"):
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))


def compare(connection: Connection, kind: ListKind) -> tuple[int, int]:
    """Fill `roll_diff` with what the list changes; how many cards, and how many it may not bring back.

    In a transaction that may write; whoever calls has seen to it that no other list waits.
    """
    if _is_postgresql(connection):
        connection.execute(text(f"SET LOCAL work_mem = '{COMPARE_MEMORY}'"))
    empty(connection)
    names = ["token", "number", "fresh", "old_standing", *_FIELDS]
    count = 0
    for query in (_differing(kind, 0), None):
        found = query if query is not None else _absent(kind, count)
        connection.execute(insert(roll_diff).from_select(names, found))
        count = connection.scalar(select(func.count()).select_from(roll_diff)) or 0
    return count, connection.scalar(_kept(kind)) or 0


def hold(connection: Connection) -> None:
    """One comparison or confirmation at a time, until the transaction ends (on SQLite a writer is alone anyway)."""
    if _is_postgresql(connection):
        connection.execute(text("LOCK TABLE roll_diff IN ACCESS EXCLUSIVE MODE"))


def empty(connection: Connection) -> None:
    """Forget what a list would have changed."""
    connection.execute(text("TRUNCATE roll_diff" if _is_postgresql(connection) else "DELETE FROM roll_diff"))


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _counted(
    reads: Iterator[tuple[Block, BlockRead]], loaded: Loaded, progress: Callable[[int], None]
) -> Iterator[bytes]:
    """The rows of each block; keeps account of the rest. Line 1 of the file is its header."""
    assert loaded.rejected is not None
    before = 1
    for block, read in reads:
        for each in read.rejected[: REJECTED_KEPT_MAX - len(loaded.rejected)]:
            loaded.rejected.append(Rejected(before + each.line, each.reason))
        before += read.lines
        loaded.lines += read.lines
        loaded.taken += read.taken
        loaded.rejected_count += len(read.rejected)
        yield read.rows
        progress(block.end)


def _copied(connection: Connection, rows: Iterator[bytes]) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(f"COPY roll_staged ({', '.join(STAGED_COLUMNS)}) FROM STDIN") as copy:
        for each in rows:
            copy.write(each)


def _inserted(connection: Connection, rows: Iterator[bytes]) -> None:
    statement = f"INSERT INTO roll_staged VALUES ({', '.join('?' * len(STAGED_COLUMNS))})"  # noqa: S608 - our own names
    for each in rows:
        values = [_values(line) for line in each.decode("ascii").splitlines()]
        if values:
            connection.exec_driver_sql(statement, values)


def _values(line: str) -> tuple[Any, ...]:
    token, place, *texts, person = line.split("\t")
    plain = (None if each == NULL else each for each in texts)
    return _octets(token), int(place), *plain, None if person == NULL else _octets(person)


def _octets(copied: str) -> bytes:
    return bytes.fromhex(copied.removeprefix("\\\\x"))


# --- what each kind of list makes of a card ---------------------------------------------------------------------------


def _after(kind: ListKind) -> dict[str, ColumnElement[Any]]:
    """The fields of `_FIELDS` but `standing`, as the list (`_LISTED`, joined to `members`) would have them."""
    listed, now = _LISTED.c, members.c
    held = func.coalesce(now.by_person, false())
    out = and_(held, now.member.is_(False))  # a person said that the holder has left
    blocked = and_(held, now.card.in_(_BLOCKED), listed.standing != Standing.LOST.value)
    left = listed.standing == Standing.WITHDRAWN.value
    inactive = literal(Standing.INACTIVE.value)
    person = func.coalesce(listed.person, now.person)
    issued = func.coalesce(listed.issued, now.issued)
    match kind:
        case ListKind.COMBINED:
            card: ColumnElement[Any] = case(
                (blocked, now.card), (left, func.coalesce(now.card, inactive)), else_=listed.standing
            )
            member: ColumnElement[Any] = case((or_(out, left), false()), else_=true())
            fields = {"card": card, "member": member, "member_class": listed.member_class}
            return fields | {"issued": issued, "person": person, "by_hand": false()}
        case ListKind.UNION:
            member = case((out, false()), else_=true())
            fields = {"card": now.card, "member": member, "member_class": listed.member_class}
            return fields | {"issued": now.issued, "person": person, "by_hand": false()}
        case ListKind.BANK:
            card = case((blocked, now.card), else_=listed.standing)
            member_class = func.coalesce(now.member_class, literal(MemberClass.ORDINARY.value))
            fields = {"card": card, "member": now.member, "member_class": member_class}
            return fields | {"issued": issued, "person": now.person, "by_hand": false()}


def _standing(card: ColumnElement[Any], member: ColumnElement[Any]) -> ColumnElement[Any]:
    """`rules.Card.standing`, as the database computes it."""
    return case(
        (member.is_(None), literal(Standing.UNKNOWN.value)),
        (member.is_(False), literal(Standing.WITHDRAWN.value)),
        else_=func.coalesce(card, literal(Standing.INACTIVE.value)),
    )


def _differing(kind: ListKind, before: int) -> Select[Any]:
    """The listed cards that the list adds or changes."""
    after = _after(kind)
    inner = select(
        _LISTED.c.token.label("token"),
        members.c.token.is_(None).label("fresh"),
        func.coalesce(members.c.standing, literal(Standing.UNKNOWN.value)).label("old_standing"),
        *(members.c[name].label(f"old_{name}") for name in _FIELDS[1:]),
        *(value.label(name) for name, value in after.items()),
    ).select_from(_LISTED.outerjoin(members, members.c.token == _LISTED.c.token))
    seen = inner.subquery("seen")
    moved = reduce(operator.or_, (seen.c[name].is_distinct_from(seen.c[f"old_{name}"]) for name in _FIELDS[1:]))
    return _numbered(seen, or_(seen.c.fresh, moved), before)


def _absent(kind: ListKind, before: int) -> Select[Any]:
    """The cards that the list takes off by not naming them. A temporary card, or one added here, stands on none."""
    fields: dict[str, ColumnElement[Any]] = {name: members.c[name] for name in _FIELDS[1:]}
    if kind is ListKind.BANK:
        fields["card"] = literal(Standing.EXPIRED.value)
        loses = and_(members.c.card.not_in(_GONE_AT_THE_BANK), ~members.c.by_person)
    else:
        fields["member"] = false()
        loses = members.c.member.is_(True)
    seen = (
        select(
            members.c.token.label("token"),
            false().label("fresh"),
            members.c.standing.label("old_standing"),
            *(value.label(name) for name, value in fields.items()),
        )
        .where(loses, ~members.c.by_hand)
        .where(~select(_LISTED.c.token).where(_LISTED.c.token == members.c.token).exists())
        .subquery("seen")
    )
    return _numbered(seen, true(), before)


def _numbered(seen: Any, which: ColumnElement[bool], before: int) -> Select[Any]:
    """The columns of `roll_diff`, numbered on from `before`."""
    return select(
        seen.c.token,
        (func.row_number().over() + before).label("number"),
        seen.c.fresh,
        seen.c.old_standing,
        _standing(seen.c.card, seen.c.member).label("standing"),
        *(seen.c[name] for name in _FIELDS[1:]),
    ).where(which)


def _kept(kind: ListKind) -> Select[Any]:
    """How many cards the list would bring back that a person here has taken out of use."""
    if kind is ListKind.UNION:
        lifted: ColumnElement[bool] = members.c.member.is_(False)
    else:
        usable = _LISTED.c.standing.in_((Standing.ACTIVE.value, Standing.INACTIVE.value))
        lifted = and_(usable, or_(members.c.member.is_(False), members.c.card.in_(_BLOCKED)))
    joined = members.join(_LISTED, members.c.token == _LISTED.c.token)
    return select(func.count()).select_from(joined).where(members.c.by_person, lifted)

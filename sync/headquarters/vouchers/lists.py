"""From a list to the register: preview, confirmation, and one transaction that makes it count.

One list waits at a time; a newer one takes its place. A list counts only against the register that it was compared
with: what people confirm is what they were shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, insert, select, update

from sync.headquarters.people import audit
from sync.headquarters.storage import Storage
from sync.headquarters.vouchers import register
from sync.headquarters.vouchers.difference import Difference, compare
from sync.headquarters.vouchers.errors import VoucherListMissing, VoucherListOutdated, VoucherListSettled
from sync.headquarters.vouchers.tables import voucher_lists, voucher_rejects
from terminal.membership.csv_list import Rejected, Taken
from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord
from terminal.serving.people import Person
from terminal.vouchers.build import VOUCHERS_WORDS, check_bounds, distinct, register_bytes, too_many
from terminal.vouchers.register import VOUCHERS_MAX, Register, code_hash
from terminal.vouchers.voucher_list import VoucherLine

LISTS_SHOWN_MAX: Final = 50
SUBJECT: Final = "list of vouchers"


class ListState(StrEnum):
    """Where a list stands."""

    WAITING = "waiting"  # compared; nobody has confirmed it
    DONE = "done"
    DISCARDED = "discarded"  # by a person, or by a newer list


@dataclass(frozen=True, slots=True)
class Preview:
    """What a list held and would do; `offers` are those whose vouchers it changes.

    `repeated`: earlier lines whose code a later line names again. `restored`: withdrawn vouchers that would be good
    again, as when an old list is brought in once more.
    """

    taken: int
    repeated: int
    rejected: int
    new: int
    changed: int
    withdrawn: int
    restored: int
    unchanged: int
    offers: list[str]

    @property
    def changes(self) -> int:
        """How many vouchers it touches."""
        return self.new + self.changed + self.withdrawn + self.restored


@dataclass(frozen=True, slots=True)
class ListView:
    """A list as people see it; `settled_by` put it in force or discarded it (None: nobody yet, or a newer list did)."""

    id: int
    state: ListState
    at: datetime
    by: str
    settled_by: str | None
    done_at: datetime | None
    preview: Preview


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that was set aside: its number in the file and why, never its text."""

    line: int
    reason: str


def preview(
    storage: Storage, lines: Iterable[VoucherLine | Rejected], key: ProgrammeKey, *, by: Person, now: datetime
) -> ListView:
    """Compare the list with the register, keep what it would change, and say so.

    Raises `VoucherListError` (from `lines`), `VouchersTooMany`, `VouchersKeyMismatch`, `StorageUnavailable`.
    """
    taken = Taken(lines)
    listed: dict[bytes, VoucherRecord] = {}
    for line in taken:
        listed[code_hash(line.code, key)] = line.record
        if len(listed) > VOUCHERS_MAX:
            raise too_many(SUBJECT, VOUCHERS_MAX, VOUCHERS_WORDS)
    with storage.read() as connection:  # the number first: what changes from here on makes the list outdated
        state = register.state_of(connection)
        register.check_key(state, key)
        before = dict(register.records(connection))
    found = compare(before, listed)
    after = before | found.records
    offers, merchants = distinct(after.values())
    check_bounds(len(after), len(offers), len(merchants), SUBJECT)
    told = _told(taken, found, len(listed))
    _, content = register_bytes(found.records, key, now, subject=SUBJECT)
    with storage.write() as connection:
        number = _noted(connection, told, content, state.version, by=by, now=now)
        _keep_rejected(connection, number, taken.rejected)
        audit.note(connection, by, "voucher-import", str(number), now=now, detail=_said(told))
        return find(connection, number)


def confirm(storage: Storage, number: int, key: ProgrammeKey, *, by: Person, now: datetime) -> ListView:
    """Put the list in force.

    Raises `VoucherListMissing`, `VoucherListSettled`, `VoucherListOutdated`, `VouchersKeyMismatch`.
    """
    with storage.write() as connection:
        state = register.lock(connection, key)
        row = _waiting(connection, number)
        if row["base_version"] != state.version:
            raise VoucherListOutdated("confirm", str(number))
        view = _view(row)
        changed = Register.of(bytes(row["content"]), key, f"{SUBJECT} {number}").records()
        register.put(connection, state, changed, offers=view.preview.offers, key=key, now=now)
        _settle(connection, number, ListState.DONE, settled_by=by.id, done_at=now)
        audit.note(connection, by, "voucher-confirm", str(number), now=now, detail=_said(view.preview))
        return find(connection, number)


def discard(storage: Storage, number: int, *, by: Person, now: datetime) -> ListView:
    """Forget a waiting list. Raises `VoucherListMissing`, `VoucherListSettled`."""
    with storage.write() as connection:
        view = _view(_waiting(connection, number))
        _settle(connection, number, ListState.DISCARDED, settled_by=by.id, done_at=now)
        audit.note(connection, by, "voucher-discard", str(number), now=now, detail=_said(view.preview))
        return find(connection, number)


def find(connection: Connection, number: int) -> ListView:
    """The list of that number. Raises `VoucherListMissing`."""
    row = connection.execute(select(*_SHOWN).where(voucher_lists.c.id == number)).mappings().one_or_none()
    if row is None:
        raise VoucherListMissing("find", str(number))
    return _view(row)


def latest(connection: Connection, limit: int = LISTS_SHOWN_MAX) -> list[ListView]:
    """The lists, latest first."""
    query = select(*_SHOWN).order_by(voucher_lists.c.id.desc()).limit(min(limit, LISTS_SHOWN_MAX))
    return [_view(row) for row in connection.execute(query).mappings()]


def rejected(connection: Connection, number: int) -> list[RejectedLine]:
    """The first lines of the list that were set aside."""
    query = select(voucher_rejects.c.line, voucher_rejects.c.reason).where(voucher_rejects.c.list_id == number)
    return [RejectedLine(*row) for row in connection.execute(query.order_by(voucher_rejects.c.line))]


def _told(taken: Taken[VoucherLine], found: Difference, distinct_codes: int) -> Preview:
    return Preview(
        taken=taken.count,
        repeated=taken.count - distinct_codes,
        rejected=taken.rejected_count,
        new=found.new,
        changed=found.changed,
        withdrawn=found.withdrawn,
        restored=found.restored,
        unchanged=found.unchanged,
        offers=sorted(found.offers),
    )


def _noted(connection: Connection, told: Preview, content: bytes, base: int, *, by: Person, now: datetime) -> int:
    """The new list's number; whichever waited before waits no more."""
    waiting = voucher_lists.c.state == ListState.WAITING.value
    gone = {"state": ListState.DISCARDED.value, "done_at": now, "content": None}
    connection.execute(update(voucher_lists).where(waiting).values(gone))
    row = {
        "state": ListState.WAITING.value,
        "at": now,
        "by": by.id,
        "base_version": base,
        "counts": json.dumps(asdict(told), ensure_ascii=False),
        "content": content,
    }
    number = connection.scalar(insert(voucher_lists).values(row).returning(voucher_lists.c.id))
    assert number is not None
    return int(number)


def _keep_rejected(connection: Connection, number: int, lines: list[Rejected]) -> None:
    if lines:
        rows = [{"list_id": number, "line": each.line, "reason": each.reason.value} for each in lines]
        connection.execute(insert(voucher_rejects), rows)


def _waiting(connection: Connection, number: int) -> RowMapping:
    """A list that still waits, ours until the transaction ends."""
    query = select(voucher_lists).where(voucher_lists.c.id == number).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise VoucherListMissing("find", str(number))
    if row["state"] != ListState.WAITING.value:
        raise VoucherListSettled("settle", str(number), state=row["state"])
    return row


def _settle(connection: Connection, number: int, state: ListState, **values: Any) -> None:
    changed = {"state": state.value, "content": None, **values}
    connection.execute(update(voucher_lists).where(voucher_lists.c.id == number).values(changed))


def _view(row: RowMapping) -> ListView:
    return ListView(
        id=row["id"],
        state=ListState(row["state"]),
        at=row["at"],
        by=row["by"],
        settled_by=row["settled_by"],
        done_at=row["done_at"],
        preview=Preview(**json.loads(row["counts"])),
    )


def _said(told: Preview) -> str:
    parts = (f"{told.new} new", f"{told.changed} changed", f"{told.withdrawn} withdrawn", f"{told.restored} restored")
    return f"{', '.join(parts)}; {told.rejected} lines set aside; {', '.join(told.offers)}"


_SHOWN: Final = [column for column in voucher_lists.c if column.name != "content"]

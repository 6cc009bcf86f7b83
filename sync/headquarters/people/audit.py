"""The audit log: one row for everything a person changes, in the transaction that changes it.

What is not noted is not done: the row and the change commit together or not at all. No card number, no PIN and no code
is ever in a row; `detail` is for a person to read.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from sync.headquarters.people.tables import audit
from terminal.serving.people import Person

DETAIL_CHARS_MAX: Final = 500
AUDIT_PAGE_MAX: Final = 500
COMMAND_LINE: Final = "command-line"  # in place of a role: `person` is a user of the system


@dataclass(frozen=True, slots=True)
class AuditView:
    """One row as people see it."""

    id: int
    at: datetime
    person: str
    role: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Whoever runs a command on headquarters' machine: the name that the system knows, nobody of the file of people."""

    id: str


def system_user() -> SystemUser:
    """The user that this process runs as, by its number; a name in the environment could be anybody's."""
    number = os.getuid()
    try:
        return SystemUser(pwd.getpwuid(number).pw_name)
    except KeyError:  # in a container, users need no names
        return SystemUser(f"uid {number}")


def note(
    connection: Connection, by: Person | SystemUser, action: str, subject: str, *, now: datetime, detail: str = ""
) -> None:
    """Note that `by` did `action` (a key under `audit` in the catalogue) to `subject`."""
    row = {
        "at": now,
        "person": by.id,
        "role": COMMAND_LINE if isinstance(by, SystemUser) else by.role.value,
        "action": action,
        "subject": subject,
        "detail": detail.replace("\0", "")[:DETAIL_CHARS_MAX],
    }
    connection.execute(insert(audit).values(row))


def page_of_audit(
    connection: Connection,
    *,
    before: int | None = None,
    person: str | None = None,
    subject: str | None = None,
    action: str | None = None,
    limit: int = AUDIT_PAGE_MAX,
) -> list[AuditView]:
    """The rows before the id `before`, latest first, at most `limit` (which is cut to `AUDIT_PAGE_MAX`)."""
    query = select(audit).order_by(audit.c.id.desc()).limit(min(limit, AUDIT_PAGE_MAX))
    if before is not None:
        query = query.where(audit.c.id < before)
    if person is not None:
        query = query.where(audit.c.person == person)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    if action is not None:
        query = query.where(audit.c.action == action)
    return [AuditView(**row) for row in connection.execute(query).mappings()]

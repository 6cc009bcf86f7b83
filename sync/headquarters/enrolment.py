"""Inviting a machine to become a terminal: the one-time code's life at headquarters.

A code is shown once, to the person who asks for it, and lives for an hour unless the settings say otherwise. The
database holds only the hash of its secret. The first key that presents it becomes the terminal; the same key may
present it again and is given the same answer, for its first answer may have been lost on the way.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import Connection, delete, insert, select, update

from sync.enrolment_code import SECRET_BYTES, make_code, parse_code
from sync.errors import CodeRefused, MessageMalformed
from sync.headquarters import fleet
from sync.headquarters.door import headquarters_key
from sync.headquarters.errors import TerminalTaken, TooManyAttempts
from sync.headquarters.people import audit
from sync.headquarters.storage import insert_or, open_storage
from sync.headquarters.tables import attempts, enrolment_codes, terminals
from sync.wire import EnrolmentAnswer, EnrolmentRequest, TerminalId, timestamp

if TYPE_CHECKING:
    from config.settings import HqSettings

# From one address in one period. A code's 80 bits are not to be guessed anyway; this keeps a guesser from costing much,
# and lets a shop with a row of counters behind one address enrol them all.
ATTEMPTS_MAX: Final = 20
ATTEMPTS_PERIOD_S: Final = 60

PlainLabel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
"""A name that a person reads: one line, as long as the terminal's own settings allow."""


class Invitation(BaseModel):
    """Whom a code invites: the terminal to be, and the merchant and site it will sell for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terminal: TerminalId
    merchant: PlainLabel
    site: PlainLabel


def issue_code(settings: HqSettings, *, terminal: str, merchant: str, site: str) -> str:
    """A new one-time code, for the command line: opens the database and headquarters' key by itself. The audit log
    names the system's user who runs the command.

    Raises `MessageMalformed` (a name that cannot be), `TerminalTaken`, and the errors of storage and key.
    """
    try:
        invitation = Invitation(terminal=terminal, merchant=merchant, site=site)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise MessageMalformed("invite", "terminal", reason=f"{first['loc'][0]}: {first['msg']}") from error
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = headquarters_key(settings.data_dir).public
    storage = open_storage(settings.database_url, settings.data_dir)
    by, now = audit.system_user(), datetime.now(UTC)
    try:
        with storage.write() as connection:
            audit.note(connection, by, "terminal-invited", invitation.terminal, now=now)
            return issue(connection, invitation, by=by.id, key=public, now=now, life_s=settings.code_life_s)
    finally:
        storage.close()


def issue(
    connection: Connection,
    invitation: Invitation,
    *,
    by: str,
    key: bytes,
    now: datetime,
    life_s: int,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """A new code, to be shown once; `by` asked for it, `key` is headquarters' public key. Raises `TerminalTaken`."""
    if fleet.is_taken(connection, invitation.terminal):
        raise TerminalTaken("invite", invitation.terminal)
    code = make_code(random(SECRET_BYTES), key)
    connection.execute(
        insert(enrolment_codes).values(
            digest=_digest(parse_code(code).secret_text),
            terminal=invitation.terminal,
            merchant=invitation.merchant,
            site=invitation.site,
            created_by=by,
            created_at=now,
            expires_at=now + timedelta(seconds=life_s),
        )
    )
    return code


def enrol(connection: Connection, asked: EnrolmentRequest, *, key: bytes, now: datetime) -> EnrolmentAnswer:
    """Make the machine that `asked` a terminal, or tell it again that it is one. Raises `CodeRefused`.

    `asked` must have been signed by the key it names; `key` is headquarters' public key (32 bytes).
    """
    code = connection.execute(
        select(enrolment_codes).where(enrolment_codes.c.digest == _digest(asked.code)).with_for_update()
    ).one_or_none()
    if code is None:
        raise CodeRefused("enrol", "unknown code")
    if code.used_key is None:
        if now >= code.expires_at:
            raise CodeRefused("enrol", "expired code")
        invited = {"terminal": code.terminal, "merchant": code.merchant, "site": code.site}
        if not fleet.add(connection, **invited, public_key=asked.public_key, version=asked.version, now=now):
            raise CodeRefused("enrol", code.terminal)
        used = update(enrolment_codes).where(enrolment_codes.c.digest == code.digest)
        connection.execute(used.values(used_key=asked.public_key, used_at=now))
    elif code.used_key != asked.public_key:
        raise CodeRefused("enrol", "used code")
    terminal = connection.execute(select(terminals).where(terminals.c.id == code.terminal)).one()
    return EnrolmentAnswer(
        terminal=terminal.id,
        merchant=terminal.merchant,
        site=terminal.site,
        name=terminal.name,
        headquarters_key=key.hex(),
        time=timestamp(now),
    )


def count_attempt(connection: Connection, address: str, now: datetime) -> None:
    """Count one try with a code from `address`. Raises `TooManyAttempts` (wait `wait_s`) above the bound."""
    passed_s = int(now.timestamp())
    window = passed_s // ATTEMPTS_PERIOD_S
    connection.execute(delete(attempts).where(attempts.c.window < window))
    statement = (
        insert_or(connection, attempts)
        .values(subject=f"enrol {address}", window=window, count=1)
        .on_conflict_do_update(
            index_elements=[attempts.c.subject, attempts.c.window], set_={"count": attempts.c.count + 1}
        )
        .returning(attempts.c.count)
    )
    if (connection.scalar(statement) or 0) > ATTEMPTS_MAX:
        raise TooManyAttempts("enrol", "address", wait_s=ATTEMPTS_PERIOD_S - passed_s % ATTEMPTS_PERIOD_S)


def _digest(secret: str) -> str:
    """80 random bits need no salt and no slow hash: they are in no dictionary."""
    return hashlib.sha256(secret.encode()).hexdigest()

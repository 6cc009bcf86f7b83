"""Keys that change: a terminal's, pinned anew when it proves both; headquarters' own and the one that signs books, each
named by the one before.

The change of these two is three steps, each of which may be the last before a crash, and the whole may be run again:
the next key is written, the present one signs its name (`headquarters.succession`, `release.succession`), the next
takes its place. A terminal that meets another key than it knows reads the chain of names from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from sync.errors import KeyDamaged, KeyMissing, MessageMalformed, SignatureInvalid, TerminalRevoked
from sync.headquarters.door import KEY_FILE, Caller, headquarters_key
from sync.headquarters.errors import SuccessionsFull, TerminalMissing
from sync.headquarters.people import audit
from sync.headquarters.tables import TerminalState, terminals
from sync.private_file import read_private, replace_private, sync_directory
from sync.signing import DeviceKey
from sync.wire import timestamp
from sync.wire_keys import (
    SUCCESSIONS_MAX,
    KeyRotated,
    KeyRotation,
    Succession,
    Successions,
    rotation_statement,
    succession_statement,
)
from terminal.serving.people import Person

NEXT_SUFFIX: Final = ".next"  # headquarters.key.next, release.key.next
SUCCESSION_SUFFIX: Final = ".succession"  # headquarters.succession, release.succession


# --- a terminal's key -------------------------------------------------------------------------------------------------


def pin(connection: Connection, caller: Caller, asked: KeyRotation, now: datetime) -> KeyRotated:
    """Pin the new key of `caller`, who has signed with one of both; the old one is void from the commit on.

    The same change again, signed by the new key, is given the same answer. Raises `SignatureInvalid`,
    `TerminalRevoked`, `MessageMalformed` (a key that is another terminal's).
    """
    row = connection.execute(select(terminals).where(terminals.c.id == caller.terminal).with_for_update()).one()
    if row.state == TerminalState.REVOKED:
        raise TerminalRevoked("rotate key", caller.terminal)
    _prove(caller.terminal, asked)
    if row.public_key == asked.old:
        changed = {"public_key": asked.new, "key_changed_at": now, "rotate_asked_at": None}
        try:
            connection.execute(update(terminals).where(terminals.c.id == caller.terminal).values(changed))
        except IntegrityError as error:
            raise MessageMalformed("rotate key", caller.terminal, reason="new: another terminal's key") from error
    elif row.public_key != asked.new:
        raise SignatureInvalid("rotate key", caller.terminal, reason="the old key is another")
    return KeyRotated(public_key=asked.new, time=timestamp(now))


def _prove(terminal: str, asked: KeyRotation) -> None:
    statement = rotation_statement(terminal, asked.old, asked.new)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(asked.new)).verify(bytes.fromhex(asked.proof), statement)
    except InvalidSignature as error:
        raise SignatureInvalid("rotate key", terminal, reason="the new key did not sign") from error


def ask_rotation(connection: Connection, terminal: str, *, by: Person, now: datetime) -> None:
    """Ask `terminal` for a new key, with its next acknowledgements. Raises `TerminalMissing`."""
    changed = connection.execute(update(terminals).where(terminals.c.id == terminal).values(rotate_asked_at=now))
    if changed.rowcount == 0:
        raise TerminalMissing("rotate key", terminal)
    audit.note(connection, by, "key-asked", terminal, now=now)


# --- a key that names its successor -----------------------------------------------------------------------------------


def successions_file(key_file: Path) -> Path:
    """Where the changes of the key in `key_file` stand: beside it."""
    return key_file.with_suffix(SUCCESSION_SUFFIX)


def read_successions(key_file: Path) -> Successions:
    """Every change so far of the key in `key_file`. Raises `KeyDamaged`, `KeyExposed`."""
    path = successions_file(key_file)
    try:
        return Successions.model_validate_json(read_private(path))
    except KeyMissing:
        return Successions()
    except ValidationError as error:
        raise KeyDamaged("read", str(path)) from error


def succeed(key_file: Path, old: DeviceKey, statement: Callable[[str, str], bytes]) -> tuple[bytes, bytes]:
    """Put a new key in the place of `old`, which stands in `key_file` and signs `statement` of both (hex).

    The old and the new public key (32 bytes each). Raises `SuccessionsFull`, the errors of key files.
    """
    next_file = key_file.with_name(key_file.name + NEXT_SUFFIX)
    new = DeviceKey.load_or_create(next_file)
    told = read_successions(key_file).successions
    if not told or told[-1].new != new.public.hex():
        if len(told) >= SUCCESSIONS_MAX:
            raise SuccessionsFull("rotate key", key_file.name, count_max=SUCCESSIONS_MAX)
        signature = old.private_key().sign(statement(old.public.hex(), new.public.hex())).hex()
        told = (*told, Succession(old=old.public.hex(), new=new.public.hex(), signature=signature))
        document = {"successions": [each.model_dump() for each in told]}
        replace_private(successions_file(key_file), json.dumps(document, indent=1).encode())
    next_file.replace(key_file)
    sync_directory(key_file.parent)
    return bytes.fromhex(told[-1].old), new.public


# --- headquarters' key ------------------------------------------------------------------------------------------------


def load_successions(data_dir: Path) -> Successions:
    """Every change of headquarters' key so far. Raises `KeyDamaged`, `KeyExposed`."""
    return read_successions(data_dir / KEY_FILE)


def rotate_headquarters_key(data_dir: Path) -> tuple[bytes, bytes]:
    """The old and the new public key (32 bytes each); workers take the new one when they start again.

    Raises `SuccessionsFull`, the errors of key files.
    """
    return succeed(data_dir / KEY_FILE, headquarters_key(data_dir), succession_statement)

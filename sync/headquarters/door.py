"""Who speaks: the check of a terminal's signature, and headquarters' own under every answer.

The nonce that a request is fresh by is taken in the same transaction as the work it asks for. So a request either has
done its work and is refused when it comes again, or has done nothing and may come again; and it costs no commit of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select, text

from sync.errors import NonceReplayed, NonceStoreFull, SignatureInvalid, SignatureMissing, TerminalRevoked
from sync.headquarters import fleet
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage, insert_or
from sync.headquarters.tables import TerminalState, nonces
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_response, verify_request
from sync.wire import decode_body

# A terminal that drains a backlog sends some 20 requests a second; each is remembered for the clock's window (5 min).
NONCES_PER_KEY_MAX: Final = 20_000

KEY_FILE: Final = "headquarters.key"


def headquarters_key(data_dir: Path) -> DeviceKey:
    """The key that terminals know headquarters by, made at the first start. Raises `KeyExposed`, `KeyDamaged`."""
    return DeviceKey.load_or_create(data_dir / KEY_FILE)


@dataclass(slots=True)
class NonceClaim:
    """Stands in for the store of nonces while a request is verified; `take` then settles whether it is new."""

    key_id: str = ""
    nonce: str = ""
    expires: datetime | None = None

    def remember(self, key_id: str, nonce: str, expires: datetime, now: datetime) -> bool:
        """`NonceStore`: hold the nonce, and leave the verdict to `take`."""
        self.key_id, self.nonce, self.expires = key_id, nonce, expires
        return True

    def take(self, connection: Connection, now: datetime) -> None:
        """Note the nonce as used. Raises `NonceReplayed`, `NonceStoreFull`; then nothing of the request may be done."""
        assert self.expires is not None, "only a verified request has a nonce to take"
        row = {"key_id": self.key_id, "nonce": self.nonce, "expires_at": self.expires}
        count, noted = (
            _note_at_once(connection, row, now) if _is_postgresql(connection) else _note(connection, row, now)
        )
        if count >= NONCES_PER_KEY_MAX:
            raise NonceStoreFull("take", "nonce")
        if not noted:
            raise NonceReplayed("take", self.key_id)


@dataclass(frozen=True, slots=True)
class Caller:
    """A terminal that has proven itself; `skew_ms` is its clock minus ours, `claim` waits for the transaction.

    `place` is where it stands; None of a newcomer.
    """

    terminal: str
    skew_ms: int
    claim: NonceClaim
    place: Place | None = None


def plain_body(request: HttpRequest) -> bytes:
    """The body, decompressed. Raises `BodyTooLarge`, `EncodingUnknown`, `MessageMalformed`."""
    encoding = next((value for name, value in request.headers.items() if name.lower() == "content-encoding"), None)
    return decode_body(request.body, encoding)


class Door:
    """Verifies what comes in and signs what goes out."""

    def __init__(self, storage: Storage, key: DeviceKey, window_s: int) -> None:
        self._storage = storage
        self._key = key
        self._window_s = window_s

    def identify(
        self, request: HttpRequest, terminal: str, now: datetime, connection: Connection | None = None
    ) -> Caller:
        """The caller, when it is `terminal` (the one that the address names) and its key counts.

        With `connection` its key is looked up there, which saves a transaction where each millisecond counts.
        Raises `SignatureMissing`, `TerminalUnknown`, `SignatureInvalid`, `ClockSkewed`, `TerminalRevoked`.
        """
        known: list[fleet.Identity] = []

        def key_of(key_id: str) -> bytes | None:
            with nullcontext(connection) if connection else self._storage.read() as reading:
                found = fleet.identity_of(reading, key_id)
            if found is None:
                return None
            known.append(found)
            return found.key

        caller = self._verify(request, key_of, now)
        if caller.terminal != terminal:
            raise SignatureInvalid("identify", caller.terminal, reason="this address is another terminal's")
        if any(each.state is TerminalState.REVOKED for each in known):
            raise TerminalRevoked("identify", terminal)
        return replace(caller, place=known[-1].place)

    def identify_newcomer(self, request: HttpRequest, public_key: str, now: datetime) -> Caller:
        """The caller of an enrolment, when it holds the key (hex) that it brings. Raises as `identify` does."""
        return self._verify(request, lambda key_id: bytes.fromhex(public_key) if key_id == public_key else None, now)

    def sign(self, request: HttpRequest, response: HttpResponse, now: datetime) -> dict[str, str]:
        """The fields that prove `response` to be the answer to `request`; none when that was not signed itself."""
        try:
            return sign_response(response, request, key=self._key, now=now)
        except SignatureMissing:
            return {}

    def _verify(self, request: HttpRequest, key_of: Callable[[str], bytes | None], now: datetime) -> Caller:
        claim = NonceClaim()
        verified = verify_request(request, key_of=key_of, nonces=claim, now=now, window_s=self._window_s)
        return Caller(verified.key_id, round((verified.created - now).total_seconds() * 1000), claim)


# What is over is deleted, what counts is counted and the new one is noted: one exchange with the database for each
# request of each terminal. SQLite has no such statement, and no exchange either.
_NOTE: Final = text("""
    WITH over AS (DELETE FROM nonces WHERE key_id = :key_id AND expires_at <= :now),
    noted AS (INSERT INTO nonces (key_id, nonce, expires_at) VALUES (:key_id, :nonce, :expires_at)
              ON CONFLICT DO NOTHING RETURNING 1)
    SELECT (SELECT count(*) FROM nonces WHERE key_id = :key_id AND expires_at > :now), (SELECT count(*) FROM noted)
""")


def _note_at_once(connection: Connection, row: Mapping[str, Any], now: datetime) -> tuple[int, bool]:
    """How many nonces of the key counted before, and whether this one was new."""
    count, noted = connection.execute(_NOTE, {**row, "now": now}).one()
    return count, bool(noted)


def _note(connection: Connection, row: Mapping[str, Any], now: datetime) -> tuple[int, bool]:
    """As `_note_at_once`, step by step."""
    of_key = nonces.c.key_id == row["key_id"]
    connection.execute(delete(nonces).where(of_key, nonces.c.expires_at <= now))
    count = connection.scalar(select(func.count()).select_from(nonces).where(of_key)) or 0
    note = insert_or(connection, nonces).values(row).on_conflict_do_nothing().returning(nonces.c.nonce)
    return count, connection.scalar(note) is not None


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"

"""Who speaks: the check of a terminal's signature, and headquarters' own under every answer.

The nonce that a request is fresh by is taken in the same transaction as the work it asks for. So a request either has
done its work and is refused when it comes again, or has done nothing and may come again; and it costs no commit of its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, func, select

from sync.errors import NonceReplayed, NonceStoreFull, SignatureInvalid, SignatureMissing, TerminalRevoked
from sync.headquarters import fleet
from sync.headquarters.storage import Storage, insert_or
from sync.headquarters.tables import TerminalState, nonces
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_response, verify_request

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
        of_key = nonces.c.key_id == self.key_id
        connection.execute(delete(nonces).where(of_key, nonces.c.expires_at <= now))
        count = connection.scalar(select(func.count()).select_from(nonces).where(of_key)) or 0
        if count >= NONCES_PER_KEY_MAX:
            raise NonceStoreFull("take", "nonce")
        row = {"key_id": self.key_id, "nonce": self.nonce, "expires_at": self.expires}
        note = insert_or(connection, nonces).values(row).on_conflict_do_nothing().returning(nonces.c.nonce)
        if connection.scalar(note) is None:
            raise NonceReplayed("take", self.key_id)


@dataclass(frozen=True, slots=True)
class Caller:
    """A terminal that has proven itself; `skew_ms` is its clock minus ours, `claim` waits for the transaction."""

    terminal: str
    skew_ms: int
    claim: NonceClaim


class Door:
    """Verifies what comes in and signs what goes out."""

    def __init__(self, storage: Storage, key: DeviceKey, window_s: int) -> None:
        self._storage = storage
        self._key = key
        self._window_s = window_s

    def identify(self, request: HttpRequest, terminal: str, now: datetime) -> Caller:
        """The caller, when it is `terminal` (the one that the address names) and its key counts.

        Raises `SignatureMissing`, `TerminalUnknown`, `SignatureInvalid`, `ClockSkewed`, `TerminalRevoked`.
        """
        states: list[TerminalState] = []

        def key_of(key_id: str) -> bytes | None:
            with self._storage.read() as connection:
                found = fleet.key_and_state(connection, key_id)
            if found is None:
                return None
            states.append(found[1])
            return found[0]

        caller = self._verify(request, key_of, now)
        if caller.terminal != terminal:
            raise SignatureInvalid("identify", caller.terminal, reason="this address is another terminal's")
        if TerminalState.REVOKED in states:
            raise TerminalRevoked("identify", terminal)
        return caller

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

"""Sessions in headquarters' database: whichever worker has a request knows who is signed in, also after a restart.

A row holds the digest of a token, never the token, and the person's id, not their rights: who is struck off the file of
people, or given another role, is so at the next click.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from sync.headquarters.people.tables import sessions
from sync.headquarters.storage import Storage
from terminal.serving.people import Person
from terminal.serving.sessions import ABSOLUTE_S, TOKEN_BYTES, SessionCookie, token_digest

SESSIONS_MAX: Final = 2_000  # a headquarters has dozens of people; the one not seen for longest gives way
# A session's last moment is written this seldom, so that a click costs no commit; it ends that much early at most.
SEEN_EVERY_S: Final = 60
# A page that watches is asked for at every event: that long another worker's sign-out may go unnoticed by a watcher.
# Whoever does something is looked up each time.
PEEK_S: Final = 2.0
PEEKED_MAX: Final = 256  # of one worker; the hub lets 32 watch


class StoredSessions(SessionCookie):
    """`SessionStore` over the database; callable from any thread. Every call but `hand_out` and `take_back` may raise
    `StorageUnavailable`."""

    def __init__(
        self,
        cookie: str,
        storage: Storage,
        *,
        person_of: Callable[[str], Person | None],
        clock: Callable[[], datetime],
        idle_s: float,
        absolute_s: float = ABSOLUTE_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`person_of` looks up who an id is now; `clock` is headquarters', aware."""
        super().__init__(cookie)
        self._storage = storage
        self._person_of = person_of
        self._clock = clock
        self._idle = timedelta(seconds=idle_s)
        self._absolute = timedelta(seconds=absolute_s)
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._peeked: OrderedDict[str, tuple[str | None, float]] = OrderedDict()  # digest -> person's id, good until

    def begin(self, person: Person) -> str:
        """See `SessionStore`."""
        now = self._clock()
        token = secrets.token_urlsafe(TOKEN_BYTES)
        over = or_(sessions.c.seen_at <= now - self._idle, sessions.c.begun_at <= now - self._absolute)
        with self._storage.write() as connection:
            connection.execute(delete(sessions).where(over))
            _make_room(connection)
            row = {"digest": _key(token), "person": person.id, "begun_at": now, "seen_at": now}
            connection.execute(insert(sessions).values(row))
        return token

    def person(self, token: str) -> Person | None:
        """See `SessionStore`."""
        found = self._look_up(token)
        if found is None:
            return None
        person, seen_at = found
        now = self._clock()
        if (now - seen_at).total_seconds() >= SEEN_EVERY_S:
            with self._storage.write() as connection:
                connection.execute(update(sessions).where(sessions.c.digest == _key(token)).values(seen_at=now))
        return self._person_of(person)

    def peek(self, token: str) -> Person | None:
        """See `SessionStore`; up to `PEEK_S` old."""
        if not token:
            return None
        key, now_s = _key(token), self._monotonic_s()
        with self._lock:
            person, good_until_s = self._peeked.get(key, (None, 0.0))
        if now_s >= good_until_s:
            found = self._look_up(token)
            person = found[0] if found else None
            with self._lock:
                self._peeked[key] = (person, now_s + PEEK_S)
                self._peeked.move_to_end(key)
                while len(self._peeked) > PEEKED_MAX:
                    self._peeked.popitem(last=False)
        return self._person_of(person) if person is not None else None

    def end(self, token: str) -> None:
        """See `SessionStore`."""
        if not token:
            return
        with self._storage.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.digest == _key(token)))
        with self._lock:
            self._peeked.pop(_key(token), None)

    def _look_up(self, token: str) -> tuple[str, datetime] | None:
        """The id of who holds a good session, and when they were last seen."""
        if not token:
            return None
        now = self._clock()
        query = select(sessions.c.person, sessions.c.seen_at).where(
            sessions.c.digest == _key(token),
            sessions.c.seen_at > now - self._idle,
            sessions.c.begun_at > now - self._absolute,
        )
        with self._storage.read() as connection:
            found = connection.execute(query).one_or_none()
        return (found.person, found.seen_at) if found else None


def _make_room(connection: Connection) -> None:
    """One session fewer than the bound, those not seen for longest gone."""
    count = connection.scalar(select(func.count()).select_from(sessions)) or 0
    if count >= SESSIONS_MAX:
        oldest = select(sessions.c.digest).order_by(sessions.c.seen_at).limit(count - SESSIONS_MAX + 1)
        connection.execute(delete(sessions).where(sessions.c.digest.in_(oldest)))


def _key(token: str) -> str:
    return token_digest(token).hex()

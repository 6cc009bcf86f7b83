"""Who is signed in where: what sessions are, and sessions in memory: gone with the process, few and not for long."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from terminal.serving.people import Person

TOKEN_BYTES = 32  # 256 bits: OWASP session management asks for 64 at least
ABSOLUTE_S = 12 * 3600  # a long shift; whoever works on signs in again
SESSIONS_MAX = 64  # one counter has a handful; the oldest gives way


def elapsed_s() -> float:
    """Seconds since boot, sleep included: a lid closed over night does not keep a cashier signed in."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Session:
    person: Person
    begun: float
    seen: float


class SessionCookie:
    """How a session stands in the browser; `cookie` must differ between servers of one machine (RFC 6265 8.5)."""

    def __init__(self, cookie: str, *, secure: bool = False) -> None:
        self.cookie = cookie
        self._secure = secure

    def hand_out(self, response: Response, token: str) -> None:
        """Set the session cookie; it ends with the browser."""
        response.set_cookie(self.cookie, token, httponly=True, samesite="strict", secure=self._secure, path="/")

    def take_back(self, response: Response) -> None:
        """Delete the session cookie."""
        response.delete_cookie(self.cookie, httponly=True, samesite="strict", secure=self._secure, path="/")


class SessionStore(Protocol):
    """Where sessions are kept, and their cookie."""

    cookie: str

    def begin(self, person: Person) -> str:
        """A new session's token, to be handed to the browser by `hand_out`."""

    def person(self, token: str) -> Person | None:
        """Who holds the token, if it is still good; counts as being there."""

    def peek(self, token: str) -> Person | None:
        """Who holds the token, without counting as being there: a page that polls is nobody at the counter."""

    def end(self, token: str) -> None:
        """Sign out; an unknown token is harmless."""

    def hand_out(self, response: Response, token: str) -> None:
        """Set the session cookie."""

    def take_back(self, response: Response) -> None:
        """Delete the session cookie."""


class Sessions(SessionCookie):
    """Sessions of one page server, in its memory.

    Only a hash of each token is kept, so neither a dump nor the time of a look-up gives one away.
    """

    def __init__(
        self,
        cookie: str,
        *,
        idle_s: float,
        absolute_s: float = ABSOLUTE_S,
        sessions_max: int = SESSIONS_MAX,
        secure: bool = False,
        clock: Callable[[], float] = elapsed_s,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(TOKEN_BYTES),
    ) -> None:
        super().__init__(cookie, secure=secure)
        self._idle_s = idle_s
        self._absolute_s = absolute_s
        self._sessions_max = sessions_max
        self._clock = clock
        self._token = token
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, person: Person) -> str:
        """A new session's token, to be handed to the browser by `hand_out`."""
        now = self._clock()
        for key in [key for key, session in self._sessions.items() if not self._good(session, now)]:
            del self._sessions[key]
        while len(self._sessions) >= self._sessions_max:
            self._sessions.popitem(last=False)
        token = self._token()
        self._sessions[token_digest(token)] = _Session(person, now, now)
        return token

    def person(self, token: str) -> Person | None:
        """Who holds the token, if it is still good; counts as being there."""
        session = self._find(token)
        if session is None:
            return None
        session.seen = self._clock()
        self._sessions.move_to_end(token_digest(token))
        return session.person

    def peek(self, token: str) -> Person | None:
        """Who holds the token, without counting as being there: a page that polls is nobody at the counter."""
        session = self._find(token)
        return session.person if session else None

    def end(self, token: str) -> None:
        """Sign out; an unknown token is harmless."""
        self._sessions.pop(token_digest(token), None)

    def _find(self, token: str) -> _Session | None:
        session = self._sessions.get(token_digest(token))
        if session is not None and not self._good(session, self._clock()):
            self.end(token)
            return None
        return session

    def _good(self, session: _Session, now: float) -> bool:
        return now - session.seen < self._idle_s and now - session.begun < self._absolute_s


def token_digest(token: str) -> bytes:
    """What is kept of a token (32 bytes): neither a dump nor the time of a look-up gives the token away."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

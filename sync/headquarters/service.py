"""What headquarters does for terminals, each from the request as it came to the words of the answer.

Everything here blocks on the database, so the web calls it off the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from sync.errors import ChainForked, MessageMalformed, SequenceGap, TerminalRevoked
from sync.headquarters import enrolment, fleet, keys
from sync.headquarters.door import Door, plain_body
from sync.headquarters.feeds import Feed
from sync.headquarters.ingest import Forked, Judge, Missing, Outcome, Revoked, Taken, ingest
from sync.headquarters.people import audit
from sync.headquarters.storage import Storage
from sync.signing import DeviceKey, HttpRequest
from sync.wire import (
    ACCEPTS_CONDITION,
    Acknowledgement,
    EnrolmentAnswer,
    EnrolmentRequest,
    EntryBatch,
    Flag,
    parse_message,
    timestamp,
)
from sync.wire_keys import KeyRotated, KeyRotation
from terminal.serving.people import Person

if TYPE_CHECKING:
    from terminal.ledger.project import Redemption

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a terminal is told of its batch, and the redemptions that the batch brought or moved on."""

    answer: Acknowledgement
    changed: tuple[Redemption, ...]


class Headquarters:
    """The service behind the web; callable from any thread."""

    def __init__(
        self,
        storage: Storage,
        key: DeviceKey,
        *,
        clock_skew_s_max: int,
        code_life_s: int,
        clock: Callable[[], datetime] = utc_now,
        judges: Sequence[Judge] = (),
        feeds: Sequence[Feed] = (),
    ) -> None:
        self.storage = storage
        self._judges = tuple(judges)
        self._feeds = tuple(feeds)
        self.clock = clock
        self.door = Door(storage, key, clock_skew_s_max)
        self._key = key
        self._code_life_s = code_life_s

    def check(self) -> None:
        """Ask the database whether it is there. Raises `StorageUnavailable`."""
        with self.storage.read() as connection:
            connection.execute(select(1))

    def push(self, request: HttpRequest, terminal: str) -> Pushed:
        """Take the batch in `request`, sent to the address of `terminal`.

        Raises the errors of `Door.identify`, `MessageMalformed`, `BodyTooLarge`, `EncodingUnknown`, `NonceReplayed`,
        `SequenceGap` and `ChainForked` (both with `expected`), `StorageUnavailable`.
        """
        now = self.clock()
        caller = self.door.identify(request, terminal, now)
        batch = parse_message(EntryBatch, plain_body(request))
        if batch.terminal != terminal:
            raise MessageMalformed("push", terminal, reason="terminal: another one's batch")
        with self.storage.write() as connection:
            caller.claim.take(connection, now)
            outcome = ingest(connection, batch, now=now, skew_ms=caller.skew_ms, judges=self._judges)
            # A terminal that still has entries to send fetches nothing yet, so in a backlog nobody looks for news.
            news = self._news(connection, terminal) if isinstance(outcome, Taken) and not batch.waiting else {}
        taken = _taken(outcome, terminal)
        flagged = tuple(Flag(sequence=sequence, code=code) for sequence, code in taken.flagged)
        answer = Acknowledgement(
            acknowledged=taken.acknowledged,
            flagged=flagged,
            time=timestamp(self.clock()),
            news=news,
            accepts=(ACCEPTS_CONDITION,),
            rotate_key=taken.rotate_key,
            head=taken.head,
        )
        return Pushed(answer, taken.changed)

    def _news(self, connection: Connection, terminal: str) -> dict[str, str]:
        if not self._feeds:
            return {}
        place = fleet.place_of(connection, terminal)
        versions = {feed.name: feed.version(connection, place) for feed in self._feeds}
        return {name: version for name, version in versions.items() if version is not None}

    def enrol(self, request: HttpRequest, address: str) -> EnrolmentAnswer:
        """Make the machine that sent `request` from `address` a terminal.

        Raises `TooManyAttempts`, `CodeRefused`, the errors of `Door.identify_newcomer` and those of a message.
        """
        now = self.clock()
        with self.storage.write() as connection:
            enrolment.count_attempt(connection, address, now)
        asked = parse_message(EnrolmentRequest, plain_body(request))
        caller = self.door.identify_newcomer(request, asked.public_key, now)
        with self.storage.write() as connection:
            caller.claim.take(connection, now)
            answer = enrolment.enrol(connection, asked, key=self._key.public, now=now)
        logger.info("terminal %s enrolled for %s %s", answer.terminal, answer.merchant, answer.site)
        return answer

    def rotate_key(self, request: HttpRequest, terminal: str) -> KeyRotated:
        """Pin the new key that `terminal` brings.

        Raises the errors of `Door.identify`, those of a message, `NonceReplayed`, `StorageUnavailable`.
        """
        now = self.clock()
        caller = self.door.identify(request, terminal, now)
        asked = parse_message(KeyRotation, plain_body(request))
        with self.storage.write() as connection:
            caller.claim.take(connection, now)
            answer = keys.pin(connection, caller, asked, now)
        logger.info("terminal %s has a new key", terminal)
        return answer

    @property
    def judges(self) -> tuple[Judge, ...]:
        """What looks at every batch."""
        return self._judges

    def issue_code(self, invitation: enrolment.Invitation, *, by: Person) -> str:
        """A one-time code that makes the next machine to bring it `invitation.terminal`. Raises `TerminalTaken`."""
        now = self.clock()
        with self.storage.write() as connection:
            audit.note(connection, by, "terminal-invited", invitation.terminal, now=now)
            return enrolment.issue(
                connection, invitation, by=by.id, key=self._key.public, now=now, life_s=self._code_life_s
            )


def _taken(outcome: Outcome, terminal: str) -> Taken:
    """The good outcome; the others as the errors that a terminal is told."""
    match outcome:
        case Taken():
            return outcome
        case Missing(expected):
            raise SequenceGap("push", terminal, expected=expected)
        case Forked(expected):
            logger.warning("terminal %s is in quarantine: its chain forks at entry %d", terminal, expected)
            raise ChainForked("push", terminal, expected=expected, sequence=expected)
        case Revoked():
            raise TerminalRevoked("push", terminal)

"""Entries up to headquarters, in sequence, exactly once in effect: one step is one batch and what its answer means.

Only an answer that headquarters provably gave to this very batch moves anything. The watermark never goes beyond what
was sent and never back; where headquarters lacks older entries (it was restored, say), a cursor goes back instead and
they are sent again, for a repeat is harmless there. Headquarters refuses no fact, so a batch either gets on, or the
answer says where the two ledgers part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from sync.enrolment import Enrolment
from sync.errors import (
    AnswerUnverified,
    ChainForked,
    LineDown,
    MessageMalformed,
    OutboxBroken,
    SequenceGap,
    SignatureInvalid,
    SignatureMissing,
)
from sync.line import HEARTBEAT_STEP_S_MAX, STEP_S_MAX, Exchange, Line
from sync.refusals import is_proven, problem_of, refusal
from sync.signing import verify_response
from sync.wire import (
    ACCEPTS_CONDITION,
    BATCH_ENTRIES_MAX,
    Acknowledgement,
    Condition,
    EntryBatch,
    EntryMessage,
    Flag,
    ProblemCode,
    encode_message,
    entries_path,
    parse_message,
    parse_timestamp,
)
from terminal.ledger.errors import LedgerForked

if TYPE_CHECKING:
    from terminal.ledger.entry import StoredEntry
    from terminal.ledger.queries import Waiting

logger = logging.getLogger(__name__)

# Canonical bytes of one batch: a quarter of what a body may have, for JSON escaping may double them, and a slow uplink
# should not carry a day in one go.
BATCH_BYTES_MAX: Final = 1024 * 1024
# How often headquarters may send us back without getting ahead before that is a fault to be shown.
REWINDS_MAX: Final = 3


class Outbox(Protocol):
    """What the upload needs of the ledger, which *is* the queue of what waits. Callable from any thread."""

    def entries(self, after: int, limit: int) -> Sequence[StoredEntry]:
        """At most `limit` entries after the sequence `after`, in order."""

    def last_sequence(self) -> int:
        """The last entry's sequence, 0 when there is none."""

    def watermark(self) -> int:
        """Up to which sequence headquarters has acknowledged."""

    def set_watermark(self, sequence: int, hq_time: str | None) -> None:
        """Headquarters has every entry up to `sequence`."""

    def waiting(self) -> Waiting:
        """How many wait, and since when."""

    def declare_forked(self, reason: str) -> None:
        """Headquarters holds other entries under our numbers: sales stop. Raises `LedgerForked`."""


class Clock(Protocol):
    """What sync asks and tells about time."""

    def wall(self) -> datetime:
        """The PC's wall clock, aware, UTC."""

    def heard_from_headquarters(self, said: datetime) -> None:
        """Headquarters' time, just now received."""

    @property
    def skew_ms(self) -> int | None:
        """How far the wall clock is ahead of headquarters'; None when that has not been heard."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one exchange did: entries sent, what headquarters found fault with, whether more is ready to go at once.

    `news` is the version of each feed that this terminal should have by now; `rotate_key`: headquarters asks for a new
    key. `receipt` is the proven exchange that acknowledged everything there is, when this one did.
    """

    sent: int
    flagged: tuple[Flag, ...]
    more: bool
    news: Mapping[str, str] = field(default_factory=dict)
    rotate_key: bool = False
    receipt: Exchange | None = None


class Upload:
    """The one drainer of an outbox. Not thread-safe: the agent holds its lock around `step`."""

    def __init__(
        self,
        outbox: Outbox,
        line: Line,
        enrolment: Enrolment,
        clock: Clock,
        condition: Callable[[], Condition | None] = lambda: None,
    ) -> None:
        """`condition`: how the terminal is, for headquarters to see; None when nothing can be said."""
        self._outbox = outbox
        self._line = line
        self._enrolment = enrolment
        self._clock = clock
        self._condition = condition
        self._accepts: tuple[str, ...] = ()  # what headquarters said a batch may hold; nothing before its first answer
        self._path = entries_path(enrolment.terminal)
        self._cursor: int | None = None  # where headquarters sent us back to; None: the watermark
        self._rewinds = 0
        self._limit = BATCH_ENTRIES_MAX  # fewer on a line or at a headquarters too slow for as many

    def step(self) -> Step:
        """Sends the next batch, or an empty one (the heartbeat) when nothing waits, and takes in the answer.

        Raises what stops a run: `LineDown`, an error of `sync.refusals`, `AnswerUnverified`, `SequenceGap` (sent back
        again and again), `ChainForked` (for good), `OutboxBroken`, and the ledger's own.
        """
        after = self._outbox.watermark() if self._cursor is None else self._cursor
        batch = self._batch(after)
        exchange = self._exchange(batch)
        problem = problem_of(exchange.response)
        if exchange.response.status == 200:
            self._limit = min(self._limit * 2, BATCH_ENTRIES_MAX)
            return self._acknowledged(exchange, batch, after)
        if problem.code == ProblemCode.SEQUENCE_GAP and problem.expected is not None:
            self._verify(exchange)
            self._send_back(problem.expected - 1)
            return Step(len(batch.entries), (), more=True)
        if problem.code == ProblemCode.CHAIN_FORKED:
            self._verify(exchange)
            self._fork(after + 1 if problem.expected is None else problem.expected)
        if exchange.response.status == 413 and len(batch.entries) > 1:
            self._shrink(batch)
            return Step(0, (), more=True)
        proven = is_proven(exchange.response, exchange.request, self._enrolment.headquarters_key)
        raise refusal(exchange.response, self._line.url, "send entries", proven=proven)

    def _batch(self, after: int) -> EntryBatch:
        """The entries after `after` that fit one batch; always one when there is one."""
        messages: list[EntryMessage] = []
        size = 0
        for number, entry in enumerate(self._outbox.entries(after, self._limit), start=after + 1):
            if entry.sequence != number:
                raise OutboxBroken("read", self._enrolment.terminal, sequence=number - 1)
            size += len(entry.canonical)
            if messages and size > BATCH_BYTES_MAX:
                break
            messages.append(EntryMessage(sequence=number, hash=entry.hash, body=entry.canonical.decode()))
        left = max(0, self._outbox.last_sequence() - after - len(messages))
        return EntryBatch(
            terminal=self._enrolment.terminal,
            entries=tuple(messages),
            waiting=left,
            skew_ms=self._clock.skew_ms,
            condition=self._condition() if ACCEPTS_CONDITION in self._accepts else None,
        )

    def _exchange(self, batch: EntryBatch) -> Exchange:
        """The batch sent; once more with headquarters' time when only our clock was wrong."""
        plain = encode_message(batch, leave_out_none=True)  # an older headquarters does not know every field
        step_s = STEP_S_MAX if batch.entries else HEARTBEAT_STEP_S_MAX
        try:
            exchange = self._line.post(self._path, plain, now=self.now(), step_s=step_s)
            problem = problem_of(exchange.response)
            if problem.code == ProblemCode.CLOCK_SKEWED and problem.time is not None:
                self._verify(exchange)
                self._clock.heard_from_headquarters(parse_timestamp(problem.time))
                exchange = self._line.post(self._path, plain, now=self.now(), step_s=step_s)
        except LineDown as error:
            if error.details["timed_out"] and batch.entries:
                self._shrink(batch)
            raise
        return exchange

    def now(self) -> datetime:
        """The time to sign with: headquarters' as far as we know it, for a wrong clock must not hold back a fact."""
        return self._clock.wall() - timedelta(milliseconds=self._clock.skew_ms or 0)

    def _shrink(self, batch: EntryBatch) -> None:
        """Half as many next time: whatever is too slow or too small on the way, single entries get through at last."""
        self._limit = max(1, min(self._limit, len(batch.entries)) // 2)

    def _acknowledged(self, exchange: Exchange, batch: EntryBatch, after: int) -> Step:
        """Believes an acknowledgement, as far as it goes."""
        self._verify(exchange)
        try:
            answer = parse_message(Acknowledgement, exchange.response.body)
            self._clock.heard_from_headquarters(parse_timestamp(answer.time))
        except MessageMalformed as error:
            raise AnswerUnverified("read", self._line.url, reason=error.what_text("en")) from error
        for flag in answer.flagged:
            logger.warning("headquarters flags entry %d: %s", flag.sequence, flag.code)
        if answer.acknowledged > self._outbox.last_sequence():
            self._fork(self._outbox.last_sequence() + 1)
        if answer.acknowledged < after or (batch.entries and answer.acknowledged == after):
            self._send_back(answer.acknowledged)
            return Step(len(batch.entries), answer.flagged, more=True)
        if batch.entries:
            self._advance(min(answer.acknowledged, batch.entries[-1].sequence), answer.time)
        self._accepts = answer.accepts
        done = self._outbox.watermark() if self._cursor is None else self._cursor
        more = done < self._outbox.last_sequence()
        receipt = exchange if batch.entries and not more and answer.head is not None else None
        return Step(len(batch.entries), answer.flagged, more, answer.news, answer.rotate_key, receipt)

    def _advance(self, sequence: int, hq_time: str) -> None:
        """Headquarters has everything up to `sequence`, which we sent."""
        self._rewinds = 0
        if sequence > self._outbox.watermark():
            self._outbox.set_watermark(sequence, hq_time)
        self._cursor = sequence if sequence < self._outbox.watermark() else None

    def _send_back(self, sequence: int) -> None:
        """Headquarters has only what is up to `sequence`: go on after it."""
        if sequence > self._outbox.last_sequence():
            self._fork(self._outbox.last_sequence() + 1)
        self._rewinds += 1
        self._cursor = max(sequence, 0)
        if self._rewinds > REWINDS_MAX:
            self._rewinds = 0
            raise SequenceGap("send entries", self._line.url, expected=sequence + 1)

    def _fork(self, sequence: int) -> NoReturn:
        """Tells the ledger, which stops sales, and stops this upload."""
        fork = ChainForked("send entries", self._enrolment.terminal, sequence=sequence)
        try:
            self._outbox.declare_forked(f"headquarters has another entry {sequence}")
        except LedgerForked as error:
            raise fork from error
        raise fork

    def _verify(self, exchange: Exchange) -> None:
        """Only headquarters' own answer to this very request passes."""
        try:
            verify_response(exchange.response, exchange.request, headquarters_key=self._enrolment.headquarters_key)
        except (SignatureInvalid, SignatureMissing) as error:
            raise AnswerUnverified("send entries", self._line.url, reason=error.what_text("en")) from error

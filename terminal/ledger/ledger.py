"""The ledger of one terminal: every step of every redemption, on disk before anybody hears of it.

Writes run one after another on `ledger.writer` and return when they are durable; they may be called from any thread,
and cheaply from asyncio: `await loop.run_in_executor(ledger.writer, ledger.authorise, sale)`. Reads never wait for a
write. Every step is idempotent by the redemption's id: a repeat answers what is recorded, with `repeat=True`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from terminal.ledger import allowances, database, health, projections, steps
from terminal.ledger.allowances import Allowances
from terminal.ledger.bodies import TEXT_CHARS_MAX, Authorisation, Body, check_authorisation, refuse_card_numbers
from terminal.ledger.clock import Clock
from terminal.ledger.entry import CASHIER_CHARS_MAX, StoredEntry
from terminal.ledger.errors import EntryInvalid, LedgerForked, RedemptionUnknown
from terminal.ledger.grants import Right
from terminal.ledger.head import HeadFile
from terminal.ledger.health import LedgerHealth
from terminal.ledger.project import Redemption
from terminal.ledger.queries import DAY_REDEMPTIONS_MAX, Queries, Waiting
from terminal.ledger.writer import Writer, WriterThread

SYSTEM_CASHIER = "system"  # the cashier of what nobody does by hand: the cancellation after a time-out


class Ledger:
    """An open ledger.

    Made by `Ledger.open`, ended by `close`; the methods' errors stand in `terminal.ledger.errors`.
    """

    def __init__(self, path: Path, writer: Writer, thread: WriterThread, queries: Queries, head_file: HeadFile) -> None:
        self.path = path
        self.writer = thread
        self.allowances = Allowances(writer, thread, queries)
        self._writing = writer
        self._queries = queries
        self._head_file = head_file
        self._closed = False

    @classmethod
    def open(cls, path: Path, terminal: str, clock: Clock) -> Ledger:
        """Open or create the ledger of `terminal` at `path`, bring its schema up, and prove its last entries.

        Raises `LedgerLocked` (another daemon), `LedgerForked`, `LedgerDamaged`, `LedgerNewer`, `LedgerFull`,
        `LedgerDisk`.
        """
        database.create_private(path)
        head_file = HeadFile.take(path)
        thread = WriterThread()
        try:
            writer = Writer(path, terminal, clock, head_file)
            thread.run(writer.open)
        except BaseException:
            thread.shutdown()
            head_file.release()
            raise
        return cls(path, writer, thread, Queries(path), head_file)

    def close(self) -> None:
        """Finish what waits, close the file and let go of it. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._queries.close()
        self.writer.run(self._writing.close)
        self.writer.shutdown()
        self._head_file.release()

    def authorise(self, asked: Authorisation, right: Right | None = None) -> Redemption:
        """Open a redemption and use up its claims, all or nothing. `right`: which of them rest on headquarters' grants.

        Raises `LimitMoved` when a claim no longer fits, `HoldLate`, `RedemptionConflict` when the id names another
        sale, `EntryInvalid` or `CardNumberTyped` for content that may not be kept, and `LedgerStopped` kinds.
        """
        return self.writer.run(self._authorise, asked, right)

    def complete(self, redemption_id: str, cashier: str, pos_reference: str | None = None) -> Redemption:
        """The bank's POS took the money. Raises `RedemptionUnknown`, `RedemptionConflict`."""
        self._check_typed("complete", redemption_id, cashier, pos_reference=pos_reference)
        return self._step("complete", redemption_id, cashier, lambda now: steps.completion(now, pos_reference))

    def cancel(self, redemption_id: str, cashier: str, reason: str) -> Redemption:
        """The POS did not take the money: all claims are given back.

        Raises `RedemptionUnknown`, `RedemptionConflict`.
        """
        self._check_typed("cancel", redemption_id, cashier, reason=reason)
        return self._step("cancel", redemption_id, cashier, lambda now: steps.cancellation(now, reason))

    def void(self, redemption_id: str, cashier: str, reason: str, units: int | None = None) -> Redemption:
        """A mistake found later: `units` of the sale shall be void in all (None: all); their claims are given back.

        `units` is the number that shall be void, not one more: asking again for the same number changes nothing.
        Raises `RedemptionUnknown`, `RedemptionConflict`.
        """
        self._check_typed("void", redemption_id, cashier, reason=reason)
        return self._step("void", redemption_id, cashier, lambda now: steps.voiding(now, reason, units))

    def set_watermark(self, sequence: int, hq_time: str | None) -> None:
        """Headquarters has every entry up to `sequence`. Its word holds also when it goes back: then it lost some.

        Raises `LedgerForked`, and stops sales, when it has more than was ever written here.
        """
        self.writer.run(self._set_watermark, sequence, hq_time)

    def declare_forked(self, reason: str) -> None:
        """Headquarters holds another entry under a sequence of ours: stop sales, also after a restart."""
        self.writer.run(self._declare_forked, reason)

    def probe(self) -> None:
        """After a full disk or a fault: prove that the ledger can be written again.

        Raises what still stands in the way.
        """
        self.writer.run(self._writing.probe)

    def redemption(self, redemption_id: str) -> Redemption | None:
        """The redemption as it stands, None when this terminal has none of this id."""
        return self._queries.redemption(redemption_id)

    def redemptions(self, day: str, limit: int = DAY_REDEMPTIONS_MAX, offset: int = 0) -> list[Redemption]:
        """The redemptions authorised on the business `day` (YYYY-MM-DD), in the order of sale, or a page of them."""
        return self._queries.redemptions(day, limit, offset)

    def count(self, day: str) -> int:
        """How many redemptions the business `day` has."""
        return self._queries.count(day)

    def unsettled(self) -> list[Redemption]:
        """Authorised, neither completed nor cancelled; oldest first."""
        return self._queries.unsettled()

    def used(self, key: str) -> int:
        """What is used up under `key` on this terminal."""
        return self._queries.used(key)

    def latest_used(self, prefix: str) -> str | None:
        """The last key, in alphabetical order, of those that begin with `prefix` and are in use; None: none is."""
        return self._queries.latest_used(prefix)

    def entries(self, after: int, limit: int) -> list[StoredEntry]:
        """Entries after the sequence `after`, in order: the bytes headquarters gets."""
        return self._queries.entries(after, limit)

    def last_sequence(self) -> int:
        """The last entry's sequence, 0 when there is none."""
        return self._queries.head().sequence

    def last_hash(self) -> str:
        """The last entry's hash in hex; 64 zeros when there is none."""
        return self._queries.head().hash.hex()

    def watermark(self) -> int:
        """Up to which sequence headquarters has acknowledged."""
        return self._queries.watermark()[0]

    def waiting(self) -> Waiting:
        """How many entries wait for headquarters, and since when."""
        return self._queries.waiting()

    def health(self) -> LedgerHealth:
        """How the ledger is; a few reads, no write. Raises `LedgerStopped` kinds when it cannot even be read."""
        free = health.free_bytes(self.path)
        return LedgerHealth(
            sequence=self.last_sequence(),
            watermark=self.watermark(),
            waiting=self.waiting(),
            stopped=self._writing.stopped,
            warnings=health.warnings(free, self._head_file.fault),
            free_bytes=free,
            file_bytes=health.file_bytes(self.path),
            sqlite_version=sqlite3.sqlite_version,
        )

    def _authorise(self, asked: Authorisation, right: Right | None) -> Redemption:
        sale = check_authorisation(asked)
        self._check_typed("authorise", sale.id, sale.cashier)
        with self._writing.transaction("authorise", sale.id) as step:
            recorded = projections.load(step.execute, sale.id)
            if recorded is not None:
                steps.check_same_sale(recorded, sale)
                return replace(recorded, repeat=True)
            if right is not None:
                sale = allowances.covered(step.execute, sale, right, step.clock)
            return step.record(None, sale.id, sale.cashier, sale)

    def _step(
        self, operation: str, redemption_id: str, cashier: str, plan: Callable[[Redemption], Body | None]
    ) -> Redemption:
        return self.writer.run(self._take_step, operation, redemption_id, cashier, plan)

    def _take_step(
        self, operation: str, redemption_id: str, cashier: str, plan: Callable[[Redemption], Body | None]
    ) -> Redemption:
        with self._writing.transaction(operation, redemption_id) as step:
            current = projections.load(step.execute, redemption_id)
            if current is None:
                raise RedemptionUnknown(operation, redemption_id)
            body = plan(current)
            if body is None:
                return replace(current, repeat=True)
            return step.record(current, redemption_id, cashier, body)

    def _set_watermark(self, sequence: int, hq_time: str | None) -> None:
        if sequence > self._writing.head.sequence:
            self._declare_forked(f"headquarters has {sequence}, here are {self._writing.head.sequence}")
        with self._writing.transaction("acknowledge", str(sequence)) as step:
            step.execute("UPDATE ledger SET watermark = ?, watermark_hq_time = ?", (sequence, hq_time))

    def _declare_forked(self, reason: str) -> None:
        with self._writing.transaction("declare forked", str(self.path)) as step:
            step.execute("UPDATE ledger SET forked = ?", (reason,))
        fork = LedgerForked("sell", str(self.path), reason=reason)
        self._writing.stop(fork)
        raise fork

    def _check_typed(self, operation: str, redemption_id: str, cashier: str, **typed: str | None) -> None:
        """Everything a person typed is short, not empty, and no card number."""
        if not 0 < len(cashier) <= CASHIER_CHARS_MAX:
            raise EntryInvalid(operation, redemption_id, reason="cashier")
        for field, text in typed.items():
            if text is not None and not 0 < len(text) <= TEXT_CHARS_MAX:
                raise EntryInvalid(operation, redemption_id, reason=field)
            refuse_card_numbers(operation, redemption_id, field, text)

"""A ledger as sync sees it, in memory: entries with a real hash chain, a watermark that is watched."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime

from terminal.ledger.entry import StoredEntry
from terminal.ledger.errors import LedgerForked
from terminal.ledger.queries import Waiting

AT = "2012-12-25T01:30:00.000Z"


class MemoryOutbox:
    """Satisfies `sync.upload.Outbox`; every move of the watermark is kept in `watermarks`."""

    def __init__(self) -> None:
        self.stored: list[StoredEntry] = []
        self.watermarks: list[int] = [0]
        self.forked: str | None = None
        self._lock = threading.RLock()

    def add(self, count: int, text: str = "ticket") -> None:
        """`count` more entries, chained."""
        with self._lock:
            for _ in range(count):
                sequence = len(self.stored) + 1
                body = {"sequence": sequence, "at": AT, "text": text}
                canonical = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
                previous = bytes.fromhex(self.stored[-1].hash) if self.stored else bytes(32)
                digest = hashlib.sha256(previous + canonical).hexdigest()
                self.stored.append(StoredEntry(sequence, digest, canonical))

    def entries(self, after: int, limit: int) -> list[StoredEntry]:
        with self._lock:
            return self.stored[after : after + limit]

    def last_sequence(self) -> int:
        with self._lock:
            return len(self.stored)

    def watermark(self) -> int:
        with self._lock:
            return self.watermarks[-1]

    def set_watermark(self, sequence: int, hq_time: str | None) -> None:
        with self._lock:
            assert hq_time is not None
            assert sequence > self.watermarks[-1], "the watermark only goes forward"
            assert sequence <= len(self.stored), "the watermark never passes what was written"
            self.watermarks.append(sequence)

    def waiting(self) -> Waiting:
        with self._lock:
            count = len(self.stored) - self.watermarks[-1]
            return Waiting(count, AT if count else None)

    def declare_forked(self, reason: str) -> None:
        self.forked = reason
        raise LedgerForked("sell", "memory", reason=reason)


class FreeClock:
    """The wall clock with an error that a test sets, corrected by headquarters' word."""

    def __init__(self, error_ms: int = 0) -> None:
        self.error_ms = error_ms
        self._skew_ms: int | None = None

    def wall(self) -> datetime:
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self.error_ms / 1000, UTC)

    def heard_from_headquarters(self, said: datetime) -> None:
        self._skew_ms = round((self.wall() - said).total_seconds() * 1000)

    @property
    def skew_ms(self) -> int | None:
        return self._skew_ms

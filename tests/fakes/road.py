"""A terminal's ledger, a headquarters, and the upload between them, in one process."""

from __future__ import annotations

from collections import deque

from config.errors import JingkaError, Retry
from sync.enrolment import Enrolment
from sync.line import Line
from sync.signing import DeviceKey
from sync.upload import Upload
from sync.wire import EntryBatch, decode_body, parse_message
from terminal.ledger.entry import StoredEntry
from tests.fakes.headquarters import FakeHeadquarters, Fault
from tests.fakes.outbox import FreeClock, MemoryOutbox

TERMINAL = "cinema-1"
KEY = DeviceKey.from_private(bytes(range(32)))
HEADQUARTERS_KEY = DeviceKey.from_private(bytes(range(32, 64)))
STEPS_MAX = 200  # far more than any script of a test needs


class Road:
    """An outbox, a headquarters, and the upload between them."""

    def __init__(self, *faults: Fault, clock_error_ms: int = 0) -> None:
        self.headquarters = FakeHeadquarters(key=HEADQUARTERS_KEY, faults=deque(faults))
        self.headquarters.terminals[TERMINAL] = KEY.public
        self.outbox = MemoryOutbox()
        self.clock = FreeClock(clock_error_ms)
        self.line = Line("http://hq.example", key=KEY, key_id=TERMINAL, transport=self.headquarters.transport())
        self.upload = self.new_upload()

    def new_upload(self) -> Upload:
        """As after a restart of the daemon."""
        enrolment = Enrolment(TERMINAL, "dahua", "lobby", "dahua lobby", HEADQUARTERS_KEY.public)
        return Upload(self.outbox, self.line, enrolment, self.clock)

    def drain(self) -> list[JingkaError]:
        """Steps until nothing waits, through whatever passes by itself; what stopped it on the way."""
        errors: list[JingkaError] = []
        for _ in range(STEPS_MAX):
            try:
                if not self.upload.step().more and not self.headquarters.faults:
                    return errors
            except JingkaError as error:
                if error.retry is not Retry.RETRY:
                    raise
                errors.append(error)
        raise AssertionError("never done")

    def arrived(self) -> list[int]:
        return self.headquarters.sequences(TERMINAL)

    def batches(self) -> list[list[int]]:
        """The sequences of each batch that arrived."""
        sent = []
        for request in self.headquarters.requests:
            plain = decode_body(request.body, request.headers.get("content-encoding"))
            sent.append([entry.sequence for entry in parse_message(EntryBatch, plain).entries])
        return sent

    def agree(self) -> None:
        """Headquarters has exactly the ledger, byte for byte, and the watermark says so."""
        kept = [StoredEntry(e.sequence, e.hash, e.body.encode()) for e in self.headquarters.entries[TERMINAL]]
        assert kept == self.outbox.stored
        assert self.outbox.watermark() == len(self.outbox.stored)

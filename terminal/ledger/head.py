"""The head file beside the ledger: `<ledger>.head` holds the last sequence and hash, and the lock of the one daemon.

It is written after each commit and never before, so it is at most as far as the ledger. A ledger that is behind its
head file, or has another hash at that place, is an old copy put back. Not synced: after a power cut it may be behind,
never ahead.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

from terminal.ledger.database import PRIVATE, disk_fault
from terminal.ledger.entry import GENESIS
from terminal.ledger.errors import LedgerLocked

_LINE = re.compile(rb"(\d{20}) ([0-9a-f]{64})\n")
_LINE_BYTES = 86  # fixed, so that writing it again never needs room on the disk


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: its sequence (0: none yet) and its hash."""

    sequence: int = 0
    hash: bytes = GENESIS


class HeadFile:
    """The open, locked head file. Made by `take`, given back by `release`."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.fault: OSError | None = None  # why the last write failed; shown by health, a sale does not depend on it

    @classmethod
    def take(cls, ledger: Path) -> HeadFile:
        """Lock the ledger at `ledger` for this process. Raises `LedgerLocked`, `LedgerDisk`, `LedgerFull`."""
        try:
            handle = os.open(head_path(ledger), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise disk_fault(error, "lock", str(ledger)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise LedgerLocked("lock", str(ledger)) from error
        return cls(handle)

    def read(self) -> Head | None:
        """The head as last written; None when there is none, or a power cut left it unreadable."""
        line = _LINE.fullmatch(os.pread(self._handle, _LINE_BYTES + 1, 0))
        return None if line is None else Head(int(line[1]), bytes.fromhex(line[2].decode("ascii")))

    def write(self, head: Head) -> None:
        """Note `head`, which is committed already: a fault here is kept in `fault` and undoes nothing."""
        try:
            os.pwrite(self._handle, b"%020d %s\n" % (head.sequence, head.hash.hex().encode("ascii")), 0)
        except OSError as error:
            self.fault = error
        else:
            self.fault = None

    def release(self) -> None:
        """Let another process take the ledger."""
        os.close(self._handle)


def head_path(ledger: Path) -> Path:
    """Where the head file of `ledger` stands."""
    return ledger.with_name(ledger.name + ".head")

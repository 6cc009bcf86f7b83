"""How the ledger is, quickly enough for a page that asks every second."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from config.errors import Words
from terminal.ledger.errors import LedgerStopped
from terminal.ledger.queries import Waiting

FREE_BYTES_LOW = 256 * 1024 * 1024  # some 200,000 sales: weeks of warning before the disk is full
SQLITE_WITHOUT_WAL_RESET_FAULT = (3, 51, 3)  # sqlite.org/wal.html#walresetbug; 3.7.0 to 3.51.2 have it


class WarningCode(StrEnum):
    """What should be looked at while sales go on."""

    DISK_LOW = "disk-low"
    HEAD_FILE = "head-file"
    SQLITE_WAL_RESET = "sqlite-wal-reset"


WARNING_WORDS: dict[WarningCode, Words] = {
    WarningCode.DISK_LOW: Words("磁盘剩余空间不足，请尽快清理", "little disk space is left; free some soon"),
    WarningCode.HEAD_FILE: Words(
        "账本旁的 .head 文件无法写入，旧备份将难以识别",
        "the .head file cannot be written; a restored copy may go unseen",
    ),
    WarningCode.SQLITE_WAL_RESET: Words(
        "SQLite 版本低于 3.51.3；本程序的用法不受其缺陷影响，但不要用其他工具打开账本",
        "SQLite is older than 3.51.3; this program keeps clear of its fault, but open the ledger with no other tool",
    ),
}


@dataclass(frozen=True, slots=True)
class LedgerHealth:
    """`stopped` is why nothing can be sold, None when all is well; `file_bytes` counts the ledger and its WAL."""

    sequence: int
    watermark: int
    waiting: Waiting
    stopped: LedgerStopped | None
    warnings: tuple[WarningCode, ...]
    free_bytes: int
    file_bytes: int
    sqlite_version: str

    @property
    def ok(self) -> bool:
        """Whether sales may go on."""
        return self.stopped is None


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write on the disk of `path`."""
    room = os.statvfs(path.parent)
    return room.f_bavail * room.f_frsize


def file_bytes(path: Path) -> int:
    """The ledger and its WAL, which is absent when the ledger is closed."""
    wal = path.with_name(path.name + "-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def warnings(
    free: int, head_fault: OSError | None, sqlite_version: tuple[int, ...] = sqlite3.sqlite_version_info
) -> tuple[WarningCode, ...]:
    """What to look at, by code."""
    signs = {
        WarningCode.DISK_LOW: free < FREE_BYTES_LOW,
        WarningCode.HEAD_FILE: head_fault is not None,
        WarningCode.SQLITE_WAL_RESET: sqlite_version < SQLITE_WITHOUT_WAL_RESET_FAULT,
    }
    return tuple(code for code, shows in signs.items() if shows)

"""Files that are replaced as a whole: written beside the old one and renamed, so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

Answer = TypeVar("Answer")


class FileIdentity(NamedTuple):
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """From an `os.stat` or `os.fstat` answer."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def write_whole(out: Path, mode: int, write: Callable[[BinaryIO], Answer]) -> Answer:
    """Let `write` fill a file beside `out`, make it durable, then rename it: a reader sees the old file or the new one.

    Returns what `write` returns. Raises OSError and whatever `write` raises; then `out` is as it was.
    """
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            answer = write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
    return answer

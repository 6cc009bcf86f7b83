"""Files that only the daemon's user may read, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from sync.errors import KeyDamaged, KeyExists, KeyExposed, KeyMissing

_OTHERS: Final = 0o077  # group and world, any right
_PRIVATE_MODE: Final = 0o600
# A key or an enrolment is a few hundred bytes; a bigger file is not one of ours.
PRIVATE_FILE_BYTES_MAX: Final = 64 * 1024


def read_private(path: Path) -> bytes:
    """The file's bytes; errors `KeyMissing`, `KeyExposed` (group or world have any right), `KeyDamaged` (too big)."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & _OTHERS:
                raise KeyExposed("read", str(path), mode=f"{mode:03o}")
            content = file.read(PRIVATE_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise KeyMissing("read", str(path)) from error
    if len(content) > PRIVATE_FILE_BYTES_MAX:
        raise KeyDamaged("read", str(path))
    return content


def create_private(path: Path, content: bytes) -> None:
    """Writes a new file, mode 0600, durable on return; `KeyExists` when there is one, which stays as it is."""
    draft = _write_draft(path, content)
    try:
        os.link(draft, path)  # unlike a rename, a link never replaces
    except FileExistsError as error:
        raise KeyExists("create", str(path)) from error
    finally:
        draft.unlink()
    sync_directory(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Writes a file, mode 0600, in place of any there, durable on return."""
    draft = _write_draft(path, content)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    sync_directory(path.parent)


def _write_draft(path: Path, content: bytes) -> Path:
    """`content` on disk beside `path`, under a name of its own; nothing stays behind when the disk is full."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft


def sync_directory(directory: Path) -> None:
    """A new name is durable only once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

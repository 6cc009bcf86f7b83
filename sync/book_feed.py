"""The feed `book` at the terminal: fetches what headquarters means for it, proves it, puts it in force, and says so.

The daemon looks at the file itself (`terminal.book_file`), so selling goes on meanwhile, and a sale that began under
the old book ends under it.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from config.errors import JingkaError
from sync.released_book import BookDamaged, Pointer, ReleasedBook
from sync.wire_book import FEED, PART_BYTES_MAX, BookHeld, BookPart
from terminal.membership.whole_file import FileIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from sync.feeds import Source
    from sync.wire_keys import Succession

logger = logging.getLogger(__name__)

# A part in base64 beside a few hundred bytes of names and signatures.
ANSWER_BYTES_MAX: Final = 2 * PART_BYTES_MAX
BOOK_BYTES_MAX: Final = 4 * 1024 * 1024  # of the signed form: what `load_book` takes

Identities = tuple[FileIdentity | None, ...]


@dataclass(slots=True)
class _Arriving:
    """A book of which some parts have come."""

    version: str
    size: int
    bytes: bytearray = field(default_factory=bytearray)
    successions: tuple[Succession, ...] = ()  # of the key that signs books, as headquarters has them


class BookFeed:
    """`sync.feeds.Feed`: called from the agent's thread only."""

    name: Final = FEED

    def __init__(self, released: ReleasedBook) -> None:
        self._released = released
        self._arriving: _Arriving | None = None
        self._told = ""  # the version that headquarters has heard of since this start
        self._seen: Identities = ()  # the files that proved it, as they were then: another one is looked at anew

    def version(self) -> str:
        """What is in force and told; empty where either is still to do, so that the agent asks."""
        pointer = self._pointer()
        if pointer is None or _version(pointer) != self._told or self._identities(pointer) != self._seen:
            return ""
        return self._told

    def fetch(self, source: Source, wanted: str) -> None:
        """One part, or, with the last of them, the whole put in force and told; see `sync.feeds.Feed`.

        Raises what `Source` does, `BookDamaged`, and what `ReleasedBook.install` does.
        """
        pointer = self._pointer()
        if pointer is not None and _version(pointer) == wanted and self._usable(pointer):
            self._tell(source, pointer)
            return
        try:
            part = self._part(source)
            if part is not None:
                self._install(part)
                self._tell(source, part)
        except JingkaError as error:
            self._arriving = None
            with contextlib.suppress(JingkaError):  # what went wrong first is what is to be said
                self._tell(source, self._pointer(), error.code)
            raise

    def _pointer(self) -> Pointer | None:
        try:
            return self._released.pointer()
        except JingkaError:  # damaged: the same as none, and what is fetched now mends it
            return None

    def _usable(self, pointer: Pointer) -> bool:
        try:
            self._released.load(pointer)
        except JingkaError:
            return False
        return True

    def _part(self, source: Source) -> Pointer | None:
        """Ask for the next part; what is to be put in force once it is the last."""
        from sync.wire import feed_path, parse_message

        offset = len(self._arriving.bytes) if self._arriving else 0
        path = f"{feed_path(source.terminal, FEED)}?offset={offset}"
        part = parse_message(BookPart, source.get(path, answer_bytes_max=ANSWER_BYTES_MAX))
        pointer = Pointer(part.terminal, part.revision, part.sha256, part.release_key, part.meant)
        if self._arriving is None or self._arriving.version != _version(pointer):
            self._arriving = _Arriving(_version(pointer), part.size)
            if part.offset != 0:
                return None  # another book was meant meanwhile: from its beginning, next time
        arriving = self._arriving
        if part.offset != len(arriving.bytes) or part.size != arriving.size:
            raise BookDamaged("fetch book", pointer.file, reason="part")
        arriving.bytes += base64.b64decode(part.part)
        arriving.successions = part.successions
        if len(arriving.bytes) > arriving.size:
            raise BookDamaged("fetch book", pointer.file, reason="size")
        return pointer if len(arriving.bytes) == arriving.size else None

    def _install(self, pointer: Pointer) -> None:
        assert self._arriving is not None, "a book is put in force when it has arrived"
        packed, told = bytes(self._arriving.bytes), self._arriving.successions
        self._arriving = None
        self._released.install(pointer, _unpacked(packed, pointer.file), told)
        logger.info("the offer book of revision %d has come from headquarters", pointer.revision)

    def _tell(self, source: Source, pointer: Pointer | None, fault: str = "") -> None:
        from sync.wire import encode_message, feed_path

        held = BookHeld(
            revision=pointer.revision if pointer else None, sha256=pointer.sha256 if pointer else None, fault=fault
        )
        source.post(feed_path(source.terminal, FEED), encode_message(held))
        if pointer is not None and not fault:
            self._told, self._seen = _version(pointer), self._identities(pointer)

    def _identities(self, pointer: Pointer) -> Identities:
        return tuple(_identity(path) for path in self._released.proof_paths(pointer))


def _identity(path: Path) -> FileIdentity | None:
    try:
        return FileIdentity.of(path.stat())
    except OSError:
        return None


def _version(pointer: Pointer) -> str:
    """As headquarters names it in `news`."""
    return f"{pointer.revision}:{pointer.sha256}"


def _unpacked(packed: bytes, subject: str) -> bytes:
    """The signed form, never more of it than a book may have. Raises `BookDamaged`."""
    inflate = zlib.decompressobj(wbits=31)  # gzip framing only
    try:
        plain = inflate.decompress(packed, BOOK_BYTES_MAX + 1)
    except zlib.error as error:
        raise BookDamaged("unpack book", subject, reason="gzip") from error
    if len(plain) > BOOK_BYTES_MAX or not inflate.eof or inflate.unused_data:
        raise BookDamaged("unpack book", subject, reason="length")
    return plain

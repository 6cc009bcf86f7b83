"""The offer book's file: whether another one stands in its place, and what it holds.

From the first book that headquarters has released for this terminal on, only such books are taken, and the settings'
own file is looked at no more (docs/decisions/0013-campaigns.md).
"""

from __future__ import annotations

import logging
from pathlib import Path

from config.errors import JingkaError
from sync.released_book import ReleasedBook
from terminal.offers.book import LoadedBook, load_book

logger = logging.getLogger(__name__)

Identity = tuple[int, int, int] | None  # device's number of the file, size, time of change; None: no file
Identities = tuple[Identity, ...]  # of the settings' book, of headquarters' pointer, of the book that it points to


class BookFile:
    """Looks at the file's identity only, until it has changed: cheap enough for every tick."""

    def __init__(self, path: Path, signed_by: str | None = None, released: ReleasedBook | None = None) -> None:
        """`path` and `signed_by` as in the settings; `released`: where headquarters' books are kept (None: nowhere)."""
        self._path = path
        self._signed_by = signed_by
        self._released = released
        self._released_path: Path | None = None  # of the released book that was looked at last
        self._loaded: Identities = ()

    @property
    def changed(self) -> bool:
        """Whether a file is another one than was loaded last."""
        return self._identities() != self._loaded

    def load(self) -> LoadedBook | JingkaError:
        """The book, or why there is none. A file that is written meanwhile is another one afterwards."""
        before = self._identities()
        try:
            book = self._load()
        except JingkaError as error:
            self._note(before)
            logger.error("the offer book is not taken: %s", error)  # noqa: TRY400 - a typed error needs no traceback
            return error
        self._note(before)
        logger.info("the offer book of revision %d is read, %d offers", book.revision, len(book.offers))
        return book

    def _load(self) -> LoadedBook:
        pointer = self._released.pointer() if self._released else None
        if self._released is None or pointer is None:
            self._released_path = None
            return load_book(self._path, self._released.settings_key() if self._released else self._signed_by)
        self._released_path = self._released.book_path(pointer)
        return self._released.load(pointer)

    def _note(self, before: Identities) -> None:
        """What was loaded: as the files were before it; only the released book's own place is known since."""
        self._loaded = (*before[:2], _identity(self._released_path))

    def _identities(self) -> Identities:
        pointer = self._released.pointer_path if self._released else None
        return _identity(self._path), _identity(pointer), _identity(self._released_path)


def _identity(path: Path | None) -> Identity:
    try:
        status = path.stat() if path else None
    except OSError:  # missing or not permitted: loading says which
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if status else None

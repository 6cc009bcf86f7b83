"""The offer book's file: whether another one stands in its place, and what it holds."""

from __future__ import annotations

import logging
from pathlib import Path

from config.errors import JingkaError
from terminal.offers.book import LoadedBook, load_book

logger = logging.getLogger(__name__)

Identity = tuple[int, int, int] | None  # device's number of the file, size, time of change; None: no file


class BookFile:
    """Looks at the file's identity only, until it has changed: cheap enough for every tick."""

    def __init__(self, path: Path, signed_by: str | None = None) -> None:
        self._path = path
        self._signed_by = signed_by
        self._loaded: Identity = None

    @property
    def changed(self) -> bool:
        """Whether the file is another one than was loaded last."""
        return self._identity() != self._loaded

    def load(self) -> LoadedBook | JingkaError:
        """The book, or why there is none. A file that is written meanwhile is another one afterwards."""
        self._loaded = self._identity()
        try:
            book = load_book(self._path, self._signed_by)
        except JingkaError as error:
            logger.error("the offer book is not taken: %s", error)  # noqa: TRY400 - a typed error needs no traceback
            return error
        logger.info("the offer book of revision %d is read, %d offers", book.revision, len(book.offers))
        return book

    def _identity(self) -> Identity:
        try:
            status = self._path.stat()
        except OSError:  # missing or not permitted: loading says which
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

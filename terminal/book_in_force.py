"""The offers in force at a till: one book, what becomes of it when the file changes, and the books just replaced.

A sale that began under a book ends under it: a replaced book is kept for as long as a quote is honoured, by its hash.
A new book that cannot be used changes nothing; why it cannot is the `fault`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from config.errors import JingkaError, Retry, Words
from terminal.offers.book import LoadedBook

REPLACED_BOOKS_MAX = 8  # kept at once; a book is replaced a few times a year


class BookNotTaken(JingkaError):
    """A new book stands in the place of the one in force and cannot be used: the old one goes on."""

    code = "book-not-taken"
    retry = Retry.PARK
    what = Words(
        "新的优惠册没有启用，仍按第 {revision} 版办理：{reason_zh}",
        "the new offer book is not in use, revision {revision} goes on: {reason_en}",
    )
    hint = Words(
        "请运行 jingka book check 查看全部错误；改正后自动启用，不用重新启动",
        "run jingka book check to see all of it; once it is mended it is taken by itself, without a restart",
    )


class BookInForce:
    """The book in force, or the reason why there is none. `kept_ms`: how long a replaced book is still known."""

    def __init__(self, book: LoadedBook | JingkaError, kept_ms: int) -> None:
        self._book = book
        self._kept_ms = kept_ms
        self._replaced: OrderedDict[str, tuple[LoadedBook, int]] = OrderedDict()  # by hash, with the last moment
        self.fault: BookNotTaken | None = None

    @property
    def book(self) -> LoadedBook:
        """The offers in force. Raises why there are none."""
        if isinstance(self._book, JingkaError):
            raise self._book.with_traceback(None)
        return self._book

    @property
    def summary(self) -> dict[str, Any]:
        """What the `book` event says: the revision in force (null: none), and the code of what is wrong, or null."""
        if isinstance(self._book, JingkaError):
            return {"revision": None, "code": self._book.code}
        return {"revision": self._book.revision, "code": self.fault.code if self.fault else None}

    def pinned(self, book_hash: str, now_ms: int) -> LoadedBook:
        """The book of this hash while it is known, else the one in force. Raises why there is none."""
        book, until_ms = self._replaced.get(book_hash, (None, 0))
        return self.book if book is None or until_ms < now_ms else book

    def replace(self, new: LoadedBook | JingkaError, now_ms: int) -> bool:
        """Take another book; returns whether other offers, or another reason why there are none, hold from now on."""
        old = self._book
        if isinstance(old, JingkaError):
            self._book = new
            return True
        if isinstance(new, JingkaError):
            reason = {"reason_zh": new.what_text("zh"), "reason_en": new.what_text("en")}
            self.fault = BookNotTaken("replace book", new.subject, revision=old.revision, **reason)
            return False
        self.fault = None
        if new.hash == old.hash:
            return False
        self._replaced.pop(new.hash, None)
        self._replaced[old.hash] = (old, now_ms + self._kept_ms)
        while len(self._replaced) > REPLACED_BOOKS_MAX:
            self._replaced.popitem(last=False)
        self._book = new
        return True

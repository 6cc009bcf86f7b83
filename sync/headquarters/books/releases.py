"""Released books: numbered without a gap, signed, never changed; and which of them a terminal should sell by.

book_of(connection, revision, sha256)   -> LoadedBook | None     what an entry was sold by
in_force_for(connection, place)         -> InForce | None        what a terminal should have by now
"""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, func, insert, select, text

from sync.headquarters.books.errors import DraftUnreadable, ReleaseMissing
from sync.headquarters.books.stages import InForce, choose, held_by, running_stages
from sync.headquarters.books.tables import book_releases
from sync.headquarters.projection import Place
from sync.signing import DeviceKey
from terminal.offers.book import BOOK_BYTES_MAX, Format, LoadedBook, canonical_json, parse_book
from terminal.offers.model import Book
from terminal.offers.signature import signed_form

# A city has a few revisions in use at once; a backlog of a terminal that was away for weeks may name some more. One
# prepared book of 1,000 offers takes some 20 MB.
BOOKS_CACHED_MAX: Final = 16
RELEASES_PAGE_MAX: Final = 100  # revisions shown at once: years of campaigns
NOTE_CHARS_MAX: Final = 500
_GZIP_LEVEL: Final = 9  # made once, sent to every terminal
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TOP_REVISION: Final = re.compile(r"^revision\s*=\s*\d+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One release as people see it; `draft` None: `restores` names the earlier revision whose content it is."""

    revision: int
    sha256: str
    draft: int | None
    restores: int | None
    edited_by: str
    approved_by: str
    released_by: str
    released_at: datetime
    note: str


class _Cache:
    """Prepared books by hash, the latest used kept; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: OrderedDict[str, LoadedBook] = OrderedDict()

    def get(self, sha256: str) -> LoadedBook | None:
        with self._lock:
            if sha256 in self._books:
                self._books.move_to_end(sha256)
            return self._books.get(sha256)

    def keep(self, book: LoadedBook) -> None:
        with self._lock:
            self._books[book.hash] = book
            while len(self._books) > BOOKS_CACHED_MAX:
                self._books.popitem(last=False)


_caches: WeakKeyDictionary[Engine, _Cache] = WeakKeyDictionary()  # of a database: another may never have released it
_caches_lock = threading.Lock()


def book_of(connection: Connection, revision: int, sha256: str) -> LoadedBook | None:
    """The released book of this revision and hash, ready to quote from; None: there never was one.

    A released book never changes, so the second look costs no query. Thread-safe.
    """
    cache = _cache_of(connection)
    known = cache.get(sha256)
    if known is not None:
        return known if known.revision == revision else None
    if not _SHA256.fullmatch(sha256):  # as an entry tells it: anything at all
        return None
    wanted = (book_releases.c.revision == revision, book_releases.c.sha256 == sha256)
    signed = connection.scalar(select(book_releases.c.signed).where(*wanted))
    if signed is None:
        return None
    book = LoadedBook.of(parse_book(unpacked(signed), "json"))
    cache.keep(book)
    return book


def in_force_for(connection: Connection, place: Place) -> InForce | None:
    """The release that the terminal at `place` should sell by; None: none is meant for it.

    The newest one whose roll-out reaches it, and never an older one than it has: what a stopped roll-out has brought
    it, it keeps until a newer one comes.
    """
    held = held_by(connection, place.terminal)
    chosen = choose(place, running_stages(connection))
    if held is not None and (chosen is None or held.revision > chosen.revision):
        return held
    return chosen


def newest(connection: Connection) -> int:
    """The newest revision; 0 when nothing was ever released."""
    return connection.scalar(select(func.max(book_releases.c.revision))) or 0


def release_of(connection: Connection, revision: int) -> ReleaseView:
    """One release. Raises `ReleaseMissing`."""
    row = connection.execute(select(*_VIEWED).where(book_releases.c.revision == revision)).mappings().one_or_none()
    if row is None:
        raise ReleaseMissing("look up", str(revision))
    return ReleaseView(**row)


def page_of_releases(
    connection: Connection, *, before: int | None = None, limit: int = RELEASES_PAGE_MAX
) -> list[ReleaseView]:
    """The releases before the revision `before`, newest first, at most `limit` (cut to `RELEASES_PAGE_MAX`)."""
    query = select(*_VIEWED).order_by(book_releases.c.revision.desc()).limit(min(limit, RELEASES_PAGE_MAX))
    if before is not None:
        query = query.where(book_releases.c.revision < before)
    return [ReleaseView(**row) for row in connection.execute(query).mappings()]


def content_of(connection: Connection, revision: int) -> LoadedBook:
    """The book of a revision. Raises `ReleaseMissing`."""
    release = release_of(connection, revision)
    book = book_of(connection, revision, release.sha256)
    assert book is not None, "the row was there a moment ago, and none is ever deleted"
    return book


def text_of(connection: Connection, revision: int) -> tuple[Format, str]:
    """The text that a revision was released from, with its comments. Raises `ReleaseMissing`."""
    columns = (book_releases.c.form, book_releases.c.text)
    row = connection.execute(select(*columns).where(book_releases.c.revision == revision)).one_or_none()
    if row is None:
        raise ReleaseMissing("look up", str(revision))
    return row.form, row.text


def signed_bytes(connection: Connection, revision: int) -> bytes:
    """The signed form of a revision, gzip, the same bytes from every worker. Raises `ReleaseMissing`."""
    signed = connection.scalar(select(book_releases.c.signed).where(book_releases.c.revision == revision))
    if signed is None:
        raise ReleaseMissing("look up", str(revision))
    return bytes(signed)


def lock_numbers(connection: Connection) -> None:
    """Nobody else numbers a release until this transaction ends; on SQLite the whole file is ours anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE book_releases IN SHARE ROW EXCLUSIVE MODE"))


def add(
    connection: Connection,
    book: Book,
    source: tuple[Format, str],
    *,
    key: DeviceKey,
    edited_by: str,
    approved_by: str,
    released_by: str,
    now: datetime,
    note: str = "",
    draft: int | None = None,
    restores: int | None = None,
) -> ReleaseView:
    """Number, sign and store a checked book. The caller has called `lock_numbers` in this transaction.

    The first release keeps the number that stands in the book, so that a city whose terminals have a book already goes
    on from there; every later one is the newest and one. Raises `DraftUnreadable` for a book too large to send.
    """
    revision = newest(connection) + 1
    if revision == 1:
        revision = book.revision
    numbered = book.model_copy(update={"revision": revision})
    loaded = LoadedBook.of(numbered)
    form = signed_form(canonical_json(numbered), revision, key.public, key.private_key().sign).encode()
    if len(form) > BOOK_BYTES_MAX:
        reason = {
            "reason_zh": f"签名后超过 {BOOK_BYTES_MAX} 字节",
            "reason_en": f"over {BOOK_BYTES_MAX} bytes once signed",
        }
        raise DraftUnreadable("release", str(draft or restores), **reason)
    row = {
        "revision": revision,
        "sha256": loaded.hash,
        "draft": draft,
        "restores": restores,
        "edited_by": edited_by,
        "approved_by": approved_by,
        "released_by": released_by,
        "released_at": now,
        "note": note.replace("\0", "")[:NOTE_CHARS_MAX],
    }
    packed = gzip.compress(form, _GZIP_LEVEL, mtime=0)
    kept = {"signed": packed, "form": source[0], "text": renumbered(source, revision)}
    connection.execute(insert(book_releases).values({**row, **kept}))
    return release_of(connection, revision)


def renumbered(source: tuple[Format, str], revision: int) -> str:
    """The text with its revision put right; as it was where that cannot be told from other lines."""
    form, written = source
    if form != "toml":
        return written
    return _TOP_REVISION.sub(f"revision = {revision}", written, count=1)


def unpacked(signed: bytes) -> str:
    """The signed form as text. Raises `ValueError` for bytes that are no book of ours: cut off, foreign, too large."""
    inflate = zlib.decompressobj(wbits=31)  # gzip framing only
    try:
        plain = inflate.decompress(signed, BOOK_BYTES_MAX + 1)
    except zlib.error as error:
        raise ValueError("not gzip") from error
    if len(plain) > BOOK_BYTES_MAX or not inflate.eof or inflate.unused_data:
        raise ValueError("cut off, or too large")
    return plain.decode()


_VIEWED: Final = tuple(book_releases.c[name] for name in ReleaseView.__dataclass_fields__)


def _cache_of(connection: Connection) -> _Cache:
    with _caches_lock:
        return _caches.setdefault(connection.engine, _Cache())

"""A till whose settings name headquarters' key takes no other book, at its start or while it is open."""

from __future__ import annotations

import base64
from pathlib import Path

from sync.signing import DeviceKey
from terminal.book_file import BookFile
from terminal.book_in_force import BookInForce
from terminal.offers.book import LoadedBook, canonical_json
from terminal.offers.signature import BookSignatureInvalid, BookUnsigned, signed_form
from tests.fakes.till import winter_book

KEY, OTHER = (DeviceKey.from_private(bytes([number]) * 32) for number in (1, 2))
PUBLIC = base64.b64encode(KEY.public).decode()


def put(path: Path, book: LoadedBook, key: DeviceKey | None) -> None:
    canonical = canonical_json(book.book)
    text = canonical if key is None else signed_form(canonical, book.revision, key.public, key.private_key().sign)
    path.write_text(text, encoding="utf-8")


def test_only_the_signed_book_is_taken_at_the_start(tmp_path: Path) -> None:
    path, book = tmp_path / "book.json", winter_book()
    put(path, book, KEY)
    assert BookFile(path, PUBLIC).load() == book
    put(path, book, OTHER)
    assert isinstance(BookFile(path, PUBLIC).load(), BookSignatureInvalid)
    put(path, book, None)
    assert isinstance(BookFile(path, PUBLIC).load(), BookUnsigned)
    assert BookFile(path).load() == book


def test_an_unsigned_book_put_there_later_changes_nothing(tmp_path: Path) -> None:
    path, book = tmp_path / "book.json", winter_book()
    put(path, book, KEY)
    file = BookFile(path, PUBLIC)
    in_force = BookInForce(file.load(), 1000)
    dearer = LoadedBook.of(book.book.model_copy(update={"revision": 2}))
    put(path, dearer, None)
    assert file.changed
    assert not in_force.replace(file.load(), 0)
    assert in_force.book == book
    assert in_force.fault is not None
    put(path, dearer, KEY)
    assert in_force.replace(file.load(), 0)
    assert (in_force.book.revision, in_force.fault) == (2, None)

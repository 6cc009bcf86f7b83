"""The book that headquarters released for this terminal, as it stands in the data directory.

    books/7-0a1b2c3d4e5f.json   the signed form, as `jingka book sign` writes it
    release-keys.json           the key that signs books, and how it came to be that one (`sync.release_keys`)
    book.json                   which of them is in force, headquarters' word that it is meant here, the key it signs by

`book.json` is replaced in one step, after the book stands whole beside it: a crash at any moment leaves the old book in
force or the new one. Nothing of it is believed for standing there: signature, word and name are proven at each load.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from config.errors import Retry, Words
from sync.errors import KeyDamaged, KeyExposed, KeyMissing, SyncError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.release_keys import ReleaseKeys
    from sync.wire_keys import Succession
    from terminal.offers.book import LoadedBook

POINTER_FILE: Final = "book.json"
BOOKS_DIR: Final = "books"
BOOK_FILE_MODE: Final = 0o600
_HASH: Final = re.compile(r"[0-9a-f]{64}")
KEPT_MAX: Final = 4  # books in the directory: the one in force, and the last few for support to look at


class ReleasedBookDamaged(SyncError):
    """What stands in the data directory is not a book that headquarters released for this terminal."""

    code = "released-book-damaged"
    retry = Retry.STOP
    what = Words(
        "总部下发的优惠册 {subject} 不可用：{reason_zh}",
        "the book from headquarters {subject} is not usable: {reason_en}",
    )
    hint = Words("连上总部后会自动重新下载", "it is fetched again as soon as headquarters is reached")


class BookNotMeant(SyncError):
    """A book with no word of headquarters' that it is for this terminal."""

    code = "book-not-meant"
    retry = Retry.STOP
    what = Words("优惠册 {subject} 不是总部发给本终端的", "the book {subject} is not meant for this terminal")
    hint = Words(
        "请勿从其他终端拷贝；连上总部后会自动下载", "never copy one from another terminal; it is fetched by itself"
    )


class BookOlder(SyncError):
    """Headquarters offers a revision that is older than the one in force: that is a mistake or a replay."""

    code = "book-older"
    retry = Retry.PARK
    what = Words(
        "总部给出第 {offered} 版优惠册，本终端已有第 {held} 版", "revision {offered} is offered, {held} is here"
    )
    hint = Words("请联系总部：旧内容应发布为新版", "tell headquarters: an earlier book is to be released as a new one")


class ReleaseKeyChanged(SyncError):
    """Books are signed by another key than the one this terminal knows, which has not named it its successor."""

    code = "release-key-changed"
    retry = Retry.PARK
    what = Words("总部更换了优惠册的签名密钥", "headquarters signs books with another key than before")
    hint = Words(
        "请与总部核对新公钥后写入设置 offers.signed_by",
        "compare the new public key with headquarters, then put it into the setting offers.signed_by",
    )


class BookDamaged(SyncError):
    """What arrived is not the book that was announced."""

    code = "book-damaged"
    retry = Retry.RETRY
    what = Words("下载的优惠册不完整：{reason}", "the book that arrived is not whole: {reason}")
    hint = Words("会自动重新下载", "it is fetched again by itself")


@dataclass(frozen=True, slots=True)
class Pointer:
    """`book.json`: `key` signs books, `meant` is headquarters' word over all the rest; both base64."""

    terminal: str
    revision: int
    sha256: str
    key: str
    meant: str

    @property
    def file(self) -> str:
        """The book's own name."""
        return f"{self.revision}-{self.sha256[:12]}.json"


class ReleasedBook:
    """The one that is in force here. `load` and `install` prove what they take; callable from any thread."""

    def __init__(self, data_dir: Path, signed_by: str | None = None) -> None:
        """`signed_by`: the key of the settings (base64); it, or a key that it leads to, counts before any other."""
        self._data_dir = data_dir
        self._signed_by = signed_by

    @property
    def pointer_path(self) -> Path:
        """The file that changes when another book is in force."""
        return self._data_dir / POINTER_FILE

    def pointer(self) -> Pointer | None:
        """What is said to be in force; None: headquarters has never released a book for here.

        Raises `ReleasedBookDamaged`.
        """
        from sync.private_file import read_private

        try:
            pointer = _pointer_of(json.loads(read_private(self.pointer_path)))
        except KeyMissing:
            return None
        except (KeyExposed, KeyDamaged, OSError, ValueError, TypeError) as error:
            raise _damaged(
                self.pointer_path, "文件不完整或权限不对", "the file is damaged, or others can read it"
            ) from error
        return pointer

    def book_path(self, pointer: Pointer) -> Path:
        """Where the book itself is."""
        return self._data_dir / BOOKS_DIR / pointer.file

    def proof_paths(self, pointer: Pointer) -> tuple[Path, ...]:
        """What `load` looks at: when one of these is another file, it may say something else."""
        from sync.enrolment import ENROLMENT_FILE
        from sync.release_keys import RELEASE_KEYS_FILE

        return self.book_path(pointer), self._data_dir / ENROLMENT_FILE, self._data_dir / RELEASE_KEYS_FILE

    def load(self, pointer: Pointer) -> LoadedBook:
        """The book, once all of it is proven.

        Raises `BookNotMeant`, `ReleasedBookDamaged`, what `load_book` does, and the errors of the enrolment.
        """
        self._prove_meant(pointer)
        return self._proven(self.book_path(pointer), pointer, self._key_of(pointer))

    def signing_key(self) -> str | None:
        """The key (base64) that the next book must be signed by or lead to; None: whichever comes first."""
        keys = self._keys(self._held())
        return base64.b64encode(bytes.fromhex(keys.key)).decode() if keys else None

    def settings_key(self) -> str | None:
        """The key (base64) of the settings, or the one that took its place; None: the settings name none."""
        return self.signing_key() if self._signed_by else None

    def install(self, pointer: Pointer, signed: bytes, told: Sequence[Succession] = ()) -> None:
        """Prove the book in `signed` (its signed form) and put it in force, durably, wholly or not at all.

        `told`: the changes of the key that signs books, as headquarters has them. Raises what `load` does, `BookOlder`,
        `ReleaseKeyChanged`, `ReleaseSuccessionBroken`; then nothing has changed.
        """
        from sync.private_file import replace_private
        from sync.release_keys import keep_release_keys
        from terminal.membership.whole_file import write_whole

        self._prove_meant(pointer)
        held = self._held()
        keys = self._keys_for(pointer, held, told)
        if held is not None and pointer.revision < held.revision:
            raise BookOlder("install book", str(pointer.revision), offered=pointer.revision, held=held.revision)
        folder = self._data_dir / BOOKS_DIR
        folder.mkdir(exist_ok=True, mode=0o700)
        draft = folder / f".arriving-{pointer.file}"
        write_whole(draft, BOOK_FILE_MODE, lambda file: file.write(signed))
        try:
            self._proven(draft, pointer, pointer.key)
            draft.replace(self.book_path(pointer))
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(folder)
        keep_release_keys(self._data_dir, keys)  # before the book is in force: the old key's are refused from here
        replace_private(self.pointer_path, json.dumps(asdict(pointer), sort_keys=True).encode())
        self._clear_out(folder, pointer)

    def _held(self) -> Pointer | None:
        """What headquarters' word puts in force here. Damaged, or never its word: whatever it means now is better."""
        try:
            held = self.pointer()
            if held is not None:
                self._prove_meant(held)
        except SyncError:
            return None
        return held

    def _keys(self, held: Pointer | None) -> ReleaseKeys | None:
        """The key that is believed in, and what led to it: as kept, else that of the book `held`, else the settings'.

        A key to which that of the settings does not lead is not believed in.
        """
        from sync.release_keys import ReleaseKeys, key_hex, leads, load_release_keys

        kept = load_release_keys(self._data_dir)
        if kept is None and held is not None:
            kept = ReleaseKeys(key=key_hex(held.key))
        if self._signed_by is None:
            return kept
        root = key_hex(self._signed_by)
        return kept if kept and leads(root, kept.key, kept.successions) else ReleaseKeys(key=root)

    def _keys_for(self, pointer: Pointer, held: Pointer | None, told: Sequence[Succession]) -> ReleaseKeys:
        """What is believed in once the offered book is in force.

        Raises `ReleaseKeyChanged`, `ReleaseSuccessionBroken`.
        """
        from sync.release_keys import ReleaseKeys, key_hex

        offered = key_hex(pointer.key)
        known = self._keys(held)
        if known is None:
            return ReleaseKeys(key=offered)
        followed = known if known.key == offered else known.followed(offered, told)
        if followed is None:
            raise ReleaseKeyChanged("install book", str(pointer.revision))
        return followed

    def _key_of(self, pointer: Pointer) -> str:
        """The key that must have signed the book in force: of the settings, unless that one leads to the book's own."""
        from sync.release_keys import key_hex, leads, load_release_keys

        if self._signed_by is None:
            return pointer.key
        kept = load_release_keys(self._data_dir)
        successions = kept.successions if kept else ()
        led = leads(key_hex(self._signed_by), key_hex(pointer.key), successions)
        return pointer.key if led else self._signed_by

    def _prove_meant(self, pointer: Pointer) -> None:
        """That headquarters, by the key pinned at enrolment, means this revision for this very terminal."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        from sync.enrolment import load_enrolment
        from sync.wire_book import slip

        enrolment = load_enrolment(self._data_dir)
        if pointer.terminal != enrolment.terminal:
            raise BookNotMeant("prove book", str(pointer.revision))
        word = slip(pointer.terminal, pointer.revision, pointer.sha256, pointer.key)
        try:
            known = Ed25519PublicKey.from_public_bytes(enrolment.headquarters_key)
            known.verify(base64.b64decode(pointer.meant, validate=True), word)
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise BookNotMeant("prove book", str(pointer.revision)) from error

    def _proven(self, path: Path, pointer: Pointer, key: str) -> LoadedBook:
        from terminal.offers.book import load_book

        book = load_book(path, key)
        if (book.revision, book.hash) != (pointer.revision, pointer.sha256):
            raise _damaged(path, "不是所说的那一版", "it is another revision than announced")
        return book

    def _clear_out(self, folder: Path, pointer: Pointer) -> None:
        """Keep the latest few; what cannot be removed stays."""
        with contextlib.suppress(OSError):
            books = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for old in [path for path in books if path.name != pointer.file][KEPT_MAX - 1 :]:
                old.unlink(missing_ok=True)


def _pointer_of(said: dict[str, Any]) -> Pointer:
    """`TypeError` and `ValueError` for anything but the five fields, each of its kind."""
    pointer = Pointer(**said)
    if not (type(pointer.revision) is int and _HASH.fullmatch(pointer.sha256)):
        raise ValueError("revision, sha256")
    if not all(isinstance(text, str) for text in (pointer.terminal, pointer.key, pointer.meant)):
        raise TypeError("text")
    return pointer


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(path: Path, zh: str, en: str) -> ReleasedBookDamaged:
    return ReleasedBookDamaged("read book", str(path), reason_zh=zh, reason_en=en)

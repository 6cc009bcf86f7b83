"""From an approved draft, or from an earlier release, to a new one: checked once more, numbered, signed, noted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from sync.errors import KeyMissing
from sync.headquarters.books import drafts, releases
from sync.headquarters.books.errors import DraftOutdated, ReleaseKeyMissing, ReleaseNewest
from sync.headquarters.books.releases import ReleaseView
from sync.headquarters.keys import succeed
from sync.headquarters.people import audit
from sync.signing import DeviceKey
from sync.wire_keys import release_statement
from terminal.serving.people import Person

if TYPE_CHECKING:
    from config.settings import HqSettings

RELEASE_KEY_FILE: Final = "release.key"  # in the data directory, unless the settings name another place


def release_key_file(settings: HqSettings) -> Path:
    """Where the private key is that signs books."""
    return settings.release_key or settings.data_dir / RELEASE_KEY_FILE


def release_key(path: Path) -> DeviceKey:
    """The key that signs books. Raises `ReleaseKeyMissing`, `KeyExposed`, `KeyDamaged`."""
    try:
        return DeviceKey.load(path)
    except KeyMissing as error:
        raise ReleaseKeyMissing("sign book", str(path)) from error


def succeed_release_key(path: Path) -> tuple[bytes, bytes]:
    """Put a new key in the place of the one that signs books, named by it; the old and the new public key (32 bytes).

    The next release is signed by the new one: workers read it then. Raises what `release_key` does, `SuccessionsFull`.
    """
    return succeed(path, release_key(path), release_statement)


def release(
    connection: Connection, draft: int, *, key: DeviceKey, by: Person, now: datetime, note: str = ""
) -> ReleaseView:
    """Make an approved draft the next revision.

    Raises `DraftMissing`, `DraftOutOfStep`, `DraftOutdated`, `OwnDraft`, `DraftUnfit`, `DraftUnreadable`.
    """
    row = drafts.lock_approved(connection, draft)
    drafts.refuse_writer(connection, draft, row["approved_by"])  # asked again: this is the transaction that counts
    releases.lock_numbers(connection)
    newest = releases.newest(connection)
    if newest != row["approved_over"]:
        raise DraftOutdated("release", str(draft), newest=newest)
    book = drafts.checked(connection, draft)
    made = releases.add(
        connection,
        book,
        (row["form"], row["text"]),
        key=key,
        edited_by=row["edited_by"],
        approved_by=row["approved_by"],
        released_by=by.id,
        now=now,
        note=note or row["title"],
        draft=draft,
    )
    drafts.mark_released(connection, draft, row["version"])
    audit.note(connection, by, "book-released", f"book {made.revision}", now=now, detail=f"draft {draft} {made.sha256}")
    return made


def restore(
    connection: Connection, revision: int, *, key: DeviceKey, by: Person, now: datetime, note: str = ""
) -> ReleaseView:
    """The content of an earlier revision as a new one: its two persons have stood for it already.

    Raises `ReleaseMissing`, `ReleaseNewest`.
    """
    releases.lock_numbers(connection)
    if revision == releases.newest(connection):
        raise ReleaseNewest("restore", str(revision))
    earlier = releases.release_of(connection, revision)
    made = releases.add(
        connection,
        releases.content_of(connection, revision).book,
        releases.text_of(connection, revision),
        key=key,
        edited_by=earlier.edited_by,
        approved_by=earlier.approved_by,
        released_by=by.id,
        now=now,
        note=note,
        restores=revision,
    )
    audit.note(connection, by, "book-restored", f"book {made.revision}", now=now, detail=f"{revision} {made.sha256}")
    return made

"""What a terminal and headquarters say to each other about the roll; the bytes are as `sync.wire` has them.

A terminal holds a *base*, the whole roll as a file, and the *changes* since: records of the same 52 octets, each the
state of one card. It asks for what is after the version it has; the answer names the base it should stand on. Records
are states, so they hold over any base that is not newer than the version they were asked after.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.wire import Answer, Hash, Timestamp, Watermark, feed_path

ROLL_FEED: Final = "roll"

# One answer, 156 kB or 208 kB in base64: within `ANSWER_BYTES_MAX`.
PAGE_RECORDS_MAX: Final = 3_000
# Changes on top of one base, 10 MB at the terminal, looked at before the roll. Beyond, a new base costs less.
CHANGES_MAX: Final = 200_000
# 4 s of a line of 1 Mbit/s, the slowest that a till has; ten million cards are a thousand of them.
CHUNK_BYTES: Final = 512 * 1024
CHUNK_ANSWER_BYTES_MAX: Final = CHUNK_BYTES

BASE_BYTES_MAX: Final = 4 * 1024**3  # eighty million cards
SNAPSHOT_NAME: Final = r"^[0-9]{1,19}-[0-9a-f]{16}$"

SnapshotName = Annotated[str, StringConstraints(pattern=SNAPSHOT_NAME)]


class Base(Answer):
    """A whole roll to be fetched in chunks; `sha256` is the file's, `revision` the roll's own (of its records)."""

    name: SnapshotName
    version: Watermark
    size_bytes: Annotated[int, Bounded(ge=1, le=BASE_BYTES_MAX)]
    sha256: Hash
    revision: Hash


class RollAnswer(Answer):
    """`records` (base64) are the cards that changed after the version asked for, up to `version`; `more`: ask again.

    `base`: what the terminal should stand on; the one that it named, as long as that will do.
    """

    version: Watermark
    more: bool
    records: Annotated[str, StringConstraints(max_length=PAGE_RECORDS_MAX * 70)]
    base: Base
    key_version: Annotated[int, Bounded(ge=1)]
    key_fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    time: Timestamp


def roll_path(terminal: str, *, base: str, after: int) -> str:
    """What is after `after` for a terminal that stands on `base` (empty: on none)."""
    return f"{feed_path(terminal, ROLL_FEED)}?base={base}&after={after}"


def chunk_path(terminal: str, base: str, number: int) -> str:
    """The chunk `number` of a base, from 0."""
    return f"{feed_path(terminal, ROLL_FEED)}/{base}/{number}"

"""What a terminal and headquarters say to each other about the offer book.

`GET  /api/v1/terminals/{id}/book?offset=N`  the signed book, gzip, in parts that a slow line carries in time
`POST /api/v1/terminals/{id}/book`           what the terminal has now, and why it takes no other

Every part comes with headquarters' word that this revision is meant for this terminal: a signature by the key that the
terminal pinned when it enrolled. The terminal keeps that word beside the book and looks at it at each start, so a book
that was copied here from another terminal is not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field as Bounded
from pydantic import StringConstraints

from sync.wire import API, Answer, Hash, Request, TerminalId, Timestamp
from sync.wire_keys import SUCCESSIONS_MAX, Succession

FEED: Final = "book"
BOOK_PATH: Final = API + "/terminals/{terminal}/book"

# One part at 1 Mbit/s takes a second, with its base64 1.4 s: inside `feeds.FETCH_S_MAX`.
PART_BYTES_MAX: Final = 128 * 1024
# Of the whole, compressed: a book has 4 MiB at most, and none is sent that gzip makes larger.
PACKED_BYTES_MAX: Final = 4 * 1024 * 1024
REVISION_MAX: Final = 2**31 - 1  # the book model's own bound
FAULT_CHARS_MAX: Final = 64  # the code of an error

DOMAIN: Final = b"jingka offer book for a terminal, form 1\n"  # so that the signature is of no use for anything else

Revision = Annotated[int, Bounded(ge=1, le=REVISION_MAX)]
Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Sign = Callable[[bytes], bytes]


class BookPart(Answer):
    """`part` (base64) stands at `offset` of the `size` bytes of the signed book, gzip.

    `release_key` signs books (base64), `meant` is headquarters' word for this terminal (base64, over `slip`).
    `successions`: every change of the release key so far, oldest first; each proves itself (`release_statement`).
    """

    terminal: TerminalId
    revision: Revision
    sha256: Hash
    size: Annotated[int, Bounded(ge=1, le=PACKED_BYTES_MAX)]
    offset: Annotated[int, Bounded(ge=0, le=PACKED_BYTES_MAX)]
    part: Annotated[Base64, StringConstraints(min_length=4, max_length=PART_BYTES_MAX * 4 // 3 + 4)]
    release_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    meant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]
    successions: Annotated[tuple[Succession, ...], Bounded(max_length=SUCCESSIONS_MAX)] = ()


class BookHeld(Request):
    """What the terminal has: `revision` null is none of headquarters' yet. `fault`: why it takes no newer one."""

    revision: Revision | None
    sha256: Hash | None
    fault: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]*$", max_length=FAULT_CHARS_MAX)] = ""


class BookNoted(Answer):
    """Headquarters has noted it."""

    time: Timestamp


def slip(terminal: str, revision: int, sha256: str, release_key: str) -> bytes:
    """What headquarters signs to say that a revision, signed by that key (base64), is meant for a terminal."""
    said = {"key": release_key, "revision": revision, "sha256": sha256, "terminal": terminal}
    return DOMAIN + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()

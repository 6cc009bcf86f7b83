"""What terminals get of this room: the book that is meant for each, and an ear for what each has.

The feed's version is looked up at every heartbeat of every terminal; the book itself is packed once at its release, so
that all workers send the same bytes, and a terminal may fetch its parts from any of them.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import Language
from sync.errors import MessageMalformed
from sync.headquarters import fleet
from sync.headquarters.books import releases, stages
from sync.headquarters.books.errors import BookNotReleased
from sync.headquarters.books.meant import meant_for
from sync.headquarters.books.stages import InForce
from sync.headquarters.door import plain_body
from sync.headquarters.keys import read_successions
from sync.headquarters.projection import Place
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import answered, http_request, problems
from sync.signing import DeviceKey, HttpRequest
from sync.wire import ProblemCode, parse_message, timestamp
from sync.wire_book import (
    BOOK_PATH,
    FEED,
    PACKED_BYTES_MAX,
    PART_BYTES_MAX,
    BookHeld,
    BookNoted,
    BookPart,
    slip,
)

PACKED_KEPT_MAX: Final = 4  # of 100 kB as a rule: what is rolled out, what is rolled out next, and their predecessors
UNKNOWN_BOOK: Final = "book-unknown"  # the fault noted for a terminal that has a book which was never released here


class BookFeed:
    """`sync.headquarters.feeds.Feed`: which book a terminal should have by now."""

    name: Final = FEED

    def version(self, connection: Connection, place: Place) -> str | None:
        """As `revision:sha256`; two look-ups by key, shared with the other feeds that go by the book."""
        chosen = meant_for(connection, place)
        return chosen.version if chosen else None


@dataclass(frozen=True, slots=True)
class _Packed:
    """A release as it goes out; `key` signed it (base64)."""

    bytes: bytes
    key: str


class BookOffice:
    """Callable from any thread; blocks on the database. `key` is headquarters' own, which terminals pinned; beside
    `release_key_file` stands what became of the key that signs books.
    """

    def __init__(self, hq: Headquarters, key: DeviceKey, release_key_file: Path) -> None:
        self._hq = hq
        self._key = key
        self._release_key_file = release_key_file
        self._lock = threading.Lock()
        self._packed: OrderedDict[str, _Packed] = OrderedDict()

    def part(self, request: HttpRequest, terminal: str, offset: int) -> BookPart:
        """A part of the book that is meant for the terminal now, from `offset` on.

        Raises the errors of `Door.identify`, `NonceReplayed`, `BookNotReleased`, `MessageMalformed`, and what
        `read_successions` does.
        """
        now = self._hq.clock()
        caller = self._hq.door.identify(request, terminal, now)
        with self._hq.storage.write() as connection:
            caller.claim.take(connection, now)
            chosen = releases.in_force_for(connection, fleet.place_of(connection, terminal))
            if chosen is None:
                raise BookNotReleased("fetch book", terminal)
            packed = self._pack(connection, chosen)
        if offset >= len(packed.bytes):
            raise MessageMalformed("fetch book", terminal, reason="offset: beyond the book")
        word = self._key.private_key().sign(slip(terminal, chosen.revision, chosen.sha256, packed.key))
        return BookPart(
            terminal=terminal,
            revision=chosen.revision,
            sha256=chosen.sha256,
            size=len(packed.bytes),
            offset=offset,
            part=base64.b64encode(packed.bytes[offset : offset + PART_BYTES_MAX]).decode(),
            release_key=packed.key,
            meant=base64.b64encode(word).decode(),
            successions=read_successions(self._release_key_file).successions,
        )

    def note(self, request: HttpRequest, terminal: str) -> BookNoted:
        """Note what the terminal has. Raises the errors of `Door.identify` and of a message, `NonceReplayed`."""
        now = self._hq.clock()
        caller = self._hq.door.identify(request, terminal, now)
        held = parse_message(BookHeld, plain_body(request))
        with self._hq.storage.write() as connection:
            caller.claim.take(connection, now)
            known = _known(connection, held)
            fault = held.fault or (UNKNOWN_BOOK if held.revision is not None and known is None else "")
            stages.note_held(connection, terminal, known, fault, now=now)
        return BookNoted(time=timestamp(self._hq.clock()))

    def _pack(self, connection: Connection, chosen: InForce) -> _Packed:
        with self._lock:
            kept = self._packed.get(chosen.sha256)
        if kept is not None:
            return kept
        signed = releases.signed_bytes(connection, chosen.revision)
        packed = _Packed(signed, json.loads(releases.unpacked(signed))["key"])
        with self._lock:
            self._packed[chosen.sha256] = packed
            while len(self._packed) > PACKED_KEPT_MAX:
                self._packed.popitem(last=False)
        return packed


def _known(connection: Connection, held: BookHeld) -> InForce | None:
    """What a terminal has, when it was released here: after headquarters was restored from a backup it may not be."""
    if held.revision is None or held.sha256 is None:
        return None
    if releases.book_of(connection, held.revision, held.sha256) is None:
        return None
    return InForce(held.revision, held.sha256)


def office_routes(hq: Headquarters, office: BookOffice, language: Language) -> APIRouter:
    """The two calls of the feed `book`, signed on both ends."""
    router = APIRouter(tags=["terminals"], responses=problems(*ProblemCode))

    @router.get(BOOK_PATH, response_model=BookPart)
    async def part(
        request: Request, terminal: str, offset: Annotated[int, Query(ge=0, le=PACKED_BYTES_MAX)] = 0
    ) -> Response:
        """A part of the signed book meant for this terminal, gzip. 404 `book-not-released`."""
        asked = await http_request(request)
        return await run_in_threadpool(
            answered, hq, asked, lambda request: office.part(request, terminal, offset), 200, language
        )

    @router.post(BOOK_PATH, response_model=BookNoted)
    async def held(request: Request, terminal: str) -> Response:
        """What the terminal has in force, and why it takes no newer one."""
        asked = await http_request(request)
        return await run_in_threadpool(
            answered, hq, asked, lambda request: office.note(request, terminal), 200, language
        )

    return router

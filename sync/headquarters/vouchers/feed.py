"""The feed `vouchers`: which register a terminal should have, what changed in it, and the file itself.

A register holds the vouchers of the offers that are sold at the terminal; terminals that sell the same offers share
one. Its octets follow from the rows alone, so every worker makes the same ones, and they are made once for many.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection

from sync.headquarters.pools.terms import Books, sold_at
from sync.headquarters.projection import Place
from sync.headquarters.vouchers import register
from sync.headquarters.vouchers.errors import RegisterReplaced
from sync.headquarters.vouchers.register import OfferMark
from sync.wire import timestamp
from sync.wire_vouchers import CHANGES_BYTES_MAX, CHANGES_MAX, CHUNK_BYTES, VOUCHERS_FEED, VouchersAnswer
from terminal.membership.token import ProgrammeKey
from terminal.offers.book import LoadedBook
from terminal.offers.proofs import VoucherProof
from terminal.vouchers.build import register_bytes

DIGEST_HEX: Final = 8  # tells a few dozen sets of offers apart; what is fetched has its own SHA-256
# Registers ready to be sent: the largest is 11 MB, most have some hundred kB; a city sells a few dozen sets of offers.
SHELF_BYTES_MAX: Final = 64 * 1024 * 1024
PLACES_CACHED_MAX: Final = 20_000  # every site of the city under two books
BUILT_NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)  # of a register of offers that have had no voucher yet

_registered: dict[tuple[str, str, str], tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The register that a terminal should have: of these offers (None: of all there are), as their marks say."""

    offers: tuple[str, ...] | None
    marks: tuple[OfferMark, ...]

    @property
    def version(self) -> str:
        """`NUMBER.OFFERS.STATE`, as in `news`. When headquarters was restored from a backup and went on, numbers come
        again; the moments of the changes tell the two apart.
        """
        return f"{self.number}.{self.set}.{self._state}"

    @property
    def number(self) -> int:
        """Of the last change."""
        return max((mark.version for mark in self.marks), default=0)

    @property
    def set(self) -> str:
        """Which offers, as a digest."""
        return _digest("*" if self.offers is None else " ".join(self.offers))

    @property
    def built(self) -> datetime:
        """When the last change was made."""
        return max((mark.changed_at for mark in self.marks), default=BUILT_NEVER)

    @property
    def _state(self) -> str:
        return _digest(json.dumps([[mark.offer, mark.version, timestamp(mark.changed_at)] for mark in self.marks]))


def wanted_at(connection: Connection, place: Place, books: Books) -> Wanted | None:
    """The register for the terminal at `place`; None: headquarters keeps none, or nothing sold there asks for one.

    Where headquarters released no book, nobody knows what is sold: the terminal is given every voucher.
    """
    marks = register.marks_of(connection)
    if not marks:
        return None
    book = books.book_for(connection, place)
    if book is None:
        return Wanted(None, tuple(marks))
    offers = registered_offers(book, place)
    return Wanted(offers, tuple(mark for mark in marks if mark.offer in offers)) if offers else None


def registered_offers(book: LoadedBook, place: Place) -> tuple[str, ...]:
    """The offers sold at `place` that ask for a voucher of the register, sorted."""
    name = (book.hash, place.merchant, place.site)
    if name not in _registered:
        if len(_registered) >= PLACES_CACHED_MAX:
            _registered.clear()
        _registered[name] = tuple(
            sorted(
                each.offer.id
                for each in book.offers.values()
                if any(isinstance(proof, VoucherProof) and proof.registered for proof in each.offer.proof)
                and sold_at(book, each.offer, place)
            )
        )
    return _registered[name]


@dataclass(frozen=True, slots=True)
class VoucherFeed:
    """`sync.headquarters.feeds.Feed`."""

    books: Books
    name: str = VOUCHERS_FEED

    def version(self, connection: Connection, place: Place) -> str | None:
        """One look-up as long as there are no vouchers."""
        wanted = wanted_at(connection, place, self.books)
        return None if wanted is None else wanted.version


class Shelf:
    """Registers ready to be sent. Callable from any thread; one register is put together at a time."""

    def __init__(self, key: ProgrammeKey, books: Books, *, bytes_max: int = SHELF_BYTES_MAX) -> None:
        self._key = key
        self._books = books
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._made: OrderedDict[str, tuple[bytes, str]] = OrderedDict()  # by version: the octets, their SHA-256

    def answer(self, connection: Connection, place: Place, have: str, now: datetime) -> VouchersAnswer:
        """What the terminal at `place` should have, and the changes since `have` when they are few.

        Raises `RegisterReplaced` when there is nothing to have, or while it is being changed; `VouchersKeyMismatch`.
        """
        wanted = self._wanted(connection, place)
        content, digest = self._content(connection, wanted)
        return VouchersAnswer(
            version=wanted.version,
            size_bytes=len(content),
            sha256=digest,
            changes=self._changes(connection, wanted, have),
            key_version=self._key.version,
            key_fingerprint=self._key.fingerprint,
            time=timestamp(now),
        )

    def chunk(self, connection: Connection, place: Place, version: str, number: int) -> bytes:
        """The chunk `number` of the register, which must be the one to have. Raises as `answer`."""
        wanted = self._wanted(connection, place)
        content, _ = self._content(connection, wanted)
        chunk = content[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        if wanted.version != version or not chunk:
            raise RegisterReplaced("fetch register", version)
        return chunk

    def _wanted(self, connection: Connection, place: Place) -> Wanted:
        register.check_key(register.state_of(connection), self._key)
        wanted = wanted_at(connection, place, self._books)
        if wanted is None:
            raise RegisterReplaced("fetch register", VOUCHERS_FEED)
        return wanted

    def _content(self, connection: Connection, wanted: Wanted) -> tuple[bytes, str]:
        with self._lock:
            made = self._made.get(wanted.version)
            if made is None:
                made = self._made[wanted.version] = self._build(connection, wanted)
            self._made.move_to_end(wanted.version)
            while len(self._made) > 1 and sum(len(content) for content, _ in self._made.values()) > self._bytes_max:
                self._made.popitem(last=False)
            return made

    def _build(self, connection: Connection, wanted: Wanted) -> tuple[bytes, str]:
        found = dict(register.records(connection, offers=wanted.offers))
        _same_still(connection, wanted)
        _, content = register_bytes(found, self._key, wanted.built, version=wanted.version, subject=wanted.version)
        return content, hashlib.sha256(content).hexdigest()

    def _changes(self, connection: Connection, wanted: Wanted, have: str) -> str:
        """The vouchers that changed since `have`, as a register in base64; empty when they are too many, or when it was
        of other offers. What was forgotten does not show here: the terminal's hash then differs, and it fetches all.
        """
        number, _, rest = have.partition(".")
        if not number.isdecimal() or rest.partition(".")[0] != wanted.set or int(number) > wanted.number:
            return ""
        query = register.records(connection, offers=wanted.offers, after=int(number), limit=CHANGES_MAX + 1)
        found = dict(query)
        if len(found) > CHANGES_MAX:
            return ""
        _same_still(connection, wanted)
        _, content = register_bytes(found, self._key, wanted.built, version=wanted.version, subject=wanted.version)
        return base64.b64encode(content).decode("ascii") if len(content) <= CHANGES_BYTES_MAX else ""


def _same_still(connection: Connection, wanted: Wanted) -> None:
    """Raise `RegisterReplaced` when the register was changed while its rows were read; the terminal asks again."""
    marks: Sequence[OfferMark] = register.marks_of(connection)
    if wanted.offers is not None:
        marks = [mark for mark in marks if mark.offer in wanted.offers]
    if tuple(marks) != wanted.marks:
        raise RegisterReplaced("read register", wanted.version)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_HEX]

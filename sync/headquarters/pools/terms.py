"""What a key is counted for: the limit behind it, in the book that a terminal sells by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from sqlalchemy import Connection

from config.zone import SHANGHAI
from sync.headquarters.books import releases
from sync.headquarters.books.errors import ReleaseMissing
from sync.headquarters.books.meant import meant_for
from sync.headquarters.projection import Place
from sync.wire_grants import LEASE_KEYS_MAX
from terminal.offers.book import LoadedBook
from terminal.offers.counts import Limit, Offline, Scope
from terminal.offers.limits import campaign_value, encoded, next_window, usage_key
from terminal.offers.model import Offer

# Scopes that a terminal is in whoever comes: only of limits on these can a slice be cut beforehand.
PLACES: Final = frozenset({Scope.CAMPAIGN, Scope.MERCHANT, Scope.SITE, Scope.TERMINAL})
PEOPLE: Final = frozenset({Scope.CARD, Scope.PERSON, Scope.VOUCHER})
# A slice for an offer that begins tomorrow is granted today, for a terminal that is offline by then.
EARLY: Final = timedelta(days=1)
# PostgreSQL's index holds no entry beyond some 2,700 bytes; real keys have 60 to 200.
KEY_BYTES_MAX: Final = 2_000
# Asked at every heartbeat; every site of the city under two books.
PLACES_CACHED_MAX: Final = 20_000
_flagged: dict[tuple[str, str, str], list[str]] = {}


class Books(Protocol):
    """Which books there are, and which of them a terminal should sell by."""

    def book_of(self, connection: Connection, revision: int, sha256: str) -> LoadedBook | None:
        """The book of this revision and hash (empty: of this revision); None: not one of ours."""

    def book_for(self, connection: Connection, place: Place) -> LoadedBook | None:
        """What the terminal at `place` should sell by now."""


class ReleasedBooks:
    """The books that headquarters released."""

    def book_of(self, connection: Connection, revision: int, sha256: str) -> LoadedBook | None:
        """`Books`."""
        if sha256:
            return releases.book_of(connection, revision, sha256)
        try:
            return releases.content_of(connection, revision)
        except ReleaseMissing:
            return None

    def book_for(self, connection: Connection, place: Place) -> LoadedBook | None:
        """`Books`."""
        chosen = meant_for(connection, place)
        return releases.book_of(connection, chosen.revision, chosen.sha256) if chosen else None


@dataclass(frozen=True, slots=True)
class OneBook:
    """The same book everywhere, at every time: for simulations, tests, and a headquarters that never had another."""

    book: LoadedBook

    def book_of(self, connection: Connection, revision: int, sha256: str) -> LoadedBook | None:
        """`Books`."""
        return self.book if revision == self.book.revision and sha256 in ("", self.book.hash) else None

    def book_for(self, connection: Connection, place: Place) -> LoadedBook | None:
        """`Books`."""
        return self.book


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """A key and what holds for it. `ends_on`: the day (ISO) on which its window is over; empty: never."""

    key: str
    offer: str
    limit: str
    policy: Offline
    max: int
    revision: int
    shared: bool
    ends_on: str

    @property
    def personal_flag(self) -> bool:
        """Whether terminals are told who has used it elsewhere."""
        return self.policy is Offline.FLAG and not self.shared


def terms_of(book: LoadedBook | None, key: str, max_told: int) -> KeyTerms | None:
    """What holds for a key as a terminal wrote it; None when nothing has to be counted here.

    A limit that the book does not know, or no book at all: the terminal's own number, and only flagged.
    """
    offer_id, _, rest = key.partition("|")
    limit_id, counted, scopes = rest.partition("|")
    if not counted:
        return None  # no key that the rules make: nobody can say what it counts
    prepared = book.offers.get(offer_id) if book else None
    limit = next((each for each in prepared.offer.limits if each.id == limit_id), None) if prepared else None
    if book is None or limit is None:
        personal = any(f"|{scope}=" in f"|{scopes}" for scope in PEOPLE)
        return KeyTerms(key, offer_id, limit_id, Offline.FLAG, max_told, 0, not personal, "")
    if limit.offline is Offline.LOCAL:
        return None
    return _terms(book, offer_id, limit, key)


def leasable(book: LoadedBook, place: Place, now: datetime) -> list[KeyTerms]:
    """Every key that a slice can be cut for at `place`: of today, and of the next window; `LEASE_KEYS_MAX` at most."""
    day = now.astimezone(SHANGHAI).date()
    found: dict[str, KeyTerms] = {}
    for offer, limit in _leases_at(book, place, day):
        for when in (day, next_window(limit.window, day)):
            if when is not None and _holds_on(offer, when):
                key = usage_key(offer, limit, _scopes(offer, place), when)
                found.setdefault(key, _terms(book, offer.id, limit, key))
    return [found[key] for key in sorted(found)[:LEASE_KEYS_MAX]]


def flagged_offers(book: LoadedBook, place: Place) -> list[str]:
    """The offers sold at `place` that count per card, person or voucher under `flag`: what the usage feed is of."""
    name = (book.hash, place.merchant, place.site)
    if name not in _flagged:
        if len(_flagged) >= PLACES_CACHED_MAX:
            _flagged.clear()
        _flagged[name] = _flagged_offers(book, place)
    return _flagged[name]


def _flagged_offers(book: LoadedBook, place: Place) -> list[str]:
    return [
        each.offer.id
        for each in book.offers.values()
        if sold_at(book, each.offer, place)
        and any(limit.offline is Offline.FLAG and limit.personal and not limit.momentary for limit in each.offer.limits)
    ]


def storable(key: str) -> bool:
    """Whether the database can hold this key."""
    return "\0" not in key and len(key.encode("utf-8", "replace")) <= KEY_BYTES_MAX


def _terms(book: LoadedBook, offer: str, limit: Limit, key: str) -> KeyTerms:
    return KeyTerms(
        key, offer, limit.id, limit.offline, limit.max, book.revision, not limit.personal, _ends_on(limit, key)
    )


def _ends_on(limit: Limit, key: str) -> str:
    """A dated window's last part says when it began."""
    began = key.rpartition("=")[2]
    try:
        following = next_window(limit.window, date.fromisoformat(began))
    except ValueError:
        return ""
    return following.isoformat() if following else ""


def _leases_at(book: LoadedBook, place: Place, day: date) -> Iterator[tuple[Offer, Limit]]:
    for prepared in book.offers.values():
        offer = prepared.offer
        if not sold_at(book, offer, place) or not _holds_on(offer, day):
            continue
        for limit in offer.limits:
            if limit.offline is Offline.LEASE and not limit.momentary and PLACES.issuperset(limit.per):
                yield offer, limit


def sold_at(book: LoadedBook, offer: Offer, place: Place) -> bool:
    """As `PreparedOffer.holds_at`, by merchant and site."""
    reference = f"{place.merchant}/{place.site}"
    prepared = book.offers[offer.id]
    if reference not in prepared.sites:
        return False
    return prepared.everywhere or place.merchant in prepared.merchant_ids or reference in prepared.site_references


def _holds_on(offer: Offer, day: date) -> bool:
    when = offer.when
    begun = when.first_day is None or day + EARLY >= when.first_day
    return begun and (when.last_day is None or day <= when.last_day)


def _scopes(offer: Offer, place: Place) -> Mapping[Scope, str]:
    values = {
        Scope.MERCHANT: place.merchant,
        Scope.SITE: f"{place.merchant}/{place.site}",
        Scope.TERMINAL: place.terminal,
    }
    spelt = {scope: f"{scope}={encoded(value)}" for scope, value in values.items()}
    return {**spelt, Scope.CAMPAIGN: campaign_value(offer)}

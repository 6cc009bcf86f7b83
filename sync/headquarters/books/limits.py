"""What a limit of a released book says: asked by the pools whenever a terminal claims, leases or holds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from sync.headquarters.books.releases import book_of
from terminal.offers.counts import Count, Limit, Offline, Scope, Window


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """One limit as its book says it. `per` in the book's order; `campaign` is the offer's, as it stands in keys."""

    max: int
    offline: Offline
    per: tuple[Scope, ...]
    window: Window
    count: Count
    campaign: str


class LimitSource:
    """Answers from released books only; a claim under any other book has no terms here. No state: use from anywhere."""

    def terms(self, connection: Connection, revision: int, sha256: str, offer: str, limit: str) -> LimitTerms | None:
        """What the limit of this offer says in the book of this revision and hash; None: nothing was ever released so.

        The book is looked up once and then kept (`releases.book_of`), so asking for every claim of a batch is cheap.
        """
        book = book_of(connection, revision, sha256)
        prepared = book.offers.get(offer) if book else None
        if prepared is None:
            return None
        found = next((one for one in prepared.offer.limits if one.id == limit), None)
        return _terms(found, prepared.offer.campaign) if found else None


def _terms(limit: Limit, campaign: str) -> LimitTerms:
    return LimitTerms(limit.max, limit.offline, limit.per, limit.window, limit.count, campaign)

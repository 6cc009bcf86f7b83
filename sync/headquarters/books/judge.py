"""Sales by a book, or an offer, that was never released for their terminal: flagged `unknown-offer`.

A terminal is judged from the moment on at which a roll-out first reached its place, and not before: a headquarters that
has never released a book flags nothing, and neither does the first roll-out flag what was sold by the settings' own
book until then. A sale that was quoted under the old book may end under it, so the first hour is let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from sync.errors import MessageMalformed
from sync.headquarters.books import releases, stages
from sync.headquarters.projection import DETAIL_CHARS_MAX, Finding, FlagCode, Folded, Place
from sync.wire import parse_timestamp
from terminal.ledger.entry import Entry, EntryKind

# The longest that a terminal may be set to honour a quote (`counter.quote_s`).
QUOTE_LIFE: Final = timedelta(hours=1)
HASH_SHOWN: Final = 12  # characters: enough to tell two books apart


@dataclass(frozen=True, slots=True)
class _Sale:
    """What an authorisation says it was sold by."""

    sequence: int
    at: str
    revision: int
    sha256: str
    offer: str


class OfferJudge:
    """`ingest.Judge`: one query for the stages of the batch's books; books are looked up once and then kept."""

    def __call__(
        self, connection: Connection, place: Place, entries: Sequence[Entry], folded: Folded, now: datetime
    ) -> Iterable[Finding]:
        """What is wrong with the sales among `entries`."""
        sales = [sale for entry in entries if (sale := _sale(entry))]
        if not sales:
            return ()
        reached = stages.stages_of(connection, {sale.revision for sale in sales})
        here = {(stage.revision, stage.sha256) for stage in reached if stage.target.reaches(place, stage.revision)}
        strange = [sale for sale in sales if (sale.revision, sale.sha256) not in here]
        known = [sale for sale in sales if (sale.revision, sale.sha256) in here]
        return (*_by_strange_books(connection, place, strange), *_of_strange_offers(connection, known))


def _by_strange_books(connection: Connection, place: Place, sales: Sequence[_Sale]) -> Iterator[Finding]:
    """Sales by a book that never reached this place, once another one had."""
    since = stages.reached_since(connection, place) if sales else None
    if since is None:
        return
    for sale in sales:
        if _is_after(sale.at, since + QUOTE_LIFE):
            yield _finding(sale, sale.sha256[:HASH_SHOWN])


def _of_strange_offers(connection: Connection, sales: Sequence[_Sale]) -> Iterator[Finding]:
    """Sales by a book of ours that has no such offer."""
    for sale in sales:
        book = releases.book_of(connection, sale.revision, sale.sha256)
        if book is None or sale.offer not in book.offers:
            yield _finding(sale, sale.offer)


def _finding(sale: _Sale, what: str) -> Finding:
    detail = f"{sale.revision} {what}".replace("\0", "")[:DETAIL_CHARS_MAX]
    return Finding(sale.sequence, FlagCode.UNKNOWN_OFFER, detail)


def _sale(entry: Entry) -> _Sale | None:
    """None for the other steps, and where the body is none, which is another finding's matter."""
    if entry.kind is not EntryKind.AUTHORISED:
        return None
    revision, sha256, offer = (entry.body.get(name) for name in ("revision", "book_hash", "offer"))
    if type(revision) is int and isinstance(sha256, str) and isinstance(offer, str):
        return _Sale(entry.sequence, entry.at, revision, sha256, offer)
    return None


def _is_after(at: str, moment: datetime) -> bool:
    """By the counter's clock; a time in no calendar gains nobody anything."""
    try:
        return parse_timestamp(at) >= moment
    except MessageMalformed:
        return True

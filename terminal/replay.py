"""Past sales out of the ledger, for a replay of a draft book: entries in, events out, one snapshot, any size."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from pathlib import Path

from config.zone import SHANGHAI
from terminal.ledger import database, journal
from terminal.ledger.bodies import Authorisation, Cancellation, Voiding, parse_body
from terminal.ledger.entry import Entry, decode_entry
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.replay import Event, GivenBack, PastSale
from terminal.offers.sale import Place, SaleLine

_VOUCHER = "voucher="  # the scope of a limit's key that holds a voucher's code, percent-encoded
_KIND = b'"kind":"'
_COMPLETED = b'"kind":"completed"'
_RETURNED = "SELECT id FROM redemption WHERE cancelled_at IS NOT NULL OR voided_units > 0"


def count_entries(path: Path) -> int:
    """How many entries the ledger holds. Raises `LedgerMissing`, `LedgerNewer`, `LedgerStopped` kinds."""
    with database.snapshot(path) as connection:
        return int(database.driver(connection)("SELECT coalesce(max(sequence), 0) FROM entry", ()).fetchone()[0])


def past_sales(path: Path, issued: Callable[[str], date | None]) -> Iterator[Event]:
    """Every authorisation and what came back of it, in the ledger's order. `issued` knows a card's issue day by token.

    Raises what `count_entries` raises, and `EntryInvalid`.
    """
    units: dict[str, int] = {}
    with database.snapshot(path) as connection:
        execute = database.driver(connection)
        returned = {row[0] for row in execute(_RETURNED, ())}
        for stored in journal.walk(execute):
            if _is_completion(stored.canonical):
                continue
            entry = decode_entry(stored.canonical)
            body = parse_body(entry)
            if isinstance(body, Authorisation):
                comes_back = entry.redemption in returned
                if comes_back:
                    units[entry.redemption] = body.units
                yield _sale(entry, body, issued(body.token), comes_back=comes_back)
            elif isinstance(body, Cancellation):
                yield GivenBack(entry.redemption, units.get(entry.redemption, 0))
            elif isinstance(body, Voiding):
                yield GivenBack(entry.redemption, body.units)


def _is_completion(canonical: bytes) -> bool:
    """Whether an entry only says that money was taken: half of all, and nothing to a replay, so not worth decoding.

    The envelope's `kind` is the last one there is: what follows it by the alphabet holds no map and no quote.
    """
    return canonical.startswith(_COMPLETED, canonical.rfind(_KIND))


def _sale(entry: Entry, body: Authorisation, issued: date | None, *, comes_back: bool) -> PastSale:
    day = date.fromisoformat(body.business_day)
    return PastSale(
        id=entry.redemption,
        at=_moment(entry, day),
        day=day,
        place=Place(body.merchant, body.site, entry.terminal),
        member=Member(
            body.token, body.person, Standing(body.standing), MemberClass(body.member_class), issued,
            genuine=body.authenticity == "dda",
        ),
        offer=body.offer,
        lines=tuple(
            SaleLine(line["category"], line["quantity"], line["list_fen"], line["attributes"]) for line in body.lines
        ),
        shown=frozenset(body.proofs),
        voucher=_voucher(body),
        list_fen=body.list_fen,
        pay_fen=body.pay_fen,
        units=body.units,
        comes_back=comes_back,
    )  # fmt: skip


def _moment(entry: Entry, day: date) -> datetime:
    """When the sale was authorised; within its business day, which is that of its quote, even just after midnight."""
    at = datetime.fromisoformat(entry.at).astimezone(SHANGHAI)
    return at if at.date() == day else datetime.combine(day, time.max, SHANGHAI)


def _voucher(body: Authorisation) -> str | None:
    """The code of the voucher that the sale used, as it stands in the key of the voucher's own limit."""
    scopes = (scope for claim in body.claims for scope in claim.key.split("|"))
    code = next((scope.removeprefix(_VOUCHER) for scope in scopes if scope.startswith(_VOUCHER)), None)
    return None if code is None else urllib.parse.unquote(code)

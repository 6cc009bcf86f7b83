"""Quotes held for confirmation: what stood on the screen may be sold as it stood there, for a while, from memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from config.errors import JingkaError, Retry, Words
from terminal.offers.book import LoadedBook
from terminal.offers.quote import Quote
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Sale, SaleLine
from terminal.presentation import Presentation

HELD_QUOTES_MAX = 200  # quotes kept for confirmation; a busy counter makes a few a minute


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What the cashier typed for one offer. `book`: the hash of the book that the sale began under, empty for none."""

    presentation: str
    offer: str
    lines: tuple[SaleLine, ...]
    proofs: Mapping[str, str | bool]
    book: str = ""


@dataclass(frozen=True, slots=True)
class HeldQuote:
    """A quote kept for confirmation, with everything a redemption needs; `until_ms` is monotonic.

    `book` is the one it was made from: another book that comes into force meanwhile changes nothing of it.
    """

    id: str
    presentation: str
    quote: Quote
    sale: Sale
    card: Presentation
    book: LoadedBook
    at: datetime
    until_ms: int


class QuoteExpired(JingkaError):
    """The quote is unknown here: too old, or made before a restart."""

    code = "quote-expired"
    retry = Retry.RETRY
    what = Words("报价已过期", "the quote is too old")
    hint = Words("请重新刷卡报价", "present the card and quote again")


class QuoteMoved(JingkaError):
    """What was counted moved between quote and authorisation, and the price with it; `held` is the new quote."""

    code = "quote-moved"
    retry = Retry.PARK
    what = Words("刚才的计数有变化，应收金额要重新确认", "what is counted has just moved, and the price may have too")
    hint = Words("请看清新的金额，再确认一次", "read the new amount, then confirm once more")

    def __init__(self, operation: str, subject: str, held: HeldQuote) -> None:
        super().__init__(operation, subject)
        self.held = held


class SaleRefused(JingkaError):
    """The rules say no at the moment of authorising; `refusals` say why."""

    code = "sale-refused"
    retry = Retry.PARK
    what = Words("不能享受该优惠", "this offer cannot be granted")
    hint = Words("请把原因告诉持卡人", "tell the holder the reason")

    def __init__(self, operation: str, subject: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(operation, subject)
        self.refusals = refusals


class HeldQuotes:
    """The last quotes by their id, the oldest forgotten first."""

    def __init__(self) -> None:
        self._quotes: OrderedDict[str, HeldQuote] = OrderedDict()

    def __len__(self) -> int:
        return len(self._quotes)

    def hold(self, held: HeldQuote) -> HeldQuote:
        """Keep a quote."""
        self._quotes[held.id] = held
        while len(self._quotes) > HELD_QUOTES_MAX:
            self._quotes.popitem(last=False)
        return held

    def find(self, quote_id: str, now_ms: int) -> HeldQuote | None:
        """The quote of this id while it is honoured."""
        held = self._quotes.get(quote_id)
        return None if held is None or held.until_ms < now_ms else held

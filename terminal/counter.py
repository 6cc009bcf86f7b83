"""The cashier's use cases: a card is presented, a sale is quoted, authorised, completed, cancelled or voided.

The counter lives on the daemon's event loop: everything here is called from that one thread, and only the ledger's
own calls leave it. It holds the card on the reader and the quotes of the last minutes in memory; a redemption's truth
is the ledger. What happens is told to a `Publisher`, which the pages listen to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from config.errors import JingkaError, Retry, Words
from config.settings import CounterSection
from config.zone import SHANGHAI
from drivers.card import Authenticity, CardRead, EntryMode
from terminal.authorisation import KeepProof, authorisation_of
from terminal.book_in_force import BookInForce
from terminal.held_quotes import HeldQuote, HeldQuotes, QuoteExpired, QuoteMoved, QuoteRequest, SaleRefused
from terminal.ledger.clock import Clock
from terminal.ledger.errors import HoldLate, LimitMoved
from terminal.ledger.grants import Right
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption, RedemptionState
from terminal.membership.desk import MembershipDesk
from terminal.membership.standing import Member
from terminal.offers.book import LoadedBook
from terminal.offers.overview import OfferView, overview
from terminal.offers.quote import quote
from terminal.offers.sale import Place, Sale
from terminal.presentation import ACCEPTED_BY_DEFAULT, Judge, Presentation, presentation_summary
from terminal.redemption_id import check_id, new_id
from terminal.rights import GrantLacking, Holder, HoldRefused, Rights, refusals_of
from terminal.typed_card import typed_read
from terminal.usage import Elsewhere, LedgerUsage
from terminal.vouchers.desk import VoucherDesk

logger = logging.getLogger(__name__)

SAME_CARD_MS = 1500  # contactless readers see one tap several times; a second look so soon is the same presentation
SYSTEM_CASHIER = "system"  # who cancels what nobody settled
TIMEOUT_REASON = "timeout"

Answer = TypeVar("Answer")


class PresentationGone(JingkaError):
    """A quote was asked for a card that is no longer presented."""

    code = "presentation-gone"
    retry = Retry.RETRY
    what = Words("这张卡已不在读卡器上", "this card is no longer presented")
    hint = Words("请再次刷卡", "present the card again")


class ManualEntryOff(JingkaError):
    """Card numbers are not typed at this counter."""

    code = "manual-entry-off"
    retry = Retry.PARK
    what = Words("本店不受理手工输入卡号", "card numbers are not typed at this counter")
    hint = Words("请刷卡、插卡或挥卡；不行就按原价收款", "present the card; if it cannot be read, take the list price")


class CardMeanwhile(JingkaError):
    """A card was presented while the manager was approving a typed number: the card that can be read comes first."""

    code = "card-meanwhile"
    retry = Retry.PARK
    what = Words("刚才有卡刷上了读卡器，以刷的卡为准", "a card was presented meanwhile, and it comes first")
    hint = Words("请先办理这张卡，再重新输入", "serve that card first, then type the number again")


class Publisher(Protocol):
    """Where events go; `terminal.serving.hub.Hub` is one."""

    def publish(self, event: str, data: Mapping[str, Any]) -> None:
        """Hand one event to every subscriber; never blocks."""


class Counter:
    """One till. `on_entry` is called after each durable step, so that the sync agent need not poll; `on_typed` is
    told of a typed card, which no reader tells.

    `book` may be the reason why there is none: every card is then answered with it, and nothing is sold.
    """

    def __init__(
        self,
        *,
        place: Place,
        desk: MembershipDesk,
        book: LoadedBook | JingkaError,
        ledger: Ledger,
        clock: Clock,
        events: Publisher,
        times: CounterSection,
        slices: Mapping[str, int],
        keep_proof: KeepProof,
        on_entry: Callable[[], None],
        accept: Collection[Authenticity] = ACCEPTED_BY_DEFAULT,
        on_typed: Callable[[CardRead], None] | None = None,
        vouchers: VoucherDesk | None = None,
        elsewhere: Elsewhere | None = None,
        holder: Holder | None = None,
        want: Callable[[str, int], None] = lambda _key, _amount: None,
    ) -> None:
        self.place = place
        self.ledger = ledger
        self._clock = clock
        self._events = events
        self._times = times
        self._usage = LedgerUsage(
            ledger, slices, vouchers, elsewhere=elsewhere, asks=lambda: self.rights.asks, now_ms=clock.monotonic_ms
        )
        self.rights = Rights(ledger, self._usage, clock, holder, want)
        self._books = BookInForce(book, times.quote_s * 1000)
        self._judge = Judge(place, desk, self._books, self._usage, accept)
        self._keep_proof = keep_proof
        self._on_entry = on_entry
        self._on_typed = on_typed
        self._presentation: Presentation | None = None
        self._read: CardRead | None = None
        self._presented_ms = 0
        self._outdated = False  # what the presented card may have was judged before a sale, or by another book
        self._quotes = HeldQuotes()
        self._unsettled_since_ms: dict[str, int] = {}

    # --- the offers -----------------------------------------------------------------------------------------------

    @property
    def book(self) -> LoadedBook:
        """The offers in force. Raises why there are none."""
        return self._books.book

    @property
    def book_fault(self) -> JingkaError | None:
        """Why the newest book file is not the one in force; None when it is."""
        return self._books.fault

    def book_of(self, book_hash: str) -> LoadedBook:
        """The book that a sale began under, while it is known; else, and for no hash, the one in force."""
        return self._books.pinned(book_hash, self._clock.monotonic_ms())

    def name_of(self, offer: str) -> Words | None:
        """What the book in force calls an offer; None when it has none of this id."""
        try:
            prepared = self._books.book.offers.get(offer)
        except JingkaError:
            return None
        return None if prepared is None else prepared.offer.name.words

    def replace_book(self, book: LoadedBook | JingkaError) -> None:
        """The book file was replaced. What cannot be used leaves the old book in force, with a `book_fault`.

        The card presented is judged anew; quotes that are held keep the book they were made from.
        """
        if self._books.replace(book, self._clock.monotonic_ms()):
            self._outdated = True
        self._events.publish("book", self._books.summary)

    def usage_changed(self) -> None:
        """Headquarters granted or told something: the card presented is judged anew when somebody looks.

        One that could have nothing and now can is announced like a card just presented: nobody is selling to it yet.
        """
        before, self._outdated = self._presentation, True
        card = self.presentation
        if before is None or card is None or any(view.eligible for view in before.offers):
            return
        if any(view.eligible for view in card.offers):
            self._present(replace(card, id=new_id()))

    def offer_view(self, offer: str, presentation: str | None = None, book_hash: str = "") -> OfferView:
        """An offer for the card presented, by the book of `book_hash` while it is known. Raises `PresentationGone`."""
        card = self.presentation
        if card is None or card.member is None or presentation not in (None, card.id):
            raise PresentationGone("open sale", offer)
        book = self.book_of(book_hash)
        views = card.offers
        if book.hash != card.book:
            views = overview(self.place, card.member, book, self._usage, self._now())
        found = next((view for view in views if view.offer == offer), None)
        if found is None:
            raise PresentationGone("open sale", offer)
        return found

    # --- the card -------------------------------------------------------------------------------------------------

    @property
    def manual_entry(self) -> bool:
        """Whether card numbers may be typed here."""
        return self._times.manual_entry

    @property
    def presentation(self) -> Presentation | None:
        """The card presented now, or None."""
        if self._presentation and self._clock.monotonic_ms() - self._presented_ms > self._times.presentation_s * 1000:
            self.clear()
        if self._outdated and self._read and self._presentation:
            again = self._judge.judge(self._read, self._now(), self._presentation.approved_by)
            self._presentation = replace(again, id=self._presentation.id)
            self._outdated = False
        return self._presentation

    def card_read(self, read: CardRead) -> None:
        """A reader read a card: judge it and tell the pages."""
        now_ms = self._clock.monotonic_ms()
        same = self._read is not None and self._read.pan == read.pan and self._read.reader == read.reader
        if same and self._presentation and now_ms - self._presented_ms < SAME_CARD_MS:
            return
        self._read, self._presented_ms = read, now_ms
        self._present(self._judge.judge(read, self._now()))

    async def card_typed(self, number: str, expiry: str, approve: Callable[[], Awaitable[str]]) -> Presentation:
        """A number read off the card by eye. `approve` asks the manager, whose id it returns.

        Raises `ManualEntryOff`, `NumberMistyped`, `ExpiryMistyped`, what `approve` raises, and `CardMeanwhile`.
        """
        if not self.manual_entry:
            raise ManualEntryOff("type card number", self.place.terminal)
        read = typed_read(number, expiry)
        before = self._presentation
        manager = await approve()
        if self._presentation is not None and (before is None or before.id != self._presentation.id):
            raise CardMeanwhile("type card number", self._presentation.reader)
        logger.info("card number typed, approved by %s", manager)
        self._read, self._presented_ms = read, self._clock.monotonic_ms()
        if self._on_typed is not None:
            self._on_typed(read)
        typed = self._judge.judge(read, self._now(), manager)
        self._present(typed)
        return typed

    def card_failed(self, reader: str, error: JingkaError) -> None:
        """A card was presented and not read: say why, forget the card before it."""
        self._read, self._presented_ms = None, self._clock.monotonic_ms()
        self._present(Presentation.unread(reader, self._now(), error))

    def card_removed(self, reader: str) -> None:
        """An inserted card was pulled. A tapped card is expected to leave, so its answer stays for `presentation_s`."""
        held = self._presentation
        if held and held.reader == reader and held.entry_mode is EntryMode.CONTACT:
            self.clear()

    def clear(self) -> None:
        """Nothing is presented any more."""
        self._read = None
        if self._presentation:
            self._presentation = None
            self._events.publish("presentation", {"id": None})

    def _present(self, presentation: Presentation) -> None:
        self._presentation, self._outdated = presentation, False
        self._events.publish("presentation", presentation_summary(presentation))

    # --- the sale -------------------------------------------------------------------------------------------------

    async def quote(self, request: QuoteRequest) -> HeldQuote:
        """What this sale would cost and why not; writes nothing. Raises `PresentationGone`.

        A sale that names the book it began under is quoted from that one while it is known.
        """
        card = self.presentation
        if card is None or card.id != request.presentation or card.member is None:
            raise PresentationGone("quote", request.offer)
        sale = Sale(self.place, request.offer, request.lines, request.proofs)
        return self._hold(card, card.member, sale, self.book_of(request.book), self._now())

    async def authorise(self, redemption: str, quote_id: str, cashier: str) -> Redemption:
        """Make the quoted sale durable under this id; the same id again returns the first answer.

        The quote's own moment and book decide; limits are checked again inside the ledger's transaction. Where they
        have moved, the sale is quoted anew: with reasons against it, or with another price to confirm.
        Raises `QuoteExpired`, `SaleRefused`, `QuoteMoved`, `RedemptionIdInvalid` and the ledger's errors.
        """
        check_id(redemption)
        held = self._quotes.find(quote_id, self._clock.monotonic_ms())
        if held is None:
            first = self.ledger.redemption(redemption)
            if first is not None:
                return replace(first, repeat=True)
            raise QuoteExpired("authorise", redemption)
        if held.quote.refusals:
            raise SaleRefused("authorise", held.sale.offer or "", held.quote.refusals)
        try:
            done = await self.rights.spend(
                redemption, held, lambda right: self._record(redemption, held, cashier, right)
            )
        except (LimitMoved, HoldLate, GrantLacking):
            raise self._moved(held) from None
        except HoldRefused as refused:
            moved = self._moved(held)
            if isinstance(moved, SaleRefused):
                raise moved from None
            raise SaleRefused("authorise", held.quote.offer, refusals_of(refused, held, self._usage)) from None
        if not done.repeat:
            self._unsettled_since_ms[done.id] = self._clock.monotonic_ms()
            self._announce(done)
        return done

    async def complete(self, redemption: str, cashier: str, pos_reference: str | None) -> Redemption:
        """The bank's POS took the money."""
        return await self._settle(lambda: self.ledger.complete(redemption, cashier, pos_reference))

    async def cancel(self, redemption: str, cashier: str, reason: str) -> Redemption:
        """The money was not taken: everything the sale used comes back."""
        return await self._settle(lambda: self.ledger.cancel(redemption, cashier, reason))

    async def void(self, redemption: str, cashier: str, reason: str, units: int | None) -> Redemption:
        """A mistake found later: `units` of it (None: all) come back, the record stays."""
        return await self._settle(lambda: self.ledger.void(redemption, cashier, reason, units))

    async def cancel_overdue(self) -> list[Redemption]:
        """Cancel what nobody settled within `settle_s`, by elapsed time; after a restart the time begins anew."""
        now_ms = self._clock.monotonic_ms()
        waiting = {each.id for each in self.ledger.unsettled()}
        self._unsettled_since_ms = {each: self._unsettled_since_ms.get(each, now_ms) for each in waiting}
        overdue = [i for i, since in self._unsettled_since_ms.items() if now_ms - since > self._times.settle_s * 1000]
        return [await self.cancel(each, SYSTEM_CASHIER, TIMEOUT_REASON) for each in overdue]

    # --- looking up -----------------------------------------------------------------------------------------------

    def redemptions(self, day: str) -> list[Redemption]:
        """The redemptions of one business day, oldest first."""
        return self.ledger.redemptions(day)

    def unsettled(self) -> list[Redemption]:
        """Authorised and neither completed nor cancelled."""
        return self.ledger.unsettled()

    def redemption(self, redemption: str) -> Redemption | None:
        """One redemption, or None."""
        return self.ledger.redemption(redemption)

    # --- within ---------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._clock.wall().astimezone(SHANGHAI)

    def _record(self, redemption: str, held: HeldQuote, cashier: str, right: Right) -> Redemption:
        """Write the sale; on the ledger's thread."""
        wanted = authorisation_of(
            redemption, held, cashier, self._keep_proof, lambda claim: self.rights.cap(claim, right)
        )
        return self.ledger.authorise(wanted, right)

    def _moved(self, held: HeldQuote) -> SaleRefused | QuoteMoved:
        """What the cashier is told when a limit or a stamp moved between quote and authorisation."""
        assert held.card.member is not None
        again = self._hold(held.card, held.card.member, held.sale, held.book, held.at)
        if again.quote.refusals:
            return SaleRefused("authorise", again.quote.offer, again.quote.refusals)
        return QuoteMoved("authorise", again.quote.offer, again)

    def _hold(self, card: Presentation, member: Member, sale: Sale, book: LoadedBook, at: datetime) -> HeldQuote:
        now_ms = self._clock.monotonic_ms()
        due = quote(sale, member, book, self._usage, at)
        until_ms = now_ms + self._times.quote_s * 1000
        return self._quotes.hold(HeldQuote(new_id(), card.id, due, sale, card, book, at, until_ms))

    async def _settle(self, step: Callable[[], Redemption]) -> Redemption:
        done = await self._write(step)
        if done.state is not RedemptionState.AUTHORISED:
            self._unsettled_since_ms.pop(done.id, None)
        if not done.repeat:
            self._announce(done)
        return done

    def _announce(self, done: Redemption) -> None:
        asyncio.get_running_loop().call_soon(self._on_entry)  # the reply goes first: sync would share its interpreter
        self._outdated = True  # judged anew when somebody looks: the reply to this sale need not wait for it
        self._events.publish("redemption", {"id": done.id, "state": done.state.value, "sequence": done.sequence})

    async def _write(self, step: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.ledger.writer, step)

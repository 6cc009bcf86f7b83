"""The cashier's use cases: a card is presented, a sale is quoted, authorised, completed, cancelled or voided.

The counter lives on the daemon's event loop: everything here is called from that one thread, and only the ledger's
own calls leave it. It holds the card on the reader and the quotes of the last minutes in memory; a redemption's truth
is the ledger. What happens is told to a `Publisher`, which the pages listen to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from config.errors import JingkaError, Retry, Words
from config.settings import CounterSection
from config.zone import SHANGHAI
from drivers.card import Authenticity, CardRead, EntryMode
from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.ledger.clock import Clock
from terminal.ledger.errors import LimitMoved
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption, RedemptionState
from terminal.membership.desk import MembershipDesk
from terminal.offers.book import LoadedBook
from terminal.offers.quote import Quote, quote
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.presentation import ACCEPTED_BY_DEFAULT, Judge, Presentation, presentation_summary
from terminal.redemption_id import check_id, new_id
from terminal.typed_card import typed_read
from terminal.usage import LedgerUsage
from terminal.vouchers.desk import VoucherDesk

logger = logging.getLogger(__name__)

HELD_QUOTES_MAX = 200  # quotes kept for confirmation; a busy counter makes a few a minute
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


class QuoteExpired(JingkaError):
    """The quote is unknown here: too old, or made before a restart."""

    code = "quote-expired"
    retry = Retry.RETRY
    what = Words("报价已过期", "the quote is too old")
    hint = Words("请重新刷卡报价", "present the card and quote again")


class SaleRefused(JingkaError):
    """The rules say no at the moment of authorising; `refusals` say why."""

    code = "sale-refused"
    retry = Retry.PARK
    what = Words("不能享受该优惠", "this offer cannot be granted")
    hint = Words("请把原因告诉持卡人", "tell the holder the reason")

    def __init__(self, operation: str, subject: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(operation, subject)
        self.refusals = refusals


class Publisher(Protocol):
    """Where events go; `terminal.serving.hub.Hub` is one."""

    def publish(self, event: str, data: Mapping[str, Any]) -> None:
        """Hand one event to every subscriber; never blocks."""


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What the cashier typed for one offer."""

    presentation: str
    offer: str
    lines: tuple[SaleLine, ...]
    proofs: Mapping[str, str | bool]


@dataclass(frozen=True, slots=True)
class HeldQuote:
    """A quote kept for confirmation, with everything a redemption needs; `until_ms` is monotonic."""

    id: str
    presentation: str
    quote: Quote
    sale: Sale
    card: Presentation
    at: datetime
    until_ms: int


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
        keep_proof: Callable[[str], str],
        on_entry: Callable[[], None],
        accept: Collection[Authenticity] = ACCEPTED_BY_DEFAULT,
        on_typed: Callable[[CardRead], None] | None = None,
        vouchers: VoucherDesk | None = None,
    ) -> None:
        self.place = place
        self.ledger = ledger
        self._clock = clock
        self._events = events
        self._times = times
        self._usage = LedgerUsage(ledger, slices, vouchers)
        self._judge = Judge(place, desk, book, self._usage, accept)
        self._keep_proof = keep_proof
        self._on_entry = on_entry
        self._on_typed = on_typed
        self._presentation: Presentation | None = None
        self._read: CardRead | None = None
        self._presented_ms = 0
        self._judged_before_sale = False  # the presented card's offers may say more than is left
        self._quotes: OrderedDict[str, HeldQuote] = OrderedDict()
        self._unsettled_since_ms: dict[str, int] = {}

    @property
    def book(self) -> LoadedBook:
        """The offers in force. Raises why there are none."""
        return self._judge.book

    @property
    def manual_entry(self) -> bool:
        """Whether card numbers may be typed here."""
        return self._times.manual_entry

    # --- the card -------------------------------------------------------------------------------------------------

    @property
    def presentation(self) -> Presentation | None:
        """The card presented now, or None."""
        if self._presentation and self._clock.monotonic_ms() - self._presented_ms > self._times.presentation_s * 1000:
            self.clear()
        if self._judged_before_sale and self._read and self._presentation:
            again = self._judge.judge(self._read, self._now(), self._presentation.approved_by)
            self._presentation = replace(again, id=self._presentation.id)
            self._judged_before_sale = False
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
        self._presentation, self._judged_before_sale = presentation, False
        self._events.publish("presentation", presentation_summary(presentation))

    # --- the sale -------------------------------------------------------------------------------------------------

    async def quote(self, request: QuoteRequest) -> HeldQuote:
        """What this sale would cost and why not; writes nothing. Raises `PresentationGone`."""
        card = self.presentation
        if card is None or card.id != request.presentation or card.member is None:
            raise PresentationGone("quote", request.offer)
        now = self._now()
        sale = Sale(self.place, request.offer, request.lines, request.proofs)
        held = HeldQuote(
            id=new_id(),
            presentation=card.id,
            quote=quote(sale, card.member, self.book, self._usage, now),
            sale=sale,
            card=card,
            at=now,
            until_ms=self._clock.monotonic_ms() + self._times.quote_s * 1000,
        )
        self._quotes[held.id] = held
        while len(self._quotes) > HELD_QUOTES_MAX:
            self._quotes.popitem(last=False)
        return held

    async def authorise(self, redemption: str, quote_id: str, cashier: str) -> Redemption:
        """Make the quoted sale durable under this id; the same id again returns the first answer.

        The quote's own moment decides dates and hours; limits are checked again inside the ledger's transaction.
        Raises `QuoteExpired`, `SaleRefused`, `RedemptionIdInvalid` and the ledger's errors.
        """
        check_id(redemption)
        held = self._quotes.get(quote_id)
        if held is None or held.until_ms < self._clock.monotonic_ms():
            first = self.ledger.redemption(redemption)
            if first is not None:
                return replace(first, repeat=True)
            raise QuoteExpired("authorise", redemption)
        if held.quote.refusals:
            raise SaleRefused("authorise", held.sale.offer or "", held.quote.refusals)
        wanted = self._authorisation(redemption, held, cashier)
        try:
            done = await self._write(lambda: self.ledger.authorise(wanted))
        except LimitMoved:
            raise SaleRefused("authorise", held.sale.offer or "", self._quote_again(held)) from None
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

    def _quote_again(self, held: HeldQuote) -> tuple[Refusal, ...]:
        assert held.card.member is not None
        return quote(held.sale, held.card.member, self.book, self._usage, held.at).refusals

    def _authorisation(self, redemption: str, held: HeldQuote, cashier: str) -> Authorisation:
        card, due, member = held.card, held.quote, held.card.member
        assert member is not None
        assert card.entry_mode is not None
        assert card.authenticity is not None
        assert due.offer_name is not None, "an eligible quote names its offer"
        return Authorisation(
            id=redemption,
            cashier=cashier,
            business_day=held.at.date().isoformat(),
            merchant=self.place.merchant,
            site=self.place.site,
            token=member.token,
            person=member.person,
            masked=card.masked,
            member_class=member.member_class.value,
            standing=member.standing.value,
            entry_mode=card.entry_mode.value,
            reader=card.reader,
            authenticity=card.authenticity.value,
            authenticity_reason=card.authenticity_reason.value if card.authenticity_reason else None,
            approved_by=card.approved_by,
            offer=due.offer,
            offer_name={"zh": due.offer_name.zh, "en": due.offer_name.en},
            revision=due.revision,
            book_hash=due.book_hash,
            lines=tuple(line.as_dict() for line in due.lines),
            fees=tuple(fee.as_dict() for fee in due.fees),
            list_fen=due.list_fen,
            pay_fen=due.pay_fen,
            units=sum(line.quantity for line in due.lines),
            claims=tuple(UsageClaim(claim.key, claim.amount, claim.max) for claim in due.claims),
            proofs=self._kept_proofs(held),
            granted=due.granted,
        )

    def _kept_proofs(self, held: HeldQuote) -> dict[str, str]:
        """`seen` for what was only looked at, a keyed hash for what must be recognised again; never the value."""
        kept: dict[str, str] = {}
        for name, how in held.quote.proofs_kept.items():
            value = held.sale.proofs.get(name)
            kept[name] = self._keep_proof(f"{name}:{value}") if how == "keyed-hash" else "seen"
        return kept

    async def _settle(self, step: Callable[[], Redemption]) -> Redemption:
        done = await self._write(step)
        if done.state is not RedemptionState.AUTHORISED:
            self._unsettled_since_ms.pop(done.id, None)
        if not done.repeat:
            self._announce(done)
        return done

    def _announce(self, done: Redemption) -> None:
        asyncio.get_running_loop().call_soon(self._on_entry)  # the reply goes first: sync would share its interpreter
        self._judged_before_sale = True  # judged anew when somebody looks: the reply to this sale need not wait for it
        self._events.publish("redemption", {"id": done.id, "state": done.state.value, "sequence": done.sequence})

    async def _write(self, step: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.ledger.writer, step)

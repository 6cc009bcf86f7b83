"""The sale form of the counter: open it, price as one types, confirm. Pieces are drawn for htmx.

The redemption's id is minted when the form opens and stands inside it, so that a double click, a retry or a second tab
asks for the same redemption. The hash of the book it was opened under stands there too: another book that comes into
force meanwhile changes nothing of this sale. What is authorised is always what stood on the screen: the form is quoted
once more when it is confirmed, and a changed amount is shown instead of sold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from terminal.counter import Counter
from terminal.held_quotes import HeldQuote, QuoteMoved, QuoteRequest, SaleRefused
from terminal.offers.overview import OfferView
from terminal.offers.refusal import Refusal, RefusalCode
from terminal.redemption_id import new_id
from terminal.serving.pages import Pages
from terminal.serving.sign_in import Gate
from terminal.web.counter_page import sale_view, typed_fields
from terminal.web.parts import WebParts
from terminal.web.sale_form import draw, integer_of, read, without_line

# Refusals that only say what the cashier has not answered yet.
STILL_OPEN = frozenset({RefusalCode.ATTRIBUTE_MISSING, RefusalCode.PROOF_MISSING})


@dataclass(frozen=True, slots=True)
class Priced:
    """What the quote panel shows: what cannot be read yet, or the quote with its reasons apart.

    `changed`: another amount than was confirmed. `moved`: what was left has gone since it was shown. `newer`: the
    revision in force, when the sale began under another book.
    """

    unreadable: tuple[str, ...] = ()
    held: HeldQuote | None = None
    still_open: tuple[Refusal, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    changed: bool = False
    moved: bool = False
    newer: int | None = None


def form_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """`/counter/form`, `/counter/quote` and `/counter/confirm`."""
    router = APIRouter(prefix="/counter", include_in_schema=False)
    counter, forms = parts.counter, _Forms(parts.counter, pages)

    async def open_form(request: Request, offer: str) -> Response:
        gate.person(request)
        return await forms.draw(request, counter.offer_view(offer), {}, 1)

    async def grow(request: Request) -> Response:
        """One line more, or with `remove` less the line of that number, counted from nothing."""
        gate.person(request)
        typed, more = await typed_fields(request), 1
        removed = integer_of(typed.pop("remove", ""))
        if removed is not None:
            typed, more = without_line(typed, removed), -1
        return await forms.draw(request, _view(counter, typed), typed, _count(typed) + more)

    async def quote(request: Request) -> Response:
        gate.person(request)
        typed = await typed_fields(request)
        priced = await forms.price(request, _view(counter, typed), typed, _count(typed))
        return pages.response(request, "quote.html", priced=priced)

    async def confirm(request: Request) -> Response:
        """Authorise what stands on the screen. A repeat shows the redemption as it is."""
        cashier = gate.person(request)
        typed = await typed_fields(request)
        done = counter.redemption(typed.get("redemption", ""))
        if done is not None:
            return sale_view(pages, request, counter, done)
        return await forms.confirm(request, typed, cashier.id)

    router.add_api_route("/form", open_form)
    router.add_api_route("/form", grow, methods=["POST"])
    router.add_api_route("/quote", quote, methods=["POST"])
    router.add_api_route("/confirm", confirm, methods=["POST"])
    return router


class _Forms:
    """What the routes of the form have in common."""

    def __init__(self, counter: Counter, pages: Pages) -> None:
        self._counter = counter
        self._pages = pages

    async def draw(
        self, request: Request, view: OfferView, typed: Mapping[str, str], count: int, priced: Priced | None = None
    ) -> Response:
        """The form with `count` lines, holding what was typed, and its price."""
        counter, card = self._counter, self._counter.presentation
        assert card is not None, "the view is of the card presented"
        drawn = draw(view, typed, count, self._pages.language(request))
        if priced is None:
            filled = {**typed, **drawn.values, "presentation": card.id}
            priced = await self.price(request, view, filled, len(drawn.lines))
        book = priced.held.book if priced.held else counter.book_of(typed.get("book", ""))
        possible = priced.held is not None and priced.held.quote.eligible
        return self._pages.response(
            request,
            "form.html",
            card=card,
            offer=view,
            form=drawn,
            cursor=drawn.first_open or ("" if possible else drawn.to_correct),
            redemption=typed.get("redemption") or new_id(),
            book=book.hash,
            priced=priced,
        )

    async def price(self, request: Request, view: OfferView, typed: Mapping[str, str], count: int) -> Priced:
        """The quote of what was typed, or what cannot be read of it."""
        filled = read(view, typed, count, self._pages.language(request))
        if filled.unreadable:
            return Priced(unreadable=filled.unreadable)
        presentation, book = typed.get("presentation", ""), typed.get("book", "")
        wanted = QuoteRequest(presentation, view.offer, filled.lines, filled.proofs, book)
        return self._priced(await self._counter.quote(wanted))

    async def confirm(self, request: Request, typed: Mapping[str, str], cashier: str) -> Response:
        """Authorise what stands on the screen, or show what has changed of it."""
        counter, redemption = self._counter, typed.get("redemption", "")
        view, count = _view(counter, typed), _count(typed)
        priced = await self.price(request, view, typed, count)
        held = priced.held
        if held is None or _shown(held) != (typed.get("shown", ""), typed.get("book", "")):
            return await self.draw(request, view, typed, count, replace(priced, changed="shown" in typed))
        try:
            return sale_view(self._pages, request, counter, await counter.authorise(redemption, held.id, cashier))
        except QuoteMoved as moved:
            again = replace(self._priced(moved.held), changed=True)
        except SaleRefused:
            again = replace(await self.price(request, view, typed, count), moved=not held.quote.refusals)
        first = counter.redemption(redemption)  # the first of two clicks may have just been written
        if first is not None:
            return sale_view(self._pages, request, counter, first)
        return await self.draw(request, view, typed, count, again)

    def _priced(self, held: HeldQuote) -> Priced:
        in_force = self._counter.book
        return Priced(
            held=held,
            still_open=tuple(one for one in held.quote.refusals if one.code in STILL_OPEN),
            refusals=tuple(one for one in held.quote.refusals if one.code not in STILL_OPEN),
            newer=in_force.revision if in_force.hash != held.book.hash else None,
        )


def _view(counter: Counter, typed: Mapping[str, str]) -> OfferView:
    """The offer of a form, by the book it was opened under. Raises `PresentationGone` for another card."""
    return counter.offer_view(typed.get("offer", ""), typed.get("presentation"), typed.get("book", ""))


def _shown(held: HeldQuote) -> tuple[str, str]:
    """What the cashier confirms: this amount, by this book."""
    return str(held.quote.pay_fen), held.book.hash


def _count(typed: Mapping[str, str]) -> int:
    return integer_of(typed.get("lines", "")) or 1

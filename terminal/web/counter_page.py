"""The cashier's counter: one page whose stage follows the card, the sale, and the money. Pieces are drawn for htmx.

    idle ─card─► offers ─1…9─► form ─Enter─► settle ─Enter─► done
      ▲            │Esc          │Esc          └─ not paid ─► done
      └────────────┴─────────────┘

The form itself is `terminal.web.form_page`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from config.errors import Words
from drivers.card import DeviceCard
from drivers.chip_first import UseTheChip
from terminal.counter import Counter
from terminal.ledger.errors import RedemptionUnknown
from terminal.ledger.project import Redemption, RedemptionState
from terminal.membership.standing import STANDING_WORDS, Standing
from terminal.presentation import CardNotAccepted, Presentation
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.problems import WebError
from terminal.serving.sign_in import Gate
from terminal.web.parts import WebParts
from terminal.web.sale_form import FORM_FIELDS_MAX, integer_of, plain_text

LAST_SALES = 8  # what fits beside the stage; the whole day is on the manager's page
NO_CONTENT = 204  # htmx leaves the stage as it is
POS_REFERENCE = re.compile(r"[0-9]{12}")  # ISO 8583 field 37, as the bank's POS prints it
NOT_PAID = "not-paid"

# How a standing is shown. Amber: nothing wrong with the holder, the card just does not count here or not yet.
TONES: Mapping[Standing, str] = {
    Standing.ACTIVE: "good",
    Standing.INACTIVE: "warn",
    Standing.UNKNOWN: "warn",
    Standing.OTHER_ISSUER: "warn",
    Standing.EXPIRED: "bad",
    Standing.SUSPENDED: "bad",
    Standing.LOST: "bad",
    Standing.WITHDRAWN: "bad",
}
# Cards that were read well and need another way, or are not taken here: nothing is broken.
NOBODYS_FAULT = (UseTheChip, DeviceCard, CardNotAccepted)


class PosReferenceInvalid(WebError):
    """What was typed is no reference number of a bank's POS."""

    code = "pos-reference-invalid"
    status = 422
    what = Words("POS 参考号应为 12 位数字", "a POS reference has 12 digits")
    hint = Words("请照 POS 小票填写参考号，或留空", "type it from the POS slip, or leave it empty")


def counter_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """`/` and the pieces of its stage under `/counter`."""
    router = APIRouter(include_in_schema=False)
    counter = parts.counter

    async def page(request: Request) -> Response:
        gate.person(request)
        context = {**stage(counter), **await _sales(parts), "now": await asyncio.to_thread(parts.status)}
        return pages.response(request, "counter.html", demo=parts.demo.names() if parts.demo else [], **context)

    async def show_stage(request: Request) -> Response:
        gate.watcher(request)
        held = counter.presentation
        if "showing" in request.query_params and request.query_params["showing"] == (held.id if held else ""):
            return Response(status_code=NO_CONTENT)
        return pages.response(request, "stage.html", **stage(counter))

    async def next_card(request: Request) -> Response:
        gate.watcher(request)
        held = counter.presentation
        another = held is not None and held.id != request.query_params.get("showing")
        return pages.response(request, "next-card.html", another=another)

    async def strip(request: Request) -> Response:
        gate.watcher(request)
        return pages.response(request, "strip.html", now=await asyncio.to_thread(parts.status))

    async def sales(request: Request) -> Response:
        gate.watcher(request)
        return pages.response(request, "sales.html", **await _sales(parts))

    async def book_news(request: Request) -> Response:
        gate.watcher(request)
        return pages.response(request, "book-news.html", revision=counter.book.revision, fault=counter.book_fault)

    async def clear(request: Request) -> Response:
        gate.person(request)
        counter.clear()
        return pages.response(request, "stage.html", **stage(counter))

    router.add_api_route("/", page)
    router.add_api_route("/counter/stage", show_stage)
    router.add_api_route("/counter/next-card", next_card)
    router.add_api_route("/counter/strip", strip)
    router.add_api_route("/counter/sales", sales)
    router.add_api_route("/counter/book-news", book_news)
    router.add_api_route("/counter/clear", clear, methods=["POST"])
    return router


def settle_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """One redemption: take the money, or not; look at it; void it."""
    router = APIRouter(prefix="/counter/sale/{redemption}", include_in_schema=False)
    counter = parts.counter

    async def show(request: Request, redemption: str) -> Response:
        gate.person(request)
        found = counter.redemption(redemption)
        if found is None:
            raise RedemptionUnknown("show", redemption[:64])
        return sale_view(pages, request, counter, found)

    async def complete(request: Request, redemption: str) -> Response:
        cashier = gate.person(request)
        reference = _pos_reference((await typed_fields(request)).get("pos_reference", ""))
        return sale_view(pages, request, counter, await counter.complete(redemption, cashier.id, reference))

    async def cancel(request: Request, redemption: str) -> Response:
        cashier = gate.person(request)
        return sale_view(pages, request, counter, await counter.cancel(redemption, cashier.id, NOT_PAID))

    async def void(request: Request, redemption: str) -> Response:
        manager = gate.require(request, Role.MANAGER)
        typed = await typed_fields(request)
        units = integer_of(typed.get("units", ""))
        done = await counter.void(redemption, manager.id, typed.get("reason", "").strip(), units)
        return sale_view(pages, request, counter, done)

    router.add_api_route("", show)
    router.add_api_route("/complete", complete, methods=["POST"])
    router.add_api_route("/cancel", cancel, methods=["POST"])
    router.add_api_route("/void", void, methods=["POST"])
    return router


def stage(counter: Counter) -> dict[str, object]:
    """What the stage shows of the card presented now."""
    card = counter.presentation
    if card is None or card.member is None:
        tone = "warn" if card and isinstance(card.notice, NOBODYS_FAULT) else "bad"
        empty: dict[str, object] = {"standing": None, "eligible": [], "refused": []}
        return {"card": card, "tone": tone, "manual_entry": counter.manual_entry, **empty}
    return {
        "card": card,
        "manual_entry": counter.manual_entry,
        "tone": TONES[card.member.standing],
        "standing": STANDING_WORDS[card.member.standing],
        "eligible": [view for view in card.offers if view.eligible],
        # Of a card that is not good every offer says the same: the banner has said it.
        "refused": [view for view in card.offers if not view.eligible] if _active(card) else [],
    }


def _active(card: Presentation) -> bool:
    return card.member is not None and card.member.standing is Standing.ACTIVE


def sale_view(pages: Pages, request: Request, counter: Counter, sale: Redemption) -> HTMLResponse:
    """Authorised: take the money. Anything else: what became of it, and what its holder has left of that offer."""
    card = counter.presentation
    holder = card is not None and card.member is not None and card.masked == sale.masked
    view = next((one for one in card.offers if one.offer == sale.offer), None) if card and holder else None
    template = "settle.html" if sale.state is RedemptionState.AUTHORISED else "sale.html"
    return pages.response(request, template, sale=sale, card=card, view=view)


async def _sales(parts: WebParts) -> dict[str, object]:
    """What waits for the cashier, and the last sales of today, newest first."""
    unsettled = await asyncio.to_thread(parts.counter.unsettled)
    today = await asyncio.to_thread(parts.counter.redemptions, parts.today().isoformat())
    settled = [sale for sale in today if sale.state is not RedemptionState.AUTHORISED]
    return {"unsettled": unsettled, "last": settled[: -LAST_SALES - 1 : -1]}


def _pos_reference(typed: str) -> str | None:
    """The POS's 12-digit reference as typed, full-width digits too; None when the field was left empty."""
    plain = plain_text(typed)
    if plain and not POS_REFERENCE.fullmatch(plain):
        raise PosReferenceInvalid("complete", "pos_reference")
    return plain or None


async def typed_fields(request: Request) -> dict[str, str]:
    """The form's fields as text; a file among them counts as empty."""
    async with request.form(max_fields=FORM_FIELDS_MAX, max_files=0) as form:
        return {name: value if isinstance(value, str) else "" for name, value in form.items()}

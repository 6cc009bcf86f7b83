"""The terminal's HTTP API (`/api/v1`): parse, call the counter, say what came out. Pages use the same use cases.

Every refusal is a problem document (`terminal.serving.problems`); the counter's and the ledger's errors get their HTTP
status from `STATUSES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from config.errors import JingkaError, Language
from terminal.counter import CardMeanwhile, ManualEntryOff, PresentationGone
from terminal.held_quotes import QuoteExpired, QuoteMoved, SaleRefused
from terminal.ledger.errors import CardNumberTyped, EntryInvalid, RedemptionConflict, RedemptionUnknown
from terminal.ledger.project import Redemption
from terminal.presentation import presentation_summary
from terminal.redemption_id import RedemptionIdInvalid
from terminal.serving.locale import language_of
from terminal.serving.people import Role
from terminal.serving.sign_in import Gate
from terminal.typed_card import ExpiryMistyped, NumberMistyped
from terminal.web.documents import presentation_told, quote_request, quote_told, redemption_told, refusals_told
from terminal.web.messages import (
    Cancellation,
    Completion,
    PresentationTold,
    QuoteTold,
    QuoteWanted,
    RedemptionsTold,
    RedemptionTold,
    RedemptionWanted,
    SignedIn,
    SignIn,
    Voiding,
)
from terminal.web.parts import WebParts

API = "/api/v1"
EVENT_STREAM = "text/event-stream"

# What the counter and the ledger raise; whatever is not here goes by its retry class.
STATUSES: Mapping[type[JingkaError], int] = {
    PresentationGone: 409,
    QuoteExpired: 409,
    QuoteMoved: 409,
    SaleRefused: 409,
    RedemptionConflict: 409,
    RedemptionUnknown: 404,
    RedemptionIdInvalid: 422,
    CardNumberTyped: 422,
    EntryInvalid: 422,
    ManualEntryOff: 403,
    CardMeanwhile: 409,
    NumberMistyped: 422,
    ExpiryMistyped: 422,
}


def extra_of(error: JingkaError, language: Language) -> Mapping[str, object]:
    """What a problem document says beside the usual: the refusals of a refused sale, the new quote of a moved one."""
    if isinstance(error, QuoteMoved):
        return {"quote": quote_told(error.held, language).model_dump(by_alias=True)}
    if isinstance(error, SaleRefused):
        return {"refusals": [refusal.model_dump() for refusal in refusals_told(error.refusals, language)]}
    return {}


def session_routes(gate: Gate) -> APIRouter:
    """Signing in and out."""
    router = APIRouter(prefix=API, tags=["session"])

    @router.post("/session")
    async def sign_in(wanted: SignIn, response: Response) -> SignedIn:
        """Sign in: sets the session cookie. 401 `pin-wrong`, 429 `pin-locked` with `Retry-After`."""
        person, token = await gate.enter(wanted.cashier, wanted.pin)
        gate.let_in(response, token)
        return SignedIn(cashier=person.id, name=person.name, role=person.role.value)

    @router.delete("/session", status_code=204)
    async def sign_out(request: Request, response: Response) -> None:
        """Sign out; harmless when nobody is signed in."""
        gate.leave(request, response)

    return router


def card_routes(parts: WebParts, gate: Gate) -> APIRouter:
    """The card on the reader, and live events."""
    router = APIRouter(prefix=API, tags=["card"])

    @router.get(
        "/presentation", responses={204: {"description": "no card is presented"}}, response_model=PresentationTold
    )
    async def presentation(request: Request) -> PresentationTold | Response:
        """The card presented now: member or not, and what for."""
        gate.person(request)
        held = parts.counter.presentation
        if held is None:
            return Response(status_code=204)
        return presentation_told(held, language_of(request.headers, parts.language))

    @router.get("/events", response_class=StreamingResponse, responses={200: {"content": {EVENT_STREAM: {}}}})
    async def events(request: Request) -> StreamingResponse:
        """Server-sent events: `presentation`, `reader`, `headquarters`, `redemption`, `book`; `resync`: look at all."""
        gate.person(request)
        parts.hub.room()

        def greeting() -> Iterable[tuple[str, Mapping[str, object]]]:
            """A page that connects late, or again, must not show the card before."""
            held = parts.counter.presentation
            yield "presentation", presentation_summary(held) if held else {"id": None}

        stream = parts.hub.stream(greeting, alive=lambda: gate.visitor(request) is not None)
        return StreamingResponse(stream, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})

    return router


def sale_routes(parts: WebParts, gate: Gate) -> APIRouter:
    """Quote, authorise, complete, cancel, void, and the day's redemptions."""
    router = APIRouter(prefix=API, tags=["sale"])
    counter = parts.counter

    def told(redemption: Redemption, request: Request) -> RedemptionTold:
        return redemption_told(redemption, language_of(request.headers, parts.language))

    @router.post("/quotes")
    async def quote(wanted: QuoteWanted, request: Request) -> QuoteTold:
        """What a sale costs for the card presented, and every reason why not. Writes nothing."""
        gate.person(request)
        held = await counter.quote(quote_request(wanted))
        return quote_told(held, language_of(request.headers, parts.language))

    @router.post("/redemptions", status_code=201, responses={200: {"model": RedemptionTold}})
    async def authorise(wanted: RedemptionWanted, request: Request, response: Response) -> RedemptionTold:
        """Make a quoted sale durable: 201; the same id again: 200 and the same answer; refused: 409 with `refusals`.

        409 `quote-moved` when what is counted has moved meanwhile: `quote` is the new one, to be shown and confirmed.
        """
        cashier = gate.person(request)
        done = await counter.authorise(wanted.id, wanted.quote, cashier.id)
        response.status_code = 200 if done.repeat else 201
        return told(done, request)

    @router.post("/redemptions/{redemption}/complete")
    async def complete(redemption: str, request: Request, wanted: Completion | None = None) -> RedemptionTold:
        """The bank's POS took the money. A repeat is harmless."""
        cashier = gate.person(request)
        reference = wanted.pos_reference if wanted else None
        return told(await counter.complete(redemption, cashier.id, reference), request)

    @router.post("/redemptions/{redemption}/cancel")
    async def cancel(redemption: str, request: Request, wanted: Cancellation | None = None) -> RedemptionTold:
        """The money was not taken: what the sale used comes back. A repeat is harmless."""
        cashier = gate.person(request)
        reason = (wanted or Cancellation()).reason
        return told(await counter.cancel(redemption, cashier.id, reason), request)

    @router.post("/redemptions/{redemption}/void")
    async def void(redemption: str, wanted: Voiding, request: Request) -> RedemptionTold:
        """A mistake found later; for managers. `units` is how many shall be void in all. A repeat is harmless."""
        manager = gate.require(request, Role.MANAGER)
        return told(await counter.void(redemption, manager.id, wanted.reason, wanted.units), request)

    @router.get("/redemptions")
    async def redemptions(request: Request, day: date | None = None) -> RedemptionsTold:
        """The redemptions of one business day, today's without `day`."""
        gate.person(request)
        asked = (day or parts.today()).isoformat()
        return RedemptionsTold(day=asked, redemptions=[told(each, request) for each in counter.redemptions(asked)])

    return router

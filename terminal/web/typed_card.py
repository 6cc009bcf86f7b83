"""Typing a card number at the counter, where the settings allow it: the API's call and the page's form.

The number comes in a POST body and goes on as a `Pan`. No answer holds it: an error says what is wrong with it, the
form comes back empty, and the script empties the field as soon as it is sent.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from config.errors import JingkaError
from terminal.counter import CardMeanwhile, Counter, ManualEntryOff
from terminal.presentation import Presentation
from terminal.serving.locale import language_of
from terminal.serving.lockouts import PinLocked
from terminal.serving.pages import Pages
from terminal.serving.people import PinWrong, Role
from terminal.serving.problems import RoleMissing, problem_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate
from terminal.typed_card import ExpiryMistyped, NumberMistyped
from terminal.web.api import API, STATUSES
from terminal.web.counter_page import stage
from terminal.web.documents import presentation_told
from terminal.web.messages import CardTyped, PresentationTold
from terminal.web.parts import WebParts

# What the person at the counter can put right: shown above the form. All else is a problem as everywhere.
CORRECTABLE: Final = (NumberMistyped, ExpiryMistyped, PinWrong, PinLocked, RoleMissing)
FORM: Final = "/counter/manual"


def typed_card_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """`POST /api/v1/presentation/manual`, and `/counter/manual` for people."""
    router = APIRouter()
    counter = parts.counter

    async def typed(number: str, expiry: str, manager: str, pin: str) -> Presentation:
        async def approve() -> str:
            return (await gate.approve(manager, pin, Role.MANAGER)).id

        return await counter.card_typed(number, expiry, approve)

    @router.post(f"{API}/presentation/manual", tags=["card"])
    async def present(wanted: CardTyped, request: Request) -> PresentationTold:
        """A number read off the card, approved by a manager's PIN; 403 `manual-entry-off` where it is not allowed."""
        gate.person(request)
        number, pin = wanted.number.get_secret_value(), wanted.pin.get_secret_value()
        held = await typed(number, wanted.expiry or "", wanted.manager, pin)
        return presentation_told(held, language_of(request.headers, parts.language))

    @router.get(FORM, include_in_schema=False)
    async def show(request: Request) -> Response:
        gate.person(request)
        _check_allowed(counter)
        return pages.response(request, "typed-card.html", card=counter.presentation, notice=None, manager="")

    @router.post(FORM, include_in_schema=False)
    async def enter(request: Request) -> Response:
        gate.person(request)
        _check_allowed(counter)
        async with request.form(max_fields=FORM_FIELDS_MAX, max_files=0) as form:
            number, expiry, manager, pin = (str(form.get(name, "")) for name in ("number", "expiry", "manager", "pin"))
        manager = manager.strip().lower()
        try:
            await typed(number, expiry, manager, pin)
        except CardMeanwhile:
            pass  # the stage shows that card
        except CORRECTABLE as error:
            return _again(request, error, manager)
        return pages.response(request, "stage.html", **stage(counter))

    def _again(request: Request, error: JingkaError, manager: str) -> Response:
        """The form with what is wrong; of what was typed only the manager's id comes back."""
        notice = problem_of(error, pages.language(request), status=STATUSES.get(type(error), 422))
        return pages.response(request, "typed-card.html", card=counter.presentation, notice=notice, manager=manager)

    return router


def _check_allowed(counter: Counter) -> None:
    if not counter.manual_entry:
        raise ManualEntryOff("type card number", counter.place.terminal)

"""The part of `/api/v1` for people at headquarters, signed in; and `/healthz`, for machines that watch."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from config.zone import SHANGHAI
from sync.headquarters import reports
from sync.headquarters.enrolment import PlainLabel
from sync.headquarters.errors import StorageUnavailable
from sync.headquarters.reports import REDEMPTIONS_PAGE_MAX, MerchantTotal, RedemptionView
from sync.headquarters.service import Headquarters
from sync.wire import API
from terminal.serving.hub import Hub
from terminal.serving.people import HEADQUARTERS_ROLES, NAME_CHARACTERS_MAX, PIN_DIGITS_MAX, Person, Role
from terminal.serving.problems import RoleMissing
from terminal.serving.sign_in import Gate

EVENT_STREAM = "text/event-stream"
PAGE_DEFAULT = 100


class Health(BaseModel):
    """How headquarters is: `degraded` when the database does not answer."""

    status: Literal["ok", "degraded"]


class SignIn(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    pin: Annotated[str, StringConstraints(min_length=1, max_length=PIN_DIGITS_MAX)]


class SignedIn(BaseModel):
    """Who is signed in."""

    person: str
    name: str
    role: Role


class RedemptionsPage(BaseModel):
    """Redemptions, latest sale first; `next` is the `before` of the next page, null on the last."""

    redemptions: list[RedemptionView]
    next: str | None


class Totals(BaseModel):
    """Totals per merchant over business days, both ends included."""

    model_config = ConfigDict(serialize_by_alias=True)

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    merchants: list[MerchantTotal]


def health_routes(hq: Headquarters) -> APIRouter:
    """`/healthz`: no sign-in, nothing personal."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", responses={503: {"model": Health}})
    async def healthz(response: Response) -> Health:
        """Whether headquarters can take what terminals send."""
        try:
            await run_in_threadpool(hq.check)
        except StorageUnavailable:
            response.status_code = 503
            return Health(status="degraded")
        return Health(status="ok")

    return router


def session_routes(gate: Gate) -> APIRouter:
    """Signing in and out."""
    router = APIRouter(prefix=API, tags=["session"])

    @router.post("/session")
    async def sign_in(wanted: SignIn, response: Response) -> SignedIn:
        """Sign in: sets the session cookie. 401 `pin-wrong`, 429 `pin-locked` with `Retry-After`."""
        person, token = await gate.enter(wanted.person, wanted.pin)
        gate.let_in(response, token)
        return SignedIn(person=person.id, name=person.name, role=person.role)

    @router.delete("/session", status_code=204)
    async def sign_out(request: Request, response: Response) -> None:
        """Sign out; harmless when nobody is signed in."""
        gate.leave(request, response)

    return router


def report_routes(hq: Headquarters, gate: Gate) -> APIRouter:
    """Redemptions and totals."""
    router = APIRouter(prefix=API, tags=["reports"])

    @router.get("/redemptions")
    def redemptions(
        request: Request,
        day: date | None = None,
        merchant: PlainLabel | None = None,
        before: uuid.UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=REDEMPTIONS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> RedemptionsPage:
        """Redemptions of a business day, of a merchant, or all, page by page."""
        gate.require(request, *HEADQUARTERS_ROLES)
        with hq.storage.read() as connection:
            found = reports.page_of_redemptions(
                connection, day=day, merchant=merchant, before=str(before) if before else None, limit=limit
            )
        return RedemptionsPage(redemptions=found, next=found[-1].id if len(found) == limit else None)

    @router.get("/merchants/totals")
    def totals(
        request: Request,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> Totals:
        """Totals per merchant; without dates, today's. 409 `period-too-long`."""
        gate.require(request, *HEADQUARTERS_ROLES)
        begin, end = period(hq, first, last)
        with hq.storage.read() as connection:
            return Totals(first=begin, last=end, merchants=reports.totals(connection, begin, end))

    return router


def event_routes(hub: Hub, gate: Gate) -> APIRouter:
    """Live events."""
    router = APIRouter(prefix=API, tags=["events"])

    @router.get("/events", response_class=StreamingResponse, responses={200: {"content": {EVENT_STREAM: {}}}})
    async def events(request: Request) -> StreamingResponse:
        """Server-sent events: `redemption` as one arrives or moves on; `resync` asks to look at all anew."""
        watching(gate, request)
        hub.room()

        def greeting() -> Iterable[tuple[str, Mapping[str, object]]]:
            return ()

        stream = hub.stream(greeting, alive=lambda: gate.visitor(request) is not None)
        return StreamingResponse(stream, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})

    return router


def watching(gate: Gate, request: Request) -> Person:
    """Whose page looks by itself. Raises `SignInRequired`, `RoleMissing`."""
    person = gate.watcher(request)
    if person.role not in HEADQUARTERS_ROLES:
        raise RoleMissing("sign in", "role")
    return person


def period(hq: Headquarters, first: date | None, last: date | None) -> tuple[date, date]:
    """The business days asked for; what is left out is today in Shanghai."""
    today = hq.clock().astimezone(SHANGHAI).date()
    return first or last or today, last or first or today

"""Headquarters' page: terminals, arriving redemptions, totals per merchant; a form that makes a terminal's code."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import JingkaError
from config.zone import SHANGHAI
from sync.errors import MessageMalformed
from sync.headquarters import fleet, reports
from sync.headquarters.enrolment import Invitation
from sync.headquarters.people_api import period, watching
from sync.headquarters.service import Headquarters
from sync.headquarters.tables import TerminalState
from sync.headquarters.terminal_api import STATUSES
from terminal.serving.pages import Pages
from terminal.serving.people import HEADQUARTERS_ROLES, Role
from terminal.serving.problems import problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

ARRIVALS_SHOWN: Final = 50
FLAGS_SHOWN: Final = 20
# A terminal speaks every few seconds; one that has missed several turns is away.
AWAY_AFTER_S: Final = 20

First = Annotated[date | None, Query(alias="from")]
Last = Annotated[date | None, Query(alias="to")]


def page_routes(hq: Headquarters, gate: Gate, pages: Pages, clock_skew_s_max: int) -> APIRouter:
    """The overview and the parts of it that renew themselves."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def overview(request: Request, first: First = None, last: Last = None) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        live, machines = _live(hq, first, last), _machines(hq, clock_skew_s_max)
        may_invite = person.role is Role.OPERATOR
        return pages.response(request, "overview.html", **live, **machines, may_invite=may_invite)

    @router.get("/overview/live")
    def live(request: Request, first: First = None, last: Last = None) -> Response:
        watching(gate, request)
        return pages.response(request, "live.html", **_live(hq, first, last))

    @router.get("/overview/terminals")
    def machines(request: Request) -> Response:
        watching(gate, request)
        return pages.response(request, "terminals.html", **_machines(hq, clock_skew_s_max))

    @router.post("/codes")
    async def invite(request: Request) -> Response:
        operator = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            asked = {name: str(form.get(name, "")).strip() for name in Invitation.model_fields}
        try:
            invitation = _invitation(asked)
            code = await run_in_threadpool(hq.issue_code, invitation, by=operator)
        except JingkaError as error:
            notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
            page = pages.render(request, "code.html", notice=notice, code=None, asked=asked)
            return Response(page, notice.status, media_type="text/html")
        return pages.response(request, "code.html", notice=None, code=code, asked=asked)

    return router


def _live(hq: Headquarters, first: date | None, last: date | None) -> dict[str, Any]:
    """What changes with every redemption."""
    begin, end = period(hq, first, last)
    with hq.storage.read() as connection:
        merchants = reports.totals(connection, begin, end)
        arrivals = reports.latest_arrivals(connection, ARRIVALS_SHOWN)
        findings = reports.latest_flags(connection, FLAGS_SHOWN)
    fields = ("redemptions", "open", "units", "list", "pay", "saving")
    return {
        "first": begin.isoformat(),
        "last": end.isoformat(),
        "merchants": merchants,
        "sum": {field: sum(getattr(merchant, field) for merchant in merchants) for field in fields},
        "arrivals": arrivals,
        "late": {each.id for each in arrivals if each.business_day < _shanghai_day(each.arrived_at)},
        "findings": findings,
    }


def _shanghai_day(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).date().isoformat()


def _machines(hq: Headquarters, clock_skew_s_max: int) -> dict[str, Any]:
    """The terminals, and which of them are away."""
    now = hq.clock()
    with hq.storage.read() as connection:
        terminals = fleet.page_of_terminals(connection)
    present_since = now - timedelta(seconds=AWAY_AFTER_S)
    present = {each.id for each in terminals if each.last_contact is not None and each.last_contact >= present_since}
    return {
        "terminals": terminals,
        "present": present & {each.id for each in terminals if each.state is TerminalState.ACTIVE},
        "now": now,
        "skew_ms_max": clock_skew_s_max * 1000 // 2,  # half-way to being refused is the time to set a clock
    }


def _invitation(asked: dict[str, str]) -> Invitation:
    try:
        return Invitation(**asked)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise MessageMalformed("invite", "terminal", reason=f"{first['loc'][0]}: {first['msg']}") from error

"""A terminal's page: how it is, its receipt and key, and what its other story says when it has two."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from config.errors import JingkaError
from sync.headquarters import fleet, keys, quarantine
from sync.headquarters.quarantine import ForkDecision
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import STATUSES
from sync.wire import TerminalId
from terminal.serving.pages import Pages
from terminal.serving.people import HEADQUARTERS_ROLES, Person, Role
from terminal.serving.problems import Problem, problem_of, status_of
from terminal.serving.sign_in import Gate

HASHES_PER_FORM_MAX = quarantine.DECIDED_AT_ONCE_MAX + 8  # every entry of a page ticked, and the buttons


def fleet_pages(hq: Headquarters, gate: Gate, pages: Pages) -> APIRouter:
    """`/terminals/{id}` and its forms; not part of the API's schema."""
    router = APIRouter(include_in_schema=False)

    def shown(request: Request, terminal: str, person: Person, notice: Problem | None = None) -> Response:
        with hq.storage.read() as connection:
            view = fleet.terminal_of(connection, terminal)
            forked = quarantine.page_of_forked(connection, terminal)
            undecided = quarantine.undecided(connection, terminal)
        page = pages.render(
            request,
            "terminal.html",
            terminal=view,
            now=hq.clock(),
            forked=forked if person.role in (Role.OPERATOR, Role.AUDITOR) else [],
            undecided=undecided,
            may_change=person.role is Role.OPERATOR,
            notice=notice,
        )
        return Response(page, notice.status if notice else 200, media_type="text/html")

    def changed(request: Request, terminal: str, person: Person, work: Callable[[Connection], object]) -> Response:
        """Do the work and show the page anew, or the page with what stood against it."""
        try:
            with hq.storage.write() as connection:
                work(connection)
        except JingkaError as error:
            notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
            return shown(request, terminal, person, notice)
        return RedirectResponse(f"/terminals/{terminal}", 303)

    @router.get("/terminals/{terminal}")
    def look(request: Request, terminal: TerminalId) -> Response:
        return shown(request, terminal, gate.require(request, *HEADQUARTERS_ROLES))

    @router.post("/terminals/{terminal}/revoke")
    def revoke(request: Request, terminal: TerminalId) -> Response:
        by = gate.require(request, Role.OPERATOR)
        return changed(request, terminal, by, lambda c: fleet.revoke(c, terminal, by=by, now=hq.clock()))

    @router.post("/terminals/{terminal}/rotate-key")
    def rotate(request: Request, terminal: TerminalId) -> Response:
        by = gate.require(request, Role.OPERATOR)
        return changed(request, terminal, by, lambda c: keys.ask_rotation(c, terminal, by=by, now=hq.clock()))

    @router.post("/terminals/{terminal}/retire")
    def retire(request: Request, terminal: TerminalId) -> Response:
        by = gate.require(request, Role.OPERATOR)
        return changed(request, terminal, by, lambda c: quarantine.retire(c, terminal, by=by, now=hq.clock()))

    @router.post("/terminals/{terminal}/forked")
    async def decide(request: Request, terminal: TerminalId) -> Response:
        by = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=HASHES_PER_FORM_MAX) as form:
            hashes = [str(each) for each in form.getlist("hash")]
            decision = ForkDecision.ADOPTED if form.get("decision") == ForkDecision.ADOPTED else ForkDecision.DISMISSED

        def work(connection: Connection) -> object:
            return quarantine.decide(connection, terminal, hashes, decision, by=by, now=hq.clock(), judges=hq.judges)

        return await run_in_threadpool(changed, request, terminal, by, work)

    return router

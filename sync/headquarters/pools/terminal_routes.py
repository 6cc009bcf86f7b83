"""The addresses of `sync.wire_grants` and `sync.wire_usage`: signed requests in, signed answers out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import Language
from sync.headquarters.pools.desk import PoolDesk
from sync.headquarters.terminal_api import OCTETS_TYPE, Answer, answered, http_request, problems
from sync.signing import HttpRequest
from sync.wire import API, ProblemCode, TerminalId
from sync.wire_grants import ATTEMPTS_MAX, HOLDS_PATH, HoldAnswer, LeaseAnswer, RedemptionId


def pool_terminal_routes(desk: PoolDesk, language: Language) -> APIRouter:
    """Leases, holds and usage."""
    router = APIRouter(tags=["terminals"], responses=problems(*ProblemCode))

    async def answer(request: Request, work: Callable[[HttpRequest], Answer | bytes]) -> Response:
        asked = await http_request(request)
        return await run_in_threadpool(answered, desk.hq, asked, work, 200, language)

    @router.post(API + "/terminals/{terminal}/leases", response_model=LeaseAnswer)
    async def report(request: Request, terminal: TerminalId) -> Response:
        """The terminal's totals; what it is granted, and what it is asked to return. Harmless when repeated."""
        return await answer(request, lambda asked: desk.report(asked, terminal))

    @router.get(API + "/terminals/{terminal}/leases", response_model=LeaseAnswer)
    async def grants(request: Request, terminal: TerminalId) -> Response:
        """What the terminal is granted as of its last report; changes nothing."""
        return await answer(request, lambda asked: desk.grants(asked, terminal))

    @router.get(
        API + "/terminals/{terminal}/usage",
        response_class=Response,
        responses={200: {"content": {OCTETS_TYPE: {}}, "description": "a head in JSON, a line feed, coded pairs"}},
    )
    async def used_elsewhere(
        request: Request,
        terminal: TerminalId,
        after: Annotated[str, Query(max_length=64)] = "",
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> Response:
        """What other terminals used of personal limits: changes since `after`, or a page of everything."""
        return await answer(request, lambda asked: desk.used_elsewhere(asked, terminal, after, cursor))

    @router.post(HOLDS_PATH, response_model=HoldAnswer)
    async def hold(request: Request) -> Response:
        """Room for one redemption. A refusal is 200 with `granted` false and the numbers."""
        return await answer(request, desk.hold)

    @router.delete(HOLDS_PATH + "/{redemption}", response_model=HoldAnswer)
    async def give_back(
        request: Request,
        redemption: RedemptionId,
        terminal: TerminalId,
        attempt: Annotated[int, Query(ge=1, le=ATTEMPTS_MAX)] = 1,
    ) -> Response:
        """The hold will not be used. Harmless when there is none, or again."""
        return await answer(request, lambda asked: desk.give_back(asked, terminal, redemption, attempt))

    return router

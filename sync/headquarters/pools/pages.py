"""The page of pools: each with its bar and its run as a chart, where the slices are, and an operator's two buttons."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from sync.headquarters.pools import settling
from sync.headquarters.pools.desk import PoolDesk
from sync.headquarters.pools.people_routes import READS
from sync.headquarters.pools.views import PoolView, detail_of, pools_shown
from sync.wire import TerminalId
from terminal.serving.pages import Pages
from terminal.serving.people import Person, Role
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

POOLS: Final = "/pools"


def pool_pages(desk: PoolDesk, gate: Gate, pages: Pages) -> APIRouter:
    """`/pools` and what hangs on it; not part of the API's schema."""
    router = APIRouter(prefix=POOLS, include_in_schema=False)

    @router.get("")
    def overview(request: Request) -> Response:
        gate.require(request, *READS)
        return pages.response(request, "pools.html", **_overview(desk))

    @router.get("/state")
    def state(request: Request) -> Response:
        gate.watcher(request)
        return pages.response(request, "pools-state.html", **_overview(desk))

    @router.get("/{offer}")
    def pool(request: Request, offer: str) -> Response:
        person = gate.require(request, *READS)
        now = desk.hq.clock()
        with desk.hq.storage.read() as connection:
            found = detail_of(connection, offer, now)
        settles = person.role is Role.OPERATOR
        parts = {each.pool.key: _parts(each.pool) for each in found}
        return pages.response(request, "pool.html", offer=offer, found=found, parts=parts, now=now, settles=settles)

    @router.post("/terminals/{terminal}")
    async def settle(request: Request, terminal: TerminalId) -> Response:
        person = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            action, back = str(form.get("action", "")), str(form.get("offer", ""))
        await run_in_threadpool(_settle, desk, person, terminal, action)
        return RedirectResponse(f"{POOLS}/{back}" if back.replace("-", "").isalnum() else POOLS, 303)

    return router


def _settle(desk: PoolDesk, by: Person, terminal: str, action: str) -> None:
    now = desk.hq.clock()
    with desk.hq.storage.write() as connection:
        if action == "release":
            settling.release_frozen(connection, terminal, by=by, now=now)
        elif action == "write-off":
            settling.write_off(connection, terminal, by=by, now=now)


def _overview(desk: PoolDesk) -> dict[str, Any]:
    now = desk.hq.clock()
    with desk.hq.storage.read() as connection:
        found = pools_shown(connection, now)
    return {"pools": found, "parts": {each.key: _parts(each) for each in found}, "now": now}


def _parts(pool: PoolView) -> dict[str, float]:
    """The bar: percent of the pool sold, held for a sale, unsold in slices, frozen; what remains is free."""
    whole = max(pool.max, 1)
    return {
        name: round(100 * units / whole, 2)
        for name, units in (
            ("used", min(pool.used, whole)),
            ("held", pool.held),
            ("unspent", pool.unspent),
            ("frozen", pool.frozen),
        )
    }

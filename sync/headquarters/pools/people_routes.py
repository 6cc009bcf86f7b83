"""The pools' part of `/api/v1` for people, signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, StringConstraints

from sync.headquarters.pools import settling
from sync.headquarters.pools.desk import PoolDesk
from sync.headquarters.pools.views import PoolDetail, PoolView, detail_of, pools_shown
from sync.wire import API, TerminalId
from terminal.serving.people import HEADQUARTERS_ROLES, Role
from terminal.serving.sign_in import Gate

READS: Final = HEADQUARTERS_ROLES
OfferId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class PoolsPage(BaseModel):
    """Every pool that many share, by offer."""

    pools: list[PoolView]
    time: datetime


class OfferPools(BaseModel):
    """The pools of one offer, with their run and their slices."""

    offer: str
    pools: list[PoolDetail]
    time: datetime


class Settled(BaseModel):
    """How many units were settled."""

    units: int


def pool_people_routes(desk: PoolDesk, gate: Gate) -> APIRouter:
    """Numbers, and what an operator decides."""
    router = APIRouter(prefix=API, tags=["pools"])

    @router.get("/pools")
    def pools(request: Request) -> PoolsPage:
        """Every pool whose window is not over: sold, out in slices, held, free, and when the last unit will go."""
        gate.require(request, *READS)
        now = desk.hq.clock()
        with desk.hq.storage.read() as connection:
            return PoolsPage(pools=pools_shown(connection, now), time=now)

    @router.get("/offers/{offer}/pool")
    def pool(request: Request, offer: OfferId) -> OfferPools:
        """The pools of an offer, as a series in time, and where the slices are. 404 `pool-missing`."""
        gate.require(request, *READS)
        now = desk.hq.clock()
        with desk.hq.storage.read() as connection:
            return OfferPools(offer=offer, pools=detail_of(connection, offer, now), time=now)

    @router.post("/terminals/{terminal}/grants/release")
    def release(request: Request, terminal: TerminalId) -> Settled:
        """Let the terminal sell what is frozen there. 404 `terminal-missing`, 409 `terminal-in-quarantine`."""
        by = gate.require(request, Role.OPERATOR)
        with desk.hq.storage.write() as connection:
            return Settled(units=settling.release_frozen(connection, terminal, by=by, now=desk.hq.clock()))

    @router.post("/terminals/{terminal}/grants/write-off")
    def write_off(request: Request, terminal: TerminalId) -> Settled:
        """Put what is frozen, or left over after the lease, back into the pools. 404, 409 `lease-running`."""
        by = gate.require(request, Role.OPERATOR)
        with desk.hq.storage.write() as connection:
            return Settled(units=settling.write_off(connection, terminal, by=by, now=desk.hq.clock()))

    return router

"""The part of `/api/v1` for the people who look after terminals: invite, look, revoke, new keys, quarantine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from sync.headquarters import fleet, keys, quarantine
from sync.headquarters.enrolment import Invitation
from sync.headquarters.fleet import TERMINALS_PAGE_MAX, TerminalView
from sync.headquarters.quarantine import DECIDED_AT_ONCE_MAX, ForkDecision, ForkedView
from sync.headquarters.service import Headquarters
from sync.wire import API, SEQUENCE_MAX, Hash, TerminalId
from terminal.serving.people import HEADQUARTERS_ROLES, Role
from terminal.serving.sign_in import Gate


class TerminalsPage(BaseModel):
    """Terminals by id; `next` is the `after` of the next page, null on the last."""

    terminals: list[TerminalView]
    next: str | None


class IssuedCode(BaseModel):
    """A one-time code: shown here and nowhere again."""

    code: str


class ForkedPage(BaseModel):
    """What a quarantined terminal's other story says; `undecided` counts all that wait, on whatever page."""

    entries: list[ForkedView]
    undecided: int


class ForkVerdict(BaseModel):
    """What becomes of entries of the other story: those of these hashes, or (null) the next ones that wait."""

    model_config = ConfigDict(extra="forbid")

    decision: ForkDecision
    hashes: Annotated[list[Hash] | None, Field(max_length=DECIDED_AT_ONCE_MAX)] = None


class Decided(BaseModel):
    """How many entries were decided on."""

    decided: int


def fleet_routes(hq: Headquarters, gate: Gate) -> APIRouter:
    """Terminals: list, invite, revoke, new keys."""
    router = APIRouter(prefix=API, tags=["fleet"])

    @router.get("/terminals")
    def terminals(
        request: Request,
        after: TerminalId | None = None,
        limit: Annotated[int, Query(ge=1, le=TERMINALS_PAGE_MAX)] = 500,
    ) -> TerminalsPage:
        """Every terminal, page by page."""
        gate.require(request, *HEADQUARTERS_ROLES)
        with hq.storage.read() as connection:
            found = fleet.page_of_terminals(connection, after=after or "", limit=limit)
        return TerminalsPage(terminals=found, next=found[-1].id if len(found) == limit else None)

    @router.post("/enrolment-codes", status_code=201)
    def invite(request: Request, invitation: Invitation) -> IssuedCode:
        """A one-time code for a new terminal. 409 `terminal-taken`."""
        operator = gate.require(request, Role.OPERATOR)
        return IssuedCode(code=hq.issue_code(invitation, by=operator))

    @router.get("/terminals/{terminal}")
    def terminal(request: Request, terminal: TerminalId) -> TerminalView:
        """One terminal. 404 `terminal-missing`."""
        gate.require(request, *HEADQUARTERS_ROLES)
        with hq.storage.read() as connection:
            return fleet.terminal_of(connection, terminal)

    @router.post("/terminals/{terminal}/revoke", status_code=204)
    def revoke(request: Request, terminal: TerminalId) -> None:
        """The terminal's key counts for nothing from now on; its entries stay. 404 `terminal-missing`."""
        operator = gate.require(request, Role.OPERATOR)
        with hq.storage.write() as connection:
            fleet.revoke(connection, terminal, by=operator, now=hq.clock())

    @router.post("/terminals/{terminal}/rotate-key", status_code=204)
    def ask_rotation(request: Request, terminal: TerminalId) -> None:
        """Ask the terminal for a new key with its next acknowledgement. 404 `terminal-missing`."""
        operator = gate.require(request, Role.OPERATOR)
        with hq.storage.write() as connection:
            keys.ask_rotation(connection, terminal, by=operator, now=hq.clock())

    _quarantine_routes(router, hq, gate)
    return router


def _quarantine_routes(router: APIRouter, hq: Headquarters, gate: Gate) -> None:
    @router.get("/terminals/{terminal}/forked")
    def forked(
        request: Request, terminal: TerminalId, after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX)] = 0
    ) -> ForkedPage:
        """What the terminal's other story says, from the entry after `after` on."""
        gate.require(request, Role.OPERATOR, Role.AUDITOR)
        with hq.storage.read() as connection:
            found = quarantine.page_of_forked(connection, terminal, after=after)
            return ForkedPage(entries=found, undecided=quarantine.undecided(connection, terminal))

    @router.post("/terminals/{terminal}/forked")
    def decide(request: Request, terminal: TerminalId, verdict: ForkVerdict) -> Decided:
        """Adopt or dismiss entries of the other story. 404 `terminal-missing`, 409 `nothing-to-decide`."""
        operator = gate.require(request, Role.OPERATOR)
        with hq.storage.write() as connection:
            count = quarantine.decide(
                connection,
                terminal,
                verdict.hashes,
                verdict.decision,
                by=operator,
                now=hq.clock(),
                judges=hq.judges,
            )
        return Decided(decided=count)

    @router.post("/terminals/{terminal}/retire", status_code=204)
    def retire(request: Request, terminal: TerminalId) -> None:
        """End a quarantine: headquarters' story stands, the machine enrols anew. 409 `nothing-to-decide`."""
        operator = gate.require(request, Role.OPERATOR)
        with hq.storage.write() as connection:
            quarantine.retire(connection, terminal, by=operator, now=hq.clock())

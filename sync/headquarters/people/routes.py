"""The audit log, for those who may look into it: `/audit` and `GET /api/v1/audit`."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, StringConstraints
from starlette.responses import Response

from sync.headquarters.people.audit import AUDIT_PAGE_MAX, AuditView, page_of_audit
from sync.headquarters.service import Headquarters
from sync.wire import API, SEQUENCE_MAX
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.sign_in import Gate

MAY_LOOK: Final = (Role.OPERATOR, Role.AUDITOR)
ROWS_SHOWN: Final = 100


def _blank_is_none(value: object) -> object:
    """A filter that was left empty in the form."""
    return value.strip() or None if isinstance(value, str) else value


Wanted = Annotated[
    Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None,
    BeforeValidator(_blank_is_none),
    Query(),
]
Before = Annotated[int | None, Query(ge=1, le=SEQUENCE_MAX)]


class AuditPage(BaseModel):
    """Rows, latest first; `next` is the `before` of the next page, null on the last."""

    rows: list[AuditView]
    next: int | None


def audit_routes(hq: Headquarters, gate: Gate) -> APIRouter:
    """The API's part."""
    router = APIRouter(prefix=API, tags=["audit"])

    @router.get("/audit")
    def audit(
        request: Request,
        *,
        before: Before = None,
        person: Wanted = None,
        subject: Wanted = None,
        action: Wanted = None,
        limit: Annotated[int, Query(ge=1, le=AUDIT_PAGE_MAX)] = ROWS_SHOWN,
    ) -> AuditPage:
        """Who did what, latest first; `person`, `subject` and `action` are looked for whole."""
        gate.require(request, *MAY_LOOK)
        with hq.storage.read() as connection:
            rows = page_of_audit(connection, before=before, person=person, subject=subject, action=action, limit=limit)
        return AuditPage(rows=rows, next=rows[-1].id if len(rows) == limit else None)

    return router


def audit_pages(hq: Headquarters, gate: Gate, pages: Pages) -> APIRouter:
    """The page; not part of the API's schema."""
    router = APIRouter(include_in_schema=False)

    @router.get("/audit")
    def audit(
        request: Request,
        *,
        before: Before = None,
        person: Wanted = None,
        subject: Wanted = None,
        action: Wanted = None,
    ) -> Response:
        gate.require(request, *MAY_LOOK)
        wanted = {"person": person, "subject": subject, "action": action}
        with hq.storage.read() as connection:
            rows = page_of_audit(connection, before=before, limit=ROWS_SHOWN, **wanted)
        later = rows[-1].id if len(rows) == ROWS_SHOWN else None
        return pages.response(request, "audit.html", rows=rows, wanted=wanted, later=later)

    return router

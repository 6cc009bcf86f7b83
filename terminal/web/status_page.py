"""The manager's status page: every part of the terminal, and the next step for each that is not well."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from drivers.outcomes import OUTCOMES_MAX
from drivers.pboc.apdu import status_text
from terminal.ledger.health import WARNING_WORDS
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.problems import RoleMissing
from terminal.serving.sign_in import Gate
from terminal.web.parts import WebParts

SKEW_MS_MAX = 60_000  # a minute off is where a cashier's and headquarters' receipts start to disagree


def status_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """`/status` and its live piece."""
    router = APIRouter(include_in_schema=False)

    async def context() -> dict[str, object]:
        now = await asyncio.to_thread(parts.status)
        skew_ms = now.headquarters.skew_ms if now.headquarters else None
        return {
            "now": now,
            "reads": now.reads.latest,
            "reads_max": OUTCOMES_MAX,
            "status_text": status_text,
            "wall": datetime.now(UTC),
            "warnings": [WARNING_WORDS[code] for code in now.ledger.warnings],
            "skew_ms": skew_ms,
            "skewed": skew_ms is not None and abs(skew_ms) > SKEW_MS_MAX,
        }

    @router.get("/status")
    async def page(request: Request) -> Response:
        gate.require(request, Role.MANAGER)
        return pages.response(request, "status.html", **await context())

    @router.get("/status/parts")
    async def live(request: Request) -> Response:
        if gate.watcher(request).role is not Role.MANAGER:
            raise RoleMissing("show status", "role")
        return pages.response(request, "status-parts.html", **await context())

    return router

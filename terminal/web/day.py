"""The manager's day: the daily report as a page, as JSON, and as CSV and Excel files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from config.errors import Language
from terminal.serving.locale import language_of
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.sign_in import Gate
from terminal.web.api import API
from terminal.web.parts import WebParts

if TYPE_CHECKING:
    from terminal.reports.daily import DailyReport

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def report_routes(parts: WebParts, gate: Gate) -> APIRouter:
    """`/api/v1/reports/daily`, `.csv` and `.xlsx`; for managers, as the page is."""
    router = APIRouter(prefix=f"{API}/reports", tags=["reports"])

    @router.get("/daily")
    async def report(request: Request, day: date | None = None) -> dict[str, Any]:
        """One business day, today's without `day`: totals, by offer, by cashier, by hour, each redemption."""
        from terminal.reports.exports import as_dict  # the start is quicker without the reports

        gate.require(request, Role.MANAGER)
        return as_dict(await _report(parts, day))

    @router.get("/daily.csv", response_class=Response, responses={200: {"content": {CSV_TYPE: {}}}})
    async def csv(request: Request, day: date | None = None, language: Language | None = None) -> Response:
        """The same as CSV (UTF-8 with a byte-order mark, as Excel wants it); `language` is the page's."""
        from terminal.reports.exports import to_csv

        gate.require(request, Role.MANAGER)
        spoken = language or language_of(request.headers, parts.language)
        return await _file(await _report(parts, day), spoken, to_csv, "csv", CSV_TYPE)

    @router.get("/daily.xlsx", response_class=Response, responses={200: {"content": {XLSX_TYPE: {}}}})
    async def xlsx(request: Request, day: date | None = None, language: Language | None = None) -> Response:
        """The same as an Excel workbook."""
        from terminal.reports.exports import to_xlsx

        gate.require(request, Role.MANAGER)
        spoken = language or language_of(request.headers, parts.language)
        return await _file(await _report(parts, day), spoken, to_xlsx, "xlsx", XLSX_TYPE)

    async def _file(
        report: DailyReport, language: Language, write: Callable[[DailyReport, Language], bytes], suffix: str, kind: str
    ) -> Response:
        content = await asyncio.to_thread(write, report, language)
        name = f'attachment; filename="jingka-{report.day}.{suffix}"'
        return Response(content, media_type=kind, headers={"Content-Disposition": name})

    return router


def day_routes(parts: WebParts, gate: Gate, pages: Pages) -> APIRouter:
    """`/day`, with a day picker."""
    router = APIRouter(include_in_schema=False)

    @router.get("/day")
    async def page(request: Request, day: date | None = None) -> Response:
        gate.require(request, Role.MANAGER)
        shown, today = day or parts.today(), parts.today()
        report, language = await _report(parts, shown), pages.language(request)
        return pages.response(
            request,
            "day.html",
            report=report,
            offers=[(row.name.text(language), row.sums) for row in report.offers],
            cashiers=[(row.name, row.sums) for row in report.cashiers],
            hours=[{"units": row.sums.units, "pay": row.sums.pay_fen} for row in report.hours],
            day=shown,
            today=today,
            previous=shown - timedelta(days=1) if shown > date.min else shown,
            following=shown + timedelta(days=1) if shown < today else None,
        )

    return router


async def _report(parts: WebParts, day: date | None) -> DailyReport:
    """The report, read and summed off the event loop: a card may be presented meanwhile."""
    asked = (day or parts.today()).isoformat()

    def read() -> DailyReport:
        from terminal.reports.daily import daily

        return daily(parts.counter.redemptions(asked), asked, parts.people.names())

    return await asyncio.to_thread(read)

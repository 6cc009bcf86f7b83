"""The manager's day: the daily report as a page, as JSON, and as CSV and Excel files; and closing it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from config.errors import Language
from config.zone import SHANGHAI
from terminal.serving.locale import language_of
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate
from terminal.web.api import API
from terminal.web.parts import WebParts

if TYPE_CHECKING:
    from terminal.reports.daily import DailyReport
    from terminal.reports.day_close import ClosedDay

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

    @router.get("/daily/close", responses={204: {"description": "the day is open"}}, response_model=None)
    async def closed(request: Request, day: date | None = None) -> Response | dict[str, Any]:
        """What the day came to when it was closed: 204 while it is open."""
        gate.require(request, Role.MANAGER)
        found = await asyncio.to_thread(parts.closes.latest, (day or parts.today()).isoformat())
        return Response(status_code=204) if found is None else closed_dict(found)

    @router.post("/daily/close")
    async def close(request: Request, day: date | None = None) -> dict[str, Any]:
        """Close the day as it stands, today's without `day`; harmless when nothing came since. 409 `day-ahead`."""
        manager = gate.require(request, Role.MANAGER)
        return closed_dict(await _close(parts, day or parts.today(), manager.id))

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
        closed = await asyncio.to_thread(parts.closes.latest, shown.isoformat())
        return pages.response(
            request,
            "day.html",
            report=report,
            offers=[(row.name.text(language), row.sums) for row in report.offers],
            cashiers=[(row.name, row.sums) for row in report.cashiers],
            hours=[{"units": row.sums.units, "pay": row.sums.pay_fen} for row in report.hours],
            closed=closed,
            closed_at=None if closed is None else datetime.fromisoformat(closed.closed_at).astimezone(SHANGHAI),
            closed_by=None if closed is None else parts.people.names().get(closed.closed_by, closed.closed_by),
            day=shown,
            today=today,
            previous=shown - timedelta(days=1) if shown > date.min else shown,
            following=shown + timedelta(days=1) if shown < today else None,
        )

    @router.post("/day/close")
    async def close(request: Request) -> Response:
        manager = gate.require(request, Role.MANAGER)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            typed = str(form.get("day", ""))
        try:
            day = date.fromisoformat(typed)
        except ValueError:
            day = parts.today()
        await _close(parts, day, manager.id)
        return RedirectResponse(f"/day?day={day.isoformat()}", 303)

    return router


def closed_dict(closed: ClosedDay) -> dict[str, Any]:
    """A closed day as JSON-able values, money in fen."""
    return {
        "day": closed.day,
        "sequence": closed.sequence,
        "closed_at": closed.closed_at,
        "closed_by": closed.closed_by or None,
        "unsettled": closed.unsettled,
        "sent": closed.sent,
        "offers": [
            {
                "offer": each.offer,
                "sales": each.sales,
                "units": each.units,
                "list": each.list_fen,
                "pay": each.pay_fen,
                "voided_units": each.voided_units,
                "voided_list": each.voided_list_fen,
                "voided_pay": each.voided_pay_fen,
            }
            for each in closed.offers
        ],
    }


async def _close(parts: WebParts, day: date, by: str) -> ClosedDay:
    closed = await asyncio.to_thread(parts.closes.close, day, by)
    parts.on_close()
    return closed


async def _report(parts: WebParts, day: date | None) -> DailyReport:
    """The report, read and summed off the event loop: a card may be presented meanwhile."""
    asked = (day or parts.today()).isoformat()

    def read() -> DailyReport:
        from terminal.reports.daily import daily

        return daily(parts.counter.redemptions(asked), asked, parts.people.names())

    return await asyncio.to_thread(read)

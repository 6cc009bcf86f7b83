"""The money's part of `/api/v1`: settlements, terms, conflicts, complaints, yearly reviews, day statements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import Language
from sync.headquarters.enrolment import PlainLabel
from sync.headquarters.money import settlement as settlements
from sync.headquarters.money.complaints import (
    COMPLAINTS_PAGE_MAX,
    ComplaintView,
    NewComplaint,
    Outcome,
    page_of_complaints,
)
from sync.headquarters.money.conflicts import (
    CONFLICTS_PAGE_MAX,
    ConflictView,
    State,
    Verdict,
    page_of_conflicts,
)
from sync.headquarters.money.days import DAYS_PAGE_MAX, DayView, page_of_days
from sync.headquarters.money.desk import CLOSES, READS, SETTLES, DaysOffice, MoneyDesk
from sync.headquarters.money.merchants import MERCHANTS_PAGE_MAX, MerchantView, page_of_merchants
from sync.headquarters.money.months import MONTH_PATTERN, Month, day_of, month_of
from sync.headquarters.money.review import YEAR_MAX, YEAR_MIN, YearReview
from sync.headquarters.money.settlement import LINES_SHOWN_MAX, MONTHS_PAGE_MAX, MonthTotal, Settlement
from sync.headquarters.money.sheets import review_sheets, settlement_sheets
from sync.headquarters.money.steps import Terms
from sync.headquarters.money.terms import NewTerms
from sync.headquarters.money.unclosed import UNCLOSED_PAGE_MAX, UnclosedDay, days_due, latest_due, page_of_unclosed
from sync.headquarters.projection import FlagCode
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import answered, http_request, problems
from sync.wire import API, ProblemCode, TerminalId
from sync.wire_days import DayAnswer
from terminal.reports.exports import csv_of, xlsx_of
from terminal.reports.sheets import Sheet
from terminal.serving.locale import language_of
from terminal.serving.sign_in import Gate

CSV_TYPE: Final = "text/csv; charset=utf-8"
XLSX_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PAGE_DEFAULT: Final = 100

Merchant = Annotated[PlainLabel, Path()]
MonthPath = Annotated[str, Path(pattern=MONTH_PATTERN)]
Year = Annotated[int, Path(ge=YEAR_MIN, le=YEAR_MAX)]
Cursor = Annotated[str, StringConstraints(max_length=300)]


class MonthTotals(BaseModel):
    """A month of every merchant, by name; `next` is the `after` of the next page, null on the last."""

    month: Month
    merchants: list[MonthTotal]
    next: str | None


class SignedSettlement(BaseModel):
    """A closed settlement as it was signed: Ed25519 over a fixed prefix and `document` in UTF-8; the rest in hex."""

    document: str
    hash: str
    key: str
    signature: str


class Closing(BaseModel):
    """What the person saw, by its `digest`; without it, whatever is there is closed."""

    model_config = ConfigDict(extra="forbid")

    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class TermsOf(BaseModel):
    """What the centre owes a merchant: shares of the saving in basis points, by offer and first day.

    `recounting`: the open months are still being counted anew by them.
    """

    terms: list[Terms]
    recounting: bool


class ConflictsPage(BaseModel):
    """Findings, noted last first; `next` is the `before` of the next page, null on the last."""

    conflicts: list[ConflictView]
    next: str | None


class Settled(BaseModel):
    """The findings as they are after the decision."""

    conflicts: list[ConflictView]


class ComplaintsPage(BaseModel):
    """Complaints, noted last first; `next` is the `before` of the next page, null on the last."""

    complaints: list[ComplaintView]
    next: int | None


class DaysPage(BaseModel):
    """Day statements, the latest day first; `next` is the `after` of the next page, null on the last."""

    days: list[DayView]
    next: str | None


class UnclosedPage(BaseModel):
    """Days sold on and not closed, the latest first; `due`: the latest day that should be closed by now."""

    days: list[UnclosedDay]
    due: date
    next: str | None


class MerchantsPage(BaseModel):
    """Merchants by id; `next` is the `after` of the next page, null on the last."""

    merchants: list[MerchantView]
    next: str | None


def money_routes(desk: MoneyDesk, gate: Gate, language: Language) -> APIRouter:
    """Everything of this room for people signed in."""
    router = APIRouter(prefix=API)
    _settlements(router, desk, gate, language)
    _conflicts(router, desk, gate)
    _reviews(router, desk, gate, language)
    _days(router, desk, gate)
    return router


def days_routes(hq: Headquarters, language: Language) -> APIRouter:
    """The terminals' day statements: signed requests, signed answers."""
    router = APIRouter(tags=["terminals"], responses=problems(*ProblemCode))
    office = DaysOffice(hq)

    @router.post(API + "/terminals/{terminal}/days", response_model=DayAnswer)
    async def state_a_day(request: Request, terminal: str) -> Response:
        """A day that a terminal closed. A repeat is harmless; 409 `sequence-gap` while its entries are not here."""
        asked = await http_request(request)
        return await run_in_threadpool(answered, hq, asked, lambda told: office.take(told, terminal), 200, language)

    return router


def file_response(sheets: tuple[Sheet, ...], name: str, suffix: Literal["csv", "xlsx"]) -> Response:
    """The sheets as a file to keep; `name` may be Chinese (RFC 6266, `filename*`)."""
    content, kind = (csv_of(sheets), CSV_TYPE) if suffix == "csv" else (xlsx_of(sheets), XLSX_TYPE)
    disposition = f"attachment; filename*=UTF-8''{quote(f'{name}.{suffix}', safe='')}"
    return Response(content, media_type=kind, headers={"Content-Disposition": disposition})


def _settlements(router: APIRouter, desk: MoneyDesk, gate: Gate, default: Language) -> None:
    place = "/merchants/{merchant:path}/settlements/{month}"

    @router.get("/settlements", tags=["settlements"])
    def month_of_all(
        request: Request,
        month: Annotated[str | None, Query(pattern=MONTH_PATTERN)] = None,
        after: PlainLabel | None = None,
        limit: Annotated[int, Query(ge=1, le=MONTHS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> MonthTotals:
        """A month of every merchant, this month without `month`."""
        gate.require(request, *READS)
        wanted = month or month_of(desk.clock())
        with desk.storage.read() as connection:
            found = settlements.month_totals(connection, month=wanted, after=after or "", limit=limit)
        return MonthTotals(month=wanted, merchants=found, next=found[-1].merchant if len(found) == limit else None)

    def as_file(suffix: Literal["csv", "xlsx"]) -> Callable[..., Response]:
        def file(request: Request, merchant: Merchant, month: MonthPath, language: Language | None = None) -> Response:
            gate.require(request, *READS)
            sheets = settlement_sheets(
                desk.settlement(merchant, month), language or language_of(request.headers, default)
            )
            return file_response(sheets, f"jingka-{merchant}-{month}", suffix)

        file.__doc__ = "The settlement with every line, as CSV or Excel workbook; `language` is the page's."
        return file

    for suffix, kind in (("csv", CSV_TYPE), ("xlsx", XLSX_TYPE)):
        router.get(
            f"{place}.{suffix}", tags=["settlements"], response_class=Response, responses={200: {"content": {kind: {}}}}
        )(as_file("csv" if suffix == "csv" else "xlsx"))

    @router.get(f"{place}/signed", tags=["settlements"])
    def signed(request: Request, merchant: Merchant, month: MonthPath) -> SignedSettlement:
        """The signed form of a closed month, to be proven elsewhere. 404 `settlement-open`."""
        gate.require(request, *READS)
        return SignedSettlement(**desk.document(merchant, month))

    @router.get(place, tags=["settlements"])
    def one(request: Request, merchant: Merchant, month: MonthPath) -> Settlement:
        """A merchant's month as it stands."""
        gate.require(request, *READS)
        found = desk.settlement(merchant, month)
        return settlements.cut(found, LINES_SHOWN_MAX)

    @router.post(f"{place}/close", tags=["settlements"])
    def close(request: Request, merchant: Merchant, month: MonthPath, closing: Closing) -> Settlement:
        """Close and sign a month that is over; a closed one stays as it is.

        409 `month-not-over`, `earlier-month-open`, `settlement-changed`.
        """
        finance = gate.require(request, *CLOSES)
        return settlements.cut(desk.close(finance, merchant, month, closing.digest), LINES_SHOWN_MAX)

    @router.get("/merchants/{merchant:path}/terms", tags=["settlements"])
    def terms(request: Request, merchant: Merchant) -> TermsOf:
        """What the centre owes the merchant."""
        gate.require(request, *READS)
        return TermsOf(terms=desk.terms(merchant), recounting=desk.is_recounting(merchant))

    @router.post("/merchants/{merchant:path}/terms", tags=["settlements"])
    def set_terms(request: Request, merchant: Merchant, wanted: NewTerms) -> TermsOf:
        """Set a share from a day on; open months are counted anew. 409 `terms-settled`, `too-many-terms`."""
        finance = gate.require(request, *CLOSES)
        return TermsOf(terms=desk.set_terms(finance, merchant, wanted), recounting=desk.is_recounting(merchant))


def _conflicts(router: APIRouter, desk: MoneyDesk, gate: Gate) -> None:
    @router.get("/conflicts", tags=["conflicts"])
    def conflicts(
        request: Request,
        *,
        state: State | None = None,
        code: FlagCode | None = None,
        merchant: PlainLabel | None = None,
        terminal: TerminalId | None = None,
        before: Cursor | None = None,
        limit: Annotated[int, Query(ge=1, le=CONFLICTS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> ConflictsPage:
        """What headquarters finds fault with, each with the story of its entry, page by page."""
        gate.require(request, *READS)
        with desk.storage.read() as connection:
            found, following = page_of_conflicts(
                connection, state=state, code=code, merchant=merchant, terminal=terminal, before=before, limit=limit
            )
        return ConflictsPage(conflicts=found, next=following)

    @router.post("/conflicts", tags=["conflicts"])
    def settle(request: Request, verdict: Verdict) -> Settled:
        """Decide on one finding or many, all or none. 404 `conflict-missing`, 409 `nothing-to-charge`,
        422 `card-number-typed`.
        """
        person = gate.require(request, *SETTLES)
        return Settled(conflicts=desk.settle_conflicts(person, verdict))


def _reviews(router: APIRouter, desk: MoneyDesk, gate: Gate, default: Language) -> None:
    @router.get("/merchants", tags=["merchants"])
    def merchants(
        request: Request,
        after: PlainLabel | None = None,
        limit: Annotated[int, Query(ge=1, le=MERCHANTS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> MerchantsPage:
        """Every merchant of the book, the fleet and the settlements."""
        gate.require(request, *READS)
        today = date.fromisoformat(day_of(desk.clock()))
        with desk.storage.read() as connection:
            found = page_of_merchants(connection, today, after=after or "", limit=limit)
        return MerchantsPage(merchants=found, next=found[-1].merchant if len(found) == limit else None)

    @router.get(
        "/merchants/{merchant:path}/year/{year}.xlsx",
        tags=["merchants"],
        response_class=Response,
        responses={200: {"content": {XLSX_TYPE: {}}}},
    )
    def review_file(request: Request, merchant: Merchant, year: Year, language: Language | None = None) -> Response:
        """The yearly review as an Excel workbook."""
        gate.require(request, *READS)
        sheets = review_sheets(desk.review(merchant, year), language or language_of(request.headers, default))
        return file_response(sheets, f"jingka-{merchant}-{year}", "xlsx")

    @router.get("/merchants/{merchant:path}/year/{year}", tags=["merchants"])
    def review(request: Request, merchant: Merchant, year: Year) -> YearReview:
        """The yearly review of a merchant: transactions, cards served, money, voids, findings, complaints."""
        gate.require(request, *READS)
        return desk.review(merchant, year)

    @router.get("/complaints", tags=["merchants"])
    def complaints(
        request: Request,
        merchant: PlainLabel | None = None,
        before: Annotated[int, Query(ge=1, le=2**63 - 1)] | None = None,
        limit: Annotated[int, Query(ge=1, le=COMPLAINTS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> ComplaintsPage:
        """Complaints, page by page."""
        gate.require(request, *READS)
        with desk.storage.read() as connection:
            found = page_of_complaints(connection, merchant=merchant, before=before, limit=limit)
        return ComplaintsPage(complaints=found, next=found[-1].id if len(found) == limit else None)

    @router.post("/complaints", status_code=201, tags=["merchants"])
    def complain(request: Request, new: NewComplaint) -> ComplaintView:
        """Write a complaint down. 422 `card-number-typed`."""
        return desk.note_complaint(gate.require(request, *SETTLES), new)

    @router.post("/complaints/{number}", tags=["merchants"])
    def settle_complaint(
        request: Request, number: Annotated[int, Path(ge=1, le=2**63 - 1)], said: Outcome
    ) -> ComplaintView:
        """Write down what came of it. 404 `complaint-missing`, 422 `card-number-typed`."""
        return desk.settle_complaint(gate.require(request, *SETTLES), number, said)


def _days(router: APIRouter, desk: MoneyDesk, gate: Gate) -> None:
    @router.get("/days", tags=["days"])
    def days(
        request: Request,
        *,
        day: date | None = None,
        terminal: TerminalId | None = None,
        merchant: PlainLabel | None = None,
        differing: bool = False,
        after: Cursor | None = None,
        limit: Annotated[int, Query(ge=1, le=DAYS_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> DaysPage:
        """The terminals' day statements beside headquarters' own count; `differing`: only those that do not agree."""
        gate.require(request, *READS)
        with desk.storage.read() as connection:
            found, following = page_of_days(
                connection,
                day=None if day is None else day.isoformat(),
                terminal=terminal,
                merchant=merchant,
                differing=differing,
                after=after or "",
                limit=limit,
            )
        return DaysPage(days=found, next=following)

    @router.get("/days/unclosed", tags=["days"])
    def unclosed(
        request: Request,
        *,
        day: date | None = None,
        merchant: PlainLabel | None = None,
        after: Cursor | None = None,
        limit: Annotated[int, Query(ge=1, le=UNCLOSED_PAGE_MAX)] = PAGE_DEFAULT,
    ) -> UnclosedPage:
        """Days that a terminal sold on and has not closed by noon of the day after; without `day`, of a fortnight."""
        gate.require(request, *READS)
        now = desk.clock()
        with desk.storage.read() as connection:
            found, following = page_of_unclosed(
                connection, days_due(now, day), merchant=merchant, after=after or "", limit=limit
            )
        return UnclosedPage(days=found, due=latest_due(now), next=following)

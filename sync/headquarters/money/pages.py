"""The money's pages: settlements, conflicts, merchants with their yearly review, day statements."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from config.errors import JingkaError
from sync.errors import MessageMalformed
from sync.headquarters.enrolment import PlainLabel
from sync.headquarters.money import settlement as settlements
from sync.headquarters.money.api import Cursor, Merchant, MonthPath, Year
from sync.headquarters.money.complaints import NewComplaint, Outcome
from sync.headquarters.money.conflicts import ConflictView, Decision, State, Verdict, page_of_conflicts
from sync.headquarters.money.days import page_of_days
from sync.headquarters.money.desk import CLOSES, READS, SETTLES, MoneyDesk
from sync.headquarters.money.document import Line, totals_of
from sync.headquarters.money.merchants import page_of_merchants
from sync.headquarters.money.months import MONTH_PATTERN, day_of, following, month_of, preceding
from sync.headquarters.money.review import YEAR_MIN
from sync.headquarters.money.settlement import LINES_SHOWN_MAX
from sync.headquarters.money.sheets import percent
from sync.headquarters.money.steps import WHOLE_BP
from sync.headquarters.money.terms import NewTerms
from sync.headquarters.money.unclosed import days_due, page_of_unclosed
from sync.headquarters.projection import FlagCode
from sync.headquarters.terminal_api import STATUSES
from sync.wire import TerminalId
from terminal.serving.pages import Pages
from terminal.serving.problems import problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

ROWS_SHOWN: Final = 100  # of one page of a list
CONFLICTS_SHOWN: Final = 50  # each with its story
PARTS_MAX: Final = 100 + CONFLICTS_SHOWN  # fields of the largest form: every finding of a page ticked

_DECIMAL: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")

_TOKEN: Final = re.compile(r"v[0-9]{1,6}(?::|%3[Aa])[0-9a-f]{64}")

QueryMonth = Annotated[str | None, Query(pattern=MONTH_PATTERN)]


def money_pages(desk: MoneyDesk, gate: Gate, pages: Pages) -> APIRouter:
    """All pages of the room; not part of the API's schema."""
    router = APIRouter(include_in_schema=False)
    shown = _Shown(desk, pages)
    _settlement_pages(router, desk, gate, shown)
    _conflict_pages(router, desk, gate, shown)
    _merchant_pages(router, desk, gate, shown)
    _day_pages(router, desk, gate, shown)
    return router


class _Shown:
    """Draws the pages, with what went wrong above them."""

    def __init__(self, desk: MoneyDesk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def page(self, request: Request, template: str, error: JingkaError | None = None, **context: object) -> Response:
        """A page of the room; its status is that of `error`."""
        notice = status = None
        if error is not None:
            status = status_of(error, STATUSES)
            notice = problem_of(error, self._pages.language(request), status=status)
        words: dict[str, Any] = {"percent": percent, "path_of": lambda text: quote(text, safe="")}
        body = self._pages.render(request, template, notice=notice, **words, **context)
        return Response(body, status or 200, media_type="text/html")

    def settlement(
        self, request: Request, merchant: str, month: str, may_close: bool, error: JingkaError | None = None
    ) -> Response:
        """One month of one merchant."""
        found = self._desk.settlement(merchant, month)
        over = month < month_of(self._desk.clock())
        return self.page(
            request,
            "settlement.html",
            error,
            found=settlements.cut(found, LINES_SHOWN_MAX),
            cut=len(found.lines) > LINES_SHOWN_MAX,
            offers=_by_offer(found.lines),
            late=[line for line in found.lines if line.day[:7] < month][:LINES_SHOWN_MAX],
            terms=self._desk.terms(merchant),
            recounting=self._desk.is_recounting(merchant),
            may_close=may_close,
            over=over,
            previous=preceding(month),
            following=following(month) if month < month_of(self._desk.clock()) else None,
        )

    def conflicts(
        self, request: Request, asked: dict[str, str | None], may_settle: bool, error: JingkaError | None = None
    ) -> Response:
        """The findings that the filters let through."""
        with self._desk.storage.read() as connection:
            found, later = page_of_conflicts(connection, limit=CONFLICTS_SHOWN, **_filters(asked))
        kept = {name: value for name, value in asked.items() if value and name != "before"}
        return self.page(
            request,
            "conflicts.html",
            error,
            conflicts=found,
            asked=asked,
            codes=list(FlagCode),
            decisions=list(Decision),
            may_settle=may_settle,
            query=urlencode(kept),
            later=urlencode(kept | {"before": later}) if later else None,
            key_of=_key_of,
            readable=_readable,
        )

    def year(
        self, request: Request, merchant: str, year: int, may_note: bool, error: JingkaError | None = None
    ) -> Response:
        """The yearly review."""
        today = date.fromisoformat(day_of(self._desk.clock()))
        review = self._desk.review(merchant, year)
        return self.page(
            request,
            "merchant-year.html",
            error,
            review=review,
            months=[(each.month, each.sums) for each in review.months],
            offers=[(each.offer, each.sums) for each in review.offers],
            may_note=may_note,
            year_min=YEAR_MIN,
            today=today,
        )


def _settlement_pages(router: APIRouter, desk: MoneyDesk, gate: Gate, shown: _Shown) -> None:
    @router.get("/settlement")
    def months(request: Request, month: QueryMonth = None, after: PlainLabel | None = None) -> Response:
        gate.require(request, *READS)
        wanted = month or preceding(month_of(desk.clock()))
        with desk.storage.read() as connection:
            found = settlements.month_totals(connection, month=wanted, after=after or "", limit=ROWS_SHOWN)
            whole = settlements.month_sums(connection, wanted)
        return shown.page(
            request,
            "settlements.html",
            month=wanted,
            found=found,
            whole=whole,
            later=found[-1].merchant if len(found) == ROWS_SHOWN else None,
        )

    @router.get("/settlement/{merchant:path}/{month}")
    def one(request: Request, merchant: Merchant, month: MonthPath) -> Response:
        person = gate.require(request, *READS)
        return shown.settlement(request, merchant, month, person.role in CLOSES)

    @router.post("/settlement/{merchant:path}/{month}/close")
    async def close(request: Request, merchant: Merchant, month: MonthPath) -> Response:
        person = gate.require(request, *CLOSES)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            seen = str(form.get("digest", ""))
        return await run_in_threadpool(
            _done,
            lambda: desk.close(person, merchant, month, seen),
            f"/settlement/{quote(merchant, safe='')}/{month}",
            lambda error: shown.settlement(request, merchant, month, True, error),
        )

    @router.post("/settlement/{merchant:path}/{month}/terms")
    async def set_terms(request: Request, merchant: Merchant, month: MonthPath) -> Response:
        person = gate.require(request, *CLOSES)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            typed = {name: str(form.get(name, "")).strip() for name in ("first_day", "share", "offer")}
        return await run_in_threadpool(
            _done,
            lambda: desk.set_terms(person, merchant, _terms(typed)),
            f"/settlement/{quote(merchant, safe='')}/{month}",
            lambda error: shown.settlement(request, merchant, month, True, error),
        )


def _conflict_pages(router: APIRouter, desk: MoneyDesk, gate: Gate, shown: _Shown) -> None:
    @router.get("/conflicts")
    def conflicts(
        request: Request,
        *,
        state: State | Literal["all"] = "open",
        code: FlagCode | None = None,
        merchant: PlainLabel | None = None,
        terminal: TerminalId | None = None,
        before: Cursor | None = None,
    ) -> Response:
        person = gate.require(request, *READS)
        asked = {"state": state, "code": code, "merchant": merchant, "terminal": terminal, "before": before}
        return shown.conflicts(request, asked, person.role in SETTLES)

    @router.get("/conflicts/find")
    def find(request: Request, state: str = "", code: str = "", merchant: str = "", terminal: str = "") -> Response:
        gate.require(request, *READS)  # an empty choice of the form is no filter
        asked = {"state": state, "code": code, "merchant": merchant.strip(), "terminal": terminal.strip()}
        return RedirectResponse(f"/conflicts?{urlencode({k: v for k, v in asked.items() if v})}", 303)

    @router.post("/conflicts")
    async def settle(request: Request) -> Response:
        person = gate.require(request, *SETTLES)
        async with request.form(max_fields=PARTS_MAX) as form:
            typed, query = _verdict_typed(form), str(form.get("query", ""))
        asked = dict.fromkeys(("state", "code", "merchant", "terminal", "before")) | {"state": "open"}
        return await run_in_threadpool(
            _done,
            lambda: desk.settle_conflicts(person, _validated(Verdict, typed)),
            f"/conflicts?{query}" if query.isprintable() and "//" not in query else "/conflicts",
            lambda error: shown.conflicts(request, asked, True, error),
        )


def _merchant_pages(router: APIRouter, desk: MoneyDesk, gate: Gate, shown: _Shown) -> None:
    @router.get("/merchants")
    def merchants(request: Request, after: PlainLabel | None = None) -> Response:
        gate.require(request, *READS)
        today = date.fromisoformat(day_of(desk.clock()))
        with desk.storage.read() as connection:
            found = page_of_merchants(connection, today, after=after or "", limit=ROWS_SHOWN)
        return shown.page(
            request,
            "merchants.html",
            merchants=found,
            year=today.year,
            month=preceding(month_of(desk.clock())),
            later=found[-1].merchant if len(found) == ROWS_SHOWN else None,
        )

    @router.get("/merchants/{merchant:path}/year/{year}")
    def year_of(request: Request, merchant: Merchant, year: Year) -> Response:
        person = gate.require(request, *READS)
        return shown.year(request, merchant, year, person.role in SETTLES)

    @router.post("/merchants/{merchant:path}/year/{year}/complaints")
    async def complain(request: Request, merchant: Merchant, year: Year) -> Response:
        person = gate.require(request, *SETTLES)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            typed = {name: str(form.get(name, "")) for name in ("day", "text")}
            terminal = str(form.get("terminal", "")).strip() or None
        new: dict[str, Any] = {**typed, "merchant": merchant, "terminal": terminal}
        return await run_in_threadpool(
            _done,
            lambda: desk.note_complaint(person, _validated(NewComplaint, new)),
            f"/merchants/{quote(merchant, safe='')}/year/{year}",
            lambda error: shown.year(request, merchant, year, True, error),
        )

    @router.post("/merchants/{merchant:path}/year/{year}/complaints/{number}")
    async def settle(request: Request, merchant: Merchant, year: Year, number: int) -> Response:
        person = gate.require(request, *SETTLES)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            said = {"outcome": str(form.get("outcome", ""))}
        return await run_in_threadpool(
            _done,
            lambda: desk.settle_complaint(person, number, _validated(Outcome, said)),
            f"/merchants/{quote(merchant, safe='')}/year/{year}",
            lambda error: shown.year(request, merchant, year, True, error),
        )


def _day_pages(router: APIRouter, desk: MoneyDesk, gate: Gate, shown: _Shown) -> None:
    @router.get("/days")
    def days(
        request: Request, day: date | None = None, differing: bool = False, after: Cursor | None = None
    ) -> Response:
        gate.require(request, *READS)
        wanted = day or date.fromisoformat(day_of(desk.clock())) - timedelta(days=1)
        due = [] if after or (differing and day is None) else days_due(desk.clock(), wanted)
        with desk.storage.read() as connection:
            unclosed, unclosed_later = page_of_unclosed(connection, due, limit=ROWS_SHOWN)
            found, later = page_of_days(
                connection,
                day=None if differing and day is None else wanted.isoformat(),
                differing=differing,
                after=after or "",
                limit=ROWS_SHOWN,
            )
        return shown.page(
            request,
            "days.html",
            day=wanted,
            differing=differing,
            found=found,
            later=later,
            unclosed=unclosed,
            unclosed_later=unclosed_later,
        )

    @router.get("/days/unclosed")
    def unclosed(request: Request, day: date | None = None, after: Cursor | None = None) -> Response:
        gate.require(request, *READS)
        with desk.storage.read() as connection:
            found, later = page_of_unclosed(
                connection, days_due(desk.clock(), day), after=after or "", limit=ROWS_SHOWN
            )
        return shown.page(request, "unclosed.html", day=day, unclosed=found, unclosed_later=later)


def _done(work: Callable[[], object], follow: str, refused: Callable[[JingkaError], Response]) -> Response:
    """What a form asked for, then the page it came from; with what went wrong where it did."""
    try:
        work()
    except JingkaError as error:
        return refused(error)
    return RedirectResponse(follow, 303)


def _filters(asked: dict[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value and value != "all"}


def _key_of(conflict: ConflictView) -> str:
    """A finding in a form's field."""
    return f"{conflict.terminal} {conflict.sequence} {conflict.code}"


def _readable(key: str) -> str:
    """A limit's key without the tokens of cards and persons, which say nothing to anybody."""
    return _TOKEN.sub("…", key)


def _verdict_typed(form: FormData) -> dict[str, Any]:
    keys = [str(each).split(" ") for each in form.getlist("conflict")]
    conflicts = [dict(zip(("terminal", "sequence", "code"), each, strict=False)) for each in keys]
    yuan = str(form.get("amount", "")).strip()
    typed: dict[str, Any] = {
        "conflicts": conflicts,
        "decision": str(form.get("decision", "")),
        "note": str(form.get("note", "")),
    }
    return typed | ({"amount": _fen(yuan)} if yuan else {})


def _fen(yuan: str) -> int:
    """Yuan as typed, with at most two places after the point, in fen. Raises `MessageMalformed`."""
    return _hundredths(yuan, "amount")


def _terms(typed: dict[str, str]) -> NewTerms:
    share_bp = _hundredths(typed["share"], "share")
    if share_bp > WHOLE_BP:
        raise MessageMalformed("set terms", "share", reason="share: at most 100")
    fields = {"first_day": typed["first_day"], "share_bp": share_bp, "offer": typed["offer"]}
    terms: NewTerms = _validated(NewTerms, fields)
    return terms


def _hundredths(text: str, name: str) -> int:
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise MessageMalformed("read", name, reason=f"{name}: a number with at most two places")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def _validated(model: Callable[..., Any], fields: dict[str, Any]) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "form"
        raise MessageMalformed("read", "form", reason=f"{place}: {first['msg']}") from error


def _by_offer(lines: list[Line]) -> list[tuple[str, Any]]:
    offers = sorted({line.offer for line in lines})
    return [(offer, totals_of(line for line in lines if line.offer == offer)) for offer in offers[:LINES_SHOWN_MAX]]

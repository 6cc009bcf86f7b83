"""Headquarters' first pages: the city now, what came in today, the terminals; a form that makes a terminal's code."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import JingkaError
from config.zone import SHANGHAI
from sync.errors import MessageMalformed
from sync.headquarters import charts, overview, reports, terminal_list
from sync.headquarters.attention import COUNTED_MAX, matters
from sync.headquarters.enrolment import Invitation
from sync.headquarters.names import Names
from sync.headquarters.people_api import period, watching
from sync.headquarters.remembered import Remembered
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import STATUSES
from sync.headquarters.terminal_list import SEARCH_CHARS_MAX, Wanted
from sync.wire import TerminalId
from terminal.serving.pages import Pages
from terminal.serving.people import HEADQUARTERS_ROLES, Person, Role
from terminal.serving.problems import problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

ARRIVALS_SHOWN: Final = 20
FLAGS_SHOWN: Final = 10
MERCHANTS_SHOWN: Final = 12  # those with the most sales; the others are a click away

First = Annotated[date | None, Query(alias="from")]
Last = Annotated[date | None, Query(alias="to")]
Search = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=SEARCH_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")
]


def page_routes(hq: Headquarters, gate: Gate, pages: Pages, names: Names, clock_skew_s_max: int) -> APIRouter:
    """The overview and the list of terminals, with the parts of both that renew themselves."""
    router = APIRouter(include_in_schema=False)
    skew_ms_max = clock_skew_s_max * 1000 // 2  # half-way to being refused is the time to set a clock
    city = _City(hq, skew_ms_max)
    _overview_pages(router, gate, pages, city)
    _terminal_pages(router, hq, gate, pages, _Listed(hq, pages, names, skew_ms_max))
    return router


class _City:
    """The overview's numbers, asked for once for however many pages look at them."""

    def __init__(self, hq: Headquarters, skew_ms_max: int) -> None:
        self.hq = hq
        self._skew_ms_max = skew_ms_max
        self._remembered = Remembered()

    def now(self) -> dict[str, Any]:
        """Who is there, what needs a person, the pace, the pools."""
        found: dict[str, Any] = self._remembered.answer("now", self._ask_now)
        return found

    def arrived(self, first: date | None, last: date | None) -> dict[str, Any]:
        """What changes with every redemption. Raises `PeriodTooLong`."""
        begin, end = period(self.hq, first, last)
        found: dict[str, Any] = self._remembered.answer((begin, end), lambda: self._ask_arrived(begin, end))
        return found

    def _ask_now(self) -> dict[str, Any]:
        now = self.hq.clock()
        with self.hq.storage.read() as connection:
            fleet = overview.fleet_now(connection, now, self._skew_ms_max)
            pace = overview.pace(connection, now)
            running, pools = overview.pools_running(connection, now)
            waits = matters(connection, fleet, now)
        return {
            "now": now,
            "fleet": fleet,
            "pace": pace,
            "bars": charts.bars(pace),
            "matters": waits,
            "running": [(run, charts.run_down(run)) for run in running],
            "more_pools": pools - len(running),
            "chart": {"width": charts.WIDTH, "height": charts.HEIGHT},
            "counted_max": COUNTED_MAX,
        }

    def _ask_arrived(self, begin: date, end: date) -> dict[str, Any]:
        with self.hq.storage.read() as connection:
            sums = overview.totals(connection, begin, end, MERCHANTS_SHOWN)
            arrivals = reports.latest_arrivals(connection, ARRIVALS_SHOWN)
            findings = reports.latest_flags(connection, FLAGS_SHOWN)
        return {
            "first": begin.isoformat(),
            "last": end.isoformat(),
            "totals": sums,
            "arrivals": arrivals,
            "late": {each.id for each in arrivals if each.business_day < _shanghai_day(each.arrived_at)},
            "findings": findings,
        }


def _overview_pages(router: APIRouter, gate: Gate, pages: Pages, city: _City) -> None:
    @router.get("/")
    def whole(request: Request, first: First = None, last: Last = None) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        return pages.response(request, "overview.html", **_now(city, pages, person), **city.arrived(first, last))

    @router.get("/overview/now")
    def now(request: Request) -> Response:
        return pages.response(request, "overview-now.html", **_now(city, pages, watching(gate, request)))

    @router.get("/overview/live")
    def live(request: Request, first: First = None, last: Last = None) -> Response:
        person = watching(gate, request)
        open_to = pages.open_to(person)
        return pages.response(request, "live.html", open_to=open_to, **city.arrived(first, last))


def _now(city: _City, pages: Pages, person: Person) -> dict[str, Any]:
    """What the city's numbers are, and where `person` may go from them."""
    return city.now() | {"open_to": pages.open_to(person)}


class _Listed:
    """Pages of the list of terminals."""

    def __init__(self, hq: Headquarters, pages: Pages, names: Names, skew_ms_max: int) -> None:
        self._hq = hq
        self._pages = pages
        self._names = names
        self._skew_ms_max = skew_ms_max

    def page(self, person: Person, state: Wanted, search: str, after: str) -> dict[str, Any]:
        """The terminals wanted behind the id `after`, and how many each filter leaves."""
        now = self._hq.clock()
        called = self._names.merchants_called(search) if search else []
        with self._hq.storage.read() as connection:
            fleet = overview.fleet_now(connection, now, self._skew_ms_max)
            rows, later = terminal_list.page_of(
                connection,
                now,
                wanted=state,
                search=search,
                merchants=called,
                after=after,
                skew_ms_max=self._skew_ms_max,
            )
        kept = {"state": state.value, "search": search}
        return {
            "rows": rows,
            "open_to": self._pages.open_to(person),
            "now": now,
            "fleet": fleet,
            "state": state.value,
            "search": search,
            "counts": _counts_of(fleet),
            "here_query": urlencode(kept | {"after": after}),
            "later": urlencode(kept | {"after": later}) if later else None,
            "after": after,
            "skew_ms_max": self._skew_ms_max,
        }


def _terminal_pages(router: APIRouter, hq: Headquarters, gate: Gate, pages: Pages, listed: _Listed) -> None:
    @router.get("/terminals")
    def terminals(
        request: Request, state: Wanted = Wanted.ALL, search: Search = "", after: TerminalId | None = None
    ) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        may_invite = person.role is Role.OPERATOR
        found = listed.page(person, state, search, after or "")
        return pages.response(request, "terminals.html", may_invite=may_invite, **found)

    @router.get("/overview/terminals")
    def rows(request: Request, state: Wanted = Wanted.ALL, search: Search = "", after: str = "") -> Response:
        person = watching(gate, request)
        return pages.response(request, "terminals-list.html", **listed.page(person, state, search, after))

    @router.post("/codes")
    async def invite(request: Request) -> Response:
        operator = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            asked = {name: str(form.get(name, "")).strip() for name in Invitation.model_fields}
        try:
            invitation = _invitation(asked)
            code = await run_in_threadpool(hq.issue_code, invitation, by=operator)
        except JingkaError as error:
            notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
            page = await run_in_threadpool(pages.render, request, "code.html", notice=notice, code=None, asked=asked)
            return Response(page, notice.status, media_type="text/html")
        return await run_in_threadpool(pages.response, request, "code.html", notice=None, code=code, asked=asked)


def _counts_of(fleet: overview.Fleet) -> dict[str, int]:
    """How many terminals each filter leaves."""
    counts = {Wanted.ALL: fleet.count + fleet.revoked}
    counts |= {each: getattr(fleet, each.value) for each in Wanted if each is not Wanted.ALL}
    return {each.value: count for each, count in counts.items()}


def _shanghai_day(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).date().isoformat()


def _invitation(asked: dict[str, str]) -> Invitation:
    try:
        return Invitation(**asked)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise MessageMalformed("invite", "terminal", reason=f"{first['loc'][0]}: {first['msg']}") from error

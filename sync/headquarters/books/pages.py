"""The campaigns' pages: what is released and how far it has come, and each draft with what its text comes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from config.errors import JingkaError
from sync.headquarters.books.api import Id, Revision
from sync.headquarters.books.desk import DECIDES, RELEASES, STOPS, WRITES, CampaignDesk, OpenDraft
from sync.headquarters.books.drafts import UNFINISHED, DraftState, Look
from sync.headquarters.books.errors import DraftUnreadable
from sync.headquarters.books.stages import target_of
from sync.headquarters.terminal_api import STATUSES
from terminal.offers.book import BOOK_BYTES_MAX, Format
from terminal.serving.pages import Pages
from terminal.serving.people import HEADQUARTERS_ROLES, Person
from terminal.serving.problems import Problem, problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

CAMPAIGNS: Final = "/campaigns"
QUOTED_CHARS_MAX: Final = 100  # of the line that a finding names
# Twice what this room takes: a book typed into a form is percent-encoded before it is measured.
PART_BYTES_MAX: Final = 2 * BOOK_BYTES_MAX


def campaign_pages(desk: CampaignDesk, gate: Gate, pages: Pages) -> APIRouter:
    """`/campaigns` and what hangs on it; not part of the API's schema."""
    router = APIRouter(prefix=CAMPAIGNS, include_in_schema=False)
    _overview(router, desk, gate, pages)
    _editor(router, desk, gate, pages)
    _release(router, desk, gate, pages)
    return router


def _overview(router: APIRouter, desk: CampaignDesk, gate: Gate, pages: Pages) -> None:
    @router.get("")
    def campaigns(request: Request) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        return pages.response(request, "campaigns.html", seen=desk.overview(), may=_may(person))

    @router.get("/state")
    def state(request: Request) -> Response:
        gate.watcher(request)
        return pages.response(request, "campaigns-state.html", seen=desk.overview())

    @router.post("/drafts")
    async def begin(request: Request) -> Response:
        person = gate.require(request, *WRITES)
        async with request.form(max_fields=FORM_FIELDS_MAX, max_part_size=PART_BYTES_MAX) as form:
            title, (text, written_as) = str(form.get("title", "")), await _uploaded(form)
        draft = await run_in_threadpool(desk.begin, person, title, text, written_as)
        return RedirectResponse(f"{CAMPAIGNS}/draft/{draft.id}", 303)

    @router.post("/look")
    async def look(request: Request) -> Response:
        gate.watcher(request)
        async with request.form(max_fields=FORM_FIELDS_MAX, max_part_size=PART_BYTES_MAX) as form:
            text, written_as = _text_of(form), _form_of(str(form.get("form", "")))
        seen = await run_in_threadpool(desk.look, text, written_as)
        return pages.response(request, "campaigns-look.html", **_look(seen, text))


def _editor(router: APIRouter, desk: CampaignDesk, gate: Gate, pages: Pages) -> None:
    @router.get("/draft/{draft}")
    def show(request: Request, draft: Id) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        return pages.response(request, "campaigns-draft.html", **_draft(desk.draft(draft), person))

    @router.post("/draft/{draft}")
    async def act(request: Request, draft: Id) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        async with request.form(max_fields=FORM_FIELDS_MAX, max_part_size=PART_BYTES_MAX) as form:
            asked = {name: str(form.get(name, "")) for name in ("action", "version", "title", "note")}
            text = _text_of(form) if "text" in form else None
        try:
            follow = await run_in_threadpool(_do, desk, person, draft, asked, text)
        except JingkaError as error:
            notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
            return await run_in_threadpool(again, request, draft, person, notice, text)
        return RedirectResponse(follow, 303)

    def again(request: Request, draft: int, person: Person, notice: Problem, typed: str | None) -> Response:
        """The page with what was typed, which is not saved, and why."""
        seen = _draft(desk.draft(draft), person)
        if typed is not None and typed != seen["text"]:
            seen |= {"text": typed, "unsaved": True, **_look(desk.look(typed, seen["draft"].form), typed)}
        return HTMLResponse(pages.render(request, "campaigns-draft.html", **(seen | {"notice": notice})), notice.status)


def _do(desk: CampaignDesk, by: Person, draft: int, asked: dict[str, str], text: str | None) -> str:
    """What a button of the draft's page asks for; where to go then."""
    version = int(asked["version"]) if asked["version"].isascii() and asked["version"].isdigit() else 0
    here = f"{CAMPAIGNS}/draft/{draft}"
    changed = text is not None and text != desk.draft(draft).text
    if text is not None and (asked["action"] == "save" or changed):
        version = desk.save(by, draft, text, version, asked["title"] or None).version
    steps: dict[str, Callable[[Person, int, int], object]] = {
        "submit": desk.submit,
        "approve": desk.approve,
        "send-back": desk.send_back,
        "discard": desk.discard,
    }
    if asked["action"] in steps:
        steps[asked["action"]](by, draft, version)
        return CAMPAIGNS if asked["action"] == "discard" else here
    if asked["action"] == "release":
        return f"{CAMPAIGNS}/release/{desk.publish(by, draft, asked['note']).revision}"
    return here


def _release(router: APIRouter, desk: CampaignDesk, gate: Gate, pages: Pages) -> None:
    @router.get("/release/{revision}")
    def show(request: Request, revision: Revision) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        return page(request, revision, person, None)

    def page(request: Request, revision: int, person: Person, notice: Problem | None) -> Response:
        seen = desk.release(revision)
        rendered = pages.render(request, "campaigns-release.html", seen=seen, may=_may(person), notice=notice)
        return HTMLResponse(rendered, notice.status if notice else 200)

    @router.post("/release/{revision}/{action}")
    async def act(request: Request, revision: Revision, action: str) -> Response:
        person = gate.require(request, *HEADQUARTERS_ROLES)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            asked = {name: str(form.get(name, "")) for name in form}
        try:
            follow = await run_in_threadpool(_change_release, desk, person, revision, action, asked)
        except JingkaError as error:
            notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
            return await run_in_threadpool(page, request, revision, person, notice)
        return RedirectResponse(f"{CAMPAIGNS}/release/{follow}", 303)


def _change_release(desk: CampaignDesk, by: Person, revision: int, action: str, asked: dict[str, str]) -> int:
    """What a button of the release's page asks for; the revision to show then."""
    if action == "stages":
        desk.roll_out(by, revision, target_of(**_asked_target(asked)))
    elif action == "stop":
        desk.stop(by, revision)
    elif action == "restore":
        return desk.restore(by, revision, asked.get("note", ""), everywhere="everywhere" in asked).revision
    return revision


def _asked_target(asked: dict[str, str]) -> dict[str, Any]:
    """A stage's form: names one a line or between commas; a percentage."""
    if asked.get("reach") == "everywhere":
        return {"everywhere": True}
    names = {name: _names(asked.get(name, "")) for name in ("merchants", "sites", "terminals")}
    percent = asked.get("percent", "").strip()
    return {**names, "percent": percent or None}


def _names(text: str) -> list[str]:
    parts = text.replace("，", "\n").replace("、", "\n").replace(",", "\n").splitlines()
    return [part.strip() for part in parts if part.strip()]


def _may(person: Person) -> dict[str, bool]:
    """Which buttons a person sees; the desk decides again."""
    roles = {"write": WRITES, "decide": DECIDES, "release": RELEASES, "stop": STOPS}
    return {name: person.role in allowed for name, allowed in roles.items()}


def _draft(seen: OpenDraft, person: Person) -> dict[str, Any]:
    draft = seen.draft
    may = _may(person)
    return {
        "draft": draft,
        "text": seen.text,
        "writers": sorted(seen.writers),
        "may": may,
        "edits": may["write"] and draft.state in UNFINISHED,
        "submits": may["write"] and draft.state is DraftState.OPEN,
        "decides": may["decide"] and draft.state in (DraftState.SUBMITTED, DraftState.APPROVED),
        "own": person.id in seen.writers,
        "releases": may["release"] and draft.state is DraftState.APPROVED,
        "unsaved": False,
        "notice": None,
        **_look(seen.look, seen.text),
    }


def _look(seen: Look, text: str) -> dict[str, Any]:
    """What a text comes to, each finding with the line it names."""
    lines = text.splitlines()
    quoted = partial(_quoted, lines)
    return {"look": seen, "findings": [(finding, quoted(finding.line)) for finding in seen.findings]}


def _quoted(lines: list[str], line: int | None) -> str:
    return lines[line - 1].strip()[:QUOTED_CHARS_MAX] if line is not None and 0 < line <= len(lines) else ""


def _text_of(form: FormData) -> str:
    """The text as it was before the browser gave every line its carriage return."""
    return str(form.get("text", "")).replace("\r\n", "\n")


def _form_of(name: str) -> Format:
    return "json" if name == "json" else "toml"


async def _uploaded(form: FormData) -> tuple[str | None, Format]:
    """The file's text (None: none chosen) and its form by its name. Raises `DraftUnreadable`."""
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return None, "toml"
    try:
        text = (await file.read(BOOK_BYTES_MAX + 1)).decode()
    except UnicodeDecodeError as error:
        raise DraftUnreadable("begin", "draft", reason_zh="不是 UTF-8 文字", reason_en="not UTF-8") from error
    return text, _form_of(file.filename.rpartition(".")[2].lower())

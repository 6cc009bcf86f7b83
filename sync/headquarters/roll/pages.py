"""The pages `/members` and `/roll`: look a card up, decide how it stands; bring lists in and confirm them.

A typed card number comes in a form's body and is gone once it is hashed; addresses carry tokens. An uploaded list is
kept in memory from the first octet to the last: nothing of it is put into a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import RedirectResponse, Response

from config.errors import JingkaError
from sync.errors import MessageMalformed
from sync.headquarters.roll.api import CHECKERS, READERS, ImportNumber
from sync.headquarters.roll.desk import NewCard, RollDesk
from sync.headquarters.roll.rules import Action
from sync.headquarters.terminal_api import STATUSES
from sync.wire import BODY_BYTES_MAX
from terminal.membership.card_list import REJECT_WORDS
from terminal.membership.official_lists import LIST_COLUMNS, ListKind
from terminal.membership.standing import STANDING_WORDS, MemberClass, Standing
from terminal.serving.pages import Pages
from terminal.serving.people import Role
from terminal.serving.problems import problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate

TOKEN_FORM: Final = r"^v[0-9]{1,4}:[0-9a-f]{64}$"  # noqa: S105 - of a card
TOKEN_SHOWN: Final = 12  # hex digits: enough to tell two cards apart on a screen

InToken = Annotated[str, InPath(pattern=TOKEN_FORM)]


def roll_pages(desk: RollDesk, gate: Gate, pages: Pages) -> APIRouter:
    """Both pages and what their buttons do."""
    router = APIRouter(include_in_schema=False)
    _member_pages(router, desk, gate, pages)
    _list_pages(router, desk, gate, pages)
    return router


def _member_pages(router: APIRouter, desk: RollDesk, gate: Gate, pages: Pages) -> None:
    def drawn(request: Request, error: JingkaError | None = None) -> Response:
        """The page, with what went wrong above it; never with what was typed."""
        return _page(request, pages, "members.html", error, overdue=desk.overdue(), **_words(request, pages))

    def shown(request: Request, token: str, error: JingkaError | None = None) -> Response:
        dossier = desk.dossier(token)
        return _page(request, pages, "member.html", error, dossier=dossier, **_words(request, pages))

    @router.get("/members")
    def members(request: Request) -> Response:
        gate.require(request, *READERS)
        return drawn(request)

    @router.get("/members/{token}")
    def member(request: Request, token: InToken) -> Response:
        gate.require(request, *READERS)
        return shown(request, token)

    @router.post("/members/find")
    async def find(request: Request) -> Response:
        gate.require(request, *READERS)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            number = str(form.get("card", ""))
        return await run_in_threadpool(
            _to_member, lambda: desk.dossier(desk.token_of(number)).member.token, drawn, request
        )

    @router.post("/members")
    async def add(request: Request) -> Response:
        by = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            number, card = str(form.get("card", "")), _new_card(form)
        return await run_in_threadpool(
            _to_member, lambda: desk.add(desk.token_of(number), card, by).token, drawn, request
        )

    @router.post("/members/{token}/replace")
    async def replace(request: Request, token: InToken) -> Response:
        by = gate.require(request, Role.OPERATOR)
        async with request.form(max_fields=FORM_FIELDS_MAX) as form:
            number = str(form.get("card", ""))
        return await run_in_threadpool(
            _to_member,
            lambda: desk.replace(token, desk.token_of(number), by).token,
            lambda asked, error: shown(asked, token, error),
            request,
        )

    @router.post("/members/{token}/{action}")
    def change(request: Request, token: InToken, action: Action) -> Response:
        by = gate.require(request, Role.OPERATOR)
        return _to_member(
            lambda: desk.change(token, action, by).token, lambda asked, error: shown(asked, token, error), request
        )


def _list_pages(router: APIRouter, desk: RollDesk, gate: Gate, pages: Pages) -> None:
    def drawn(request: Request, error: JingkaError | None = None) -> Response:
        context = {"state": desk.state(), "lists": desk.imports(), "kinds": LIST_COLUMNS}
        return _page(request, pages, "roll.html", error, **context, **_words(request, pages))

    def shown(request: Request, number: int, error: JingkaError | None = None) -> Response:
        view, rejected = desk.list_of(number)
        return _page(request, pages, "roll-list.html", error, view=view, rejected=rejected, **_words(request, pages))

    @router.get("/roll")
    def roll(request: Request) -> Response:
        gate.require(request, *READERS, Role.APPROVER)
        return drawn(request)

    @router.get("/roll/{number}")
    def show(request: Request, number: ImportNumber) -> Response:
        gate.require(request, *READERS, Role.APPROVER)
        return shown(request, number)

    @router.post("/roll")
    async def upload(request: Request) -> Response:
        by = gate.require(request, Role.OPERATOR)
        try:
            content, kind = await _uploaded(request)
            view = await run_in_threadpool(desk.preview, content, kind, by)
        except JingkaError as error:
            return await run_in_threadpool(drawn, request, error)
        return RedirectResponse(f"/roll/{view.id}", 303)

    @router.post("/roll/{number}/confirm")
    def confirm(request: Request, number: ImportNumber) -> Response:
        by = gate.require(request, *CHECKERS)
        return _to_list(lambda: desk.confirm(number, by).id, lambda error: shown(request, number, error))

    @router.post("/roll/{number}/discard")
    def discard(request: Request, number: ImportNumber) -> Response:
        by = gate.require(request, *CHECKERS)
        return _to_list(lambda: desk.discard(number, by).id, lambda error: shown(request, number, error))


async def _uploaded(request: Request) -> tuple[bytes, ListKind]:
    """The list in a form, and its kind. Raises `MessageMalformed`."""
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=FORM_FIELDS_MAX)
    parser.spool_max_size = 2 * BODY_BYTES_MAX  # never to a file: it is full of card numbers
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise MessageMalformed("upload", "list", reason="no form with a file") from error
    file, kind = form.get("file"), str(form.get("kind", ""))
    try:
        if not isinstance(file, UploadFile) or kind not in set(ListKind):
            raise MessageMalformed("upload", "list", reason="no file, or of no kind")
        return await file.read(), ListKind(kind)
    finally:
        await form.close()


def _new_card(form: FormData) -> NewCard:
    called = str(form.get("member_class", ""))
    return NewCard(
        MemberClass(called) if called in set(MemberClass) else MemberClass.ORDINARY,
        str(form.get("person", "")),
        temporary="temporary" in form,
    )


def _to_member(
    work: Callable[[], str], again: Callable[[Request, JingkaError], Response], request: Request
) -> Response:
    """On to the page of the card that `work` names, or the same page `again` with what went wrong."""
    try:
        token = work()
    except JingkaError as error:
        return again(request, error)
    return RedirectResponse(f"/members/{token}", 303)


def _to_list(work: Callable[[], int], again: Callable[[JingkaError], Response]) -> Response:
    try:
        number = work()
    except JingkaError as error:
        return again(error)
    return RedirectResponse(f"/roll/{number}", 303)


def _page(request: Request, pages: Pages, template: str, error: JingkaError | None, **context: Any) -> Response:
    if error is None:
        return pages.response(request, template, notice=None, **context)
    notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
    return Response(pages.render(request, template, notice=notice, **context), notice.status, media_type="text/html")


def _words(request: Request, pages: Pages) -> dict[str, Any]:
    """What the templates say of standings, actions and lines set aside: the words that stand in the code."""
    language = pages.language(request)
    return {
        "standing_words": {str(each): words.text(language) for each, words in STANDING_WORDS.items()},
        "reject_words": {str(each.value): words.text(language) for each, words in REJECT_WORDS.items()},
        "standing_look": {
            Standing.ACTIVE.value: "good",
            Standing.SUSPENDED.value: "warn",
            Standing.INACTIVE.value: "warn",
            Standing.LOST.value: "bad",
        },
        "classes": list(MemberClass),
        "token_shown": TOKEN_SHOWN,
    }

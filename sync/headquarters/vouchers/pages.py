"""The page `/vouchers`: bring lists in and confirm them, look a voucher up, withdraw it.

A typed code comes in a form's body and is gone once it is hashed. An uploaded list is kept in memory from the first
octet to the last: nothing of it is put into a temporary file.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import RedirectResponse, Response

from config.errors import JingkaError
from sync.errors import MessageMalformed
from sync.headquarters.terminal_api import STATUSES
from sync.headquarters.vouchers.api import ListNumber
from sync.headquarters.vouchers.desk import (
    BRINGERS,
    CONFIRMERS,
    READERS,
    WITHDRAWERS,
    VouchersDesk,
    VoucherView,
)
from sync.wire import BODY_BYTES_MAX
from terminal.serving.pages import Pages
from terminal.serving.people import Person
from terminal.serving.problems import problem_of, status_of
from terminal.serving.sign_in import FORM_FIELDS_MAX, Gate
from terminal.vouchers.voucher_list import COLUMNS, VOUCHER_FAULT_WORDS


class Act(StrEnum):
    """What may be done with one voucher by its code."""

    FIND = "find"
    WITHDRAW = "withdraw"
    RESTORE = "restore"


ACTORS: Final = {Act.FIND: READERS, Act.WITHDRAW: WITHDRAWERS, Act.RESTORE: BRINGERS}


def voucher_pages(desk: VouchersDesk, gate: Gate, pages: Pages) -> APIRouter:
    """The page and what its buttons do."""
    router = APIRouter(include_in_schema=False)
    _register_pages(router, desk, gate, pages)
    _list_pages(router, desk, gate, pages)
    return router


def _register_pages(router: APIRouter, desk: VouchersDesk, gate: Gate, pages: Pages) -> None:
    def drawn(request: Request, error: JingkaError | None = None, **found: Any) -> Response:
        """The page, with what went wrong above it. A code that was found comes back to its own form, and to no other
        place: whoever typed it may act on it at once.
        """
        by = gate.require(request, *READERS)
        state, offers, brought = desk.overview()
        context: dict[str, Any] = {"voucher": None, "code": "", **found}
        may = {"bring": by.role in BRINGERS, "withdraw": by.role in WITHDRAWERS}
        return _page(
            request,
            pages,
            "vouchers.html",
            error,
            state=state,
            offers=offers,
            lists=brought,
            columns=",".join(COLUMNS),
            may=may,
            **context,
        )

    @router.get("/vouchers")
    def vouchers(request: Request) -> Response:
        gate.require(request, *READERS)
        return drawn(request)

    @router.get("/vouchers/{act}")
    def again(request: Request) -> Response:
        """Of a page that answered a form: its address is asked for when the language is changed."""
        gate.require(request, *READERS)
        return RedirectResponse("/vouchers", 303)

    @router.post("/vouchers")
    async def upload(request: Request) -> Response:
        by = gate.require(request, *BRINGERS)
        try:
            content = await _uploaded(request)
            view = await run_in_threadpool(desk.preview, content, by)
        except JingkaError as error:
            return await run_in_threadpool(drawn, request, error)
        return RedirectResponse(f"/vouchers/lists/{view.id}", 303)

    @router.post("/vouchers/forget")
    async def forget(request: Request) -> Response:
        by = gate.require(request, *BRINGERS)
        offer = await _field(request, "offer")
        try:
            await run_in_threadpool(desk.forget, offer, by)
        except JingkaError as error:
            return await run_in_threadpool(drawn, request, error)
        return RedirectResponse("/vouchers", 303)

    @router.post("/vouchers/{act}")
    async def single(request: Request, act: Act) -> Response:
        by = gate.require(request, *ACTORS[act])
        code = await _field(request, "code")
        try:
            voucher = await run_in_threadpool(_single, desk, act, code, by)
        except JingkaError as error:
            return await run_in_threadpool(drawn, request, error)
        return await run_in_threadpool(drawn, request, voucher=voucher, code=code)


def _list_pages(router: APIRouter, desk: VouchersDesk, gate: Gate, pages: Pages) -> None:
    def shown(request: Request, number: int, error: JingkaError | None = None) -> Response:
        by = gate.require(request, *READERS)
        view, rejected = desk.list_of(number)
        language = pages.language(request)
        words = {str(each.value): said.text(language) for each, said in VOUCHER_FAULT_WORDS.items()}
        return _page(
            request,
            pages,
            "vouchers-list.html",
            error,
            view=view,
            rejected=rejected,
            reject_words=words,
            may_confirm=by.role in CONFIRMERS,
        )

    def settled(request: Request, number: int, work: Callable[[], object]) -> Response:
        try:
            work()
        except JingkaError as error:
            return shown(request, number, error)
        return RedirectResponse(f"/vouchers/lists/{number}", 303)

    @router.get("/vouchers/lists/{number}")
    def show(request: Request, number: ListNumber) -> Response:
        gate.require(request, *READERS)
        return shown(request, number)

    @router.post("/vouchers/lists/{number}/confirm")
    def confirm(request: Request, number: ListNumber) -> Response:
        by = gate.require(request, *CONFIRMERS)
        return settled(request, number, lambda: desk.confirm(number, by))

    @router.post("/vouchers/lists/{number}/discard")
    def discard(request: Request, number: ListNumber) -> Response:
        by = gate.require(request, *CONFIRMERS)
        return settled(request, number, lambda: desk.discard(number, by))


def _single(desk: VouchersDesk, act: Act, code: str, by: Person) -> VoucherView:
    if act is Act.FIND:
        return desk.look_up(code)
    return desk.withdraw(code, by, revoked=act is Act.WITHDRAW)


async def _field(request: Request, name: str) -> str:
    async with request.form(max_fields=FORM_FIELDS_MAX) as form:
        return str(form.get(name, ""))


async def _uploaded(request: Request) -> bytes:
    """The list in a form. Raises `MessageMalformed`."""
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=FORM_FIELDS_MAX)
    parser.spool_max_size = 2 * BODY_BYTES_MAX  # never to a file: codes are money, and card numbers may stand beside
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise MessageMalformed("upload", "list", reason="no form with a file") from error
    file = form.get("file")
    try:
        if not isinstance(file, UploadFile):
            raise MessageMalformed("upload", "list", reason="no file")
        return await file.read()
    finally:
        await form.close()


def _page(request: Request, pages: Pages, template: str, error: JingkaError | None, **context: Any) -> Response:
    if error is None:
        return pages.response(request, template, notice=None, **context)
    notice = problem_of(error, pages.language(request), status=status_of(error, STATUSES))
    return Response(pages.render(request, template, notice=notice, **context), notice.status, media_type="text/html")

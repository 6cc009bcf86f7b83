"""The part of `/api/v1` about vouchers: for people, and for terminals.

A code comes in a body, never in an address, and in no answer: `SecretStr` keeps it out of everything that shows a
message by accident.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from config.errors import Language
from sync.headquarters import fleet
from sync.headquarters.roll.errors import HashingKeyMissing
from sync.headquarters.service import Headquarters
from sync.headquarters.terminal_api import OCTETS_TYPE, answered, http_request, problems
from sync.headquarters.vouchers.desk import BRINGERS, CONFIRMERS, READERS, WITHDRAWERS, VouchersDesk, VoucherView
from sync.headquarters.vouchers.feed import Shelf
from sync.headquarters.vouchers.lists import ListView, RejectedLine
from sync.headquarters.vouchers.register import OfferVouchers
from sync.signing import HttpRequest
from sync.wire import API, SEQUENCE_MAX, ProblemCode
from sync.wire_vouchers import CHUNK_BYTES, REGISTER_VERSION, VouchersAnswer
from terminal.offers.values import ID, ID_CHARS_MAX
from terminal.serving.sign_in import Gate
from terminal.vouchers.register import FILE_BYTES_MAX

CODE_CHARS_TYPED_MAX: Final = 80  # 24 characters, each with a blank or hyphen behind, and some to spare
CSV_TYPE: Final = "text/csv"

ListNumber = Annotated[int, InPath(ge=1, le=SEQUENCE_MAX)]


class WhichVoucher(BaseModel):
    """A voucher by its code, as it is printed or typed."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    code: Annotated[SecretStr, Field(min_length=1, max_length=CODE_CHARS_TYPED_MAX)]


class WhichOffer(BaseModel):
    """An offer by its id in the book."""

    model_config = ConfigDict(extra="forbid")
    offer: Annotated[str, StringConstraints(pattern=rf"^(?:{ID})$", max_length=ID_CHARS_MAX)]


class RegisterPage(BaseModel):
    """The register: its version (0: none), what it holds, and the lists, latest first."""

    version: int
    offers: list[OfferVouchers]
    lists: list[ListView]


class VoucherListPreview(BaseModel):
    """A list, and its lines that were set aside."""

    summary: ListView
    rejected: list[RejectedLine]


class Forgotten(BaseModel):
    """How many vouchers were taken out."""

    offer: str
    vouchers: int


def voucher_routes(desk: VouchersDesk, gate: Gate) -> APIRouter:
    """The register, the lists that make it, and single vouchers."""
    router = APIRouter(prefix=API, tags=["vouchers"])

    @router.get("/vouchers")
    def overview(request: Request) -> RegisterPage:
        """The register's version, what it holds of each offer, and the lists."""
        gate.require(request, *READERS)
        state, offers, brought = desk.overview()
        return RegisterPage(version=state.version, offers=offers, lists=brought)

    body = {"content": {CSV_TYPE: {"schema": {"type": "string"}}}, "required": True}

    @router.post("/vouchers/lists", status_code=201, openapi_extra={"requestBody": body})
    async def preview(request: Request) -> VoucherListPreview:
        """What a list (the body, CSV of at most 4 MiB) would do. Nothing of it counts until it is confirmed."""
        by = gate.require(request, *BRINGERS)
        content = await request.body()
        view = await run_in_threadpool(desk.preview, content, by)
        return _list(*await run_in_threadpool(desk.list_of, view.id))

    @router.get("/vouchers/lists/{number}")
    def show(request: Request, number: ListNumber) -> VoucherListPreview:
        """One list. 404 `voucher-list-missing`."""
        gate.require(request, *READERS)
        return _list(*desk.list_of(number))

    @router.post("/vouchers/lists/{number}/confirm")
    def confirm(request: Request, number: ListNumber) -> ListView:
        """Make it count. 409 `voucher-list-outdated`, `voucher-list-settled`."""
        return desk.confirm(number, gate.require(request, *CONFIRMERS))

    @router.post("/vouchers/lists/{number}/discard")
    def discard(request: Request, number: ListNumber) -> ListView:
        """Forget it. 409 `voucher-list-settled`."""
        return desk.discard(number, gate.require(request, *CONFIRMERS))

    @router.post("/vouchers/find")
    def find(request: Request, which: WhichVoucher) -> VoucherView:
        """What the register says of a code. 404 `voucher-unregistered`, 422 `voucher-code-mistyped`."""
        gate.require(request, *READERS)
        return desk.look_up(which.code.get_secret_value())

    @router.post("/vouchers/withdraw")
    def withdraw(request: Request, which: WhichVoucher) -> VoucherView:
        """Connected tills refuse it within ten seconds. A repeat is harmless."""
        by = gate.require(request, *WITHDRAWERS)
        return desk.withdraw(which.code.get_secret_value(), by)

    @router.post("/vouchers/restore")
    def restore(request: Request, which: WhichVoucher) -> VoucherView:
        """Make a withdrawn voucher good again. A repeat is harmless."""
        by = gate.require(request, *BRINGERS)
        return desk.withdraw(which.code.get_secret_value(), by, revoked=False)

    @router.post("/vouchers/forget")
    def forget(request: Request, which: WhichOffer) -> Forgotten:
        """Take every voucher of an offer that is over out of the register. 404 `voucher-offer-missing`."""
        by = gate.require(request, *BRINGERS)
        return Forgotten(offer=which.offer, vouchers=desk.forget(which.offer, by))

    return router


def voucher_feed_routes(hq: Headquarters, shelf: Shelf | None, language: Language) -> APIRouter:
    """What terminals fetch. `shelf` None: headquarters has no programme key, so there is nothing to fetch."""
    router = APIRouter(prefix=API, tags=["terminals"], responses=problems(*ProblemCode))

    @router.get("/terminals/{terminal}/vouchers", response_model=VouchersAnswer)
    async def register(
        request: Request, terminal: str, have: Annotated[str, Query(pattern=rf"^$|{REGISTER_VERSION}")] = ""
    ) -> Response:
        """The register to have, and what changed since `have` when that is little. 404 `register-replaced`."""

        def answer(asked: HttpRequest) -> VouchersAnswer:
            _claimed(hq, asked, terminal)
            with hq.storage.read() as connection:
                place = fleet.place_of(connection, terminal)
                return _kept(shelf).answer(connection, place, have, hq.clock())

        return await run_in_threadpool(answered, hq, await http_request(request), answer, 200, language)

    @router.get(
        "/terminals/{terminal}/vouchers/{version}/{number}",
        response_class=Response,
        responses={200: {"content": {OCTETS_TYPE: {}}}},
    )
    async def chunk(
        request: Request,
        terminal: str,
        version: Annotated[str, InPath(pattern=REGISTER_VERSION)],
        number: Annotated[int, InPath(ge=0, le=FILE_BYTES_MAX // CHUNK_BYTES)],
    ) -> Response:
        """One chunk of a register, 128 KiB but for the last. 404 `register-replaced`: begin with the newer one."""

        def answer(asked: HttpRequest) -> bytes:
            _claimed(hq, asked, terminal)
            with hq.storage.read() as connection:
                return _kept(shelf).chunk(connection, fleet.place_of(connection, terminal), version, number)

        return await run_in_threadpool(answered, hq, await http_request(request), answer, 200, language)

    return router


def _claimed(hq: Headquarters, asked: HttpRequest, terminal: str) -> None:
    """Who asks is who it says, and asks this once. A transaction of its own: a register may take a second to make."""
    now = hq.clock()
    caller = hq.door.identify(asked, terminal, now)
    with hq.storage.write() as connection:
        caller.claim.take(connection, now)


def _kept(shelf: Shelf | None) -> Shelf:
    if shelf is None:
        raise HashingKeyMissing("fetch register", "vouchers")
    return shelf


def _list(view: ListView, rejected: list[RejectedLine]) -> VoucherListPreview:
    return VoucherListPreview(summary=view, rejected=rejected)

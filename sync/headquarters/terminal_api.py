"""The part of `/api/v1` that terminals call: signed requests in, signed answers out, refusals included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

import sync.errors
from config.errors import JingkaError, Language
from sync.errors import SyncError
from sync.headquarters.arrivals import Arrivals
from sync.headquarters.books.errors import BOOK_STATUSES
from sync.headquarters.errors import NothingToDecide, TerminalMissing, TerminalTaken, TooManyAttempts
from sync.headquarters.keys import load_successions
from sync.headquarters.money.errors import MONEY_STATUSES
from sync.headquarters.pools.errors import POOL_STATUSES
from sync.headquarters.roll.errors import ROLL_STATUSES
from sync.headquarters.service import Headquarters
from sync.headquarters.vouchers.errors import VOUCHER_STATUSES
from sync.signing import HttpRequest, HttpResponse
from sync.wire import (
    API,
    ENROLMENTS_PATH,
    PROBLEM_STATUS,
    Acknowledgement,
    EnrolmentAnswer,
    ProblemCode,
    encode_message,
    timestamp,
)
from sync.wire_keys import SUCCESSION_PATH, KeyRotated, Successions
from terminal.serving.locale import language_of
from terminal.serving.problems import PROBLEM_TYPE, problem_of, status_of

_ERRORS_BY_CODE: Final = {error.code: error for error in SyncError.__subclasses__()}

# What headquarters raises; whatever is not here goes by its retry class.
STATUSES: Final[Mapping[type[JingkaError], int]] = {
    **{_ERRORS_BY_CODE[code]: status for code, status in PROBLEM_STATUS.items()},
    sync.errors.MessageMalformed: 422,
    TerminalTaken: 409,
    TerminalMissing: 404,
    NothingToDecide: 409,
    TooManyAttempts: 429,
    **BOOK_STATUSES,
    **MONEY_STATUSES,
    **ROLL_STATUSES,
    **POOL_STATUSES,
    **VOUCHER_STATUSES,
}

OCTETS_TYPE: Final = "application/octet-stream"

# Of large bodies, in one worker: one is computed while another waits for the database. More would take turns at the
# interpreter and finish no sooner, and holds would wait for all of them.
BATCHES_AT_ONCE: Final = 2
SMALL_BYTES_MAX: Final = 16_384  # a heartbeat, an enrolment, the few sales of a usual minute: they pass at once

Answer = TypeVar("Answer", bound=BaseModel)


def extra_of(error: JingkaError, _: Language) -> Mapping[str, object]:
    """What a problem document says beside the usual: where to go on from."""
    return {"expected": error.details["expected"]} if "expected" in error.details else {}


def terminal_routes(hq: Headquarters, arrivals: Arrivals, language: Language) -> APIRouter:
    """Enrolment and entries. `arrivals` is told what came in."""
    router = APIRouter(tags=["terminals"], responses=problems(*ProblemCode))

    batches = CapacityLimiter(BATCHES_AT_ONCE)

    async def answer(request: Request, work: Callable[[HttpRequest], Answer], status: int = 200) -> Response:
        """What `work` says of the request, or the problem it meets; signed either way."""
        asked = await http_request(request)
        limiter = batches if len(asked.body) > SMALL_BYTES_MAX else None
        return await run_sync(answered, hq, asked, work, status, language, limiter=limiter)

    @router.post(ENROLMENTS_PATH, status_code=201, response_model=EnrolmentAnswer)
    async def enrol(request: Request) -> Response:
        """A machine becomes a terminal with a one-time code; the same code and key again are given the same answer."""
        address = request.client.host if request.client else "unknown"
        return await answer(request, lambda asked: hq.enrol(asked, address), 201)

    @router.post(API + "/terminals/{terminal}/entries", response_model=Acknowledgement)
    async def take_entries(request: Request, terminal: str) -> Response:
        """Entries in sequence. A repeat is harmless; 409 `sequence-gap` and `chain-forked` carry `expected`."""

        def push(asked: HttpRequest) -> Acknowledgement:
            pushed = hq.push(asked, terminal)
            arrivals.announce_soon(pushed.changed)
            return pushed.answer

        return await answer(request, push)

    @router.post(API + "/terminals/{terminal}/key", response_model=KeyRotated)
    async def rotate_key(request: Request, terminal: str) -> Response:
        """A terminal's new key in place of its old one, which is void from then on; signed by either."""
        return await answer(request, lambda asked: hq.rotate_key(asked, terminal))

    return router


def succession_routes(data_dir: Path) -> APIRouter:
    """Headquarters' keys, each named by the one before: proves itself, and so is for anybody."""
    router = APIRouter(tags=["terminals"])

    @router.get(SUCCESSION_PATH)
    def successions() -> Successions:
        """Every change of headquarters' key, oldest first."""
        return load_successions(data_dir)

    return router


def answered(
    hq: Headquarters,
    asked: HttpRequest,
    work: Callable[[HttpRequest], BaseModel | bytes],
    status: int,
    language: Language,
) -> Response:
    """What `work` says of the request (a message, or octets), or the problem it meets; signed either way. Blocks on the
    database.
    """
    media_type = "application/json"
    extra_headers: Mapping[str, str] = {}
    try:
        said = work(asked)
        if isinstance(said, bytes):
            body, media_type = said, OCTETS_TYPE
        else:
            body = encode_message(said)
    except JingkaError as error:
        problem = problem_of(
            error,
            language_of(asked.headers, language),
            status=status_of(error, STATUSES),
            extra={**extra_of(error, language), "time": timestamp(hq.clock())},
        )
        refused = problem.response()
        body, status, media_type, extra_headers = bytes(refused.body), problem.status, PROBLEM_TYPE, problem.headers
    headers = {**extra_headers, "content-type": media_type}
    signature = hq.door.sign(asked, HttpResponse(status, headers, body), hq.clock())
    return Response(body, status, headers={**headers, **signature})


async def http_request(request: Request) -> HttpRequest:
    """The request as it was signed. The URL is put together from what the terminal sent, not from where we listen."""
    path = request.scope.get("raw_path") or request.url.path.encode()
    query = request.scope["query_string"]
    url = f"{request.url.scheme}://{request.headers.get('host', '')}{path.decode('latin-1')}"
    if query:
        url += f"?{query.decode('latin-1')}"
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return HttpRequest(request.method, url, headers, await request.body())


def problems(*codes: ProblemCode) -> dict[int | str, dict[str, object]]:
    """The documented refusals: status by status, with the codes that share it."""
    told: dict[int | str, dict[str, object]] = {429: {"description": "too-many-attempts"}}
    for status in sorted({PROBLEM_STATUS[code] for code in codes}):
        shared = ", ".join(code for code in codes if PROBLEM_STATUS[code] == status)
        told[status] = {"description": shared, "content": {PROBLEM_TYPE: {}}}
    return told

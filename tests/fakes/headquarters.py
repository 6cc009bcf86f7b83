"""A headquarters in one process: it keeps entries in memory, checks signatures and chains for real, and fails on cue.

Reached in-process (`transport`) or over real HTTP (`serve`). `faults` is a script: each request takes the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import httpx
import uvicorn

from sync.enrolment_code import SECRET_BYTES, make_code, parse_code
from sync.errors import (
    BodyTooLarge,
    ClockSkewed,
    EncodingUnknown,
    MessageMalformed,
    NonceReplayed,
    SignatureInvalid,
    SignatureMissing,
    SyncError,
    TerminalUnknown,
)
from sync.signing import DeviceKey, HttpRequest, HttpResponse, MemoryNonceStore, sign_response, verify_request
from sync.wire import (
    ANSWER_BYTES_MAX,
    ENROLMENTS_PATH,
    PROBLEM_STATUS,
    Acknowledgement,
    EnrolmentAnswer,
    EnrolmentRequest,
    EntryBatch,
    EntryMessage,
    Flag,
    ProblemCode,
    decode_body,
    encode_message,
    entries_path,
    parse_message,
    timestamp,
)

STARTED_S_MAX = 10.0
SLOW_S = 30.0  # far beyond any client's patience; ends early with the server
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Fault(StrEnum):
    """What may happen to one request. `*`: headquarters has taken it in before it happens."""

    DOWN = "nobody listens"
    SLOW = "no answer in time"
    SLOW_ANSWER = "no answer in time *"
    LOST_ANSWER = "the connection ends before the answer *"
    CUT_ANSWER = "the connection ends in the middle of the answer *"
    DUPLICATED = "the request arrives twice, the second answer gets back *"
    STALE_ANSWER = "an earlier answer of headquarters comes back *"
    FORGED_ANSWER = "somebody else signs an answer that acknowledges too much"
    UNSIGNED_ANSWER = "somebody answers without a signature that all is acknowledged"
    SIGN_IN_PAGE = "a hotspot's page comes back with 200"
    ENDLESS_ANSWER = "an answer over the bound"
    REFUSED_401 = "an unsigned 401"
    BUSY_429 = "429 with Retry-After"
    FAILING_500 = "500"
    PROXY_502 = "a proxy's 502 page"


RECEIVED_FIRST = {
    Fault.SLOW_ANSWER,
    Fault.LOST_ANSWER,
    Fault.CUT_ANSWER,
    Fault.DUPLICATED,
    Fault.STALE_ANSWER,
}


@dataclass
class FakeHeadquarters:
    """Headquarters' side of enrolment and of entries. Every attribute may be changed by a test between requests."""

    key: DeviceKey = field(default_factory=DeviceKey.generate)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    terminals: dict[str, bytes] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    entries: dict[str, list[EntryMessage]] = field(default_factory=dict)
    flag: set[int] = field(default_factory=set)  # these sequences are taken in and flagged
    faults: deque[Fault] = field(default_factory=deque)
    retry_after: str = "1"
    entries_max: int = 10_000  # of one batch; beyond it 413, as a small proxy would answer
    requests: list[HttpRequest] = field(default_factory=list)  # everything that arrived, as it arrived
    _codes: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    _used: dict[str, tuple[str, EnrolmentAnswer]] = field(default_factory=dict)
    _nonces: MemoryNonceStore = field(default_factory=MemoryNonceStore)
    _answers: list[HttpResponse] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # --- what a test arranges and looks at ----------------------------------------------------------------------------

    def issue_code(self, terminal: str, merchant: str = "cinema", site: str = "west") -> str:
        """A one-time code for a terminal."""
        code = make_code(hashlib.sha256(f"code {len(self._codes)}".encode()).digest()[:SECRET_BYTES], self.key.public)
        self._codes[parse_code(code).secret_text] = (terminal, merchant, site)
        return code

    def sequences(self, terminal: str) -> list[int]:
        """The sequences that headquarters has of a terminal, in the order it keeps them."""
        with self._lock:
            return [entry.sequence for entry in self.entries.get(terminal, [])]

    def forget_after(self, terminal: str, sequence: int) -> None:
        """Headquarters was restored from a backup of when it had `sequence` entries."""
        with self._lock:
            self.entries[terminal] = self.entries[terminal][:sequence]

    # --- the service --------------------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer of a headquarters in good health, signed where the request can be bound to."""
        with self._lock:
            self.requests.append(request)
            path = httpx.URL(request.url).path
            try:
                answer = self._enrol(request) if path == ENROLMENTS_PATH else self._take(request, path)
            except SyncError as error:
                answer = self._refuse(error)
            signed = self._sign(answer, request)
            self._answers.append(signed)
            return signed

    def _enrol(self, request: HttpRequest) -> HttpResponse:
        message = parse_message(EnrolmentRequest, self._decoded(request))
        public = bytes.fromhex(message.public_key)
        self._verify(request, {message.public_key: public})
        if message.code in self._used:
            owner, answer = self._used[message.code]
            return self._problem(ProblemCode.CODE_REFUSED) if owner != message.public_key else _json(200, answer)
        if message.code not in self._codes:
            return self._problem(ProblemCode.CODE_REFUSED)
        terminal, merchant, site = self._codes.pop(message.code)
        self.terminals[terminal] = public
        answer = EnrolmentAnswer(
            terminal=terminal,
            merchant=merchant,
            site=site,
            name=f"{merchant} {site}",
            headquarters_key=self.key.public.hex(),
            time=timestamp(self.now()),
        )
        self._used[message.code] = (message.public_key, answer)
        return _json(201, answer)

    def _take(self, request: HttpRequest, path: str) -> HttpResponse:
        terminal = self._verify(request, self.terminals)
        if terminal in self.revoked:
            return self._problem(ProblemCode.TERMINAL_REVOKED)
        batch = parse_message(EntryBatch, self._decoded(request))
        assert batch.terminal == terminal
        assert path == entries_path(terminal)
        if len(batch.entries) > self.entries_max:
            return self._problem(ProblemCode.BODY_TOO_LARGE)
        kept = self.entries.setdefault(terminal, [])
        for entry in batch.entries:
            if entry.sequence > len(kept) + 1:
                return self._problem(ProblemCode.SEQUENCE_GAP, expected=len(kept) + 1)
            previous = bytes.fromhex(kept[entry.sequence - 2].hash) if entry.sequence > 1 else bytes(32)
            if hashlib.sha256(previous + entry.body.encode()).hexdigest() != entry.hash:
                return self._problem(ProblemCode.CHAIN_FORKED, expected=entry.sequence)
            if entry.sequence <= len(kept):
                if kept[entry.sequence - 1] != entry:
                    return self._problem(ProblemCode.CHAIN_FORKED, expected=entry.sequence)
            else:
                kept.append(entry)
        flags = tuple(Flag(sequence=e.sequence, code="poison") for e in batch.entries if e.sequence in self.flag)
        return _json(200, Acknowledgement(acknowledged=len(kept), flagged=flags, time=timestamp(self.now())))

    def _verify(self, request: HttpRequest, keys: dict[str, bytes]) -> str:
        return verify_request(request, key_of=keys.get, nonces=self._nonces, now=self.now()).key_id

    def _decoded(self, request: HttpRequest) -> bytes:
        return decode_body(request.body, request.headers.get("content-encoding"))

    def _refuse(self, error: SyncError) -> HttpResponse:
        named = (
            TerminalUnknown,
            SignatureMissing,
            SignatureInvalid,
            ClockSkewed,
            NonceReplayed,
            MessageMalformed,
            BodyTooLarge,
            EncodingUnknown,
        )
        if not isinstance(error, named):
            raise error
        return self._problem(ProblemCode(error.code))

    def _problem(self, code: ProblemCode, **more: object) -> HttpResponse:
        body = httpx.Response(200, json={"code": code.value, "time": timestamp(self.now()), **more}).content
        return HttpResponse(PROBLEM_STATUS[code], {"content-type": "application/problem+json"}, body)

    def _sign(self, answer: HttpResponse, request: HttpRequest, key: DeviceKey | None = None) -> HttpResponse:
        try:
            fields = sign_response(answer, request, key=key or self.key, now=self.now())
        except SignatureMissing:
            return answer
        return replace(answer, headers=dict(answer.headers) | fields)

    # --- faults -------------------------------------------------------------------------------------------------------

    def next_fault(self) -> Fault | None:
        """What the script says for the request at hand."""
        with self._lock:
            return self.faults.popleft() if self.faults else None

    def answer(self, request: HttpRequest, fault: Fault | None) -> HttpResponse:
        """What comes back under a fault that lets something come back."""
        earlier = self._answers[-1] if self._answers else None
        good = self.handle(request) if fault is None or fault in RECEIVED_FIRST else None
        if fault is Fault.DUPLICATED:
            return self.handle(request)
        if fault is Fault.STALE_ANSWER and earlier is not None:
            return earlier
        if good is not None:
            return good
        html = {"content-type": "text/html"}
        everything = _json(200, Acknowledgement(acknowledged=10**6, time=timestamp(self.now())))
        answers = {
            Fault.FORGED_ANSWER: lambda: self._sign(everything, request, DeviceKey.generate()),
            Fault.UNSIGNED_ANSWER: lambda: everything,
            Fault.SIGN_IN_PAGE: lambda: HttpResponse(200, html, b"<html>please sign in</html>"),
            Fault.ENDLESS_ANSWER: lambda: HttpResponse(200, html, bytes(ANSWER_BYTES_MAX + 1)),
            Fault.REFUSED_401: lambda: HttpResponse(401, html, b"<html>who are you</html>"),
            Fault.BUSY_429: lambda: HttpResponse(429, {"retry-after": self.retry_after}, b"{}"),
            Fault.FAILING_500: lambda: HttpResponse(500, {}, b"{}"),
            Fault.PROXY_502: lambda: HttpResponse(502, html, b"<html>bad gateway</html>"),
        }
        return answers[fault]()  # type: ignore[index]

    def transport(self) -> httpx.BaseTransport:
        """Reached without a socket; faults become the exceptions that httpx raises for them."""
        return _Transport(self)

    async def app(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Reached over real HTTP, as an ASGI application. `DOWN` is not for here: stop the server instead."""
        import asyncio

        if scope["type"] != "http":
            return
        request = await _request(scope, receive)
        fault = self.next_fault()
        if fault is Fault.SLOW:
            await asyncio.sleep(SLOW_S)
        response = self.answer(request, fault if fault is not Fault.SLOW else Fault.FAILING_500)
        if fault is Fault.SLOW_ANSWER:
            await asyncio.sleep(SLOW_S)
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if fault in (Fault.LOST_ANSWER, Fault.CUT_ANSWER):
            part = response.body[: len(response.body) // 2 if fault is Fault.CUT_ANSWER else 0]
            await send({"type": "http.response.body", "body": part, "more_body": True})
            raise ConnectionAbortedError(fault)
        await send({"type": "http.response.body", "body": response.body})


class _Transport(httpx.BaseTransport):
    def __init__(self, headquarters: FakeHeadquarters) -> None:
        self._headquarters = headquarters

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        arrived = HttpRequest(request.method, str(request.url), request.headers, request.read())
        fault = self._headquarters.next_fault()
        if fault is Fault.DOWN:
            raise httpx.ConnectError("refused", request=request)
        if fault is Fault.SLOW:
            raise httpx.ReadTimeout("slow", request=request)
        answer = self._headquarters.answer(arrived, fault)
        if fault is Fault.SLOW_ANSWER:
            raise httpx.ReadTimeout("slow", request=request)
        if fault is Fault.LOST_ANSWER:
            raise httpx.RemoteProtocolError("closed without an answer", request=request)
        if fault is Fault.CUT_ANSWER:
            return httpx.Response(answer.status, headers=answer.headers, stream=_CutStream(answer.body, request))
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))


class _CutStream(httpx.SyncByteStream):
    def __init__(self, body: bytes, request: httpx.Request) -> None:
        self._body = body
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.ReadError("reset", request=self._request)


def _json(status: int, message: Acknowledgement | EnrolmentAnswer) -> HttpResponse:
    return HttpResponse(status, {"content-type": "application/json"}, encode_message(message))


async def _request(scope: MutableMapping[str, Any], receive: Receive) -> HttpRequest:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    query = scope["query_string"].decode()
    url = f"{scope['scheme']}://{headers['host']}{scope['raw_path'].decode()}{'?' + query if query else ''}"
    body = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            return HttpRequest(scope["method"], url, headers, body)


@contextlib.contextmanager
def serve(headquarters: FakeHeadquarters, port: int = 0) -> Iterator[str]:
    """Its address while it runs; with a `port`, at the place where it was before."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            headquarters.app,
            interface="asgi3",  # a bound method is taken for an older interface otherwise
            log_config=None,
            log_level="critical",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="fake-headquarters")
        thread.start()
        try:
            _wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(STARTED_S_MAX)
            assert not thread.is_alive()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=STARTED_S_MAX)
    tick = threading.Event()
    while not condition():
        assert datetime.now(UTC) < deadline, "the server did not start"
        tick.wait(0.01)

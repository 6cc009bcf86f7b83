"""Every refusal and fault as one RFC 9457 problem: a document for programs, a page or a notice for people.

`install_problems` joins it to an application; routes only raise. The tree of what a page server itself can refuse:

    JingkaError
    └── WebError                 carries its HTTP status
        ├── SignInRequired   401
        ├── RoleMissing      403
        ├── ForeignRequest   403
        ├── WrongHost        421
        ├── RequestTooLarge  413
        └── TooManyStreams   503
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.errors import JingkaError, Language, Retry, Words
from terminal.serving.locale import cookie_language, language_of

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
LONG_NUMBER = re.compile(r"[0-9]{7,}")  # within a key that a client made up: what it sent is never told back
VALIDATION_ERRORS_MAX = 20  # a client needs the first few; a hostile body must not write a long answer

STATUS_BY_RETRY: Mapping[Retry, int] = {Retry.RETRY: 503, Retry.PARK: 409, Retry.STOP: 503}


class WebError(JingkaError):
    """A request that the page server itself turns away."""

    code = "request-refused"
    retry = Retry.PARK
    status: ClassVar[int] = 400


class SignInRequired(WebError):
    """Nobody is signed in, or the session has ended."""

    code = "sign-in-required"
    status = 401
    what = Words("尚未登录或登录已过期", "nobody is signed in, or the session has ended")
    hint = Words("请用工号和密码登录", "sign in with your number and PIN")


class RoleMissing(WebError):
    """Signed in, but this is for another role."""

    code = "role-missing"
    status = 403
    what = Words("您的角色没有此权限", "your role may not do this")
    hint = Words("请由有此权限的人员（如店长）登录操作", "ask somebody who may, such as a manager, to sign in")


class ForeignRequest(WebError):
    """The request comes from another site's page."""

    code = "foreign-request"
    status = 403
    what = Words("请求来自其他网页，已拒绝", "the request comes from another site's page and is refused")
    hint = Words("请直接在本系统页面操作", "use this system's own page")


class WrongHost(WebError):
    """The Host header names somebody else: a rebound name, or a wrong address."""

    code = "wrong-host"
    status = 421
    what = Words("地址不属于本机", "this address is not served here")
    hint = Words("请使用设置中的地址打开页面", "open the page by the address in the settings")


class RequestTooLarge(WebError):
    """The request body passes the bound."""

    code = "request-too-large"
    status = 413
    what = Words("请求内容超过 {bytes_max} 字节", "the request is larger than {bytes_max} bytes")
    hint = Words("请减少内容后重试", "send less")


class TooManyStreams(WebError):
    """Too many pages listen for live events."""

    code = "too-many-streams"
    retry = Retry.RETRY
    status = 503
    what = Words("打开的页面太多（上限 {count_max}）", "too many pages are open (at most {count_max})")
    hint = Words("请关闭多余的页面", "close pages you do not need")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in one language; `extra` adds members to the document (refusals, validation errors)."""

    status: int
    code: str
    title: str
    hint: str
    retry: Retry
    extra: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The RFC 9457 members with ours beside them."""
        return {
            "type": f"urn:jingka:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "hint": self.hint,
            "retry": self.retry.value,
            **self.extra,
        }

    def response(self) -> Response:
        """The problem document as a response."""
        body = json.dumps(self.document(), ensure_ascii=False, default=str).encode()
        return Response(body, status_code=self.status, media_type=PROBLEM_TYPE, headers=dict(self.headers))


_MEMBERS = ("type", "title", "detail", "code", "hint", "retry")
_DOCUMENT: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "required": ["status", "code", "title", "hint"],
    "properties": {"status": {"type": "integer"}, **{name: {"type": "string"} for name in _MEMBERS}},
}
_TOLD = {
    400: "the request cannot be understood",
    401: "nobody is signed in, or the PIN or the signature is not right",
    403: "another role's to do, or a stranger's page asks",
    404: "there is no such thing",
    405: "not with this method",
    409: "refused with a reason: see `code`",
    413: "the body is too large",
    415: "a body of another kind",
    422: "a field is missing or not in its form",
    429: "too often: `Retry-After` says how long to wait",
    503: "not now: a part that is needed does not answer, or is busy",
}
# What any call of an API may be answered beside its own answers; for `FastAPI(responses=…)`.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": {PROBLEM_TYPE: {"schema": _DOCUMENT}}} for status, told in _TOLD.items()
}

PageOf = Callable[[Request, Problem], Response]
ExtraOf = Callable[[JingkaError, Language], Mapping[str, object]]

HTTP_WORDS: Mapping[int, tuple[str, Words, Words]] = {
    400: (
        "request-malformed",
        Words("请求无法理解", "the request cannot be understood"),
        Words("请检查请求格式", "check the request's form"),
    ),
    404: (
        "not-found",
        Words("没有这个页面或记录", "there is no such page or record"),
        Words("请返回首页重试", "go back to the first page"),
    ),
    405: (
        "method-not-allowed",
        Words("此地址不支持这种请求方法", "this address does not take that method"),
        Words("请查看接口说明 /openapi.json", "see /openapi.json"),
    ),
    413: (
        "request-too-large",
        Words("请求内容过大", "the request is too large"),
        Words("请减少内容后重试", "send less"),
    ),
    500: (
        "internal-fault",
        Words("系统内部错误，已记录", "something went wrong inside; it has been recorded"),
        Words("请重试；仍失败请联系技术支持", "try again; if it stays, call support"),
    ),
}
INVALID_WHAT = Words("填写内容有误", "some of what was sent is not valid")
INVALID_HINT = Words("请按 errors 中的说明修改后重试", "correct what `errors` names and send it again")


def status_of(error: JingkaError, statuses: Mapping[type[JingkaError], int]) -> int:
    """The HTTP status: the error's own, else the room's for it or its nearest ancestor, else by retry class."""
    if isinstance(error, WebError):
        return error.status
    for ancestor in type(error).__mro__:
        if ancestor in statuses:
            return statuses[ancestor]
    return STATUS_BY_RETRY[error.retry]


def problem_of(
    error: JingkaError, language: Language, *, status: int, extra: Mapping[str, object] | None = None
) -> Problem:
    """The problem that tells `error` in `language`."""
    headers = {}
    if "wait_s" in error.details:
        headers["Retry-After"] = str(error.details["wait_s"])
    return Problem(
        status, error.code, error.what_text(language), error.hint_text(language), error.retry, extra or {}, headers
    )


def http_problem(status: int, language: Language, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a bare HTTP status (404, 405, 500, …)."""
    code, what, hint = HTTP_WORDS.get(status) or (
        f"http-{status}",
        Words(HTTPStatus(status).phrase, HTTPStatus(status).phrase),
        HTTP_WORDS[400][2],
    )
    retry = Retry.RETRY if status >= 500 else Retry.PARK
    return Problem(status, code, what.text(language), hint.text(language), retry, {}, headers or {})


def validation_problem(error: RequestValidationError, language: Language) -> Problem:
    """Where each fault lies and why; never the value sent, for it may be what must not be shown."""
    errors = [
        {
            "at": LONG_NUMBER.sub("…", ".".join(str(part) for part in fault["loc"][1:])),
            "reason": fault["msg"],
            "kind": fault["type"],
        }
        for fault in error.errors()[:VALIDATION_ERRORS_MAX]
    ]
    return Problem(
        422,
        "request-invalid",
        INVALID_WHAT.text(language),
        INVALID_HINT.text(language),
        Retry.PARK,
        {"errors": errors},
    )


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer: a browser's navigation, or htmx asking for a piece of a page."""
    if request.url.path.startswith("/api/"):
        return False
    return "hx-request" in request.headers or "text/html" in request.headers.get("accept", "")


def install_problems(
    app: FastAPI,
    *,
    default_language: Language,
    statuses: Mapping[type[JingkaError], int],
    extra_of: ExtraOf | None = None,
    page_of: PageOf | None = None,
) -> None:
    """Make every error of `app` a problem.

    `statuses` gives the HTTP status of the room's own errors; `extra_of` adds members to their documents; `page_of`
    draws a problem for a person, where `wants_page`.
    """

    def answer(request: Request, problem: Problem) -> Response:
        if page_of is not None and wants_page(request):
            return page_of(request, problem)
        return problem.response()

    def language_for(request: Request) -> Language:
        """A page keeps its own language whatever the browser prefers; a client says which it wants."""
        if page_of is not None and wants_page(request):
            return cookie_language(request.headers) or default_language
        return language_of(request.headers, default_language)

    async def on_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, JingkaError)
        language = language_for(request)
        extra = extra_of(error, language) if extra_of is not None else None
        return answer(request, problem_of(error, language, status=status_of(error, statuses), extra=extra))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, validation_problem(error, language_for(request)))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, http_problem(error.status_code, language_for(request), error.headers))

    app.add_exception_handler(JingkaError, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_middleware(Faults, default_language=default_language)


class Faults:
    """ASGI: an exception nobody foresaw goes to the log whole; the answer is a problem that shows nothing of it."""

    def __init__(self, app: ASGIApp, default_language: Language) -> None:
        self._app = app
        self._default_language = default_language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; on an exception answer 500 unless the answer has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting_send(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise  # half an answer is out: the server must cut the connection
            request = Request(scope)
            problem = http_problem(500, language_of(request.headers, self._default_language))
            await problem.response()(scope, receive, send)

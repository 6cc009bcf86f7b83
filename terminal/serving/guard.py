"""The door of a page server: who may speak to it, how much, and what a browser may do with the answers.

Pure ASGI, because it stands before every request: no request object, no task, no copied body. It turns away

- a Host that is not ours: a stranger's name rebound to this machine (DNS rebinding);
- an unsafe method whose Origin or Sec-Fetch-Site is another site (CSRF; OWASP CSRF cheat sheet, "Fetch Metadata");
- another site's page loading anything of ours behind the person's back, live events included;
- a body over the bound, announced or not.

Requests without any of those headers come from programs (another till, curl), which hold their own session.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.errors import Language
from terminal.serving.locale import language_of
from terminal.serving.problems import ForeignRequest, RequestTooLarge, WebError, WrongHost, problem_of

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
BODY_BYTES_MAX = 64 * 1024  # the largest form of a counter is under 8 KiB
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1
OWN_SITES = frozenset({"same-origin", "none"})  # `none`: typed, bookmarked, or opened by the desktop

# No inline script or style, nothing from elsewhere, no frames. `data:` images are the chart's own pictograms.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    # Not `no-referrer`: that makes browsers send `Origin: null` with our own forms (Fetch standard, "append Origin").
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class Guard:
    """ASGI middleware, the outermost of an application.

    `hosts` are names without a port (`LOOPBACK_HOSTS` for a terminal): a rebound name is foreign on any port, and an
    Origin must equal the whole Host, port included.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        default_language: Language,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._default_language = default_language
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Turn the request away with a problem, or pass it on behind the bounds and headers."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # RFC 6455 7.4.1: policy violation; none are served
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        guarded_send = _with_headers(send)
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            problem = problem_of(refusal, language_of(headers, self._default_language), status=refusal.status)
            await problem.response()(scope, receive, guarded_send)
            return
        await self._app(scope, _bounded(receive, self._body_bytes_max), guarded_send)

    def _refusal(self, method: str, headers: Headers) -> WebError | None:
        host = headers.get("host", "")
        if host_name(host) not in self._hosts:
            return WrongHost("serve request", "host")
        if _is_foreign(method, host, headers):
            return ForeignRequest("serve request", "origin")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._body_bytes_max:
            return RequestTooLarge("read request", "body", bytes_max=self._body_bytes_max)
        return None


def host_name(host: str) -> str:
    """The name in a Host header without its port, in lower case; `[::1]` keeps its brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_foreign(method: str, host: str, headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if method in SAFE_METHODS:
        # A link from elsewhere may open a page; a page from elsewhere may load nothing.
        return site is not None and site not in OWN_SITES and headers.get("sec-fetch-mode") != "navigate"
    if site is not None and site not in OWN_SITES:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()


def _bounded(receive: Receive, bytes_max: int) -> Receive:
    """`receive` that refuses a body over the bound even when its length was not announced."""
    total = 0

    async def bounded_receive() -> Message:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > bytes_max:
                # The one exception that the framework hands through from inside its body parsing.
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    return bounded_receive


def _with_headers(send: Send) -> Send:
    async def guarded_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS:
                headers[name] = value
            headers.setdefault("cache-control", "no-store")  # pages show people's cards; static files set their own
        await send(message)

    return guarded_send

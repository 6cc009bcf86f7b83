"""One terminal's line to headquarters: a signed request and its answer, both bounded in size and time.

The line judges nothing: what an answer means, and whether headquarters gave it, is for `upload` and `enrolment`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sync.errors import AddressInvalid, LineDown
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_request
from sync.wire import ANSWER_BYTES_MAX, encode_body

if TYPE_CHECKING:
    import httpx

# An outage is noticed in under 5 s (DESIGN, "Sync"): while entries go, by a step (connect, write, wait, read) that
# takes too long; when idle, by a heartbeat every 3 s that nobody answers. A whole exchange may take longer on a slow
# uplink, as long as it moves.
CONNECT_S_MAX: Final = 1.5
STEP_S_MAX: Final = 4.0
HEARTBEAT_STEP_S_MAX: Final = 1.5
ANSWER_S_MAX: Final = 8.0  # from the answer's first byte to its last, however slowly it drips
NONCE_BYTES: Final = 16


def new_nonce() -> str:
    """16 random bytes in hex."""
    return secrets.token_hex(NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it went out, signature included, and the answer as it came in."""

    request: HttpRequest
    response: HttpResponse


class Line:
    """Signed requests to one headquarters. Close it; callable from one thread at a time."""

    def __init__(
        self,
        url: str,
        *,
        key: DeviceKey,
        key_id: str,
        transport: httpx.BaseTransport | None = None,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        """`url` as in the settings, http or https, with or without a path. `AddressInvalid`."""
        import httpx

        self.url = _checked(url)
        self._key = key
        self._key_id = key_id
        self._nonce = nonce
        # No redirects: a signature holds for one address. No environment: a proxy is set up in the settings' URL or not
        # at all, for what a shell happens to export must not decide where entries go.
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "jingka-terminal"},
        )

    def post(
        self,
        path: str,
        plain: bytes,
        *,
        now: datetime,
        step_s: float = STEP_S_MAX,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Exchange:
        """`plain` JSON sent to `path`, compressed and signed at the time `now`. `LineDown` when no whole answer comes.

        `step_s` bounds each step after connecting.
        `LineDown` carries `timed_out`: whether the line was there and slow.
        """
        body, encoding = encode_body(plain)
        headers = {"content-type": "application/json"}
        if encoding is not None:
            headers["content-encoding"] = encoding
        return self._exchange("POST", path, headers, body, now=now, step_s=step_s, answer_bytes_max=answer_bytes_max)

    def get(
        self,
        path: str,
        *,
        now: datetime,
        step_s: float = STEP_S_MAX,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Exchange:
        """What stands at `path` (with its query), asked for with a signature; as `post`."""
        return self._exchange("GET", path, {}, b"", now=now, step_s=step_s, answer_bytes_max=answer_bytes_max)

    def delete(self, path: str, *, now: datetime, step_s: float = STEP_S_MAX) -> Exchange:
        """What stands at `path` is not wanted any more; as `get`."""
        return self._exchange("DELETE", path, {}, b"", now=now, step_s=step_s, answer_bytes_max=ANSWER_BYTES_MAX)

    def _exchange(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        *,
        now: datetime,
        step_s: float,
        answer_bytes_max: int,
    ) -> Exchange:
        import httpx

        headers = {**headers, "accept-encoding": "identity"}
        try:
            # httpx writes the URL its own way (case of the host, default port); what is signed is what it sends.
            url = str(httpx.URL(self.url + path))
            request = HttpRequest(method, url, headers, body)
            signature = sign_request(request, key=self._key, key_id=self._key_id, now=now, nonce=self._nonce())
            sent = HttpRequest(method, url, headers | signature, body)
            patience = httpx.Timeout(step_s, connect=min(step_s, CONNECT_S_MAX))
            with self._client.stream(
                sent.method, sent.url, headers=dict(sent.headers), content=body, timeout=patience
            ) as response:
                return Exchange(sent, self._read(response, answer_bytes_max))
        except httpx.TimeoutException as error:
            raise LineDown(method.lower(), self.url, reason=type(error).__name__, timed_out=True) from error
        except httpx.TransportError as error:
            raise LineDown(method.lower(), self.url, reason=type(error).__name__, timed_out=False) from error

    def close(self) -> None:
        """Ends the kept-alive connection."""
        self._client.close()

    def _read(self, response: httpx.Response, bytes_max: int) -> HttpResponse:
        """The whole answer, undecoded; cut off as `LineDown` when it is too long or too slow to be headquarters'."""
        body = bytearray()
        deadline_s = time.monotonic() + ANSWER_S_MAX
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > bytes_max:
                raise LineDown("read", self.url, reason="answer too long", timed_out=False)
            if time.monotonic() > deadline_s:
                raise LineDown("read", self.url, reason="answer too slow", timed_out=True)
        return HttpResponse(response.status_code, response.headers, bytes(body))


def _checked(url: str) -> str:
    """The address to append paths to."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise AddressInvalid("open", url) from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment or parsed.userinfo:
        raise AddressInvalid("open", url)
    return str(parsed).rstrip("/")

"""Signed HTTP messages between a terminal and headquarters: RFC 9421 with Ed25519, over any HTTP framework.

What a signature is made over is `signed_message`'s matter; this module is the profile
(docs/decisions/0006-signatures.md): what must be covered, how old a request may be, that none is taken twice, and that
an answer belongs to the very request it answers.

A request is fresh by its clock and its nonce. An answer is fresh because it covers the request's signature, so a
terminal whose clock is wrong can still believe headquarters, and learn the time from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from sync.errors import (
    ClockSkewed,
    KeyDamaged,
    KeyMissing,
    NonceReplayed,
    NonceStoreFull,
    SignatureInvalid,
    SignatureMissing,
    TerminalUnknown,
)
from sync.private_file import create_private, read_private
from sync.signature_base import BINDING, LABEL, signed
from sync.signed_message import RequestView, ResponseView, Signing, field_lines, sign_message, verify_message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEADQUARTERS_KEY_ID: Final = "headquarters"

# Wide enough for a slow uplink and a clock kept by NTP; a terminal whose clock is worse signs with headquarters' time.
WINDOW_S: Final = 60
# 16 random bytes as hex have 32 characters; the lower bound refuses counters, the upper one bounds the replay store.
NONCE_CHARS_MIN: Final = 16
NONCE_CHARS_MAX: Final = 64
# 5,000 terminals at one request in 3 s are remembered for two windows: 200,000. The bound is some 200 MB of memory.
NONCES_MAX: Final = 1_000_000

_KEY_BYTES: Final = 32  # Ed25519, RFC 8032 section 5.1.5
KEYS_KEPT: Final = 8  # private keys in ready form: a machine has one, and another while it is being changed

# A proxy before headquarters may end TLS (so no @scheme and no @target-uri), and must keep path, query and Host.
_REQUEST_COMPONENTS: Final = ("@method", "@authority", "@path", "@query", "content-digest")
# RFC 9421 section 2.4: the answer covers the request's signature, hence, through it, the whole request.
_RESPONSE_COMPONENTS: Final = ("@status", "content-digest", BINDING)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it is on the wire: upper-case method, absolute URL as the terminal wrote it, body after encoding."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response as it is on the wire, body before any decoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """An Ed25519 private key (a terminal's, or headquarters' own), and its public half (32 bytes)."""

    public: bytes
    _private: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> DeviceKey:
        """A new key from the system's randomness."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls.from_private(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_private(cls, private: bytes) -> DeviceKey:
        """The key of 32 private bytes (RFC 8032's seed)."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        assert len(private) == _KEY_BYTES, "an Ed25519 private key has 32 bytes"
        return cls(Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw(), private)

    @classmethod
    def create(cls, path: Path) -> DeviceKey:
        """A new key, stored at `path` (PKCS #8 PEM, mode 0600, whole or not at all). `KeyExists`: never overwrites."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = cls.generate()
        create_private(path, key.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key

    @classmethod
    def load(cls, path: Path) -> DeviceKey:
        """The key at `path`; errors `KeyMissing`, `KeyExposed` (readable by others), `KeyDamaged`."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(read_private(path), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyDamaged("load", str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyDamaged("load", str(path))
        return cls.from_private(key.private_bytes_raw())

    @classmethod
    def load_or_create(cls, path: Path) -> DeviceKey:
        """The key at `path`, made now when there is none."""
        try:
            return cls.load(path)
        except KeyMissing:
            return cls.create(path)

    def private_key(self) -> Ed25519PrivateKey:
        """The `cryptography` key object."""
        return _ready(self._private)


@lru_cache(KEYS_KEPT)
def _ready(private: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private)


# --- requests ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """Who signed a request, and when by the signer's clock."""

    key_id: str
    created: datetime


class NonceStore(Protocol):
    """Remembers the nonces of accepted requests for as long as these could be replayed."""

    def remember(self, key_id: str, nonce: str, expires: datetime, now: datetime) -> bool:
        """True when the nonce is new (and is kept until `expires`), False when it is known; `NonceStoreFull`."""


def sign_request(request: HttpRequest, *, key: DeviceKey, key_id: str, now: datetime, nonce: str) -> dict[str, str]:
    """The header fields to add to `request` (Content-Digest, Signature-Input, Signature).

    `key_id` is the terminal's id, `now` aware, `nonce` 16 to 64 characters never used before.
    """
    covered = (*_REQUEST_COMPONENTS, *_body_components(request.headers, request.body))
    return sign_message(_view(request), Signing(covered, key_id, key.private_key(), now, nonce), request.body)


def verify_request(
    request: HttpRequest,
    *,
    key_of: Callable[[str], bytes | None],
    nonces: NonceStore,
    now: datetime,
    window_s: int = WINDOW_S,
) -> VerifiedRequest:
    """Who signed `request`, once all of it holds; nothing is remembered of a request that does not.

    `key_of` gives the public key (32 bytes) for a key id, None when there is none. Errors, in the order of the checks:
    `SignatureMissing`, `TerminalUnknown`, `SignatureInvalid`, `ClockSkewed` (details `skew_s`, `window_s`),
    `NonceReplayed`, `NonceStoreFull`.
    """
    key_id = claimed_key_id(request.headers)
    public = key_of(key_id)
    if public is None:
        raise TerminalUnknown("verify", key_id)
    required = (*_REQUEST_COMPONENTS, *_body_components(request.headers, request.body))
    parameters = verify_message(_view(request), required, public=public, key_id=key_id, body=request.body)
    nonce = parameters.get("nonce")
    if not isinstance(nonce, str) or not NONCE_CHARS_MIN <= len(nonce) <= NONCE_CHARS_MAX:
        raise SignatureInvalid("verify", "request", reason="nonce missing or of a wrong length")
    created = _created(parameters)
    skew_s = round((created - now).total_seconds())
    if abs(skew_s) > window_s:
        raise ClockSkewed("verify", key_id, skew_s=skew_s, window_s=window_s)
    # A signature up to one window ahead of our clock could be replayed until that clock is one window past it.
    if not nonces.remember(key_id, nonce, created + timedelta(seconds=window_s + 1), now):
        raise NonceReplayed("verify", key_id)
    return VerifiedRequest(key_id, created)


def claimed_key_id(headers: Mapping[str, str]) -> str:
    """Whose signature a request claims to carry: unproven, good only for looking up a key. `SignatureMissing`."""
    usual = signed(field_lines(headers))
    if usual is not None:
        return usual.key_id

    import http_sf

    fields = [value for name, value in headers.items() if name.lower() == "signature-input"]
    try:
        parsed: Any = http_sf.parse(", ".join(fields).encode(), tltype="dictionary")
        key_id = parsed[LABEL][1]["keyid"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SignatureMissing("verify", "request") from error
    if not isinstance(key_id, str):
        raise SignatureMissing("verify", "request")
    return key_id


# --- responses --------------------------------------------------------------------------------------------------------


def sign_response(response: HttpResponse, request: HttpRequest, *, key: DeviceKey, now: datetime) -> dict[str, str]:
    """The header fields to add to `response`, binding it to `request`.

    `SignatureMissing` when the request carries no signature to bind to; such an answer goes out unsigned.
    """
    claimed_key_id(request.headers)
    covered = (*_RESPONSE_COMPONENTS, *_body_components(response.headers, response.body))
    view = ResponseView(response.status, response.headers, _view(request))
    return sign_message(view, Signing(covered, HEADQUARTERS_KEY_ID, key.private_key(), now, None), response.body)


def verify_response(response: HttpResponse, request: HttpRequest, *, headquarters_key: bytes) -> datetime:
    """When headquarters signed `response` as its answer to `request` (as it was sent, signature included).

    Headquarters' time is returned, not judged: a terminal whose clock is wrong must be able to learn so.
    Errors `SignatureMissing`, `SignatureInvalid`.
    """
    if claimed_key_id(response.headers) != HEADQUARTERS_KEY_ID:
        raise SignatureInvalid("verify", "response", reason="not headquarters' key")
    required = (*_RESPONSE_COMPONENTS, *_body_components(response.headers, response.body))
    view = ResponseView(response.status, response.headers, _view(request))
    parameters = verify_message(view, required, public=headquarters_key, key_id=HEADQUARTERS_KEY_ID, body=response.body)
    return _created(parameters)


# --- the replay store -------------------------------------------------------------------------------------------------


class MemoryNonceStore:
    """A `NonceStore` for one process, bounded. Callable from any thread.

    Forgotten with the process: a request replayed within its window across a restart gets through once more, which is
    harmless, for every request of this protocol may be repeated.
    """

    def __init__(self, limit: int = NONCES_MAX) -> None:
        self._limit = limit
        self._expiry: dict[tuple[str, str], datetime] = {}  # insertion order is nearly order of expiry
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._expiry)

    def remember(self, key_id: str, nonce: str, expires: datetime, now: datetime) -> bool:
        """See `NonceStore.remember`."""
        with self._lock:
            if (key_id, nonce) in self._expiry:
                return False
            self._forget_expired(now)
            if len(self._expiry) >= self._limit:
                raise NonceStoreFull("remember", "nonce")
            self._expiry[key_id, nonce] = expires
            return True

    def _forget_expired(self, now: datetime) -> None:
        """Drops from the oldest on. Clocks differ by a window, so some stay a window too long: never too short."""
        while self._expiry:
            oldest = next(iter(self._expiry))
            if self._expiry[oldest] > now:
                return
            del self._expiry[oldest]


# --- shared ----------------------------------------------------------------------------------------------------------


def _view(request: HttpRequest) -> RequestView:
    return RequestView(request.method, request.url, request.headers)


def _body_components(headers: Mapping[str, str], body: bytes) -> tuple[str, ...]:
    """What says how to read the body: its type whenever there is one, its encoding whenever it is named."""
    named = {name.lower() for name in headers}
    encoding = ("content-encoding",) if "content-encoding" in named else ()
    return (*(("content-type",) if body else ()), *encoding)


def _created(parameters: Mapping[str, int | str]) -> datetime:
    """The signed `created`; the library has seen to it that it is there and names a moment."""
    return datetime.fromtimestamp(int(parameters["created"]), UTC)

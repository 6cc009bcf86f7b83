"""One message signed, or one signature checked: plainly when the message is in our own spelling, else by the library.

The library `http-message-signatures` judges whatever `signature_base` does not know, and words every refusal.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sync.errors import SignatureInvalid
from sync.signature_base import (
    BINDING,
    LABEL,
    TAG,
    base_of,
    covered_list,
    digest_of,
    parameters,
    request_values,
    signed,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The library compares `created` with its own clock; ours is given, so its tolerance is opened wide.
_ANY_SKEW: Final = timedelta(days=36_500)


class RequestView:
    """A request in the form the library reads; its signing writes its fields into `headers`, a copy."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        self.method = method
        self.url = url
        self.headers = field_lines(headers)

    def derived(self) -> dict[str, str] | None:
        """What `signature_base` needs beside the headers; None when the library must look."""
        return request_values(self.method, self.url)


class ResponseView:
    """A response in the form the library reads, with the request it answers."""

    def __init__(self, status: int, headers: Mapping[str, str], request: RequestView) -> None:
        self.status_code = status
        self.headers = field_lines(headers)
        self.request = request

    def derived(self) -> dict[str, str] | None:
        """See `RequestView.derived`."""
        bound = signed(self.request.headers)
        return None if bound is None else {"@status": str(self.status_code), BINDING: bound.member}


@dataclass(frozen=True, slots=True)
class Signing:
    """What a new signature covers (components as the standard names them), whose it is, and when it is made."""

    covered: tuple[str, ...]
    key_id: str
    private: Ed25519PrivateKey
    created: datetime
    nonce: str | None


def field_lines(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names; the lines of a repeated field joined in their order (RFC 9421 section 2.1)."""
    lines: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        lines[key] = f"{lines[key]}, {value}" if key in lines else value
    return lines


def sign_message(view: RequestView | ResponseView, signing: Signing, body: bytes) -> dict[str, str]:
    """The three fields that make `view` a signed message."""
    return sign_plainly(view, signing, body) or sign_by_library(view, signing, body)


def sign_plainly(view: RequestView | ResponseView, signing: Signing, body: bytes) -> dict[str, str] | None:
    """As the library does it, for a message in our spelling; None for any other."""
    covered, created = covered_list(signing.covered), int(signing.created.timestamp())
    values, params = view.derived(), parameters(covered, created, signing.key_id, signing.nonce)
    if values is None or params is None:
        return None
    digest = digest_of(body)
    base = base_of(signing.covered, {**values, "content-digest": digest}, view.headers, params)
    if base is None:
        return None
    octets = base64.b64encode(signing.private.sign(base)).decode()
    return {"Content-Digest": digest, "Signature-Input": f"{LABEL}={params}", "Signature": f"{LABEL}=:{octets}:"}


def sign_by_library(view: RequestView | ResponseView, signing: Signing, body: bytes) -> dict[str, str]:
    """The three fields, which the library adds to `view`."""
    from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
    from http_message_signatures.algorithms import ED25519

    keys = MappingKeyResolver(public_keys={}, private_keys={signing.key_id: signing.private})
    signer = HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=keys)
    signer.sign(
        view,
        key_id=signing.key_id,
        created=signing.created,
        nonce=signing.nonce,
        label=LABEL,
        tag=TAG,
        covered_component_ids=signing.covered,
        body=body,
    )
    return {name: view.headers[name] for name in ("Content-Digest", "Signature-Input", "Signature")}


def verify_message(
    view: RequestView | ResponseView, required: tuple[str, ...], *, public: bytes, key_id: str, body: bytes
) -> dict[str, int | str]:
    """The signed parameters, once the signature, its coverage and the body's digest hold; else `SignatureInvalid`."""
    return verify_plainly(view, required, public=public, key_id=key_id, body=body) or verify_by_library(
        view, required, public=public, key_id=key_id, body=body
    )


def verify_plainly(
    view: RequestView | ResponseView, required: tuple[str, ...], *, public: bytes, key_id: str, body: bytes
) -> dict[str, int | str] | None:
    """As the library does it, for a message in our spelling that holds; None for any other."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found, values = signed(view.headers), view.derived()
    if found is None or values is None or (found.covered, found.key_id) != (covered_list(required), key_id):
        return None
    if view.headers.get("content-digest") != digest_of(body):
        return None
    base = base_of(required, values, view.headers, found.params)
    if base is None:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(found.octets, base)
    except (InvalidSignature, ValueError):
        return None
    fresh: dict[str, int | str] = {} if found.nonce is None else {"nonce": found.nonce}
    return {"created": found.created, "keyid": found.key_id, **fresh}


def verify_by_library(
    view: RequestView | ResponseView, required: tuple[str, ...], *, public: bytes, key_id: str, body: bytes
) -> dict[str, int | str]:
    """As `verify_message`, whatever the spelling."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from http_message_signatures import HTTPMessageSignaturesException, HTTPMessageVerifier, MappingKeyResolver
    from http_message_signatures.algorithms import ED25519

    keys = MappingKeyResolver(public_keys={key_id: Ed25519PublicKey.from_public_bytes(public)}, private_keys={})
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=keys)
    verifier.max_clock_skew = _ANY_SKEW
    try:
        results = verifier.verify(
            view, max_age=None, expect_tag=TAG, expect_label=LABEL, require_components=required, body=body
        )
    except HTTPMessageSignaturesException as error:
        raise SignatureInvalid("verify", key_id, reason=str(error) or "the key does not fit") from error
    return results[0].parameters  # one label can occur once: the library refuses a second

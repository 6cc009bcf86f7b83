"""Messages in our own spelling, signed and checked without the library: byte for byte as it does, and never laxer."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync.errors import SignatureInvalid
from sync.signature_base import BINDING
from sync.signed_message import (
    RequestView,
    ResponseView,
    Signing,
    sign_by_library,
    sign_plainly,
    verify_by_library,
    verify_plainly,
)
from sync.signing import DeviceKey, HttpRequest, sign_request

DEVICE = DeviceKey.from_private(bytes(range(32)))
NOW = datetime(2012, 12, 25, 1, 30, 0, 400_000, tzinfo=UTC)
NONCE = "00112233445566778899aabbccddeeff"
COVERED = ("@method", "@authority", "@path", "@query", "content-digest", "content-type")
ANSWERED = ("@status", "content-digest", BINDING, "content-type")
URL = "https://hq.example:8443/api/v1/terminals/cinema-1/entries?part=1"
TYPE = {"content-type": "application/json"}

URLS = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{host}{port}{path}{query}",
    st.sampled_from(["http", "https", "HTTPS"]),
    st.sampled_from(["hq.example", "HQ.example", "127.0.0.1", "[::1]", "[fe80::1]", "h_q"]),
    st.sampled_from(["", ":", ":80", ":443", ":0443", ":8443"]),
    st.sampled_from(["", "/", "/a", "/a//b/", "/a%20b", "/~b;c=d", "/京", "/a b"]),
    st.sampled_from(["", "?", "?a=b&c=d", "?a=%41", "?a?b/c", "?a=b#f"]),
)
VALUES = st.sampled_from(["application/json", " padded ", "a\tb", "", "é", "text/plain;  charset=utf-8", "a\nb"])
IDS = st.sampled_from(["till-1", "till.1:a_b", 'ti"ll', "ti\\ll", "", "京", "a b"])


def signing(covered: tuple[str, ...], key_id: str = "till-1", nonce: str | None = NONCE) -> Signing:
    return Signing(covered, key_id, DEVICE.private_key(), NOW, nonce)


def by_library(view: RequestView | ResponseView, asked: Signing, body: bytes) -> dict[str, str] | None:
    try:
        return sign_by_library(view, asked, body)
    except Exception:  # noqa: BLE001 - whatever it makes of an impossible message: it signs none
        return None


@given(st.sampled_from(["POST", "GET", "post", "PÖST"]), URLS, VALUES, st.binary(max_size=40), IDS)
@example("POST", URL, "application/json", b"{}", "till-1")
def test_what_is_signed_plainly_is_what_the_library_signs(
    method: str, url: str, content_type: str, body: bytes, key_id: str
) -> None:
    headers, asked = {"Content-Type": content_type}, signing(COVERED, key_id)
    plain = sign_plainly(RequestView(method, url, headers), asked, body)
    if plain is not None:
        assert plain == by_library(RequestView(method, url, headers), asked, body)
        view = RequestView(method, url, headers | plain)
        assert verify_plainly(view, COVERED, public=DEVICE.public, key_id=key_id, body=body)


def test_our_own_messages_are_signed_plainly() -> None:
    request = RequestView("POST", URL, TYPE)
    fields = sign_plainly(request, signing(COVERED), b"{}")
    assert fields is not None
    answer = ResponseView(200, TYPE, RequestView("POST", URL, TYPE | fields))
    plain = sign_plainly(answer, signing(ANSWERED, "headquarters", None), b"[]")
    again = ResponseView(200, TYPE, RequestView("POST", URL, TYPE | fields))
    assert plain == sign_by_library(again, signing(ANSWERED, "headquarters", None), b"[]")
    assert plain is not None
    proven = ResponseView(200, TYPE | plain, RequestView("POST", URL, TYPE | fields))
    told = verify_plainly(proven, ANSWERED, public=DEVICE.public, key_id="headquarters", body=b"[]")
    assert told == {"created": int(NOW.timestamp()), "keyid": "headquarters"}


SIGNED = HttpRequest("POST", URL, TYPE, b"{}")
FIELDS = sign_request(SIGNED, key=DEVICE, key_id="till-1", now=NOW, nonce=NONCE)
PIECES = ["", " ", ",", ";", '"', "=", ":", "A", "0", "jingka", "sig2=()", '"@method"', ";req", ';alg="rsa"', "\n"]


@given(
    st.sampled_from([*FIELDS, "content-type", "url", "method", "body", "double"]),
    st.integers(0, 400),
    st.integers(0, 12),
    st.sampled_from(PIECES),
)
def test_nothing_is_taken_plainly_that_the_library_refuses(field: str, at: int, cut: int, put: str) -> None:
    """One edit of one field, anywhere: what stands there, some of it cut out, something put in."""

    def edited(text: str) -> str:
        place = at % (len(text) + 1)
        return text[:place] + put + text[place + cut :]

    headers = {**TYPE, **FIELDS}
    request = dataclasses.replace(SIGNED, headers=headers)
    match field:
        case "url" | "method":
            request = dataclasses.replace(request, **{field: edited(getattr(request, field))})
        case "body":
            request = dataclasses.replace(request, body=edited("{}").encode())
        case "double":
            request = dataclasses.replace(request, headers={**headers, "signature": edited(headers["Signature"])})
        case _:
            request = dataclasses.replace(request, headers={**headers, field: edited(headers[field])})
    view = RequestView(request.method, request.url, request.headers)
    plain = verify_plainly(view, COVERED, public=DEVICE.public, key_id="till-1", body=request.body)
    if plain is not None:
        judged = verify_by_library(view, COVERED, public=DEVICE.public, key_id="till-1", body=request.body)
        assert {name: judged[name] for name in plain} == plain


@pytest.mark.parametrize("lacking", COVERED)
def test_a_signature_that_covers_less_is_not_taken(lacking: str) -> None:
    less = tuple(name for name in COVERED if name != lacking)
    fields = sign_plainly(RequestView("POST", URL, TYPE), signing(less), b"{}")
    assert fields is not None
    view = RequestView("POST", URL, TYPE | fields)
    assert verify_plainly(view, COVERED, public=DEVICE.public, key_id="till-1", body=b"{}") is None
    with pytest.raises(SignatureInvalid):
        verify_by_library(view, COVERED, public=DEVICE.public, key_id="till-1", body=b"{}")

"""Requests and answers that hold, and every way in which one may not.

Longer than most files here, for the ways to tamper are one table.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ED25519

from config.errors import Retry
from sync.errors import (
    ClockSkewed,
    KeyDamaged,
    KeyExists,
    KeyExposed,
    KeyMissing,
    NonceReplayed,
    NonceStoreFull,
    SignatureInvalid,
    SignatureMissing,
    SyncError,
    TerminalUnknown,
)
from sync.private_file import PRIVATE_FILE_BYTES_MAX
from sync.signing import (
    LABEL,
    WINDOW_S,
    DeviceKey,
    HttpRequest,
    HttpResponse,
    MemoryNonceStore,
    claimed_key_id,
    sign_request,
    sign_response,
    verify_request,
    verify_response,
)

NOW = datetime(2012, 12, 25, 1, 30, 0, tzinfo=UTC)
TERMINAL = "cinema-1"
NONCE = "00112233445566778899aabbccddeeff"
DEVICE = DeviceKey.from_private(bytes(range(32)))
HEADQUARTERS = DeviceKey.from_private(bytes(range(32, 64)))
STRANGER = DeviceKey.from_private(bytes(range(64, 96)))
URL = "https://hq.example:8443/api/v1/terminals/cinema-1/entries?part=1"


def signed_request(*, key: DeviceKey = DEVICE, now: datetime = NOW, nonce: str = NONCE) -> HttpRequest:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    request = HttpRequest("POST", URL, headers, b"packed entries")
    return dataclasses.replace(
        request, headers=headers | sign_request(request, key=key, key_id=TERMINAL, now=now, nonce=nonce)
    )


def signed_response(request: HttpRequest, *, key: DeviceKey = HEADQUARTERS) -> HttpResponse:
    headers = {"content-type": "application/json"}
    response = HttpResponse(200, headers, b'{"acknowledged": 7}')
    return dataclasses.replace(response, headers=headers | sign_response(response, request, key=key, now=NOW))


def known(key_id: str) -> bytes | None:
    return {TERMINAL: DEVICE.public}.get(key_id)


def check(request: HttpRequest, *, now: datetime = NOW, nonces: MemoryNonceStore | None = None) -> str:
    store = MemoryNonceStore() if nonces is None else nonces
    return verify_request(request, key_of=known, nonces=store, now=now).key_id


def with_header(message: HttpRequest, name: str, value: str | None) -> HttpRequest:
    headers = {key: old for key, old in message.headers.items() if key.lower() != name.lower()}
    if value is not None:
        headers[name] = value
    return dataclasses.replace(message, headers=headers)


def edit_header(message: HttpRequest, name: str, old: str, new: str) -> HttpRequest:
    value = next(value for key, value in message.headers.items() if key.lower() == name.lower())
    assert old in value
    return with_header(message, name, value.replace(old, new))


# --- the published vector ---------------------------------------------------------------------------------------------


def test_the_published_ed25519_vector_comes_out_byte_for_byte() -> None:
    """RFC 9421 B.1.4 (the key) and B.2.6 (the signature); Ed25519 is deterministic."""
    key = DeviceKey.from_private(base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU="))
    assert key.public == base64.urlsafe_b64decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs=")

    headers = {"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json", "Content-Length": "18"}
    message = SimpleNamespace(method="POST", url="https://example.com/foo?param=Value&Pet=dog", headers=headers)
    keys = MappingKeyResolver(public_keys={}, private_keys={"test-key-ed25519": key.private_key()})
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=keys).sign(
        message,
        key_id="test-key-ed25519",
        created=datetime.fromtimestamp(1618884473, UTC),
        label="sig-b26",
        include_alg=False,
        covered_component_ids=("date", "@method", "@path", "@authority", "content-type", "content-length"),
    )
    expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert headers["Signature"] == f"sig-b26=:{expected}:"


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_tells_who_signed_it_and_when() -> None:
    verified = verify_request(signed_request(), key_of=known, nonces=MemoryNonceStore(), now=NOW)
    assert (verified.key_id, verified.created) == (TERMINAL, NOW)


def test_a_request_without_body_and_query_is_signed_too() -> None:
    request = HttpRequest("GET", "http://127.0.0.1:8600/api/v1/terminals/cinema-1/book", {})
    headers = sign_request(request, key=DEVICE, key_id=TERMINAL, now=NOW, nonce=NONCE)
    assert check(dataclasses.replace(request, headers=headers)) == TERMINAL


def test_a_proxy_may_end_tls_and_spell_field_names_its_own_way() -> None:
    request = signed_request()
    behind = HttpRequest(
        "POST",
        request.url.replace("https:", "http:"),
        {name.upper(): value for name, value in request.headers.items()} | {"X-Forwarded-For": "10.0.0.9"},
        request.body,
    )
    assert check(behind) == TERMINAL


REQUEST_TAMPERING: dict[str, Callable[[HttpRequest], HttpRequest]] = {
    "method": lambda r: dataclasses.replace(r, method="PUT"),
    "host": lambda r: dataclasses.replace(r, url=r.url.replace("hq.example", "evil.example")),
    "port": lambda r: dataclasses.replace(r, url=r.url.replace(":8443", ":8444")),
    "path": lambda r: dataclasses.replace(r, url=r.url.replace("cinema-1", "cinema-2")),
    "query": lambda r: dataclasses.replace(r, url=r.url.replace("part=1", "part=2")),
    "query removed": lambda r: dataclasses.replace(r, url=r.url.partition("?")[0]),
    "body": lambda r: dataclasses.replace(r, body=b"packed entrieS"),
    "body removed": lambda r: dataclasses.replace(r, body=b""),
    "digest of another body": lambda r: with_header(
        dataclasses.replace(r, body=b""), "content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    ),
    "digest removed": lambda r: with_header(r, "content-digest", None),
    "content type": lambda r: with_header(r, "content-type", "text/plain"),
    "content type removed": lambda r: with_header(r, "content-type", None),
    "content encoding": lambda r: with_header(r, "content-encoding", "identity"),
    "content encoding removed": lambda r: with_header(r, "content-encoding", None),
    "created": lambda r: edit_header(r, "signature-input", f"created={int(NOW.timestamp())}", "created=1356399001"),
    "nonce": lambda r: edit_header(r, "signature-input", NONCE, NONCE[::-1]),
    "tag": lambda r: edit_header(r, "signature-input", "jingka-v1", "jingka-v2"),
    "algorithm": lambda r: edit_header(r, "signature-input", '"ed25519"', '"hmac-sha256"'),
    "component dropped": lambda r: edit_header(r, "signature-input", '"@method" ', ""),
    "signature": lambda r: edit_header(r, "signature", f"{LABEL}=:", f"{LABEL}=:AAAA"),
    "signature removed": lambda r: with_header(r, "signature", None),
    "second label": lambda r: edit_header(r, "signature", f"{LABEL}=", f"other=:AAAA:, {LABEL}="),
    "label twice": lambda r: edit_header(r, "signature", f"{LABEL}=", f"{LABEL}=:AAAA:, {LABEL}="),
}


@pytest.mark.parametrize("changed", REQUEST_TAMPERING)
def test_a_request_changed_on_its_way_is_refused(changed: str) -> None:
    with pytest.raises(SignatureInvalid):
        check(REQUEST_TAMPERING[changed](signed_request()))


def test_a_header_field_that_appears_on_the_way_is_refused_when_it_tells_how_to_read_the_body() -> None:
    request = HttpRequest("POST", URL, {"content-type": "application/json"}, b"{}")
    headers = sign_request(request, key=DEVICE, key_id=TERMINAL, now=NOW, nonce=NONCE)
    added = dict(request.headers) | headers | {"content-encoding": "gzip"}
    with pytest.raises(SignatureInvalid):
        check(dataclasses.replace(request, headers=added))


def test_another_keys_signature_under_a_known_name_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        check(signed_request(key=STRANGER))


@pytest.mark.parametrize("name", ["signature-input", "every field"])
def test_an_unsigned_request_is_told_apart(name: str) -> None:
    request = signed_request()
    bare = with_header(request, name, None) if name != "every field" else dataclasses.replace(request, headers={})
    with pytest.raises(SignatureMissing):
        check(bare)


@pytest.mark.parametrize("value", ["", "other=()", "jingka", "jingka=1", "jingka=();keyid=1", "jingka=((", "jingka=ä"])
def test_signature_input_that_is_not_ours_is_a_missing_signature(value: str) -> None:
    with pytest.raises(SignatureMissing):
        claimed_key_id({"Signature-Input": value})


def test_a_terminal_without_a_key_at_headquarters_is_unknown_before_any_cryptography() -> None:
    request = edit_header(signed_request(), "signature-input", TERMINAL, "nobody")
    with pytest.raises(TerminalUnknown) as caught:
        check(request)
    assert caught.value.subject == "nobody"


@pytest.mark.parametrize("skew_s", [-WINDOW_S, 0, WINDOW_S])
def test_a_clock_within_the_window_is_good_enough(skew_s: int) -> None:
    assert check(signed_request(now=NOW + timedelta(seconds=skew_s))) == TERMINAL


@pytest.mark.parametrize("skew_s", [-400_000_000, -WINDOW_S - 1, WINDOW_S + 1, 1_000_000_000])
def test_a_clock_outside_the_window_is_told_how_far_off_it_is(skew_s: int) -> None:
    nonces = MemoryNonceStore()
    with pytest.raises(ClockSkewed) as caught:
        check(signed_request(now=NOW + timedelta(seconds=skew_s)), nonces=nonces)
    assert caught.value.details["skew_s"] == skew_s
    assert caught.value.retry is Retry.RETRY
    assert len(nonces) == 0, "a refused request leaves nothing behind"


def test_a_time_out_of_any_calendar_is_refused() -> None:
    request = edit_header(signed_request(), "signature-input", f"created={int(NOW.timestamp())}", "created=" + "9" * 15)
    with pytest.raises(SignatureInvalid):
        check(request)


@pytest.mark.parametrize("nonce", ["short", "x" * 65])
def test_a_nonce_of_a_wrong_length_is_refused(nonce: str) -> None:
    with pytest.raises(SignatureInvalid):
        check(signed_request(nonce=nonce))


def test_a_request_is_taken_once() -> None:
    nonces = MemoryNonceStore()
    request = signed_request()
    assert check(request, nonces=nonces) == TERMINAL
    with pytest.raises(NonceReplayed):
        check(request, nonces=nonces)


@pytest.mark.parametrize("early_s", [0, WINDOW_S])
def test_a_nonce_is_remembered_as_long_as_its_request_could_be_replayed(early_s: int) -> None:
    nonces = MemoryNonceStore()
    request = signed_request(now=NOW + timedelta(seconds=early_s))
    check(request, nonces=nonces)
    with pytest.raises(NonceReplayed):
        check(request, nonces=nonces, now=NOW + timedelta(seconds=early_s + WINDOW_S))
    with pytest.raises(ClockSkewed):
        check(request, nonces=nonces, now=NOW + timedelta(seconds=early_s + WINDOW_S + 1))


def test_the_replay_store_forgets_what_has_expired_and_refuses_beyond_its_bound() -> None:
    nonces = MemoryNonceStore(limit=2)
    later = NOW + timedelta(seconds=10)
    assert nonces.remember("t", "a", later, NOW)
    assert nonces.remember("t", "b", later, NOW)
    with pytest.raises(NonceStoreFull):
        nonces.remember("t", "c", later, NOW)
    assert nonces.remember("t", "c", later + timedelta(seconds=10), later)
    assert len(nonces) == 1


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_to_this_request_holds_and_tells_headquarters_time() -> None:
    request = signed_request()
    assert verify_response(signed_response(request), request, headquarters_key=HEADQUARTERS.public) == NOW


def test_the_answer_to_an_earlier_request_is_refused() -> None:
    earlier, request = signed_request(nonce="earlier earlier earlier"), signed_request()
    with pytest.raises(SignatureInvalid):
        verify_response(signed_response(earlier), request, headquarters_key=HEADQUARTERS.public)


@pytest.mark.parametrize("key", [STRANGER, DEVICE])
def test_an_answer_signed_by_anyone_else_is_refused(key: DeviceKey) -> None:
    request = signed_request()
    with pytest.raises(SignatureInvalid):
        verify_response(signed_response(request, key=key), request, headquarters_key=HEADQUARTERS.public)


RESPONSE_TAMPERING: dict[str, Callable[[HttpResponse], HttpResponse]] = {
    "status": lambda r: dataclasses.replace(r, status=201),
    "body": lambda r: dataclasses.replace(r, body=b'{"acknowledged": 8}'),
    "body removed": lambda r: dataclasses.replace(r, body=b""),
    "content type": lambda r: dataclasses.replace(r, headers=dict(r.headers) | {"content-type": "text/html"}),
    "content encoding added": lambda r: dataclasses.replace(r, headers=dict(r.headers) | {"content-encoding": "gzip"}),
    "binding dropped": lambda r: dataclasses.replace(
        r,
        headers=dict(r.headers)
        | {"Signature-Input": r.headers["Signature-Input"].replace(f' "signature";req;key="{LABEL}"', "")},
    ),
    "another key's name": lambda r: dataclasses.replace(
        r,
        headers=dict(r.headers) | {"Signature-Input": r.headers["Signature-Input"].replace("headquarters", TERMINAL)},
    ),
}


@pytest.mark.parametrize("changed", RESPONSE_TAMPERING)
def test_an_answer_changed_on_its_way_is_refused(changed: str) -> None:
    request = signed_request()
    response = signed_response(request)
    forged = RESPONSE_TAMPERING[changed](response)
    assert forged != response
    with pytest.raises(SignatureInvalid):
        verify_response(forged, request, headquarters_key=HEADQUARTERS.public)


def test_an_answer_not_bound_to_its_request_is_refused_though_headquarters_signed_it() -> None:
    """Headquarters signs a request of its own: right key, right tag, but nothing says which request it answers."""
    request = signed_request()
    body = b'{"acknowledged": 7}'
    loose = HttpRequest("POST", URL, {"content-type": "application/json"}, body)
    headers = sign_request(loose, key=HEADQUARTERS, key_id="headquarters", now=NOW, nonce=NONCE)
    response = HttpResponse(200, dict(loose.headers) | headers, body)
    with pytest.raises(SignatureInvalid):
        verify_response(response, request, headquarters_key=HEADQUARTERS.public)


def test_an_unsigned_answer_is_told_apart() -> None:
    response = HttpResponse(200, {"content-type": "application/json"}, b'{"acknowledged": 7}')
    with pytest.raises(SignatureMissing):
        verify_response(response, signed_request(), headquarters_key=HEADQUARTERS.public)


def test_an_answer_to_an_unsigned_request_cannot_be_bound() -> None:
    request = HttpRequest("POST", URL, {}, b"")
    with pytest.raises(SignatureMissing):
        sign_response(
            HttpResponse(401, {"content-type": "application/json"}, b"{}"), request, key=HEADQUARTERS, now=NOW
        )


# --- the key file -----------------------------------------------------------------------------------------------------


def test_a_key_file_is_private_and_gives_the_key_back(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    key = DeviceKey.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert DeviceKey.load(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["device.key"], "no draft stays behind"


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    key = DeviceKey.load_or_create(path)
    with pytest.raises(KeyExists):
        DeviceKey.create(path)
    assert DeviceKey.load_or_create(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["device.key"]


def test_the_private_half_is_not_in_the_repr() -> None:
    assert repr(bytes(range(32))) not in repr(DEVICE)


def exposed(path: Path) -> None:
    DeviceKey.create(path)
    path.chmod(0o640)


def cut_off(path: Path) -> None:
    DeviceKey.create(path)
    path.write_bytes(path.read_bytes()[:40])


def of_another_kind(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)


def too_big(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_bytes(b" " * (PRIVATE_FILE_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda path: None, KeyMissing),
        (exposed, KeyExposed),
        (cut_off, KeyDamaged),
        (of_another_kind, KeyDamaged),
        (too_big, KeyDamaged),
    ],
)
def test_a_key_file_that_cannot_be_used_says_why(
    prepare: Callable[[Path], None], error: type[SyncError], tmp_path: Path
) -> None:
    path = tmp_path / "device.key"
    prepare(path)
    with pytest.raises(error) as caught:
        DeviceKey.load(path)
    assert caught.value.retry is Retry.STOP
    assert caught.value.hint_text("zh")

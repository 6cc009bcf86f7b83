"""Every address that terminals call, taken from the application itself: whoever is not that terminal is turned away."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync.headquarters import fleet
from sync.headquarters.app import create_app
from sync.headquarters.door import headquarters_key
from sync.headquarters.storage import open_storage
from sync.signing import DeviceKey, HttpRequest, sign_request
from sync.wire import ENROLMENTS_PATH, encode_message
from sync.wire_grants import HOLDS_PATH, HoldKey, HoldRequest
from sync.wire_keys import SUCCESSION_PATH
from tests.sync.headquarters.client import HandClock, SigningTerminal, hq_settings, served
from tests.sync.headquarters.scene import Scene, code_of
from tests.sync.headquarters.written_ledger import known_ledger

TAG = "terminals"
OWN, OTHER = "bj-0001", "bj-0002"
# An enrolment is signed by a key that nobody knows yet (`test_enrolment`); the names of headquarters' keys are for all.
FOR_STRANGERS = {ENROLMENTS_PATH, SUCCESSION_PATH}
PLACES = {
    "terminal": OWN,
    "redemption": "0190b3a8-0000-7000-8000-000000000001",
    "base": f"1-{'0' * 16}",
    "version": "1.00000000.00000000",
}

# A hold's message, and not its address, says whose it is: it must be one to come as far as the signature.
HOLD = HoldRequest(
    terminal=OWN, redemption=PLACES["redemption"], attempt=1, boot="b", monotonic_ms=1, offer="o", revision=1,
    book_hash="ab" * 32, units=1, keys=(HoldKey(key="o|l|d=1", amount=1, max=2),),
)  # fmt: skip
BODIES = {HOLDS_PATH: encode_message(HOLD)}


def signed_routes() -> list[tuple[str, str]]:
    """Method and path, with its places, of each route that wants a terminal's signature."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        app = create_app(hq_settings(Path(directory)))
        schema = app.openapi()
    return sorted(
        (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if TAG in operation.get("tags", ()) and path not in FOR_STRANGERS
    )


ROUTES = signed_routes()


def target(path: str, terminal: str = OWN) -> str:
    """The address with its places filled; a hold names its terminal in the query."""
    filled = re.sub(r"\{(\w+)\}", lambda found: {**PLACES, "terminal": terminal}.get(found[1], "1"), path)
    return f"{filled}?terminal={terminal}&attempt=1" if "/holds/" in path else filled


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("hq")
    clock = HandClock()
    app = create_app(hq_settings(directory), clock)
    storage = open_storage("", directory)
    with served(app) as client:
        terminal = SigningTerminal(client, clock, OWN)
        ledger = known_ledger(storage, OWN, terminal.key.public.hex())
        known_ledger(storage, OTHER)
        yield Scene(app, clock, storage, terminal, ledger, headquarters_key(directory).public, directory, "")
    storage.close()


def body_of(method: str, url: str) -> bytes:
    return BODIES.get(url, b"{}") if method in ("POST", "PUT") else b""


def request_to(
    scene: Scene,
    method: str,
    url: str,
    *,
    key: DeviceKey | None = None,
    key_id: str = OWN,
    behind_s: int = 0,
    body: bytes | None = None,
) -> HttpRequest:
    body = body_of(method, url) if body is None else body
    headers = {"content-type": "application/json"} if body else {}
    plain = HttpRequest(method, str(scene.terminal.client.base_url.join(url)), headers, body)
    now = scene.clock.now - timedelta(seconds=behind_s)
    signature = sign_request(plain, key=key or scene.terminal.key, key_id=key_id, now=now, nonce=secrets.token_hex(16))
    return dataclasses.replace(plain, headers=headers | signature)


def unsigned(scene: Scene, method: str, path: str) -> HttpRequest:
    request = request_to(scene, method, target(path))
    return dataclasses.replace(request, headers={k: v for k, v in request.headers.items() if "ignature" not in k})


def stale(scene: Scene, method: str, path: str) -> HttpRequest:
    return request_to(scene, method, target(path), behind_s=301)


def another_key(scene: Scene, method: str, path: str) -> HttpRequest:
    return request_to(scene, method, target(path), key=DeviceKey.generate())


def unknown(scene: Scene, method: str, path: str) -> HttpRequest:
    return request_to(scene, method, target(path), key_id="bj-9999")


def another_path(scene: Scene, method: str, path: str) -> HttpRequest:
    request = request_to(scene, method, target(path))
    return dataclasses.replace(request, url=request.url + ("&" if "?" in request.url else "?") + "x=1")


def another_method(scene: Scene, method: str, path: str) -> HttpRequest:
    other = "DELETE" if method != "DELETE" else "POST"
    request = request_to(scene, other, target(path), body=body_of(method, target(path)))
    return dataclasses.replace(request, method=method)


REFUSED: dict[str, tuple[Callable[[Scene, str, str], HttpRequest], set[str]]] = {
    "unsigned": (unsigned, {"signature-missing"}),
    "stale": (stale, {"clock-skewed"}),
    "another key": (another_key, {"signature-invalid"}),
    "unknown terminal": (unknown, {"terminal-unknown"}),
    "another query": (another_path, {"signature-invalid"}),
    "another method": (another_method, {"signature-invalid"}),
}
every_route = pytest.mark.parametrize(("method", "path"), ROUTES, ids=[" ".join(each) for each in ROUTES])


def test_the_routes_are_found() -> None:
    assert ("POST", "/api/v1/terminals/{terminal}/entries") in ROUTES
    assert ("POST", "/api/v1/terminals/{terminal}/key") in ROUTES
    assert len(ROUTES) >= 5


@every_route
@pytest.mark.parametrize(("spoil", "codes"), REFUSED.values(), ids=REFUSED.keys())
def test_who_is_not_that_terminal_is_turned_away(
    scene: Scene, method: str, path: str, spoil: Callable[[Scene, str, str], HttpRequest], codes: set[str]
) -> None:
    answer = scene.terminal.send(spoil(scene, method, path))
    assert (answer.status, code_of(answer)) in {(401, code) for code in codes}
    if "signature-missing" not in codes:
        assert scene.terminal.proves(answer, scene.key)


@every_route
def test_another_terminal_s_address_is_not_one_s_own(scene: Scene, method: str, path: str) -> None:
    """Where the address names a terminal, it must be the one that signs; elsewhere the message says whose it is."""
    if "{terminal}" not in path and "/holds/" not in path:
        return
    answer = scene.terminal.send(request_to(scene, method, target(path, OTHER)))
    assert (answer.status, code_of(answer)) == (401, "signature-invalid")


@every_route
def test_a_replay_does_nothing_twice(scene: Scene, method: str, path: str) -> None:
    """What was taken once is refused as a replay; what was refused for itself is refused the same again."""
    request = request_to(scene, method, target(path))
    first = scene.terminal.send(request)
    again = scene.terminal.send(request)
    if first.status < 300:
        assert (again.status, code_of(again)) == (401, "nonce-replayed")
    else:
        assert code_of(again) in (code_of(first), "nonce-replayed")


@every_route
def test_a_revoked_terminal_is_told_so_everywhere(scene: Scene, method: str, path: str) -> None:
    key = DeviceKey.generate()
    terminal = f"bj-{secrets.token_hex(4)}"
    known_ledger(scene.storage, terminal, key.public.hex())
    with scene.storage.write() as connection:
        fleet.revoke(connection, terminal)
    url = target(path, terminal)
    answer = scene.terminal.send(request_to(scene, method, url, key=key, key_id=terminal))
    if "{terminal}" not in path and "/holds/" not in path:  # an empty message does not say whose it is
        assert answer.status in (401, 422)
        return
    assert (answer.status, code_of(answer)) == (401, "terminal-revoked")
    assert scene.terminal.proves(answer, scene.key)

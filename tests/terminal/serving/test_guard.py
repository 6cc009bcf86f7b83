from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from terminal.serving.guard import BODY_BYTES_MAX, LOOPBACK_HOSTS, SECURITY_HEADERS, Guard, host_name

pytestmark = pytest.mark.anyio

OWN = "http://127.0.0.1:8520"


@pytest.mark.parametrize("host", ["127.0.0.1:8520", "localhost:8520", "[::1]:8520", "LOCALHOST", "127.0.0.1"])
async def test_our_own_names_are_served(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/sign-in", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8520", "127.0.0.1.evil.example", "127.0.0.1:8520.evil.example", "", "[::2]"]
)
async def test_a_rebound_name_is_turned_away(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/sign-in", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong-host")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": OWN},
    ],
)
async def test_a_foreign_page_cannot_act(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/coin", json={"fen": 1}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign-request")


@pytest.mark.parametrize(
    "headers", [{}, {"origin": OWN}, {"origin": OWN, "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
async def test_our_pages_and_programs_can_act(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/coin", json={"fen": 1}, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("mode", "status"), [("navigate", 200), ("no-cors", 403), ("cors", 403), ("same-origin", 403), ("", 403)]
)
async def test_a_foreign_page_may_link_here_but_load_nothing(client: httpx.AsyncClient, mode: str, status: int) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode}
    assert (await client.get("/sign-in", headers=headers)).status_code == status


@pytest.mark.parametrize("path", ["/sign-in", "/nowhere", "/jammed"])
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert {name: headers[name] for name, _ in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    assert headers["cache-control"] == "no-store"


async def test_the_policy_lets_no_inline_script_run(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/sign-in")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


async def test_an_announced_body_over_the_bound_is_refused_unread(client: httpx.AsyncClient) -> None:
    answer = await client.post("/coin", content=b"1" * (BODY_BYTES_MAX + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")


async def test_a_body_at_the_bound_is_read(client: httpx.AsyncClient) -> None:
    padding = b" " * (BODY_BYTES_MAX - len(b'{"fen":1}'))
    answer = await client.post("/coin", content=b'{"fen":1}' + padding, headers={"content-type": "application/json"})
    assert answer.status_code == 200


async def test_an_unannounced_body_over_the_bound_is_refused(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1024 + 1):
            yield b" " * 1024

    answer = await client.post("/coin", content=pieces(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")


async def test_websockets_are_closed_at_the_door() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def never(*_: object) -> None:
        raise AssertionError("the application must not be asked")

    await Guard(never, LOOPBACK_HOSTS, "zh")({"type": "websocket", "headers": []}, never, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(("host", "name"), [("A:1", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("a:b", "a:b")])
def test_the_name_of_a_host(host: str, name: str) -> None:
    assert host_name(host) == name

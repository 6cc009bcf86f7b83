from __future__ import annotations

import httpx
import pytest

from terminal.serving.lockouts import TRIES_BEFORE_WAIT
from terminal.serving.sign_in import _own_path

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
CASHIER = {"person": "c01", "pin": "1234"}
MANAGER = {"person": "m01", "pin": "4321"}


async def test_signing_in_leads_to_where_one_wanted_to_go(client: httpx.AsyncClient) -> None:
    stopped = await client.get("/me", headers=HTML)
    assert (stopped.status_code, stopped.headers["location"]) == (303, "/sign-in?next=/me")
    form = await client.get(stopped.headers["location"])
    assert 'name="next" value="/me"' in form.text
    entered = await client.post("/sign-in", data={**CASHIER, "person": " C01 ", "next": "/me"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/me")
    assert (await client.get("/me")).json() == {"id": "c01"}


async def test_whoever_is_signed_in_needs_no_form(client: httpx.AsyncClient) -> None:
    await client.post("/sign-in", data=CASHIER)
    assert (await client.get("/sign-in")).status_code == 303


async def test_a_wrong_pin_shows_the_form_again_with_the_number_kept(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", data={"person": "c01", "pin": "9999", "next": "/me"})
    assert answer.status_code == 401
    assert "工号或密码不对" in answer.text
    assert 'value="c01"' in answer.text
    assert "9999" not in answer.text


async def test_too_many_wrong_pins_have_to_wait(client: httpx.AsyncClient) -> None:
    for _ in range(TRIES_BEFORE_WAIT):
        await client.post("/sign-in", data={"person": "c01", "pin": "9999"})
    answer = await client.post("/sign-in", data=CASHIER)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_signing_out_ends_the_session_at_both_ends(client: httpx.AsyncClient) -> None:
    await client.post("/sign-in", data=CASHIER)
    token = client.cookies["jingka_test"]
    await client.post("/sign-out")
    assert "jingka_test" not in client.cookies
    assert (await client.get("/me", headers={"cookie": f"jingka_test={token}"})).status_code == 401


async def test_a_role_sees_its_own_pages(client: httpx.AsyncClient) -> None:
    await client.post("/sign-in", data=CASHIER)
    answer = await client.get("/safe")
    assert (answer.status_code, answer.json()["code"]) == (403, "role-missing")
    assert 'href="/safe"' not in (await client.get("/nowhere", headers=HTML)).text
    await client.post("/sign-out")
    await client.post("/sign-in", data=MANAGER)
    assert (await client.get("/safe")).json() == {"id": "m01"}
    assert 'href="/safe"' in (await client.get("/nowhere", headers=HTML)).text


async def test_a_piece_of_page_without_a_session_sends_the_browser_to_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/me", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")


async def test_a_program_without_a_session_gets_the_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-required")


async def test_the_language_switch_lasts_and_leads_back(client: httpx.AsyncClient) -> None:
    assert "登录" in (await client.get("/sign-in")).text
    switched = await client.post("/language", data={"language": "en", "back": "/sign-in"})
    assert (switched.status_code, switched.headers["location"]) == (303, "/sign-in")
    page = (await client.get("/sign-in")).text
    assert '<html lang="en">' in page
    assert "Staff number" in page


async def test_an_unknown_language_changes_nothing(client: httpx.AsyncClient) -> None:
    assert "set-cookie" not in (await client.post("/language", data={"language": "xx"})).headers


async def test_the_page_does_not_follow_the_browsers_language(client: httpx.AsyncClient) -> None:
    assert '<html lang="zh-CN">' in (await client.get("/sign-in", headers={"accept-language": "en"})).text


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/day?day=2013-01-05", "/day?day=2013-01-05"),
        ("", "/"),
        ("day", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
    ],
)
def test_a_sign_in_never_leads_to_a_strangers_site(target: str, path: str) -> None:
    assert _own_path(target) == path

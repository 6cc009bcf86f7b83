from __future__ import annotations

import logging

import httpx
import pytest

from terminal.serving.problems import HTTP_WORDS, PROBLEM_TYPE, VALIDATION_ERRORS_MAX, http_problem

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("headers", "title", "hint"),
    [
        ({}, "钱箱卡住（3 次）", "请敲一下"),
        ({"accept-language": "en-GB,en;q=0.9"}, "the till is jammed (3 times)", "give it a knock"),
        ({"accept-language": "fr,zh-CN;q=0.8"}, "钱箱卡住（3 次）", "请敲一下"),
        (
            {"accept-language": "zh", "cookie": "x=1; jingka_language=en"},
            "the till is jammed (3 times)",
            "give it a knock",
        ),
    ],
)
async def test_an_error_is_a_problem_in_the_readers_language(
    client: httpx.AsyncClient, headers: dict[str, str], title: str, hint: str
) -> None:
    answer = await client.get("/jammed", headers=headers)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == PROBLEM_TYPE
    assert answer.headers["retry-after"] == "7"
    assert answer.json() == {
        "type": "urn:jingka:problem:till-jammed",
        "title": title,
        "status": 503,
        "code": "till-jammed",
        "hint": hint,
        "retry": "retry",
    }


async def test_a_room_gives_its_own_status(client: httpx.AsyncClient) -> None:
    assert (await client.get("/gone")).status_code == 410


async def test_a_faulty_body_names_the_place_and_never_the_value(client: httpx.AsyncClient) -> None:
    answer = await client.post("/coin", json={"fen": "6210947000000021x"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "request-invalid"
    assert [fault["at"] for fault in answer.json()["errors"]] == ["fen"]
    assert "6210947000000021" not in answer.text


async def test_a_body_that_is_no_json_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.post("/coin", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")


@pytest.mark.parametrize("reader", [HTML, {"hx-request": "true"}])
@pytest.mark.parametrize(("path", "title"), [("/jammed", "钱箱卡住（3 次）"), ("/nowhere", HTTP_WORDS[404][1].zh)])
async def test_a_page_tells_a_problem_in_its_own_language_not_the_browsers(
    client: httpx.AsyncClient, reader: dict[str, str], path: str, title: str
) -> None:
    assert title in (await client.get(path, headers={**reader, "accept-language": "en"})).text


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nowhere", 404), ("DELETE", "/jammed", 405)])
async def test_framework_refusals_are_problems_too(
    client: httpx.AsyncClient, method: str, path: str, code: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == code
    assert answer.json()["code"] == HTTP_WORDS[code][0]
    assert ("allow" in answer.headers) == (code == 405)


async def test_an_unforeseen_fault_is_logged_whole_and_answered_without_internals(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-fault"
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text
    assert "content-security-policy" in answer.headers


async def test_a_person_gets_a_page_and_a_piece_of_page_gets_a_notice(client: httpx.AsyncClient) -> None:
    page = await client.get("/jammed", headers=HTML)
    assert page.status_code == 503
    assert page.text.startswith("<!doctype html>")
    assert "请敲一下" in page.text
    piece = await client.get("/jammed", headers={"hx-request": "true"})
    assert piece.text.lstrip().startswith('<div class="notice bad" role="alert">')


async def test_the_api_answers_programs_even_when_a_browser_asks(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/jammed", headers=HTML)).headers["content-type"] == PROBLEM_TYPE


async def test_a_hostile_body_cannot_ask_for_a_long_answer(client: httpx.AsyncClient) -> None:
    from fastapi.exceptions import RequestValidationError

    from terminal.serving.problems import validation_problem

    faults = [{"loc": ("body", n), "msg": "bad", "type": "bad"} for n in range(VALIDATION_ERRORS_MAX + 1)]
    errors = validation_problem(RequestValidationError(faults), "en").extra["errors"]
    assert isinstance(errors, list)
    assert len(errors) == VALIDATION_ERRORS_MAX


def test_a_status_without_words_still_speaks() -> None:
    problem = http_problem(418, "zh")
    assert (problem.code, problem.title) == ("http-418", "I'm a Teapot")

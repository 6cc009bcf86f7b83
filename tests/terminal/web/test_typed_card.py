"""A card number typed at the counter: by the API and on the page, never told back."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.errors import Language
from config.settings import CounterSection
from terminal.serving.lockouts import TRIES_BEFORE_WAIT
from terminal.serving.people import People
from terminal.web.app import create_app
from tests.fakes.till import CARDS, Till, open_till
from tests.terminal.web.conftest import BASE
from tests.terminal.web.sale import sold_to_the_card

pytestmark = pytest.mark.anyio

NUMBER = CARDS["member"].pan
GROUPS = "6210 9470 0000 0021"
PATH = "/api/v1/presentation/manual"
PAGE = "/counter/manual"
HTMX = {"hx-request": "true"}
APPROVED = {"manager": "m01", "pin": "4321"}


def wanted(**changes: Any) -> dict[str, Any]:
    return {"number": NUMBER, "expiry": "12/30", **APPROVED, **changes}


def told_nothing(text: str) -> None:
    """No form of the number in `text`."""
    assert NUMBER not in text
    assert GROUPS not in text


@pytest.fixture
async def closed(tmp_path: Path, people_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A cashier of a counter where numbers are not typed."""
    (tmp_path / "closed").mkdir()
    till = open_till(tmp_path / "closed", section=CounterSection())
    app = create_app(till.parts(People.load(people_file)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        await client.post("/api/v1/session", json={"cashier": "c01", "pin": "1234"})
        yield client
    till.ledger.close()


async def test_a_typed_number_is_presented_like_a_read_card_and_marked_as_typed(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    answer = await cashier.post(PATH, json=wanted(number=GROUPS))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["entry_mode"], told["reader"], told["masked"]) == ("manual", "keyboard", "**** 0021")
    assert (told["authenticity"], told["authenticity_reason"], told["approved_by"]) == ("unverified", "typed", "m01")
    assert told["standing"] == "active"
    assert any(offer["eligible"] for offer in told["offers"])
    assert (await cashier.get("/api/v1/presentation")).json() == told
    told_nothing(answer.text)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"pin": "1111"}, 401, "pin-wrong"),
        ({"manager": "nobody"}, 401, "pin-wrong"),
        ({"manager": "c01", "pin": "1234"}, 403, "role-missing"),
        ({"number": "6210947000000022"}, 422, "card-number-mistyped"),
        ({"number": ""}, 422, "card-number-mistyped"),
        ({"expiry": "20/30"}, 422, "card-expiry-mistyped"),
    ],
)
async def test_what_is_refused_says_why_and_presents_nothing(
    cashier: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await cashier.post(PATH, json=wanted(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["hint"]
    assert (await cashier.get("/api/v1/presentation")).status_code == 204


async def test_a_manager_may_approve_what_they_type_themselves(manager: httpx.AsyncClient) -> None:
    assert (await manager.post(PATH, json=wanted())).status_code == 200


async def test_it_needs_a_sign_in_of_its_own(stranger: httpx.AsyncClient, till: Till) -> None:
    assert (await stranger.post(PATH, json=wanted())).status_code == 401
    assert (await stranger.post(PAGE, data=wanted(), headers=HTMX)).status_code == 401
    assert till.counter.presentation is None


async def test_wrong_pins_are_counted_as_at_the_sign_in(cashier: httpx.AsyncClient) -> None:
    for _ in range(TRIES_BEFORE_WAIT):
        assert (await cashier.post(PATH, json=wanted(pin="0000"))).status_code == 401
    locked = await cashier.post(PATH, json=wanted())
    assert (locked.status_code, locked.json()["code"]) == (429, "pin-locked")
    assert int(locked.headers["retry-after"]) > 0
    signing_in = await cashier.post("/api/v1/session", json={"cashier": "m01", "pin": "4321"})
    assert signing_in.status_code == 429, "one count for both doors"


async def test_another_sites_page_can_type_nothing(cashier: httpx.AsyncClient, till: Till) -> None:
    for path in (PATH, PAGE):
        answer = await cashier.post(path, json=wanted(), headers={"origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign-request")
    assert till.counter.presentation is None


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"number": int(NUMBER), **APPROVED}),
        json.dumps({"number": [NUMBER], **APPROVED}),
        json.dumps({"number": NUMBER * 5, **APPROVED}),
        json.dumps({NUMBER: NUMBER, "number": NUMBER}),
        json.dumps({"number": "0000", "expiry": NUMBER, "manager": GROUPS, "pin": NUMBER}),
        json.dumps({"number": "0000", **APPROVED, "expiry": NUMBER * 3}),
        json.dumps([NUMBER]),
        f'{{"number": "{NUMBER}"',
        NUMBER,
    ],
)
async def test_no_answer_to_a_faulty_body_tells_the_number_back(
    cashier: httpx.AsyncClient, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await cashier.post(PATH, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    told_nothing(answer.text)
    told_nothing(caplog.text)


async def test_what_is_logged_names_the_manager_and_no_number(
    cashier: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await cashier.post(PATH, json=wanted())
    assert "approved by m01" in caplog.text
    told_nothing(caplog.text)
    assert "4321" not in caplog.text


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "title"), [("zh", "输入卡号"), ("en", "Type the card number")])
async def test_the_page_offers_the_form_and_shows_the_card_after_it(
    cashier: httpx.AsyncClient, language: Language, title: str
) -> None:
    cashier.cookies.set("jingka_language", language)
    assert title in (await cashier.get("/")).text
    form = (await cashier.get(PAGE, headers=HTMX)).text
    assert title in form
    assert 'autocomplete="off"' in form
    stage = (await cashier.post(PAGE, data=wanted(number=GROUPS), headers=HTMX)).text
    assert "**** 0021" in stage
    assert ("手工输入" if language == "zh" else "typed") in stage
    assert "m01" in stage
    told_nothing(stage)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"number": "6210947000000022"}, "校验位不符"),
        ({"expiry": "99/99"}, "有效期应为"),
        ({"pin": "0000"}, "工号或密码不对"),
        ({"manager": "C01 ", "pin": "1234"}, "没有此权限"),
    ],
)
async def test_the_form_comes_back_with_the_reason_and_without_what_was_typed(
    cashier: httpx.AsyncClient, changes: dict[str, str], says: str
) -> None:
    answer = await cashier.post(PAGE, data=wanted(**changes), headers=HTMX)
    assert answer.status_code == 200
    assert says in answer.text
    assert 'name="number"' in answer.text
    for typed in (NUMBER, changes.get("number", NUMBER), "12/30", "4321"):
        assert typed not in answer.text
    assert f'value="{changes.get("manager", "m01").strip().lower()}"' in answer.text


async def test_a_card_that_could_not_be_read_offers_the_form_too(cashier: httpx.AsyncClient, till: Till) -> None:
    till.fail()
    assert PAGE in (await cashier.get("/counter/stage")).text


async def test_where_it_is_off_there_is_no_form_and_no_way_in(closed: httpx.AsyncClient) -> None:
    assert PAGE not in (await closed.get("/")).text
    for answer in (
        await closed.post(PATH, json=wanted()),
        await closed.get(PAGE, headers={"accept": "application/json"}),
        await closed.post(PAGE, data=wanted()),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "manual-entry-off")
        told_nothing(answer.text)


async def test_a_card_that_proved_itself_and_one_that_failed_wear_their_marks(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    till.present("proved")
    assert "芯片已验证" in (await cashier.get("/counter/stage")).text
    till.present("doubtful")
    stage = (await cashier.get("/counter/stage")).text
    assert "芯片未通过真伪验证" in stage
    assert "**** 0120" in stage
    assert "banner warn" in stage, "nobody is accused"
    till.present("fallen-back")
    assert "降级刷磁条" in (await cashier.get("/counter/stage")).text


async def test_the_day_shows_who_let_a_number_be_typed(manager: httpx.AsyncClient, till: Till) -> None:
    await manager.post(PATH, json=wanted())
    await sold_to_the_card(manager, till)
    page = (await manager.get("/day")).text
    assert "手工输入" in page
    assert "李强" in page

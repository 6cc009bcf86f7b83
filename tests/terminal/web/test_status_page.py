from __future__ import annotations

import html
from dataclasses import replace

import httpx
import pytest

from config.errors import Language
from drivers.card import ReaderForbidden
from drivers.reader import ReaderState, ReaderStatus
from terminal.ledger.errors import LedgerDamaged
from terminal.web.fault import create_fault_app
from terminal.web.status_page import SKEW_MS_MAX
from tests.fakes.till import FakeSync, Till, away

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(("language", "words"), [("zh", "一切正常"), ("en", "All is well")])
async def test_all_is_well(manager: httpx.AsyncClient, language: Language, words: str) -> None:
    manager.cookies.set("jingka_language", language)
    page = await manager.get("/status")
    assert page.status_code == 200
    assert words in page.text


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_each_trouble_has_its_next_step(manager: httpx.AsyncClient, till: Till, language: Language) -> None:
    manager.cookies.set("jingka_language", language)
    forbidden, damaged = ReaderForbidden("open", "ttyUSB0"), LedgerDamaged("open", "roll", reason="x")
    till.readers = (ReaderStatus("ttyUSB0", "serial", ReaderState.FORBIDDEN, 0, forbidden),)
    till.faults = (damaged,)
    away(till, damaged)
    page = html.unescape((await manager.get("/status")).text)
    assert forbidden.hint_text(language) in page
    assert damaged.hint_text(language) in page
    assert ("7 条" if language == "zh" else "7 entries") in page


@pytest.mark.parametrize(("skew_ms", "shown"), [(SKEW_MS_MAX, False), (-SKEW_MS_MAX - 1, True), (None, False)])
async def test_a_skewed_clock_is_shown(
    manager: httpx.AsyncClient, till: Till, skew_ms: int | None, shown: bool
) -> None:
    till.sync = replace(FakeSync(), skew_ms=skew_ms)
    assert ("本机时钟不准" in (await manager.get("/status/parts")).text) == shown


async def test_without_headquarters_the_page_says_so(manager: httpx.AsyncClient, till: Till) -> None:
    till.sync = None
    assert "未设置总部地址" in (await manager.get("/status")).text


@pytest.mark.parametrize("path", ["/status", "/status/parts"])
async def test_the_status_page_is_the_managers(cashier: httpx.AsyncClient, path: str) -> None:
    answer = await cashier.get(path, headers=HTML)
    assert answer.status_code == 403
    assert "请由店长登录操作" in answer.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/healthz"), ("POST", "/api/v1/quotes")])
async def test_a_terminal_that_cannot_work_says_why_everywhere(method: str, path: str) -> None:
    app = create_fault_app(LedgerDamaged("open", "ledger", reason="x"), "zh")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8520") as client:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-damaged")
        page = await client.get("/", headers=HTML)
        assert "jingka ledger verify" in page.text
        assert (await client.get("/static/app.css")).status_code == 200

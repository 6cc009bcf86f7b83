from __future__ import annotations

import html
from dataclasses import replace

import httpx
import pytest

from config.errors import Language
from drivers.card import CardRefused, EntryMode, NotACard, ReaderForbidden
from drivers.reader import ReaderState, ReaderStatus
from terminal.ledger.errors import LedgerDamaged
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from terminal.web.app import HERE
from terminal.web.fault import create_fault_app
from terminal.web.parts import WORKING, VouchersNow
from terminal.web.status_page import SKEW_MS_MAX
from tests.fakes.outcomes import card_read, history_of
from tests.fakes.till import FIRST_EVENING, READER, FakeSync, Till, away

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}
CATALOGUE = load_catalogue(SERVING_LOCALE, HERE / "locale")


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


@pytest.mark.parametrize("state", [state for state in ReaderState if state not in WORKING])
async def test_a_reader_that_does_not_work_has_a_next_step_even_without_an_error(
    manager: httpx.AsyncClient, till: Till, state: ReaderState
) -> None:
    till.readers = (ReaderStatus("ttyUSB0", "serial", state, 0),)
    page = await manager.get("/status")
    assert CATALOGUE.texts["zh"][f"reader-hint.{state}"] in page.text


# --- the last cards presented -----------------------------------------------------------------------------------------


async def test_before_the_first_card_the_page_says_so(manager: httpx.AsyncClient) -> None:
    assert "启动以来还没有读过卡" in (await manager.get("/status")).text


@pytest.mark.parametrize("entry_mode", EntryMode)
@pytest.mark.parametrize(("language", "reason"), [("zh", "本机没有验证公钥"), ("en", "this terminal holds no keys")])
async def test_a_read_is_told_masked_with_how_and_how_long(
    manager: httpx.AsyncClient, till: Till, language: Language, reason: str, entry_mode: EntryMode
) -> None:
    manager.cookies.set("jingka_language", language)
    till.reads = history_of(card_read(entry_mode=entry_mode))
    page = html.unescape((await manager.get("/status/parts")).text)
    for told in ("**** 0021", CATALOGUE.texts[language][f"entry.{entry_mode}"], reason):
        assert told in page
    assert ("1,235" in page) == (entry_mode is not EntryMode.MANUAL), "typing is no exchange with a card"


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_failure_is_told_with_its_reason_hint_and_steps(
    manager: httpx.AsyncClient, till: Till, language: Language
) -> None:
    manager.cookies.set("jingka_language", language)
    refused = CardRefused("open", "card", status_word="6A81")
    till.reads = history_of(card_read(), refused)
    page = html.unescape((await manager.get("/status/parts")).text)
    assert page.index(refused.what_text(language)) < page.index("**** 0021"), "newest first"
    assert refused.hint_text(language) in page
    for told in ("SELECT 0400", "6A82 FILE_NOT_FOUND", "20.0 ms", CATALOGUE.texts[language]["reads.no-answer"]):
        assert told in page


async def test_an_open_list_of_steps_stays_open_when_the_page_is_refreshed(
    manager: httpx.AsyncClient, till: Till
) -> None:
    till.reads = history_of(card_read(), NotACard("read card", READER, reason_zh="6A82", reason_en="6A82"))
    page = (await manager.get("/status/parts")).text
    assert '<details id="read-2" hx-preserve>' in page, "one place for each outcome, whatever comes after it"


@pytest.mark.parametrize("path", ["/status", "/status/parts"])
async def test_the_status_page_is_the_managers(cashier: httpx.AsyncClient, path: str) -> None:
    answer = await cashier.get(path, headers=HTML)
    assert answer.status_code == 403
    assert "请由有此权限的人员（如店长）登录操作" in answer.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/healthz"), ("POST", "/api/v1/quotes")])
async def test_a_terminal_that_cannot_work_says_why_everywhere(method: str, path: str) -> None:
    app = create_fault_app(LedgerDamaged("open", "ledger", reason="x"), "zh")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8520") as client:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-damaged")
        page = await client.get("/", headers=HTML)
        assert "jingka ledger verify" in page.text
        assert (await client.get("/static/app.css")).status_code == 200


@pytest.mark.parametrize(("version", "told"), [("12.0a1b2c3d.4e5f6071", ">12<"), ("", "人工发放")])
async def test_the_register_of_vouchers_is_shown_with_its_version(
    manager: httpx.AsyncClient, till: Till, version: str, told: str
) -> None:
    assert "券登记册" not in (await manager.get("/status/parts")).text  # most tills have none, and miss nothing
    till.vouchers = VouchersNow(5_000, version, FIRST_EVENING)
    page = (await manager.get("/status/parts")).text
    assert "5,000" in page
    assert told in page

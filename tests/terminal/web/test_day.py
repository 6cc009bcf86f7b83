from __future__ import annotations

import io
import json
import re

import httpx
import pytest

from config.errors import Language
from terminal.redemption_id import new_id
from tests.fakes.till import Till
from tests.terminal.web.sale import completed, quoted

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}


async def test_the_report_counts_what_was_sold(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till
) -> None:
    await completed(cashier, till)
    for query in ("", "?day=2012-12-25"):
        told = (await manager.get(f"/api/v1/reports/daily{query}")).json()
        assert told["day"] == "2012-12-25"
        assert told["total"] == {"sales": 1, "units": 2, "list": 16_000, "pay": 2_000, "fees": 0, "saving": 14_000}
        assert [(row["cashier"], row["name"], row["units"]) for row in told["cashiers"]] == [("c01", "王芳", 2)]
        assert told["hours"][10]["units"] == 2
    assert (await manager.get("/api/v1/reports/daily?day=2012-12-24")).json()["total"]["sales"] == 0


async def test_the_pages_links_ask_for_the_pages_language_whatever_the_browser_speaks(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till
) -> None:
    await completed(cashier, till)
    page = (await manager.get("/day?day=2012-12-25", headers={"accept-language": "en"})).text
    assert "/api/v1/reports/daily.csv?day=2012-12-25&amp;language=zh" in page
    address = "/api/v1/reports/daily.csv?day=2012-12-25&language=zh"
    assert "十元电影票" in (await manager.get(address, headers={"accept-language": "en"})).text


@pytest.mark.parametrize(("language", "word"), [("zh", "十元电影票"), ("en", "10-yuan film ticket")])
async def test_the_files_are_the_report_in_the_persons_language(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till, language: Language, word: str
) -> None:
    from openpyxl import load_workbook

    await completed(cashier, till)
    manager.cookies.set("jingka_language", language)
    csv = await manager.get("/api/v1/reports/daily.csv?day=2012-12-25")
    assert csv.headers["content-disposition"] == 'attachment; filename="jingka-2012-12-25.csv"'
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.content.startswith(b"\xef\xbb\xbf")
    assert word in csv.text
    xlsx = await manager.get("/api/v1/reports/daily.xlsx?day=2012-12-25")
    book = load_workbook(io.BytesIO(xlsx.content))
    assert any(cell.value == word for sheet in book for row in sheet.iter_rows() for cell in row)


@pytest.mark.parametrize(
    "path", ["/api/v1/reports/daily", "/api/v1/reports/daily.csv", "/api/v1/reports/daily.xlsx", "/day"]
)
async def test_the_day_is_the_managers(
    stranger: httpx.AsyncClient, cashier: httpx.AsyncClient, manager: httpx.AsyncClient, path: str
) -> None:
    assert (await stranger.get(path)).status_code == 401
    assert (await cashier.get(path)).status_code == 403
    assert (await manager.get(path)).status_code == 200
    assert (await manager.get(f"{path}?day=2012-02-30")).status_code == 422


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_an_empty_day_says_so(manager: httpx.AsyncClient, language: Language) -> None:
    manager.cookies.set("jingka_language", language)
    page = (await manager.get("/day")).text
    assert ("这一天没有交易" if language == "zh" else "No sales on this day") in page
    assert "hours-chart" not in page


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_busy_day_shows_sums_chart_and_what_to_check(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till, language: Language
) -> None:
    redemption = await completed(cashier, till)
    await manager.post(f"/api/v1/redemptions/{redemption}/void", json={"reason": "打错一张", "units": 1})
    open_one = await authorised_laundry(cashier, till)
    manager.cookies.set("jingka_language", language)
    page = (await manager.get("/day?day=2012-12-25")).text
    assert "¥10.00" in page
    assert "打错一张" in page
    assert ("作废 1/2" if language == "zh" else "voided 1 of 2") in page
    assert open_one in {sale.id for sale in till.ledger.unsettled()}
    chart = re.search(r"data-hours='([^']*)'", page)
    assert chart
    hours = json.loads(chart[1])
    assert len(hours) == 24
    assert hours[10] == {"units": 1, "pay": 1000}


async def authorised_laundry(client: httpx.AsyncClient, till: Till) -> str:
    till.present("model-worker")
    wash = {"category": "laundry", "quantity": 1, "list_price": 4500, "attributes": {}}
    quote = (await quoted(client, till, "winter-laundry", **wash)).json()
    assert quote["refusals"] == []
    redemption = new_id()
    answer = await client.post("/api/v1/redemptions", json={"id": redemption, "quote": quote["quote"]})
    assert answer.json()["pay"] == 2500
    return redemption


@pytest.mark.parametrize(("day", "following"), [("2012-12-25", False), ("2012-12-24", True), ("0001-01-01", True)])
async def test_the_picker_goes_no_further_than_today(manager: httpx.AsyncClient, day: str, following: bool) -> None:
    page = await manager.get(f"/day?day={day}")
    assert page.status_code == 200
    assert ('aria-label="后一天"' in page.text) == following
    assert 'max="2012-12-25"' in page.text


async def test_the_language_switch_comes_back_to_the_same_day(manager: httpx.AsyncClient) -> None:
    assert 'name="back" value="/day?day=2012-12-24"' in (await manager.get("/day?day=2012-12-24", headers=HTML)).text


async def test_a_manager_closes_the_day(cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till) -> None:
    await completed(cashier, till)
    assert (await manager.get("/api/v1/reports/daily/close?day=2012-12-25")).status_code == 204
    assert "未结账" in (await manager.get("/day?day=2012-12-25")).text
    pressed = await manager.post("/day/close", data={"day": "2012-12-25"})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/day?day=2012-12-25")
    page = (await manager.get("/day?day=2012-12-25")).text
    for words in ("已结账", "1 笔，到第 2 条记录", "待传总部", "重新结账"):
        assert words in page, words
    told = (await manager.post("/api/v1/reports/daily/close")).json()
    assert (told["day"], told["sequence"], told["closed_by"], told["sent"]) == ("2012-12-25", 2, "m01", False)
    assert told["offers"][0] == {
        "offer": "winter-film",
        "sales": 1,
        "units": 2,
        "list": 16_000,
        "pay": 2_000,
        "voided_units": 0,
        "voided_list": 0,
        "voided_pay": 0,
    }
    assert (await manager.get("/api/v1/reports/daily/close")).json() == told


async def test_nobody_closes_a_day_ahead_or_as_a_cashier(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient
) -> None:
    ahead = await manager.post("/api/v1/reports/daily/close?day=2012-12-26")
    assert (ahead.status_code, ahead.json()["code"]) == (409, "day-ahead")
    assert (await cashier.post("/api/v1/reports/daily/close")).status_code == 403
    assert (await cashier.post("/day/close", data={})).status_code == 403

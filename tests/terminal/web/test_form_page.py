"""The sale form's pieces: lines added and removed, what is asked and what is not, and what moves while it is open."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from terminal.offers.book import BookMissing, LoadedBook, parse_book
from terminal.offers.sale import Place
from tests.fakes.cases import published
from tests.fakes.till import Till, open_till

pytestmark = pytest.mark.anyio

HTMX = {"hx-request": "true"}
HIDDEN = ("redemption", "presentation", "offer", "book", "lines")
HOSPITAL = Place("tcm-hospital", "main", "t01")
WAIT_S = 10.0  # two answers of one process take milliseconds

STAMPS = """
schema = 1
revision = 7
tz = "Asia/Shanghai"

[categories.swim]
name = { zh = "游泳", en = "swimming" }
unit = { zh = "场", en = "visit(s)" }
list_fen = 5000

[categories.binding]
name = { zh = "绑卡", en = "binding" }
unit = { zh = "次", en = "time(s)" }
list_fen = 0

[attributes.day]
kind = "date"
label = { zh = "预约日", en = "day booked" }

[attributes.row]
kind = "number"
min = 1
max = 30
label = { zh = "排", en = "row" }

[[offers]]
id = "booked"
name = { zh = "预约场次", en = "Booked" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"], asks = ["day", "row"] }
price = { kind = "free" }

[[offers]]
id = "stamps"
name = { zh = "第三场免费", en = "Every third is free" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"] }
price = { kind = "nth_free", every = 3, over = "person" }

[[offers]]
id = "once"
name = { zh = "只此一场", en = "One ever" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"] }
price = { kind = "free" }
limits = [{ id = "once", max = 1, count = "units", per = ["card"], window = "ever", offline = "local" }]

[[offers]]
id = "binding"
name = { zh = "绑卡", en = "Bind" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["binding"] }
price = { kind = "free" }
opens = { visits = 3 }

[[merchants]]
id = "gongren-julebu"
name = { zh = "工人俱乐部", en = "Workers' Club" }
agreement = { first_day = 2012-01-01, last_day = 2013-12-31 }
sites = [{ id = "main", name = { zh = "工人俱乐部", en = "Workers' Club" } }]
"""


def stamp_book(revision: int = 7, unit_fen: int = 5000) -> LoadedBook:
    source = STAMPS.replace("revision = 7", f"revision = {revision}").replace(
        "list_fen = 5000", f"list_fen = {unit_fen}"
    )
    return LoadedBook.of(parse_book(source, "toml"))


@pytest.fixture
def place() -> str:
    return "club"


@pytest.fixture
def till(tmp_path: Path, place: str) -> Iterator[Till]:
    if place == "hospital":
        opened = open_till(tmp_path, book=published("everyday"), place=HOSPITAL)
    else:
        opened = open_till(tmp_path, book=stamp_book())
    yield opened
    opened.ledger.close()


at_the_hospital = pytest.mark.parametrize("place", ["hospital"])


def hidden(html: str) -> dict[str, str]:
    """The form's hidden fields."""
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', html) for name in HIDDEN}
    assert all(found.values()), html
    return {name: unescape(match[1]) for name, match in found.items() if match}


async def opened_form(client: httpx.AsyncClient, till: Till, offer: str) -> tuple[str, dict[str, str]]:
    """The form as drawn for the member's card, and its hidden fields."""
    if till.counter.presentation is None:
        till.present("member")
    answer = await client.get(f"/counter/form?offer={offer}", headers=HTMX)
    assert answer.status_code == 200, answer.text
    return answer.text, hidden(answer.text)


async def posted(client: httpx.AsyncClient, path: str, typed: dict[str, str]) -> str:
    answer = await client.post(f"/counter/{path}", data=typed, headers=HTMX)
    assert answer.status_code == 200, answer.text
    return answer.text


def cursor(html: str) -> str:
    """The name of the field, or the class of the button, that has the focus."""
    found = [tag for tag in re.findall(r"<(?:input|button)[^>]*>", html) if re.search(r"\sautofocus\b", tag)]
    assert len(found) == 1, found
    match = re.search(r'(?:name|class)="([^"]*)"', found[0])
    assert match
    return match[1]


# What is asked --------------------------------------------------------------------------------------------------------


async def test_a_form_that_needs_nothing_more_is_priced_at_once_and_enter_sells(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    html, typed = await opened_form(cashier, till, "binding")
    assert "单价" not in html
    assert cursor(html) == "primary confirm"
    sold = await posted(cashier, "confirm", {**typed, "0.line.quantity": "1", "shown": "0"})
    assert "会员免费" in sold


async def test_a_set_price_is_shown_and_not_asked(cashier: httpx.AsyncClient, till: Till) -> None:
    html, typed = await opened_form(cashier, till, "stamps")
    assert "list_price" not in html
    assert "¥50.00" in html
    cheaper = {**typed, "0.line.quantity": "1", "0.line.list_price": "1"}
    assert "¥50.00" in await posted(cashier, "quote", cheaper)


async def test_days_and_whole_numbers_are_asked_within_their_bounds_and_kept(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    html, typed = await opened_form(cashier, till, "booked")
    assert re.search(r'type="date" name="0.attributes.day" value=""', html)
    assert re.search(r'type="number" name="0.attributes.row" value="" min="1" max="30"', html)
    assert cursor(html) == "0.attributes.day"
    typed |= {"0.line.quantity": "1", "0.attributes.day": "2013-02-30", "0.attributes.row": ""}
    assert "请填写：预约日、排" in await posted(cashier, "quote", typed)
    typed |= {"0.attributes.day": "", "0.attributes.row": "31"}
    refused = await posted(cashier, "quote", typed)
    assert "请填写预约日" in refused
    assert "应为 1 至 30 之间的整数" in refused
    typed |= {"0.attributes.day": "2013-02-10", "0.attributes.row": "３"}
    assert "¥0.00" in await posted(cashier, "quote", typed)
    await posted(cashier, "confirm", {**typed, "shown": "0"})
    (sold,) = till.ledger.unsettled()
    assert sold.lines[0]["attributes"] == {"day": "2013-02-10", "row": "3"}


@at_the_hospital
async def test_lines_come_and_go_and_keep_what_was_typed(cashier: httpx.AsyncClient, till: Till) -> None:
    html, typed = await opened_form(cashier, till, "hospital")
    assert cursor(html) == "0.line.category"
    assert 'data-key="F2"' in html
    assert 'data-key="F8"' not in html, "the only line stays"
    typed |= {"0.line.category": "drugs", "0.line.quantity": "1", "0.line.list_price": "200"}
    html = await posted(cashier, "form", typed)
    assert (hidden(html)["lines"], cursor(html)) == ("2", "1.line.category")
    assert re.search(r'name="0.line.category" value="drugs" required\s+checked', html)
    assert html.count('data-key="F8"') == 1
    typed |= {**hidden(html), "1.line.category": "treatment", "1.line.quantity": "1", "1.line.list_price": "100"}
    assert "¥240.00" in await posted(cashier, "quote", typed)
    html = await posted(cashier, "form", {**typed, "remove": "0"})
    assert hidden(html)["lines"] == "1"
    assert re.search(r'name="0.line.category" value="treatment" required\s+checked', html)
    assert "¥70.00" in html
    assert cursor(html) == "primary confirm"


# What would help ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "remedy"), [("zh", "减到 1 场就可以"), ("en", "possible with 1 visit(s)")])
async def test_beneath_the_reason_stands_what_would_help(
    cashier: httpx.AsyncClient, till: Till, language: str, remedy: str
) -> None:
    cashier.cookies.set("jingka_language", language)
    _, typed = await opened_form(cashier, till, "once")
    refused = await posted(cashier, "quote", {**typed, "0.line.quantity": "2"})
    assert f'<small class="remedy">{remedy}</small>' in refused


async def test_the_card_says_it_of_an_offer_that_is_not_possible(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    till.counter.replace_book(not_yet())
    assert '<small class="remedy">2013-02-09 起可以办理</small>' in (await cashier.get("/counter/stage")).text


def not_yet() -> LoadedBook:
    what = 'what = { categories = ["binding"] }'
    source = STAMPS.replace(what, f"{what}\nwhen = {{ first_day = 2013-02-09 }}")
    return LoadedBook.of(parse_book(source, "toml"))


# What moves while the form is open ------------------------------------------------------------------------------------


class TwoTabs:
    """Two forms for one card, confirmed at one moment: both are quoted before either is written."""

    def __init__(self, client: httpx.AsyncClient, till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client, self._till, self._patch = client, till, monkeypatch

    async def confirm(self, first: dict[str, str], second: dict[str, str]) -> tuple[str, str]:
        writer, queued, go_on = self._till.ledger.writer, [0], threading.Event()
        submit: Callable[..., Future[Any]] = writer.submit
        waiting = submit(go_on.wait, WAIT_S)

        def counted(*call: Any) -> Future[Any]:
            queued[0] += 1
            return submit(*call)

        self._patch.setattr(writer, "submit", counted)
        tabs = [asyncio.create_task(posted(self._client, "confirm", typed)) for typed in (first, second)]
        async with asyncio.timeout(WAIT_S):
            while queued[0] < 2:
                await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(*tabs)
        assert waiting.result()
        return answers[0], answers[1]


@pytest.fixture
def two_tabs(cashier: httpx.AsyncClient, till: Till, monkeypatch: pytest.MonkeyPatch) -> TwoTabs:
    return TwoTabs(cashier, till, monkeypatch)


async def test_of_two_tabs_the_second_is_told_what_is_left_now(
    cashier: httpx.AsyncClient, till: Till, two_tabs: TwoTabs
) -> None:
    (_, first), (_, second) = [await opened_form(cashier, till, "once") for _ in range(2)]
    typed = {"0.line.quantity": "1", "shown": "0"}
    sold, told = await two_tabs.confirm({**first, **typed}, {**second, **typed})
    assert "请在银行 POS 机上收款" in sold
    assert "刚才名额有变动" in told
    assert "已用 1，还可用 0，这次要 1" in told
    assert hidden(told)["redemption"] == second["redemption"]
    assert [each.id for each in till.ledger.unsettled()] == [first["redemption"]]


async def test_of_two_tabs_with_stamps_the_second_sees_the_new_price_and_may_take_it(
    cashier: httpx.AsyncClient, till: Till, two_tabs: TwoTabs
) -> None:
    (_, first), (_, second) = [await opened_form(cashier, till, "stamps") for _ in range(2)]
    typed = {"0.line.quantity": "2", "shown": "10000"}
    sold, told = await two_tabs.confirm({**first, **typed}, {**second, **typed})
    assert "¥100.00" in sold
    assert "金额有变化" in told
    assert "¥50.00" in told, "the third swim is free"
    assert cursor(told) == "primary confirm"
    again = {**hidden(told), **typed, "shown": "5000"}
    assert "请在银行 POS 机上收款" in await posted(cashier, "confirm", again)
    assert [each.pay_fen for each in till.ledger.unsettled()] == [10_000, 5_000]


async def test_an_open_form_sells_at_the_terms_it_was_opened_under(cashier: httpx.AsyncClient, till: Till) -> None:
    html, typed = await opened_form(cashier, till, "stamps")
    assert "按第 7 版优惠" in html
    assert "已启用" not in html
    till.counter.replace_book(stamp_book(8, unit_fen=6000))
    typed |= {"0.line.quantity": "1"}
    panel = await posted(cashier, "quote", typed)
    assert "¥50.00" in panel
    assert "按第 7 版优惠" in panel
    assert "第 8 版已启用，本笔不变" in panel
    assert "请在银行 POS 机上收款" in await posted(cashier, "confirm", {**typed, "shown": "5000"})
    (sold,) = till.ledger.unsettled()
    assert (sold.revision, sold.pay_fen) == (7, 5000)
    _, newly = await opened_form(cashier, till, "stamps")
    assert "¥60.00" in await posted(cashier, "quote", {**newly, "0.line.quantity": "1"})


async def test_after_its_time_an_open_form_shows_the_new_terms_before_it_sells(
    cashier: httpx.AsyncClient, till: Till
) -> None:
    _, typed = await opened_form(cashier, till, "once")
    card = typed["presentation"]
    till.counter.replace_book(stamp_book(8, unit_fen=6000))
    for _ in range(4):  # the card is presented again and again; its form stays open for longer than a quote holds
        till.clock.step(100_000)
        till.present("member")
    presented = till.counter.presentation
    assert presented is not None
    assert presented.id != card
    typed |= {"presentation": presented.id, "0.line.quantity": "1", "shown": "0"}
    told = await posted(cashier, "confirm", typed)
    assert "金额有变化" in told
    assert "按第 8 版优惠" in told
    assert till.ledger.last_sequence() == 0


async def test_the_page_tells_quietly_what_became_of_a_new_book(cashier: httpx.AsyncClient, till: Till) -> None:
    page = (await cashier.get("/")).text
    assert 'hx-get="/counter/book-news" hx-trigger="sse:book"' in page
    till.counter.replace_book(stamp_book(8))
    assert "第 8 版已启用" in (await cashier.get("/counter/book-news", headers=HTMX)).text
    till.counter.replace_book(BookMissing("read book", "book.toml", cause="gone"))
    assert "仍按第 8 版办理" in (await cashier.get("/counter/book-news", headers=HTMX)).text

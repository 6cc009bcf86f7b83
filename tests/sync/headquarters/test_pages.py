"""The page of headquarters: in both languages, with and without anything to show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sync.headquarters.app import HERE, create_app
from sync.headquarters.ingest import ingest
from sync.headquarters.money.record import settle
from sync.headquarters.projection import FlagCode
from sync.headquarters.storage import open_storage
from terminal.ledger.project import RedemptionState
from terminal.serving.locale import SERVING_LOCALE, load_catalogue
from tests.sync.headquarters.client import OPERATOR_PIN, HandClock, add_operator, hq_settings, served, sign_in
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, WrittenLedger, known_ledger


@pytest.fixture
def client(site: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody's browser; nobody has signed in."""
    with httpx.Client(base_url=site.base_url, trust_env=False, timeout=30) as own:
        yield own


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A headquarters with sales, a fork and a flag."""
    tmp_path = tmp_path_factory.mktemp("headquarters")
    add_operator(tmp_path)
    clock = HandClock(NOON + timedelta(days=1))
    storage = open_storage("", tmp_path)
    ledger, other = known_ledger(storage, "bj-0001"), known_ledger(storage, "bj-0002")
    known_ledger(storage, "bj-0003")
    ledger.authorise(1)
    ledger.complete(1)
    ledger.authorise(2, offer_name={"zh": "<b>洗衣</b>"})
    ledger.complete(9)
    other.authorise(3, business_day="2026-01-06")
    clone = WrittenLedger("bj-0002")
    clone.authorise(4)
    with storage.write() as connection:
        for batch in (ledger.batch(), other.batch(), clone.batch()):
            ingest(connection, batch, now=clock.now, skew_ms=240_000, judges=(settle,))
    storage.close()
    with served(create_app(hq_settings(tmp_path), clock)) as opened:
        yield opened


def test_a_visitor_is_sent_to_sign_in_and_back(client: httpx.Client) -> None:
    page = client.get("/", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/")
    form = client.get("/sign-in").text
    assert "登录" in form
    entered = client.post("/sign-in", data={"person": "op1", "pin": OPERATOR_PIN, "next": "/"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert client.get("/").status_code == 200


def test_the_overview_shows_arrivals_totals_and_findings(client: httpx.Client) -> None:
    sign_in(client)
    page = client.get("/", params={"from": "2026-01-05", "to": "2026-01-06"}).text
    for words in (MERCHANT, "bj-0001", "冬季看电影", "¥20.00", "••••0021", "补传，属 2026-01-05", "待核查"):
        assert words in page, words
    assert "没有找到对应的授权记录" in page
    assert 'sse-connect="/api/v1/events"' in page
    assert re.search(r'id="units">2<', page)
    assert "待确认 2 笔" in page


def test_the_overview_says_what_needs_a_person_and_leads_there(client: httpx.Client) -> None:
    sign_in(client)
    page = client.get("/").text
    assert re.search(r'href="/terminals/bj-0002">已隔离的终端：1 台', page)
    assert re.search(r'href="/terminals\?state=skewed">时钟不准的终端：1 台', page)
    assert re.search(r'href="/conflicts">待核查的记录：1 条', page)
    assert "由您处理" in page
    assert page.index("已隔离的终端") < page.index("时钟不准的终端")  # the grave ones first
    for state, count in {"up": 1, "away": 1, "quarantined": 1, "revoked": 0}.items():
        assert re.search(rf'id="count-{state}">{count}<', page), state


def test_the_overview_speaks_english_by_the_switch(client: httpx.Client) -> None:
    sign_in(client)
    assert client.post("/language", data={"language": "en", "back": "/"}).status_code == 303
    page = client.get("/", params={"from": "2026-01-05", "to": "2026-01-06"}).text
    for words in ("Overview", "Winter film", "late, for 2026-01-05", "Terminals in quarantine", "No sales in the last"):
        assert words in page, words


def test_terminals_are_found_by_state_and_by_a_part_of_their_names(client: httpx.Client) -> None:
    sign_in(client)
    everything = client.get("/terminals").text
    for words in ("终端（1/3 在线）", "bj-0001", "bj-0002", "bj-0003", "已隔离", "240 秒"):
        assert words in everything, words
    for state, found in {"up": ["bj-0001"], "away": ["bj-0003"], "quarantined": ["bj-0002"], "revoked": []}.items():
        assert _terminals(client.get("/terminals", params={"state": state}).text) == found, state
    assert _terminals(client.get("/terminals", params={"search": "BJ-0003"}).text) == ["bj-0003"]
    assert _terminals(client.get("/terminals", params={"search": MERCHANT[:4]}).text) == [
        "bj-0001",
        "bj-0002",
        "bj-0003",
    ]
    nothing = client.get("/terminals", params={"search": "%"}).text
    assert "没有符合条件的终端" in nothing


@pytest.mark.parametrize("query", ["state=gone", "after=%00", "search=" + "x" * 65])
def test_a_filter_that_is_none_is_refused(client: httpx.Client, query: str) -> None:
    sign_in(client)
    assert client.get(f"/terminals?{query}", headers={"accept": "text/html"}).status_code == 422


def _terminals(page: str) -> list[str]:
    return re.findall(r'id="t-([^"]+)"', page)


def test_what_a_terminal_sends_is_text_and_never_markup(client: httpx.Client) -> None:
    sign_in(client)
    page = client.get("/").text
    assert "<b>洗衣" not in page
    assert "&lt;b&gt;洗衣" in page


def test_the_parts_renew_themselves(client: httpx.Client) -> None:
    sign_in(client)
    live = client.get(
        "/overview/live", params={"from": "2026-01-05", "to": "2026-01-05"}, headers={"hx-request": "true"}
    )
    assert live.status_code == 200
    assert "<html" not in live.text
    assert re.search(r"<td[^>]*>\s*" + MERCHANT, live.text)
    assert "bj-0003" in client.get("/overview/terminals", headers={"hx-request": "true"}).text
    now = client.get("/overview/now", headers={"hx-request": "true"})
    assert "<html" not in now.text
    assert 'id="count-up"' in now.text


@pytest.mark.parametrize("path", ["/", "/overview/now", "/overview/live", "/overview/terminals", "/terminals"])
def test_a_cashier_sees_nothing_here(client: httpx.Client, path: str) -> None:
    sign_in(client, "c01", "1234")
    assert client.get(path, headers={"accept": "text/html"}).status_code == 403


def test_a_code_is_made_on_the_page_and_shown_once(client: httpx.Client) -> None:
    sign_in(client)
    asked = {"terminal": "bj-0200", "merchant": MERCHANT, "site": "平谷"}
    made = client.post("/codes", data=asked)
    assert made.status_code == 200
    assert re.search(r'id="code">([0-9A-Z]{4}-){6}[0-9A-Z]{4}<', made.text)
    assert "no-store" in made.headers["cache-control"]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"terminal": "bj-0001"}, 409, "已登记"),
        ({"terminal": "no good"}, 422, "terminal"),
        ({"site": ""}, 422, "site"),
    ],
)
def test_a_code_that_cannot_be_made_says_why_and_keeps_what_was_typed(
    client: httpx.Client, changes: dict[str, str], status: int, words: str
) -> None:
    sign_in(client)
    asked = {"terminal": "bj-0200", "merchant": MERCHANT, "site": "平谷"} | changes
    refused = client.post("/codes", data=asked)
    assert refused.status_code == status
    assert words in refused.text
    assert f'value="{MERCHANT}"' in refused.text


def test_an_empty_headquarters_has_a_page_too(tmp_path: Path) -> None:
    add_operator(tmp_path)
    with served(create_app(hq_settings(tmp_path, language="en"), HandClock())) as client:
        sign_in(client)
        page = client.get("/").text
        terminals = client.get("/terminals").text
    assert "No terminals enrolled yet" in terminals
    for words in ("No redemptions yet", "Nothing waits for anybody now", "No sales in the last hour", "No pool yet"):
        assert words in page, words


def test_the_words_agree_in_both_languages_and_cover_every_code() -> None:
    catalogue = load_catalogue(SERVING_LOCALE, HERE / "locale")
    assert catalogue.disagreements() == []
    words = catalogue.locale("zh")
    assert [code for code in FlagCode if not words.known(f"flag.{code}")] == []
    assert [state for state in RedemptionState if not words.known(f"state.{state}")] == []

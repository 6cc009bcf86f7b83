"""The campaigns' pages as people use them: in both languages, with what was typed never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sync.headquarters.app import create_app
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.release import RELEASE_KEY_FILE
from sync.headquarters.storage import open_storage
from tests.fakes.browser import NARROW, chromium, opened, sign_in
from tests.sync.headquarters.books.campaign import APPROVER, BROKEN, DEARER, EDITOR, WINTER, desk_of, released
from tests.sync.headquarters.books.team import PINS, add_team, signed_in
from tests.sync.headquarters.client import HandClock, hq_settings, served


@dataclass
class Pages:
    """Three of the team at their browsers, and the desk to look behind the pages."""

    desk: CampaignDesk
    editor: httpx.Client
    approver: httpx.Client
    auditor: httpx.Client
    url: str
    key: Path


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    add_team(tmp_path)
    clock = HandClock()
    storage = open_storage("", tmp_path)
    desk = desk_of(storage, tmp_path, clock)
    with (
        served(create_app(hq_settings(tmp_path), clock)) as client,
        signed_in(client, "e01") as editor,
        signed_in(client, "a01") as approver,
        signed_in(client, "au1") as auditor,
    ):
        yield Pages(desk, editor, approver, auditor, str(client.base_url).rstrip("/"), tmp_path / RELEASE_KEY_FILE)
    storage.close()


def actions(page: str) -> set[str]:
    """The buttons of a draft's page."""
    return set(re.findall(r'name="action" value="([a-z-]+)"', page))


def press(client: httpx.Client, draft: int, action: str, **fields: str) -> httpx.Response:
    return client.post(f"/campaigns/draft/{draft}", data={"action": action, **fields})


def test_from_draft_to_rollback_by_the_buttons(pages: Pages) -> None:
    begun = pages.editor.post("/campaigns/drafts", data={"title": "冬季"}, files={"file": ("winter.toml", WINTER)})
    assert (begun.status_code, begun.headers["location"]) == (303, "/campaigns/draft/1")
    page = pages.editor.get("/campaigns/draft/1").text
    assert actions(page) == {"save", "submit", "discard"}
    assert "10-yuan film ticket" in page
    typed = DEARER.replace("\n", "\r\n")  # as a browser sends it
    assert press(pages.editor, 1, "submit", version="1", text=typed, title="冬季").status_code == 303
    assert pages.desk.draft(1).text == DEARER
    page = pages.approver.get("/campaigns/draft/1").text
    assert actions(page) == {"approve", "send-back"}
    version = re.findall(r'name="version" value="(\d+)"', page)[0]
    assert press(pages.approver, 1, "approve", version=version).status_code == 303
    assert "release" in actions(pages.editor.get("/campaigns/draft/1").text)
    done = press(pages.editor, 1, "release", version="9", note="上线")
    assert done.headers["location"] == "/campaigns/release/1"
    reached = {"reach": "some", "merchants": "gongren-julebu，wudaokou\ndongsi", "percent": ""}
    assert pages.editor.post("/campaigns/release/1/stages", data=reached).status_code == 303
    assert pages.desk.release(1).stages[0].target.merchants == ("gongren-julebu", "wudaokou", "dongsi")
    assert pages.editor.post("/campaigns/release/1/stop").status_code == 303
    released(pages.desk, WINTER)
    done = pages.approver.post("/campaigns/release/1/restore", data={"note": "回退", "everywhere": "yes"})
    assert done.headers["location"] == "/campaigns/release/3"
    overview = pages.auditor.get("/campaigns").text
    assert "第 1 版的内容" in overview
    assert "全部终端" in overview


def test_what_was_typed_is_never_lost(pages: Pages) -> None:
    pages.desk.begin(EDITOR, "冬季", WINTER)
    pages.desk.save(EDITOR, 1, DEARER, 1)
    late = press(pages.editor, 1, "save", version="1", text=BROKEN, title="冬季")
    assert late.status_code == 409
    assert "gongren-julebo" in late.text
    assert "没有保存" in late.text
    assert pages.desk.draft(1).text == DEARER


def test_findings_come_while_one_types(pages: Pages) -> None:
    look = pages.editor.post("/campaigns/look", data={"text": BROKEN, "form": "toml"})
    assert look.status_code == 200
    assert "第 58 行" in look.text
    assert "gongren-julebu" in look.text
    assert pages.desk.overview().drafts == []


def test_an_auditor_sees_all_and_no_button(pages: Pages) -> None:
    released(pages.desk)
    pages.desk.begin(EDITOR, "冬季", WINTER)
    for path in ("/campaigns", "/campaigns/state", "/campaigns/draft/2", "/campaigns/release/1"):
        answer = pages.auditor.get(path)
        assert answer.status_code == 200
        main = answer.text.partition('<main id="main"')[2]
        assert "<button" not in main
    assert press(pages.auditor, 2, "save", version="1", text="x").status_code == 403
    assert pages.auditor.post("/campaigns/release/1/stop").status_code == 403
    assert pages.auditor.post("/campaigns/drafts", data={"title": "x"}).status_code == 403


def test_a_refusal_stands_on_the_page_it_was_asked_on(pages: Pages) -> None:
    released(pages.desk)
    nobody = pages.editor.post("/campaigns/release/1/stages", data={"reach": "some"})
    assert nobody.status_code == 422
    assert "推行范围有误" in nobody.text
    draft = pages.desk.begin(EDITOR, "冬季", WINTER)
    draft = pages.desk.submit(EDITOR, draft.id, draft.version)
    pages.desk.approve(APPROVER, draft.id, draft.version)
    pages.key.unlink()
    keyless = press(pages.editor, draft.id, "release", version="1")
    assert keyless.status_code == 409
    assert "jingka hq book keygen" in keyless.text


def test_a_title_is_text_and_a_file_is_read_as_what_it_is(pages: Pages) -> None:
    pages.editor.post("/campaigns/drafts", data={"title": "<b>x</b>"}, files={"file": ("a.json", b"{}")})
    assert "&lt;b&gt;x" in pages.editor.get("/campaigns").text
    assert pages.desk.draft(1).draft.form == "json"
    odd = pages.editor.post("/campaigns/drafts", data={"title": "x"}, files={"file": ("a.toml", b"\xff\xfe")})
    assert odd.status_code == 422


def test_a_browser_shows_findings_as_they_are_typed_and_the_policy_holds(pages: Pages) -> None:
    draft = pages.desk.begin(EDITOR, "冬季", WINTER)
    with chromium() as browser, opened(browser, pages.url, "en", NARROW) as page:
        page.goto(f"{pages.url}/sign-in?next=/campaigns/draft/{draft.id}")
        sign_in(page, "e01", PINS["e01"])
        text = page.locator("textarea[name=text]")
        text.fill(BROKEN)
        page.locator("#look .notice.bad").first.wait_for()
        assert "line 58" in page.locator("#look").inner_text()
        text.fill(DEARER)
        page.locator("#look details").first.wait_for()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW[0]

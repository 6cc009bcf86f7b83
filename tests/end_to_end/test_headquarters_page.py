"""Headquarters' page in a real browser: a redemption at a real till shows by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from config.errors import Language
from sync.headquarters.app import NAV
from terminal.demo import OPERATOR, TERMINAL
from tests.fakes.browser import NARROW, WIDE, chromium, focus, opened, picture, sign_in
from tests.fakes.installation import Installation

PERSON, PIN = OPERATOR[0], OPERATOR[3]
MARK_THIS_LOAD = "window.sameLoad = true"  # a reload would lose it
SAME_LOAD = "window.sameLoad === true"
# Tables of a part that renews itself stay where they were scrolled to.
SCROLL = "document.querySelectorAll('#live .scroll').forEach((box) => { box.scrollLeft = 60; })"
SCROLLED = "[...document.querySelectorAll('#live .scroll')].every((box) => box.scrollLeft === 60)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("headquarters")) as installation:
        yield installation.start()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    ("language", "size", "card", "masked", "offer", "state"),
    [
        ("zh", WIDE, "member", "**** 0013", "十元电影票", "已完成"),
        ("en", NARROW, "member-2", "**** 0217", "10-yuan film ticket", "completed"),
    ],
)
def test_a_redemption_at_the_till_shows_at_headquarters_without_a_reload(
    language: Language,
    size: tuple[int, int],
    card: str,
    masked: str,
    offer: str,
    state: str,
    site: Installation,
    browser: Browser,
    tmp_path: Path,
) -> None:
    with opened(browser, site.headquarters.url, language, size) as page:
        sign_in(page, PERSON, PIN)
        expect(page.locator("#count-up")).to_contain_text("1")
        units = page.locator("#units")
        before = int(units.inner_text())
        bars = page.locator("#now .chart-bar")
        pace = page.locator("#pace-said").inner_text()
        page.evaluate(MARK_THIS_LOAD)
        page.evaluate(SCROLL)

        sold = site.buy(site.present(card), 2)
        site.wait_acknowledged()  # how long a busy machine takes to bring both steps is not what the page is about

        row = page.locator(f"#sale-{sold['id']}")
        for words in (masked, offer, state, "¥20.00", TERMINAL):
            expect(row).to_contain_text(words)
        expect(units).to_have_text(str(before + 2))
        expect(page.locator("#pace-said")).not_to_have_text(pace)
        assert bars.count() >= 1
        pool = page.locator("article", has_text=offer)
        expect(pool.locator(".chart-line")).to_have_count(1)
        assert page.evaluate(SAME_LOAD)
        assert size != NARROW or page.evaluate(SCROLLED)
        picture(page, tmp_path / "arrived.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("language", "size"), [("zh", NARROW), ("en", NARROW), ("en", (1280, 900))])
def test_no_page_is_wider_than_its_screen_and_the_menu_leads_everywhere(
    language: Language, size: tuple[int, int], site: Installation, browser: Browser
) -> None:
    with opened(browser, site.headquarters.url, language, size) as page:
        sign_in(page, PERSON, PIN)
        links = page.locator("#nav a")
        assert links.count() == len(NAV)
        for link in NAV:
            if size == NARROW:  # folded away; the keyboard opens it
                expect(links.first).to_be_hidden()
                focus(page, page.locator(".bar-menu"), back=True)
                page.keyboard.press("Enter")
            entry = page.locator(f'#nav a[href="{link.path}"]')
            expect(entry).to_be_in_viewport()
            focus(page, entry)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{site.headquarters.url}{link.path}")
            expect(page.locator(f'#nav a[href="{link.path}"]')).to_have_attribute("aria-current", "page")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), link.path

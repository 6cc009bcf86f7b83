"""Drives the pages as people do, in Chromium: keys for the counter, and only what can be seen is looked at.

    with chromium() as browser, opened(browser, site.terminal.url, "zh") as page:
        desk = CounterDesk(page)
        desk.sign_in("c01", "1234")
        site.present("member")
        desk.choose(1)

A page that says anything wrong on its console, breaks its content security policy or asks another host for anything
fails when `opened` ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, ViewportSize, expect, sync_playwright

from config.errors import Language

CHROMIUM = "/usr/bin/chromium"  # Debian's; playwright's own download is not wanted
ARGUMENTS = (
    "--no-sandbox",  # tests may run as root in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 20_000  # a page answers in well under a second; a machine that runs other tests takes longer
WIDE = (1440, 900)  # a counter's screen
NARROW = (390, 844)  # a telephone
TABS_MAX = 40  # no page has more places for the focus than this

SPEAK_OF_POLICY = "addEventListener('securitypolicyviolation', (e) => console.error(`CSP ${e.violatedDirective}`))"
ENTER_IS_TAKEN = "performance.now() - swappedAt >= SETTLE_MS"  # app.js: Enter rests after the stage was swapped
ENTER_POLL_MS = 20
# The name of the field that has the focus with its whole text selected.
ALL_SELECTED = """(() => {
  const field = document.activeElement;
  return field.selectionStart === 0 && field.selectionEnd === field.value.length && field.value ? field.name : null;
})()"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; each `opened` page has its own cookies."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, language: Language, size: tuple[int, int] = WIDE) -> Iterator[Page]:
    """The first page at `url` in its own context, switched to `language` by hand; at the end nothing may be wrong."""
    width, height = size
    viewport: ViewportSize = {"width": width, "height": height}
    with contextlib.closing(browser.new_context(viewport=viewport)) as context:
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.add_init_script(SPEAK_OF_POLICY)
        wrong: list[str] = []
        page.on("console", lambda said: _note_console(wrong, said))
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.on("response", lambda answer: _note_answer(wrong, answer, url))
        page.goto(url)
        _switch_language(page, language)
        yield page
        assert wrong == [], "\n".join(wrong)


def _note_console(wrong: list[str], said: ConsoleMessage) -> None:
    if said.type in ("error", "warning"):
        wrong.append(f"console: {said.text}")


def _note_answer(wrong: list[str], answer: Response, url: str) -> None:
    if answer.status >= 400 or not answer.url.startswith(f"{url}/"):
        wrong.append(f"{answer.status} {answer.url}")


def _switch_language(page: Page, language: Language) -> None:
    """With the keys: Tab to the switch, Enter on the language."""
    focus(page, page.locator(f".switch [value={language}]"), back=True)
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en", timeout=WAIT_MS)


def focus(page: Page, wanted: Locator, *, back: bool = False) -> None:
    """Tab, or Shift+Tab, until `wanted` has the focus."""
    wanted.wait_for()
    for _ in range(TABS_MAX):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"the keyboard does not reach {wanted}")


def enter(page: Page) -> None:
    """Enter, once the page takes it again after its last change."""
    for _ in range(WAIT_MS // ENTER_POLL_MS):
        if page.evaluate(ENTER_IS_TAKEN):
            page.keyboard.press("Enter")
            return
        page.wait_for_timeout(ENTER_POLL_MS)
    raise AssertionError("the page does not take Enter")


def sign_in(page: Page, person: str, pin: str) -> None:
    """On the sign-in page, by the keyboard."""
    focus(page, page.locator("[name=person]"))
    page.keyboard.type(person)
    page.keyboard.press("Tab")
    page.keyboard.type(pin)
    page.keyboard.press("Enter")
    page.locator(".leave").wait_for()
    page.wait_for_load_state()  # its scripts have run: until then a key is nobody's


def picture(page: Page, path: Path) -> None:
    """The whole page as a PNG, with its motions at rest."""
    page.screenshot(path=path, full_page=True, animations="disabled")


class CounterDesk:
    """A cashier at the counter page: hands on the keyboard, eyes on the stage."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.stage = page.locator("#stage")

    def sign_in(self, person: str, pin: str) -> None:
        """Sign in and see the counter."""
        sign_in(self.page, person, pin)
        self.stage.wait_for()

    @property
    def answer(self) -> Locator:
        """The big answer to a card, or to what became of a sale."""
        return self.stage.locator(".banner")

    @property
    def price(self) -> Locator:
        """The price beside the form, or why there is none."""
        return self.stage.locator("#quote")

    @property
    def amount(self) -> Locator:
        """The amount to take on the POS."""
        return self.stage.locator(".amount")

    def choose(self, number: int) -> None:
        """The numbered offer, by its one key."""
        self.stage.locator(f'[data-key="{number}"]').wait_for()
        self.page.keyboard.press(str(number))
        self.stage.locator("#sale").wait_for()

    def fill(self, name: str, text: str) -> None:
        """Type into the field of this name."""
        self._type(f'[name="{name}"]', text)

    def pick(self, name: str, value: str) -> None:
        """Among the choices of this name, with Space and the arrow keys."""
        choices = self.stage.locator(f'[type=radio][name="{name}"]')
        wanted = self.stage.locator(f'[type=radio][name="{name}"][value="{value}"]')
        for _ in range(TABS_MAX):
            if choices.evaluate_all("all => all.includes(document.activeElement)"):
                break
            self.page.keyboard.press("Tab")
        self.page.keyboard.press("Space")
        for _ in range(choices.count()):
            if wanted.is_checked():
                return
            self.page.keyboard.press("ArrowRight")
        raise AssertionError(f"the keyboard does not reach {value} of {name}")

    def key(self, key: str, shows: str) -> None:
        """Press a key that changes the stage, and wait for what it shows."""
        self.page.keyboard.press(key)
        self.stage.locator(shows).wait_for()

    def scan(self, text: str) -> None:
        """A scanner types into the field that has the focus, and its Enter; then confirm what is shown."""
        self.page.keyboard.type(text)
        enter(self.page)
        self.stage.locator(".confirm, .amount").first.wait_for()
        if not self.amount.is_visible():
            self.confirm()

    def wait_to_type_over(self, name: str) -> None:
        """Until the field of this name has the focus with all of it selected."""
        for _ in range(WAIT_MS // ENTER_POLL_MS):
            if self.page.evaluate(ALL_SELECTED) == name:
                return
            self.page.wait_for_timeout(ENTER_POLL_MS)
        raise AssertionError(f"{name} does not wait for another answer")

    def fill_film(self, *, quantity: int, list_yuan: str, format_: str) -> None:
        """The film form: how many, the list price of one, and the format (2d, 3d)."""
        self._type("[name$=quantity]", str(quantity), back=True)
        self._type("[name$=list_price]", list_yuan)
        self.choose_format(format_)

    def _type(self, field: str, text: str, *, back: bool = False) -> None:
        focus(self.page, self.stage.locator(field), back=back)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def choose_format(self, format_: str) -> None:
        """Arrow keys move among the formats once one of them has the focus; Space takes it."""
        formats = self.stage.locator("[type=radio][name$=format]")
        wanted = self.stage.locator(f'[type=radio][name$=format][value="{format_}"]')
        if not formats.evaluate_all("all => all.includes(document.activeElement)"):
            self.page.keyboard.press("Tab")
        self.page.keyboard.press("Space")
        for _ in range(formats.count()):
            if wanted.is_checked():
                return
            self.page.keyboard.press("ArrowRight")
        raise AssertionError(f"the keyboard does not reach the format {format_}")

    def confirm(self) -> None:
        """Confirm what is shown; the amount to take is on the stage after it."""
        self.stage.locator(".confirm").wait_for()
        enter(self.page)
        self.amount.wait_for()

    def taken(self, pos_reference: str) -> None:
        """The POS took the money: type its slip's number and Enter."""
        self.page.keyboard.type(pos_reference)
        enter(self.page)
        self.stage.locator(".banner.good").wait_for()

    def go_on(self) -> None:
        """From a finished sale to the card on the reader."""
        enter(self.page)
        self.stage.locator(".facts").wait_for(state="detached")

    def put_away(self) -> None:
        """Esc until the counter waits for a card."""
        self.page.keyboard.press("Escape")
        self.stage.locator(".idle").wait_for()

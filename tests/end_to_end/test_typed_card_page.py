"""Chip first and typed card numbers in a real browser, with a stripe reader beside the chip reader: by the keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from config.errors import Language
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from terminal.demo import PEOPLE
from tests.fakes.browser import NARROW, WIDE, CounterDesk, chromium, enter, focus, opened, picture
from tests.fakes.installation import Installation, eventually
from tests.fakes.line import SWIPE_PAUSE_S

CASHIER, PIN = PEOPLE[0][0], PEOPLE[0][3]
MANAGER, MANAGERS_PIN = PEOPLE[1][0], PEOPLE[1][3]
STRIPE_READER = """
[[readers]]
kind = "serial"
device = "{device}"
[terminal]"""


@pytest.fixture(scope="module")
def stripe_reader() -> Iterator[PtyPresenter]:
    presenter = PtyPresenter()
    yield presenter
    presenter.unplug()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, stripe_reader: PtyPresenter) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("typed")) as installation:
        settings = installation.terminal.settings_file
        table = STRIPE_READER.format(device=stripe_reader.device)
        settings.write_text(settings.read_text("utf-8").replace("\n[terminal]", table), "utf-8")
        installation.start()
        eventually(
            lambda: [each["state"] for each in installation.health()["readers"]] == ["ready", "ready"],
            "both readers are ready",
        )
        yield installation


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass(frozen=True)
class Seen:
    """What a cashier types and reads, in one language."""

    language: Language
    size: tuple[int, int]
    card: str
    wrong: str
    locked_out: str
    member: str
    typed: str


SEEN = (
    Seen("zh", WIDE, "member", "校验位不符", "工号或密码不对", "会员，有效", "手工输入"),
    Seen("en", NARROW, "hardship", "check digit does not fit", "the PIN is not right", "member, active", "typed"),
)


def type_card(desk: CounterDesk, number: str, pin: str) -> None:
    """The whole form by the keyboard: number, expiry, the manager's id and PIN, Enter."""
    page = desk.page
    focus(page, desk.stage.locator("[name=number]"))
    page.keyboard.type(number)
    page.keyboard.press("Tab")
    page.keyboard.type("12/49")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type(MANAGER)
    page.keyboard.press("Tab")
    page.keyboard.type(pin)
    enter(page)


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.language)
def test_a_card_number_is_typed_by_keyboard_and_leaves_no_digit_on_the_page(
    seen: Seen, site: Installation, browser: Browser, tmp_path: Path
) -> None:
    number = DEMO_CARDS[seen.card].digits
    with opened(browser, site.terminal.url, seen.language, seen.size) as page:
        desk = CounterDesk(page)
        desk.sign_in(CASHIER, PIN)
        desk.stage.locator(".idle").wait_for()
        page.keyboard.press("k")
        field = desk.stage.locator("[name=number]")
        expect(field).to_be_focused()
        page.keyboard.type(number)
        expect(field).to_have_value(" ".join(number[at : at + 4] for at in range(0, len(number), 4)))
        picture(page, tmp_path / "form.png")
        page.keyboard.press("Control+A")

        for typed, pin, says in (
            (number[:-1] + str((int(number[-1]) + 1) % 10), MANAGERS_PIN, seen.wrong),
            (number, "9999", seen.locked_out),
        ):
            type_card(desk, typed, pin)
            expect(desk.stage.locator(".notice")).to_contain_text(says)
            expect(field).to_have_value("")
            expect(field).to_be_focused()
        picture(page, tmp_path / "wrong.png")

        type_card(desk, number, MANAGERS_PIN)
        expect(desk.answer).to_contain_text(seen.member)
        expect(desk.answer).to_contain_text(seen.typed)
        expect(desk.answer).to_contain_text(MANAGER)
        assert number not in page.content().replace(" ", "")
        assert page.url == f"{site.terminal.url}/"
        picture(page, tmp_path / "typed.png")
        desk.put_away()


@pytest.mark.parametrize(("language", "says"), [("zh", "这张卡带芯片，请用芯片"), ("en", "this card has a chip")])
def test_the_stripe_of_a_chip_card_is_answered_on_the_page_with_ask_for_the_chip(
    language: Language, says: str, site: Installation, stripe_reader: PtyPresenter, browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, site.terminal.url, language) as page:
        desk = CounterDesk(page)
        desk.sign_in(CASHIER, PIN)
        time.sleep(SWIPE_PAUSE_S)
        stripe_reader.send(stripe_reader.frame_of(DEMO_CARDS["member-2"]))
        expect(desk.answer).to_contain_text(says)
        expect(desk.stage.locator(".banner.warn")).to_have_count(1)
        expect(desk.stage.locator(".offer")).to_have_count(0)
        picture(page, tmp_path / "chip.png")
        site.present("member-2")
        expect(desk.answer).to_contain_text("**** 0217")
        desk.put_away()


def test_a_card_on_the_reader_takes_the_stage_from_a_form_half_filled(site: Installation, browser: Browser) -> None:
    with opened(browser, site.terminal.url, "zh") as page:
        desk = CounterDesk(page)
        desk.sign_in(CASHIER, PIN)
        desk.stage.locator(".idle").wait_for()
        page.keyboard.press("k")
        focus(page, desk.stage.locator("[name=number]"))
        page.keyboard.type("621094")
        site.present("member-2")
        expect(desk.answer).to_contain_text("**** 0217")
        expect(desk.stage.locator("[name=number]")).to_have_count(0)
        desk.put_away()

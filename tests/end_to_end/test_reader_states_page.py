"""The status page of a till whose readers are in trouble, in a real browser: every state in words, on any screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import serial
from playwright.sync_api import Browser, Page, expect

from config.errors import Language
from drivers.serial_port import SerialSettings
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.vpcd import VpcdCard
from terminal.commands.settings_file import add_reader
from terminal.demo import PEOPLE
from tests.fakes.browser import NARROW, WIDE, chromium, opened, sign_in
from tests.fakes.installation import Installation, eventually
from tests.fakes.pcscd import READERS, PcscDaemon

MANAGER = (PEOPLE[1][0], PEOPLE[1][3])
NOISE = b"\xf8\x80\x00\xff\xe0\x80"
NOISY_BURSTS = 3
STRIPES = ("good", "noisy", "busy", "gone")
LINE_SHARE_MIN = 0.6  # of a telephone's width for what became of a card

Till = tuple[Installation, PcscDaemon]


class TransitCard:
    """A chip that knows no bank's application."""

    atr = bytes.fromhex("3B8F8001804F0CA000000306030001000000006A")

    def transmit(self, command: bytes) -> bytes:
        return bytes.fromhex("6A82")

    def reset(self) -> None:
        """It remembers nothing."""


@pytest.fixture(scope="module")
def till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A till with two chip readers and four stripe readers: one works, the others are noisy, held and unplugged."""
    place = tmp_path_factory.mktemp("ports")
    stripes = {name: PtyPresenter("plain", link=place / f"usb-{name}") for name in STRIPES}
    with (
        PcscDaemon.start() as pcscd,
        serial.Serial(stripes["busy"].device, exclusive=True),
        Installation(
            tmp_path_factory.mktemp("till"),
            reader="pcsc",
            environment=pcscd.environment | {"JINGKA_HEADQUARTERS__URL": ""},
        ) as site,
    ):
        for stripe in stripes.values():
            add_reader(site.terminal.settings_file, SerialSettings(stripe.device))
        site.terminal.start()
        eventually(lambda: states(site).count("ready") == len(READERS) + len(STRIPES) - 1, "the free readers are ready")
        stripes["gone"].unplug()
        for _ in range(NOISY_BURSTS):
            before = site.presented()
            stripes["noisy"].send(NOISE)
            site.next_presentation(before)
        before = site.presented()
        slot = VpcdCard(pcscd.host, pcscd.port)
        slot.present_chip(TransitCard())
        before = site.next_presentation(before)
        slot.present(DEMO_CARDS["member"])
        site.next_presentation(before)
        slot.remove()
        eventually(lambda: sorted(states(site)) == ["busy", "missing", "noisy", "ready", "ready", "ready"], "troubles")
        yield site, pcscd
    for stripe in stripes.values():
        stripe.unplug()


def states(site: Installation) -> list[str]:
    return [str(reader["state"]) for reader in site.health()["readers"]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass(frozen=True)
class Seen:
    """What a manager reads, in one language and on one screen."""

    language: Language
    size: tuple[int, int]
    readers: tuple[str, ...]
    outcome: str
    down: str


SEEN = (
    Seen("zh", WIDE, ("就绪", "只收到乱码", "被占用", "未连接"), "这不是银行卡（没有支付应用）", "智能卡服务未运行"),
    Seen(
        "en",
        NARROW,
        ("ready", "noise only", "in use elsewhere", "unplugged"),
        "this is not a bank card (no payment application)",
        "the smart-card service is not running",
    ),
)


def see(page: Page, site: Installation) -> None:
    """The status page, as the manager."""
    sign_in(page, *MANAGER)
    page.goto(f"{site.terminal.url}/status")


def share_of_the_line(page: Page, text: str) -> float:
    """How much of its row the cell with `text` has."""
    cell = page.locator(".reads td", has_text=text)
    row = page.locator(".reads tr", has_text=text)
    inner, outer = cell.bounding_box(), row.bounding_box()
    assert inner is not None
    assert outer is not None
    return inner["width"] / outer["width"]


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.language)
def test_every_trouble_stands_on_the_page_in_words(seen: Seen, till: Till, browser: Browser) -> None:
    site, pcscd = till
    with opened(browser, site.terminal.url, seen.language, seen.size) as page:
        see(page, site)
        for state in seen.readers:
            expect(page.locator(".pill", has_text=state).first).to_be_visible()
        outcome = page.locator(".reads td", has_text=seen.outcome)
        expect(outcome).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if seen.size == NARROW:
            assert share_of_the_line(page, seen.outcome) > LINE_SHARE_MIN
        pcscd.stop()
        try:
            expect(page.locator(".notice", has_text=seen.down)).to_have_count(1)
            expect(page.locator("main")).to_contain_text("PC/SC")
        finally:
            pcscd.resume()
        expect(page.locator(".notice", has_text=seen.down)).to_have_count(0)

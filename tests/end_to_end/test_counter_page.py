"""The counter page in a real browser, with the real terminal and headquarters: a sale by the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from config.errors import Language
from terminal.demo import PEOPLE
from tests.fakes.browser import NARROW, WIDE, CounterDesk, chromium, opened, picture
from tests.fakes.installation import Installation

CASHIER, PIN = PEOPLE[0][0], PEOPLE[0][3]
POS_REFERENCE = "016823114477"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("counter")) as installation:
        yield installation.start()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass(frozen=True)
class Seen:
    """What a cashier reads, in one language."""

    language: Language
    card: str
    masked: str
    size: tuple[int, int]
    idle: str
    member: str
    offer: str
    refused: str
    take: str
    done: str
    used_up: str


SEEN = (
    Seen(
        "zh", "member", "**** 0013", WIDE, "请刷卡或插卡", "会员，有效", "十元电影票", "“3D”不享受本优惠",
        "请在银行 POS 机上收款", "已完成", "已用 2，还可用 0",
    ),
    Seen(
        "en", "member-2", "**** 0217", NARROW, "Present", "member, active", "10-yuan film ticket", "3D",
        "POS", "Completed", "2 used, 0 left",
    ),
)  # fmt: skip


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.language)
def test_a_film_is_sold_by_keyboard_alone_from_sign_in_to_the_finished_sale(
    seen: Seen, site: Installation, browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, site.terminal.url, seen.language, seen.size) as page:
        desk = CounterDesk(page)
        desk.sign_in(CASHIER, PIN)
        expect(desk.stage).to_contain_text(seen.idle)

        site.present(seen.card)
        expect(desk.answer).to_contain_text(seen.member)
        expect(desk.answer).to_contain_text(seen.masked)
        expect(desk.stage.locator(".offer-name")).to_have_text([seen.offer])
        picture(page, tmp_path / "card.png")

        desk.choose(1)
        desk.fill_film(quantity=2, list_yuan="80", format_="3d")
        expect(desk.price).to_contain_text(seen.refused)
        expect(desk.stage.locator(".confirm")).to_have_count(0)
        picture(page, tmp_path / "refused.png")

        desk.choose_format("2d")
        expect(desk.price.locator("dd")).to_have_text(["¥160.00", "−¥140.00", "¥20.00"])
        picture(page, tmp_path / "price.png")

        desk.confirm()
        expect(desk.stage).to_contain_text(seen.take)
        expect(desk.amount).to_have_text("¥20.00")
        picture(page, tmp_path / "take.png")

        desk.taken(POS_REFERENCE)
        expect(desk.answer).to_contain_text(seen.done)
        expect(desk.answer).to_contain_text("¥20.00")
        picture(page, tmp_path / "done.png")

        desk.go_on()
        expect(desk.stage.locator(".reasons")).to_contain_text(seen.used_up)
        expect(page.locator("#sales .sale-row").first).to_contain_text(seen.masked)
        desk.put_away()

    (sold,) = [each for each in todays_sales(site) if each["masked"] == seen.masked]
    assert (sold["state"], sold["pay"], sold["list"], sold["units"]) == ("completed", 2000, 16000, 2)
    assert (sold["pos_reference"], sold["cashier"]) == (POS_REFERENCE, CASHIER)
    assert len(list(tmp_path.glob("*.png"))) == 5


@pytest.mark.parametrize(
    ("language", "answer", "hint"),
    [("zh", "已口头挂失，暂停使用", "请按原价收款"), ("en", "reported lost by telephone", "take the list price")],
)
def test_a_suspended_card_is_refused_with_the_next_step_and_nothing_can_be_chosen(
    language: Language, answer: str, hint: str, site: Installation, browser: Browser
) -> None:
    before = todays_sales(site)
    with opened(browser, site.terminal.url, language) as page:
        desk = CounterDesk(page)
        desk.sign_in(CASHIER, PIN)
        site.present("suspended")
        expect(desk.answer).to_contain_text(answer)
        expect(desk.answer).to_contain_text(hint)
        expect(desk.stage.locator(".banner.bad")).to_have_count(1)
        expect(desk.stage.locator(".offer")).to_have_count(0)
        desk.put_away()
    assert todays_sales(site) == before


def todays_sales(site: Installation) -> list[dict[str, object]]:
    """The redemptions as the API tells them."""
    return list(site.cashier.get("/api/v1/redemptions").raise_for_status().json()["redemptions"])

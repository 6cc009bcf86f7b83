"""Sales of every kind at the counter page in a real browser, by the keyboard alone, in both languages and widths."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from config.errors import Language
from terminal.offers.sale import Place
from terminal.offers.voucher import VoucherRecord
from terminal.serving.people import People, Person, Role, add_person
from terminal.vouchers.desk import VoucherDesk
from tests.fakes.browser import NARROW, WIDE, CounterDesk, chromium, enter, opened, picture
from tests.fakes.cases import published
from tests.fakes.served_till import ServedTill, served
from tests.fakes.till import open_till
from tests.fakes.vouchers import KEY, code_of, put_register

CASHIER, PIN = "c01", "1234"
FAIR_DAY = datetime(2013, 2, 10, 2, 0, tzinfo=UTC)  # 10:00 in Beijing, the second day of the fair
VOUCHER = code_of("MH0001")
BILL = (("registration", "5"), ("drugs", "200"), ("treatment", "100"), ("examination", "300"))


@dataclass(frozen=True)
class Look:
    """A language on a screen."""

    language: Language
    size: tuple[int, int]


LOOKS = pytest.mark.parametrize("look", [Look("zh", WIDE), Look("en", NARROW)], ids=lambda look: look.language)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    path = tmp_path_factory.mktemp("people") / "people.toml"
    add_person(path, Person(CASHIER, "王芳", Role.CASHIER), PIN)
    return People.load(path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@contextlib.contextmanager
def till_at(merchant: str, directory: Path, people: People, site: str = "main") -> Iterator[ServedTill]:
    """A till with the offers of every day, at a merchant of them, on a day of the temple fair."""
    put_register(directory / "vouchers.bin", {VOUCHER: VoucherRecord("temple-fair", None, None)})
    vouchers = VoucherDesk(directory / "vouchers.bin", KEY)
    place = Place(merchant, site, "t01")
    till = open_till(directory, book=published("everyday"), place=place, now=FAIR_DAY, vouchers=vouchers)
    try:
        with served(till, people) as site_served:
            yield site_served
    finally:
        till.ledger.close()


@LOOKS
def test_a_hospital_bill_of_four_categories(look: Look, people: People, browser: Browser, tmp_path: Path) -> None:
    with till_at("tcm-hospital", tmp_path, people) as site:
        with opened(browser, site.url, look.language, look.size) as page:
            desk = CounterDesk(page)
            desk.sign_in(CASHIER, PIN)
            site.present("member")
            desk.choose(1)
            for line, (category, yuan) in enumerate(BILL):
                if line:
                    desk.key("F2", f'[name="{line}.line.category"] >> nth=0')
                desk.pick(f"{line}.line.category", category)
                desk.fill(f"{line}.line.list_price", yuan)
            expect(desk.price.locator("dd")).to_have_text(["¥605.00", "−¥215.00", "¥390.00"])
            picture(page, tmp_path / "bill.png")
            desk.key("F2", '[name="4.line.category"] >> nth=0')
            expect(desk.price.locator(".confirm")).to_have_count(0)
            page.keyboard.press("F8")
            expect(desk.stage.locator('[name="4.line.category"]')).to_have_count(0)
            desk.confirm()
            expect(desk.amount).to_have_text("¥390.00")
            picture(page, tmp_path / "take.png")
            desk.taken("016823114477")
            picture(page, tmp_path / "done.png")
        (sold,) = site.till.ledger.redemptions("2013-02-10")
    assert (sold.offer, sold.list_fen, sold.pay_fen, sold.state) == ("hospital", 60_500, 39_000, "completed")
    assert [(line["category"], line["pay_fen"]) for line in sold.lines] == [
        ("registration", 0), ("drugs", 17_000), ("treatment", 7_000), ("examination", 15_000),
    ]  # fmt: skip


@LOOKS
def test_a_temple_fair_voucher_typed_with_blanks(look: Look, people: People, browser: Browser, tmp_path: Path) -> None:
    wrong = VOUCHER[:-1] + ("0" if VOUCHER[-1] != "0" else "1")
    with till_at("ditan", tmp_path, people) as site:
        with opened(browser, site.url, look.language, look.size) as page:
            desk = CounterDesk(page)
            desk.sign_in(CASHIER, PIN)
            site.present("member")
            desk.choose(1)
            desk.fill("0.line.list_price", "10")
            desk.fill("proofs.voucher", wrong)
            expect(desk.price.locator(".remedy")).to_have_text(
                "请核对券号；仍不对请拨打 12351"
                if look.language == "zh"
                else "check the number; if it stays wrong, call 12351"
            )
            picture(page, tmp_path / "wrong.png")
            enter(page)
            desk.wait_to_type_over("proofs.voucher")
            desk.scan(f" {VOUCHER[:3].lower()} {VOUCHER[3:].lower()}")
            expect(desk.amount).to_have_text("¥0.00")
            picture(page, tmp_path / "free.png")
            desk.taken("")
            desk.go_on()
            expect(desk.stage.locator(".offer")).to_have_count(0)
            picture(page, tmp_path / "used.png")
        (sold,) = site.till.ledger.redemptions("2013-02-10")
    assert (sold.offer, sold.pay_fen, sold.state) == ("temple-fair", 0, "completed")
    assert any(f"voucher={VOUCHER}" in claim.key for claim in sold.claims)


@LOOKS
def test_a_gym_pack_and_a_visit_out_of_it(look: Look, people: People, browser: Browser, tmp_path: Path) -> None:
    left = {"zh": "还剩 {} 次", "en": "{} visits left"}[look.language]
    with till_at("zhongtibeili", tmp_path, people, "club-1") as site:
        with opened(browser, site.url, look.language, look.size) as page:
            desk = CounterDesk(page)
            desk.sign_in(CASHIER, PIN)
            site.present("member")
            desk.choose(3)
            desk.fill("0.line.list_price", "300")
            desk.confirm()
            expect(desk.amount).to_have_text("¥180.00")
            desk.taken("016823114477")
            desk.go_on()
            expect(desk.stage.locator(".offer").nth(2)).to_contain_text(left.format(3))
            picture(page, tmp_path / "pack.png")
            desk.choose(3)
            desk.fill("0.line.list_price", "100")
            picture(page, tmp_path / "visit.png")
            desk.confirm()
            desk.taken("")
            expect(desk.stage.locator(".facts")).to_contain_text(left.format(2))
            picture(page, tmp_path / "left.png")
            desk.go_on()
            expect(desk.stage.locator(".offer").nth(2)).to_contain_text(left.format(2))
        sold = site.till.ledger.redemptions("2013-02-10")
    assert [(each.offer, each.pay_fen) for each in sold] == [("gym-pack", 18_000), ("gym-visit", 0)]


@LOOKS
def test_a_new_book_is_told_quietly_and_the_open_sale_stays(
    look: Look, people: People, browser: Browser, tmp_path: Path
) -> None:
    with till_at("aquarium", tmp_path, people) as site:
        old = site.till.counter.book
        new = type(old).of(old.book.model_copy(update={"revision": old.revision + 1}))
        with opened(browser, site.url, look.language, look.size) as page:
            desk = CounterDesk(page)
            desk.sign_in(CASHIER, PIN)
            site.present("member")
            desk.choose(1)
            desk.fill("0.line.list_price", "100")
            expect(desk.price.locator(".sums-pay dd")).to_have_text("¥70.00")
            site.do(lambda: site.till.counter.replace_book(new))
            expect(page.locator("#notice .notice")).to_contain_text(str(new.revision))
            picture(page, tmp_path / "news.png")
            expect(desk.stage.locator('[name="0.line.list_price"]')).to_have_value("100")
            desk.fill("0.line.quantity", "2")
            expect(desk.price.locator(".revision strong")).to_contain_text(str(new.revision))
            picture(page, tmp_path / "pinned.png")
            desk.confirm()
            expect(desk.amount).to_have_text("¥140.00")
            desk.taken("")
        (sold,) = site.till.ledger.redemptions("2013-02-10")
    assert (sold.revision, sold.pay_fen) == (old.revision, 14_000)

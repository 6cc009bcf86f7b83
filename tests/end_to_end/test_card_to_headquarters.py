"""From a card presented to headquarters: real processes, a real pcscd, a real pseudo-terminal, a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from config.zone import SHANGHAI
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.vpcd import VpcdCard
from terminal.demo import MERCHANT, TERMINAL
from terminal.offers.book import canonical_json, moved_to, parse_book
from tests.fakes.installation import FILM_LIST_FEN, POS_REFERENCE, Installation, eventually, new_id
from tests.fakes.pcscd import PcscDaemon

FILM_FEN = 1000  # the winter campaign's ticket
SUMS = ("units", "list", "pay", "saving")


@pytest.fixture
def chip_site(tmp_path: Path, pcscd: PcscDaemon, database_url: str) -> Iterator[Installation]:
    """A till with a PC/SC reader, and headquarters on PostgreSQL."""
    with Installation(
        tmp_path, reader="pcsc", database_url=database_url, environment=pcscd.environment
    ) as installation:
        yield installation.start()


@pytest.fixture
def stripe_site(tmp_path: Path, stripes: PtyPresenter, database_url: str) -> Iterator[Installation]:
    """A till with a serial stripe reader, and headquarters on PostgreSQL."""
    with Installation(tmp_path, reader=f"serial:{stripes.device}", database_url=database_url) as installation:
        yield installation.start()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    """A till with the virtual reader, and headquarters on SQLite; nothing runs yet."""
    with Installation(tmp_path) as installation:
        yield installation


def insert(site: Installation, slot: VpcdCard, card: str) -> dict[str, Any]:
    """Lay a card on the PC/SC reader; what the till says of it."""
    before = site.presented()
    slot.present(DEMO_CARDS[card])
    return site.next_presentation(before)


def swipe(site: Installation, stripes: PtyPresenter, card: str) -> dict[str, Any]:
    """Swipe a card through the serial reader; what the till says of it."""
    before = site.presented()
    stripes.present(DEMO_CARDS[card])
    return site.next_presentation(before)


def wait_reader_ready(site: Installation) -> None:
    eventually(lambda: [each["state"] for each in site.health()["readers"]] == ["ready"], "the reader is ready")


def at_headquarters(site: Installation) -> list[dict[str, Any]]:
    answer = site.operator.get("/api/v1/redemptions")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["redemptions"])


def assert_totals_agree(site: Installation) -> dict[str, int]:
    """Headquarters' totals are the till's daily report, to the fen; returns them."""
    site.wait_acknowledged()
    report = site.manager.get("/api/v1/reports/daily").json()["total"]
    merchants = site.operator.get("/api/v1/merchants/totals").json()["merchants"]
    assert [each["merchant"] for each in merchants] == [MERCHANT]
    assert [merchants[0][name] for name in SUMS] == [report[name] for name in SUMS]
    assert merchants[0]["redemptions"] == report["sales"]
    return dict(merchants[0])


def test_two_tickets_on_a_chip_card_arrive_at_headquarters(chip_site: Installation, pcscd: PcscDaemon) -> None:
    slot = VpcdCard(pcscd.host, pcscd.port)
    eventually(
        lambda: len(found := chip_site.health()["readers"]) == 2 and {each["state"] for each in found} == {"ready"},
        "both PC/SC readers are ready",
    )
    card = insert(chip_site, slot, "member")
    assert (card["masked"], card["standing"]) == ("**** 0013", "active")
    assert [(each["offer"], each["eligible"], each["remaining"]) for each in card["offers"]] == [
        ("winter-film", True, 2)
    ]

    sold = chip_site.buy(card, 2)
    assert (sold["state"], sold["list"], sold["pay"]) == ("completed", 2 * FILM_LIST_FEN, 2 * FILM_FEN)

    chip_site.wait_acknowledged()
    (arrived,) = at_headquarters(chip_site)
    assert (arrived["id"], arrived["terminal"], arrived["state"]) == (sold["id"], TERMINAL, "completed")
    assert (arrived["units"], arrived["list"], arrived["pay"]) == (2, 2 * FILM_LIST_FEN, 2 * FILM_FEN)
    assert arrived["masked"] == "**** 0013"
    assert assert_totals_agree(chip_site)["units"] == 2
    slot.remove()


def test_a_third_ticket_is_refused_with_the_numbers(chip_site: Installation, pcscd: PcscDaemon) -> None:
    slot = VpcdCard(pcscd.host, pcscd.port)
    card = insert(chip_site, slot, "member")
    chip_site.buy(card, 2)

    third = chip_site.quote(card, 1).json()
    tickets = {
        "code": "limit-reached",
        "offer": "winter-film",
        "limit": "tickets",
        "per": "card",
        "window": "campaign",
        "used": 2,
        "max": 2,
        "remaining": 0,
        "asked": 1,
    }
    assert [each["code"] for each in third["refusals"]] == ["limit-reached", "limit-reached"]
    assert tickets.items() <= third["refusals"][0].items()
    assert {"limit": "purchase", "used": 1, "max": 1}.items() <= third["refusals"][1].items()
    refused = chip_site.redeem(third["quote"])
    assert (refused.status_code, refused.json()["code"]) == (409, "sale-refused")

    fresh = insert(chip_site, slot, "member-2")
    three = chip_site.quote(fresh, 3).json()["refusals"]
    assert [each["code"] for each in three] == ["limit-reached"]
    assert {"used": 0, "max": 2, "remaining": 2, "asked": 3}.items() <= three[0].items()
    in_3d = chip_site.quote(fresh, 1, film_format="3d").json()["refusals"]
    assert [each["code"] for each in in_3d] == ["excluded"]

    assert assert_totals_agree(chip_site)["units"] == 2
    assert [each["units"] for each in at_headquarters(chip_site)] == [2]
    slot.remove()


def test_two_tickets_on_a_stripe_arrive_at_headquarters(stripe_site: Installation, stripes: PtyPresenter) -> None:
    wait_reader_ready(stripe_site)
    card = swipe(stripe_site, stripes, "stripe-member")
    assert (card["masked"], card["standing"], card["entry_mode"]) == ("**** 0021", "active", "stripe")

    sold = stripe_site.buy(card, 2)

    stripe_site.wait_acknowledged()
    (arrived,) = at_headquarters(stripe_site)
    assert (arrived["id"], arrived["units"], arrived["masked"]) == (sold["id"], 2, "**** 0021")
    assert assert_totals_agree(stripe_site)["pay"] == 2 * FILM_FEN


def test_the_same_id_again_is_the_same_answer_and_a_void_arrives(
    stripe_site: Installation, stripes: PtyPresenter
) -> None:
    wait_reader_ready(stripe_site)
    quoted = stripe_site.quote(swipe(stripe_site, stripes, "stripe-member"), 2).json()["quote"]
    redemption = new_id()
    first = stripe_site.redeem(quoted, redemption)
    again = stripe_site.redeem(quoted, redemption)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    completed = stripe_site.complete(redemption).json()
    assert completed["pos_reference"] == POS_REFERENCE
    assert stripe_site.complete(redemption).json() == completed

    wanted = {"reason": "one seat was sold twice", "units": 1}
    path = f"/api/v1/redemptions/{redemption}/void"
    assert stripe_site.cashier.post(path, json=wanted).status_code == 403
    assert stripe_site.manager.post(path, json=wanted).json()["voided_units"] == 1

    totals = assert_totals_agree(stripe_site)
    assert (totals["units"], totals["pay"], totals["redemptions"]) == (1, FILM_FEN, 1)
    (arrived,) = at_headquarters(stripe_site)
    assert (arrived["id"], arrived["state"], arrived["voided_units"]) == (redemption, "completed", 1)


def test_sales_go_on_without_headquarters_and_all_arrive_later(chip_site: Installation, pcscd: PcscDaemon) -> None:
    slot = VpcdCard(pcscd.host, pcscd.port)
    chip_site.wait_acknowledged()
    chip_site.headquarters.stop()
    chip_site.wait_offline()

    sold = [chip_site.buy(insert(chip_site, slot, card), 2) for card in ("member", "member-2", "model-worker")]

    away = chip_site.health()["headquarters"]
    assert (away["online"], away["waiting"]) == (False, 6)  # each sale is authorised and completed
    page = chip_site.cashier.get("/").text
    assert "断开" in page
    assert "6 条等待上传。" in page
    slot.remove()

    chip_site.headquarters.start()
    totals = assert_totals_agree(chip_site)
    assert (totals["redemptions"], totals["units"], totals["pay"]) == (3, 6, 6 * FILM_FEN)
    assert {each["id"] for each in at_headquarters(chip_site)} == {each["id"] for each in sold}
    assert chip_site.operator.get("/api/v1/conflicts").json()["conflicts"] == []


@pytest.mark.parametrize(("days_after", "codes"), [(0, []), (1, ["ended"])], ids=["last-day", "day-after"])
def test_the_campaign_sells_on_its_last_day_and_not_the_day_after(
    site: Installation, days_after: int, codes: list[str]
) -> None:
    last_day = datetime.now(SHANGHAI).date() - timedelta(days=days_after)
    write_book_ending(site.root / "book.json", last_day)
    site.terminal.start()
    card = site.present("member")
    quoted = site.quote(card, 1).json()
    assert [each["code"] for each in quoted["refusals"]] == codes
    assert all(each["last_day"] == last_day.isoformat() for each in quoted["refusals"])
    assert site.redeem(quoted["quote"]).status_code == (409 if codes else 201)


def write_book_ending(path: Path, last_day: date) -> None:
    """The winter book, moved so that its film tickets end with `last_day`."""
    book = parse_book(files("config.books").joinpath("winter-2012.toml").read_bytes(), "toml")
    film = book.offer("winter-film")
    assert film is not None
    assert film.when.first_day is not None
    assert film.when.last_day is not None
    moved = moved_to(book, last_day - (film.when.last_day - film.when.first_day))
    ending = moved.offer("winter-film")
    assert ending is not None
    assert ending.when.last_day == last_day
    path.write_text(canonical_json(moved), encoding="utf-8")

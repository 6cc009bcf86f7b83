"""Vouchers at a whole till: headquarters' list becomes the register, and each voucher gets the answer it deserves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
import uuid_utils

from config.settings import HeadquartersSection, TerminalSettings, load_terminal
from config.zone import SHANGHAI
from drivers.virtual.card import DEMO_CARDS
from terminal.daemon import Daemon
from terminal.demo import PEOPLE, prepare
from terminal.membership.token import load_programme_key
from terminal.offers.book import canonical_json, moved_to, parse_book
from terminal.offers.voucher import grouped
from terminal.serving.hub import Hub
from terminal.vouchers.build import build_register
from terminal.vouchers.voucher_list import COLUMNS
from tests.fakes.vouchers import code_of

pytestmark = pytest.mark.anyio

TODAY = datetime.now(SHANGHAI).date()
OWN_CARD, OWN_PERSON, BEARER, MEANT_FOR_OTHERS, OTHER_OFFER, OTHER_SHOP, OVER, LAST_DAY, REVOKED = (
    code_of(f"MH{number:04d}") for number in range(1, 10)
)
WAIT_S = 10.0  # a virtual card is read in milliseconds
POLL_S = 0.02
NOBODYS = code_of("MH9999")
MEMBER, COLLEAGUE = "member", "member-2"


def lines(revoke: str = REVOKED) -> list[str]:
    """Headquarters' list; card numbers stand in it, and must go nowhere else."""
    over = TODAY - timedelta(days=1)
    return [
        f"{OWN_CARD},temple-fair,{DEMO_CARDS[MEMBER].digits},,,,",
        f"{OWN_PERSON},temple-fair,,demo-{MEMBER},,,",
        f"{BEARER},temple-fair,,,,ditan;longtan,",
        f"{MEANT_FOR_OTHERS},temple-fair,{DEMO_CARDS[COLLEAGUE].digits},,,,",
        f"{OTHER_OFFER},winter-haircut,,,,,",
        f"{OTHER_SHOP},temple-fair,,,,longtan,",
        f"{OVER},temple-fair,,,{over},,",
        f"{LAST_DAY},temple-fair,,,{TODAY + timedelta(days=1)},,",
        f"{revoke},temple-fair,,,,,yes",
    ]


def put_register(settings: TerminalSettings, rows: list[str]) -> None:
    assert settings.offers.vouchers is not None
    source = settings.data_dir.parent / "headquarters" / "vouchers.csv"
    source.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    key = load_programme_key(settings.membership.programme_key)
    assert build_register(source, settings.offers.vouchers, key, lambda done, total: None).rejected_count == 0
    source.unlink()


def fair_on(today: date) -> str:
    """The temple fair alone, moved so that it begins today."""
    book = parse_book(files("config.books").joinpath("everyday.toml").read_bytes(), "toml")
    fair = tuple(offer for offer in book.offers if offer.id == "temple-fair")
    return canonical_json(moved_to(book.model_copy(update={"offers": fair}), today))


class Park:
    """A park's till, and the hands at it."""

    def __init__(self, client: httpx.AsyncClient, settings: TerminalSettings) -> None:
        self.client = client
        self.settings = settings
        self.card = ""
        self.presented: dict[str, Any] = {"id": ""}

    async def present(self, card: str) -> dict[str, Any]:
        """Present another card than the last, and wait until it was read."""
        if card != self.card:
            assert (await self.client.post(f"/demo/cards/{card}/present")).status_code == 204
            self.card, before = card, self.presented["id"]
            deadline = asyncio.get_running_loop().time() + WAIT_S
            while self.presented["id"] == before:
                assert asyncio.get_running_loop().time() < deadline, f"{card} was not read"
                await asyncio.sleep(POLL_S)
                answer = await self.client.get("/api/v1/presentation")
                self.presented = answer.json() if answer.status_code == 200 else self.presented
        return self.presented

    async def quote(self, voucher: str, card: str = MEMBER) -> dict[str, Any]:
        """The answer to one fair ticket with this voucher."""
        wanted = {
            "presentation": (await self.present(card))["id"],
            "offer": "temple-fair",
            "lines": [{"category": "fair-ticket", "quantity": 1, "list_price": 1000, "attributes": {}}],
            "proofs": {"voucher": voucher},
        }
        answer = await self.client.post("/api/v1/quotes", json=wanted)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refused(self, voucher: str, card: str = MEMBER) -> list[str]:
        return [refusal["code"] for refusal in (await self.quote(voucher, card))["refusals"]]

    async def sell(self, voucher: str, card: str = MEMBER) -> None:
        quote = await self.quote(voucher, card)
        assert quote["refusals"] == []
        redemption = str(uuid_utils.uuid7())
        done = await self.client.post("/api/v1/redemptions", json={"id": redemption, "quote": quote["quote"]})
        assert done.status_code == 201, done.text
        done = await self.client.post(f"/api/v1/redemptions/{redemption}/complete", json={"pos_reference": None})
        assert done.status_code == 200, done.text


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def park(tmp_path: Path) -> AsyncIterator[Park]:
    root = tmp_path / "park"
    settings_file = prepare(root, "virtual")[0]
    (root / "book.json").write_text(fair_on(TODAY), encoding="utf-8")
    text = settings_file.read_text(encoding="utf-8").replace(
        'book = "book.json"', 'book = "book.json"\nvouchers = "v.bin"'
    )
    settings_file.write_text(text, encoding="utf-8")
    settings = load_terminal(settings_file)
    assert settings.offers.vouchers == root / "v.bin"
    settings = settings.model_copy(
        update={
            "terminal": settings.terminal.model_copy(update={"merchant": "ditan"}),
            "headquarters": HeadquartersSection(),  # no line: so nothing else is wrong with this till
        }
    )
    put_register(settings, lines())
    daemon = Daemon(settings, Hub())
    async with (
        daemon.lifespan(daemon.app),
        httpx.AsyncClient(transport=httpx.ASGITransport(daemon.app), base_url="http://127.0.0.1:8520") as client,
    ):
        await client.post("/api/v1/session", json={"cashier": PEOPLE[0][0], "pin": PEOPLE[0][3]})
        yield Park(client, settings)


async def test_each_voucher_that_is_not_good_has_its_own_refusal(park: Park) -> None:
    mistyped = BEARER[:-1] + ("0" if BEARER[-1] != "0" else "1")
    assert await park.refused(mistyped) == ["voucher-unknown"]
    assert await park.refused(NOBODYS) == ["voucher-unknown"]
    assert await park.refused(REVOKED) == ["voucher-unknown"]
    assert await park.refused(OTHER_OFFER) == ["voucher-other-offer"]
    assert await park.refused(MEANT_FOR_OTHERS) == ["voucher-other-card"]
    assert await park.refused(OTHER_SHOP) == ["voucher-other-merchant"]
    assert await park.refused(OVER) == ["voucher-expired"]
    assert await park.refused("") == ["proof-missing"]


@pytest.mark.parametrize("voucher", [OWN_CARD, OWN_PERSON, BEARER, LAST_DAY])
async def test_a_good_voucher_is_sold_once(park: Park, voucher: str) -> None:
    await park.sell(voucher)
    assert "voucher-used" in await park.refused(voucher)


async def test_a_voucher_that_another_member_used_is_used(park: Park) -> None:
    await park.sell(BEARER)
    assert await park.refused(BEARER, COLLEAGUE) == ["voucher-used"]


@pytest.mark.parametrize(
    "scanned",
    [
        f"{BEARER}\r\n",
        grouped(BEARER).lower(),
        BEARER.translate({ord(letter): ord(letter) + 0xFEE0 for letter in BEARER}),
        f" {BEARER[:3]}—{BEARER[3:]} ",
    ],
    ids=["scanner", "small with hyphens", "full-width", "dash and blanks"],
)
async def test_however_a_code_is_typed_or_scanned_it_is_the_same_voucher(park: Park, scanned: str) -> None:
    await park.sell(scanned)
    assert await park.refused(BEARER, COLLEAGUE) == ["voucher-used"]


async def test_the_form_says_that_the_code_may_be_scanned(park: Park) -> None:
    (fair,) = (await park.present(MEMBER))["offers"]
    assert [ask["name"] for ask in fair["asks"] if ask.get("scanned")] == ["voucher"]


async def test_a_voucher_is_revoked_while_the_till_runs(park: Park) -> None:
    assert await park.refused(BEARER) == []
    put_register(park.settings, [*lines(), f"{BEARER},temple-fair,,,,,yes"])
    assert await park.refused(BEARER) == ["voucher-unknown"]
    assert await park.refused(OWN_CARD) == []


@pytest.mark.parametrize("damage", ["byte", "gone"])
async def test_a_register_that_cannot_be_used_stops_its_own_offers_and_is_said(park: Park, damage: str) -> None:
    path = park.settings.offers.vouchers
    assert path is not None
    assert (await park.client.get("/healthz")).json()["status"] == "ok"
    if damage == "byte":
        content = path.read_bytes()
        path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    else:
        path.unlink()
    assert await park.refused(BEARER) == ["needs-hq"]
    assert (await park.client.get("/healthz")).json()["status"] == "degraded"
    await park.client.post("/api/v1/session", json={"cashier": PEOPLE[1][0], "pin": PEOPLE[1][3]})
    page = (await park.client.get("/status")).text
    assert ("券登记册已损坏" if damage == "byte" else "找不到券登记册") in page
    put_register(park.settings, lines())
    assert await park.refused(BEARER) == []
    assert (await park.client.get("/healthz")).json()["status"] == "ok"


async def test_no_card_number_of_the_list_is_in_any_file_or_log(
    park: Park, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        put_register(park.settings, [*lines(), f"{NOBODYS},temple-fair,{DEMO_CARDS['hardship'].digits},,,,"])
        await park.sell(OWN_CARD)
        await park.refused(MEANT_FOR_OTHERS)
    numbers = {DEMO_CARDS[name].digits for name in (MEMBER, COLLEAGUE, "hardship")}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"v.bin", "ledger.sqlite"} <= {path.name for path in written}
    for path in written:
        assert not any(number.encode() in path.read_bytes() for number in numbers), path
    assert caplog.records
    assert not any(number in caplog.text for number in numbers)

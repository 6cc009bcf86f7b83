"""Through the API: what a sale uses of its limits, what comes back and to which day, and what uses nothing at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uuid_utils

from drivers.card import Pan
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.desk import IssuerRange, MembershipDesk
from terminal.membership.token import ProgrammeKey
from terminal.offers.book import LoadedBook, parse_book
from tests.fakes.till import CARDS, Till, open_till

pytestmark = pytest.mark.anyio

LATE_EVENING = datetime(2012, 12, 25, 15, 50, tzinfo=UTC)  # 23:50 in Beijing
ELEVEN_MINUTES_MS = 11 * 60 * 1000
KEY = ProgrammeKey(1, bytes(range(32)))
OLD_CARD, NEW_CARD, COLLEAGUES = "member", "model-worker", "proved"

BOOK = """
schema = 1
revision = 1
tz = "Asia/Shanghai"

[categories.swim]
name = { zh = "游泳", en = "swimming" }
unit = { zh = "场", en = "visit(s)" }

[[offers]]
id = "daily"
name = { zh = "每天两场", en = "Two a day" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"] }
price = { kind = "fixed_unit", unit_fen = 1000 }
limits = [{ id = "day", max = 2, count = "units", per = ["card"], window = "day", offline = "local" }]

[[offers]]
id = "once"
name = { zh = "只此一场", en = "One ever" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"] }
price = { kind = "free" }
limits = [{ id = "once", max = 1, count = "units", per = ["card"], window = "ever", offline = "local" }]

[[offers]]
id = "stamps"
name = { zh = "第三场免费", en = "Every third is free" }
campaign = "c"
where = { merchants = ["gongren-julebu"] }
what = { categories = ["swim"] }
price = { kind = "nth_free", every = 3, over = "person" }

[[merchants]]
id = "gongren-julebu"
name = { zh = "工人俱乐部", en = "Workers' Club" }
agreement = { first_day = 2012-01-01, last_day = 2013-12-31 }
sites = [{ id = "main", name = { zh = "工人俱乐部", en = "Workers' Club" } }]
"""


def roll_of_a_replaced_card(directory: Path) -> MembershipDesk:
    """Two cards of one person, and a colleague's."""
    persons = {OLD_CARD: "p-1", NEW_CARD: "p-1", COLLEAGUES: "p-2"}
    lines = [RosterLine.of(Pan(CARDS[name].pan), KEY, person=person) for name, person in persons.items()]
    write_roll(lines, directory / "roll.bin", KEY)
    return MembershipDesk([IssuerRange("any", "6", "6")], KEY, directory / "roll.bin", None)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    book = LoadedBook.of(parse_book(BOOK, "toml"))
    with contextlib.closing(roll_of_a_replaced_card(tmp_path)) as desk:
        opened = open_till(tmp_path, book=book, now=LATE_EVENING, roll=desk)
        yield opened
        opened.ledger.close()


class Hands:
    """A cashier's program at the API, with a manager's for voids."""

    def __init__(self, till: Till, cashier: httpx.AsyncClient, manager: httpx.AsyncClient) -> None:
        self.till = till
        self._cashier = cashier
        self._manager = manager

    async def quote(self, offer: str, units: int, card: str = OLD_CARD, list_fen: int = 5000) -> dict[str, Any]:
        self.till.clock.step(2000)
        self.till.present(card)
        presented = self.till.counter.presentation
        assert presented is not None
        line = {"category": "swim", "quantity": units, "list_price": list_fen}
        wanted = {"presentation": presented.id, "offer": offer, "lines": [line]}
        answer = await self._cashier.post("/api/v1/quotes", json=wanted, headers={"accept-language": "en"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def authorise(self, quote: dict[str, Any]) -> httpx.Response:
        wanted = {"id": str(uuid_utils.uuid7()), "quote": quote["quote"]}
        return await self._cashier.post("/api/v1/redemptions", json=wanted)

    async def sell(self, offer: str, units: int, card: str = OLD_CARD) -> str:
        """Sell and take the money; the redemption's id."""
        answer = await self.authorise(await self.quote(offer, units, card))
        assert answer.status_code == 201, answer.text
        redemption = str(answer.json()["id"])
        assert (await self._cashier.post(f"/api/v1/redemptions/{redemption}/complete")).status_code == 200
        return redemption

    async def cancel(self, redemption: str) -> None:
        assert (await self._cashier.post(f"/api/v1/redemptions/{redemption}/cancel")).status_code == 200

    async def void(self, redemption: str, units: int) -> dict[str, Any]:
        body = {"reason": "mistake", "units": units}
        answer = await self._manager.post(f"/api/v1/redemptions/{redemption}/void", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def remaining(self, offer: str, card: str = OLD_CARD) -> int | None:
        """What the card's page says is left."""
        self.till.clock.step(2000)
        self.till.present(card)
        told = (await self._cashier.get("/api/v1/presentation")).json()
        left = next(each["remaining"] for each in told["offers"] if each["offer"] == offer)
        assert left is None or isinstance(left, int)
        return left


@pytest.fixture
def hands(till: Till, cashier: httpx.AsyncClient, manager: httpx.AsyncClient) -> Hands:
    return Hands(till, cashier, manager)


def reasons(quote: dict[str, Any]) -> list[tuple[str, str]]:
    return [(refusal["code"], refusal["remedy"]) for refusal in quote["refusals"]]


async def test_a_part_voided_after_midnight_comes_back_to_the_day_of_the_sale(hands: Hands) -> None:
    yesterdays = await hands.sell("daily", 2)
    assert reasons(await hands.quote("daily", 1)) == [("limit-reached", "possible again from 2012-12-26")]
    hands.till.clock.step(ELEVEN_MINUTES_MS)
    assert await hands.remaining("daily") == 2, "a new day"
    await hands.sell("daily", 2)
    assert (await hands.void(yesterdays, 1))["voided_units"] == 1
    assert await hands.remaining("daily") == 0, "today's two stay used"
    key = "daily|day|card={}|day=2012-12-{}"
    (person,) = {each.person for each in hands.till.ledger.redemptions("2012-12-25")}
    assert [hands.till.ledger.used(key.format(person, day)) for day in (25, 26)] == [1, 2]


async def test_a_part_voided_on_the_day_may_be_sold_again_and_no_more(hands: Hands) -> None:
    redemption = await hands.sell("daily", 2)
    await hands.void(redemption, 1)
    assert reasons(await hands.quote("daily", 2)) == [("limit-reached", "possible with 1 visit(s)")]
    await hands.sell("daily", 1)
    assert await hands.remaining("daily") == 0


async def test_a_replaced_card_carries_its_persons_usage(hands: Hands) -> None:
    await hands.sell("once", 1, OLD_CARD)
    assert await hands.remaining("once", NEW_CARD) == 0
    assert reasons(await hands.quote("once", 1, NEW_CARD)) == [("limit-reached", "")]
    assert await hands.remaining("once", COLLEAGUES) == 1
    sold = hands.till.ledger.redemptions("2012-12-25")
    assert [each.masked for each in sold] == ["**** 0021"]


async def test_stamps_of_the_old_card_count_on_the_new_one(hands: Hands) -> None:
    await hands.sell("stamps", 2, OLD_CARD)
    assert (await hands.quote("stamps", 1, NEW_CARD))["pay"] == 0
    assert (await hands.quote("stamps", 1, COLLEAGUES))["pay"] == 5000


async def test_a_cancelled_sale_uses_nothing(hands: Hands) -> None:
    answer = await hands.authorise(await hands.quote("once", 1))
    assert await hands.remaining("once") == 0
    await hands.cancel(answer.json()["id"])
    assert await hands.remaining("once") == 1
    await hands.sell("once", 1)


async def test_a_refused_sale_uses_nothing(hands: Hands) -> None:
    refused = await hands.quote("daily", 3)
    answer = await hands.authorise(refused)
    assert (answer.status_code, answer.json()["code"]) == (409, "sale-refused")
    assert [each["remedy"] for each in answer.json()["refusals"]] == ["减到 2 场就可以"]
    assert (hands.till.ledger.last_sequence(), await hands.remaining("daily")) == (0, 2)


@pytest.mark.parametrize("list_fen", [1000, 900, 0])
async def test_a_price_at_or_below_the_offers_is_charged_as_it_is_and_uses_nothing(hands: Hands, list_fen: int) -> None:
    quote = await hands.quote("daily", 2, list_fen=list_fen)
    assert reasons(quote) == [("no-benefit", "charge the list price")]
    assert (quote["list"], quote["pay"], quote["saving"]) == (2 * list_fen, 2 * list_fen, 0)
    assert (await hands.authorise(quote)).status_code == 409
    assert (hands.till.ledger.last_sequence(), await hands.remaining("daily")) == (0, 2)


# Between quote and authorisation --------------------------------------------------------------------------------------


async def test_a_limit_that_moved_answers_with_its_new_numbers(hands: Hands) -> None:
    first, second = await hands.quote("daily", 1), await hands.quote("daily", 2)
    assert (await hands.authorise(first)).status_code == 201
    answer = await hands.authorise(second)
    assert (answer.status_code, answer.json()["code"]) == (409, "sale-refused")
    (refusal,) = answer.json()["refusals"]
    assert (refusal["used"], refusal["remaining"], refusal["asked"]) == (1, 1, 2)
    assert refusal["remedy"] == "减到 1 场就可以"


async def test_a_stamp_that_moved_answers_with_another_price_which_can_be_taken(hands: Hands) -> None:
    await hands.sell("stamps", 1)
    first, second = await hands.quote("stamps", 1), await hands.quote("stamps", 1)
    assert (first["pay"], second["pay"]) == (5000, 5000)
    assert (await hands.authorise(first)).status_code == 201
    answer = await hands.authorise(second)
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (409, "quote-moved", "park")
    again = answer.json()["quote"]
    assert (again["pay"], again["list"], again["refusals"]) == (0, 5000, [])
    assert again["quote"] != second["quote"]
    taken = await hands.authorise(again)
    assert (taken.status_code, taken.json()["pay"]) == (201, 0)

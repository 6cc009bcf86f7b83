"""Winter film: 10 yuan a ticket, two at most in one purchase, once per card, no 3D, 25 December to 20 February."""

from __future__ import annotations

import pytest

from terminal.membership.standing import Standing
from terminal.offers.sale import Place, SaleLine
from tests.fakes.offers import BOOK, GRANTED, FakeUsage, Till, codes, member

CINEMA = Place("gongren-julebu", "main", "t1")
CARD_KEY = f"winter-film|tickets|card=v1:{'A' * 64}|campaign=winter-2012"


def tickets(quantity: int = 2, list_fen: int = 8000, film_format: str | None = "2d") -> SaleLine:
    return SaleLine("film-ticket", quantity, list_fen, {"format": film_format} if film_format is not None else {})


@pytest.mark.parametrize(
    ("quantity", "list_fen", "pay_fen", "saving_fen"),
    [
        (1, 8000, 1000, 7000),
        (2, 8000, 2000, 14000),
        (1, 1001, 1000, 1),  # a saving of one fen is one
        (2, 3550, 2000, 5100),
    ],
)
def test_film_tickets_cost_ten_yuan_each(quantity: int, list_fen: int, pay_fen: int, saving_fen: int) -> None:
    answer = Till(CINEMA).quote("winter-film", tickets(quantity, list_fen))
    assert codes(answer) == []
    assert (answer.pay_fen, answer.saving_fen, answer.list_fen) == (pay_fen, saving_fen, quantity * list_fen)
    assert answer.granted == "lease"
    assert (answer.revision, answer.book_hash) == (1, BOOK.hash)


@pytest.mark.parametrize(
    ("at", "refused"),
    [
        ("2012-12-24 23:59:59", ["not-started"]),
        ("2012-12-25 00:00:00", []),
        ("2013-02-20 23:59:59", []),
        ("2013-02-21 00:00:00", ["ended"]),
    ],
)
def test_film_campaign_includes_both_of_its_days(at: str, refused: list[str]) -> None:
    assert codes(Till(CINEMA).quote("winter-film", tickets(), at=at)) == refused


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (tickets(film_format="3d"), ["excluded"]),
        (tickets(film_format=None), ["attribute-missing"]),
        (tickets(film_format="  "), ["attribute-missing"]),
        (tickets(film_format="3D"), ["attribute-invalid"]),  # a misspelt exclusion must not pass
        (tickets(film_format="imax"), ["attribute-invalid"]),
        (SaleLine("laundry", 1, 3000, {"format": "2d"}), ["wrong-category"]),
        (tickets(0), ["quantity-invalid"]),
        (tickets(-1), ["quantity-invalid"]),
        (tickets(1000), ["quantity-invalid"]),
        (tickets(2, -1), ["price-invalid"]),
        (tickets(2, 100_000_001), ["price-invalid"]),
        (tickets(2, 1000), ["no-benefit"]),
        (tickets(2, 900), ["no-benefit"]),
        (tickets(2, 0), ["no-benefit"]),
        (tickets(3), ["limit-reached"]),
    ],
)
def test_film_line_is_refused_with_its_reason(line: SaleLine, refused: list[str]) -> None:
    answer = Till(CINEMA).quote("winter-film", line)
    assert codes(answer) == refused
    assert answer.claims == ()
    assert answer.saving_fen == 0


@pytest.mark.parametrize("standing", [standing for standing in Standing if standing is not Standing.ACTIVE])
def test_film_needs_an_active_card(standing: Standing) -> None:
    answer = Till(CINEMA).quote("winter-film", tickets(), who=member(standing=standing))
    assert codes(answer) == ["not-a-member"]
    assert answer.refusals[0].numbers == {"standing": str(standing)}


@pytest.mark.parametrize(
    "place",
    [
        Place("sample-laundry", "main", "t1"),
        Place("gongren-julebu", "second", "t1"),  # a site the agreement does not know
        Place("nobody", "main", "t1"),
        Place("", "", ""),
    ],
)
def test_film_is_for_the_named_cinemas_only(place: Place) -> None:
    assert codes(Till(place).quote("winter-film", tickets())) == ["wrong-store"]


def test_third_ticket_is_refused_with_its_numbers() -> None:
    till = Till(CINEMA)
    assert codes(till.sell("winter-film", tickets(2))) == []
    answer = till.quote("winter-film", tickets(1))
    assert codes(answer) == ["limit-reached", "limit-reached"]
    units, uses = (refusal.numbers for refusal in answer.refusals)
    assert {name: units[name] for name in ("limit", "used", "max", "remaining", "asked")} == {
        "limit": "tickets",
        "used": 2,
        "max": 2,
        "remaining": 0,
        "asked": 1,
    }
    assert (uses["limit"], uses["used"], uses["max"]) == ("purchase", 1, 1)
    assert answer.refusals[0].text("zh") == "每卡本次活动最多 2 张：已用 2，还可用 0，这次要 1"


def test_one_ticket_uses_up_the_one_purchase() -> None:
    till = Till(CINEMA)
    till.sell("winter-film", tickets(1))
    answer = till.quote("winter-film", tickets(1))
    assert [refusal.numbers["limit"] for refusal in answer.refusals] == ["purchase"]


def test_another_card_has_its_own_tickets() -> None:
    till = Till(CINEMA)
    till.sell("winter-film", tickets(2))
    assert codes(till.sell("winter-film", tickets(2), who=member("b"))) == []


def test_two_lines_of_one_bill_share_the_two_tickets() -> None:
    assert codes(Till(CINEMA).quote("winter-film", tickets(1, 8000), tickets(1, 6000))) == []
    assert codes(Till(CINEMA).quote("winter-film", tickets(2, 8000), tickets(1, 6000))) == ["limit-reached"]


def test_line_below_the_offer_price_is_charged_as_it_is_and_uses_nothing() -> None:
    answer = Till(CINEMA).quote("winter-film", tickets(2, 8000), tickets(1, 900))
    assert codes(answer) == []
    assert [line.pay_fen for line in answer.lines] == [2000, 900]
    assert {claim.limit: claim.amount for claim in answer.claims} == {"tickets": 2, "purchase": 1, "pool": 2}


def test_film_claims_name_their_counters() -> None:
    claims = {claim.limit: claim for claim in Till(CINEMA).quote("winter-film", tickets(2)).claims}
    assert claims["tickets"].key == CARD_KEY
    assert claims["pool"].key == "winter-film|pool|campaign=winter-2012|campaign=winter-2012"
    assert (claims["pool"].amount, claims["pool"].max, claims["pool"].offline) == (2, GRANTED, "lease")


@pytest.mark.parametrize(
    ("granted", "used", "refused"),
    [
        (None, 0, ["needs-hq"]),
        (0, 0, ["quota-gone"]),
        (1, 0, ["quota-gone"]),
        (2, 0, []),
        (10, 8, []),
        (10, 9, ["quota-gone"]),
        (-5, 0, ["quota-gone"]),
        (50_000, 19_998, []),  # more than the pool was granted by mistake: the pool's own number still holds
        (50_000, 19_999, ["quota-gone"]),
    ],
)
def test_citywide_pool_gives_only_what_was_granted(granted: int | None, used: int, refused: list[str]) -> None:
    key = "winter-film|pool|campaign=winter-2012|campaign=winter-2012"
    usage = FakeUsage({key: used}, {} if granted is None else {"winter-film/pool": granted})
    assert codes(Till(CINEMA, usage=usage).quote("winter-film", tickets(2))) == refused


def test_every_reason_is_collected() -> None:
    till = Till(Place("sample-laundry", "main", "t1"), usage=FakeUsage(slices={}))
    answer = till.quote(
        "winter-film", tickets(3, film_format="3d"), who=member(standing=Standing.LOST), at="2014-01-01 10:00"
    )
    assert codes(answer) == [
        "not-a-member",
        "wrong-store",
        "no-agreement",
        "ended",
        "excluded",
        "limit-reached",
        "needs-hq",
    ]
    assert answer.pay_fen == answer.list_fen == 24000  # a refused sale stands at list price


def test_unknown_offer_is_an_answer_too() -> None:
    answer = Till(CINEMA).quote("spring-film", tickets())
    assert codes(answer) == ["unknown-offer"]
    assert (answer.offer, answer.lines, answer.pay_fen) == ("spring-film", (), 0)

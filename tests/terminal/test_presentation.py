"""What is said of a card before any offer: what the merchant accepts, a telephone's number, a typed one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import LANGUAGES, Language
from config.settings import AuthenticitySection, CounterSection
from drivers.card import Authenticity, AuthenticityReason, Pan
from terminal.counter import CardMeanwhile, ManualEntryOff
from terminal.held_quotes import QuoteRequest
from terminal.ledger.project import Redemption
from terminal.membership.standing import Standing
from terminal.offers.book import LoadedBook
from terminal.offers.overview import OfferView
from terminal.offers.refusal import RefusalCode
from terminal.offers.sale import SaleLine
from terminal.presentation import ACCEPTED_BY_DEFAULT, REASON_WORDS, CardNotAccepted, Presentation
from terminal.redemption_id import new_id
from terminal.serving.people import PinWrong
from terminal.typed_card import KEYBOARD, ExpiryMistyped, NumberMistyped, typed_read
from tests.fakes.till import CARDS, Till, open_till, winter_book

NUMBER = CARDS["member"].pan


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    opened = open_till(tmp_path)
    yield opened
    opened.ledger.close()


def presented(till: Till, name: str) -> Presentation:
    till.present(name)
    held = till.counter.presentation
    assert held is not None
    return held


async def approved() -> str:
    return "m01"


def type_in(
    till: Till, number: str = NUMBER, expiry: str = "", approve: Callable[[], Awaitable[str]] = approved
) -> Presentation:
    return asyncio.run(till.counter.card_typed(number, expiry, approve))


def sell(till: Till, held: Presentation) -> Redemption:
    lines = (SaleLine("film-ticket", 1, 8000, {"format": "2d"}),)
    quoted = asyncio.run(till.counter.quote(QuoteRequest(held.id, "winter-film", lines, {})))
    return asyncio.run(till.counter.authorise(new_id(), quoted.id, "c01"))


# What the merchant accepts --------------------------------------------------------------------------------------------


def test_by_default_everything_is_accepted_but_a_chip_that_failed_its_check() -> None:
    assert set(AuthenticitySection().accept) == {each.value for each in ACCEPTED_BY_DEFAULT}
    assert set(Authenticity) - ACCEPTED_BY_DEFAULT == {Authenticity.FAILED}


def test_a_chip_that_failed_its_check_is_answered_politely_with_its_reason_and_nothing_is_sold(till: Till) -> None:
    held = presented(till, "doubtful")
    assert isinstance(held.notice, CardNotAccepted)
    assert (held.member, held.offers, held.masked) == (None, (), "**** 0120")
    assert held.notice.what_text("zh") == "芯片未通过真伪验证（芯片签名不符）"
    assert "可能只是芯片损坏" in held.notice.hint_text("zh")
    assert held.notice.details["authenticity"] == "failed"


@pytest.mark.parametrize("authenticity", list(Authenticity))
def test_what_the_merchant_does_not_accept_is_not_sold_to_and_all_else_is(
    tmp_path: Path, authenticity: Authenticity
) -> None:
    till = open_till(tmp_path, accept=frozenset(Authenticity) - {authenticity})
    try:
        names = {
            name
            for name, card in CARDS.items()
            if card.standing is Standing.ACTIVE and presented(till, name).notice is not None
        }
        assert names == {
            name
            for name, card in CARDS.items()
            if card.standing is Standing.ACTIVE and card.authenticity is authenticity
        }
    finally:
        till.ledger.close()


@pytest.mark.parametrize("authenticity", list(Authenticity))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reading_that_is_not_accepted_has_its_words_and_a_next_step(
    authenticity: Authenticity, language: Language
) -> None:
    error = CardNotAccepted.of(replace(typed_read(NUMBER, ""), authenticity=authenticity))
    assert "?" not in error.what_text(language) + error.hint_text(language)
    assert REASON_WORDS[AuthenticityReason.TYPED].text(language) in error.what_text(language)


def test_a_card_that_is_no_members_is_told_that_whatever_its_chip_says(tmp_path: Path) -> None:
    till = open_till(tmp_path, accept=frozenset())
    try:
        for name in ("suspended", "expired", "stranger", "other-bank"):
            held = presented(till, name)
            assert held.notice is None
            assert held.member is not None
            assert held.member.standing is CARDS[name].standing
    finally:
        till.ledger.close()


@pytest.mark.parametrize("reason", list(AuthenticityReason))
def test_every_reason_has_its_words(reason: AuthenticityReason) -> None:
    assert REASON_WORDS[reason].zh.strip()
    assert REASON_WORDS[reason].en.strip()


def test_a_telephones_number_is_answered_with_use_the_plastic_card(till: Till) -> None:
    held = presented(till, "telephone")
    assert held.notice is not None
    assert held.notice.code == "device-card"
    assert presented(till, "stranger").notice is None, "a plain card that is on no roll is just that"


def test_an_offer_for_genuine_chips_is_sold_to_a_chip_that_proved_itself_and_to_no_other(tmp_path: Path) -> None:
    book = winter_book().book
    offers = tuple(
        offer.model_copy(update={"who": offer.who.model_copy(update={"genuine_chip": True})})
        if offer.id == "winter-film"
        else offer
        for offer in book.offers
    )
    till = open_till(tmp_path, book=LoadedBook.of(book.model_copy(update={"offers": offers})))
    try:
        refusals = {
            name: {
                code for view in presented(till, name).offers if view.offer == "winter-film" for code in _codes(view)
            }
            for name in ("proved", "member", "fallen-back")
        }
        only = {RefusalCode.GENUINE_CHIP_REQUIRED}
        assert refusals == {"proved": set(), "member": only, "fallen-back": only}
    finally:
        till.ledger.close()


def _codes(view: OfferView) -> set[RefusalCode]:
    return {refusal.code for refusal in view.refusals}


# Typed numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", [NUMBER, "6210 9470 0000 0021", "6210-9470-0000-0021", " ６２１０９４７０００００００２１ "]
)
def test_a_number_is_taken_as_it_stands_on_the_card(typed: str) -> None:
    read = typed_read(typed, "08/30")
    assert read.pan == Pan(NUMBER)
    assert (read.entry_mode, read.authenticity, read.authenticity_reason) == ("manual", "unverified", "typed")
    assert read.expiry is not None
    assert (read.expiry.year, read.expiry.month, read.reader) == (2030, 8, KEYBOARD)


@pytest.mark.parametrize("typed", ["", "0830", "08 30", "08-30", "０８／３０"])
def test_an_expiry_is_month_and_year_or_nothing(typed: str) -> None:
    assert (typed_read(NUMBER, typed).expiry is None) == (typed == "")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("", "有 0 位"),
        ("621094700000", "有 12 位"),
        ("62109470000000210000", "有 20 位"),
        ("6210947000000022", "校验位不符"),
        ("621094700000002x", "只能是数字"),
        ("²" * 16, "校验位不符"),
    ],
)
def test_a_mistyped_number_says_what_is_wrong_and_keeps_no_digit(number: str, says: str) -> None:
    with pytest.raises(NumberMistyped) as caught:
        typed_read(number, "")
    assert says in caught.value.what_text("zh")
    assert not number or number not in f"{caught.value!r} {caught.value} {caught.value.details}"
    local = [frame for frame in _locals(caught.value) if number and number in frame]
    assert local == []


def _locals(error: BaseException) -> Iterator[str]:
    """Every local variable of the house's frames behind an error, as a traceback would print them."""
    frame = error.__traceback__
    while frame is not None:
        if "/terminal/typed_card.py" in frame.tb_frame.f_code.co_filename:
            yield from (repr(value) for value in frame.tb_frame.f_locals.values())
        frame = frame.tb_next


@pytest.mark.parametrize("expiry", ["13/30", "00/30", "8/30", "2030-08", "x", "08/2030"])
def test_a_mistyped_expiry_is_told(expiry: str) -> None:
    with pytest.raises(ExpiryMistyped):
        typed_read(NUMBER, expiry)


def test_a_typed_card_is_sold_to_and_its_entry_says_how_it_came_in_and_who_approved(till: Till) -> None:
    held = type_in(till)
    assert (held.entry_mode, held.reader, held.approved_by, held.notice) == ("manual", KEYBOARD, "m01", None)
    sold = sell(till, held)
    assert (sold.entry_mode, sold.authenticity, sold.authenticity_reason, sold.approved_by) == (
        "manual",
        "unverified",
        "typed",
        "m01",
    )
    (entry,) = till.ledger.entries(0, 10)
    body = json.loads(entry.canonical)["body"]
    assert (body["approved_by"], body["authenticity_reason"]) == ("m01", "typed")
    again = till.counter.presentation
    assert again is not None
    assert (again.id, again.approved_by) == (held.id, "m01"), "judged anew after the sale, still with its approval"


def test_an_entry_of_a_read_card_has_nothing_of_an_approval(till: Till) -> None:
    held = presented(till, "member")
    sell(till, held)
    (entry,) = till.ledger.entries(0, 10)
    assert {"approved_by", "authenticity_reason"}.isdisjoint(json.loads(entry.canonical)["body"])


def test_typing_ignores_what_the_merchant_accepts_of_chips(tmp_path: Path) -> None:
    till = open_till(tmp_path, accept=frozenset({Authenticity.DDA}))
    try:
        assert type_in(till).notice is None
        assert presented(till, "member").notice is not None
    finally:
        till.ledger.close()


def test_where_the_setting_is_off_nothing_is_typed_and_no_manager_is_asked(tmp_path: Path) -> None:
    till = open_till(tmp_path, section=CounterSection())
    try:
        with pytest.raises(ManualEntryOff):
            type_in(till, approve=_never)
    finally:
        till.ledger.close()


async def _never() -> str:
    raise AssertionError("no manager should be asked")


def test_a_wrong_number_is_told_before_a_manager_is_asked(till: Till) -> None:
    with pytest.raises(NumberMistyped):
        type_in(till, number="6210947000000022", approve=_never)


def test_a_refused_approval_presents_nothing(till: Till) -> None:
    async def refused() -> str:
        raise PinWrong("approve", "person")

    with pytest.raises(PinWrong):
        type_in(till, approve=refused)
    assert till.counter.presentation is None


def test_a_card_read_while_the_manager_approves_comes_first(till: Till) -> None:
    async def slow() -> str:
        till.present("model-worker")
        return "m01"

    with pytest.raises(CardMeanwhile):
        type_in(till, approve=slow)
    held = till.counter.presentation
    assert held is not None
    assert held.masked == "**** 0030"


def test_the_card_before_gives_way_to_a_typed_one(till: Till) -> None:
    till.fail()
    assert type_in(till).member is not None

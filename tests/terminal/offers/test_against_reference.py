"""The rules against a reference that was written apart from them, over random books, sales, voids and clocks.

`OFFER_EXAMPLES` asks for a long run: so many examples of the first property, the others in proportion.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from terminal.ledger.ledger import Ledger
from terminal.ledger.verify import verify
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook
from terminal.offers.overview import overview
from terminal.offers.quote import Quote, quote
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.voucher import VoucherRecord
from tests.fakes.clock import SteppedClock
from tests.fakes.offers import FakeUsage
from tests.terminal.offers.reference.side_by_side import DictCounters, LedgerCounters, SideBySide, assert_sound
from tests.terminal.offers.reference.worlds import CODES, PLACES, World, moments, sales, worlds

EXAMPLES = int(os.environ.get("OFFER_EXAMPLES", "200"))  # some ten seconds; a long run asks for twenty thousand
STEPS = 14  # of one till's life: enough to fill, void and fill again what small limits leave
LEDGER_STEPS = 30

pytestmark = pytest.mark.timeout(400 + EXAMPLES)  # a failing example may be made smaller for five minutes


def examples(share: float = 1.0, phases: tuple[Phase, ...] = tuple(Phase)) -> settings:
    return settings(
        max_examples=max(1, int(EXAMPLES * share)),
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def dict_counters(world: World) -> DictCounters:
    return DictCounters(FakeUsage({}, world.grants, world.register))


def play(data: st.DataObject, till: SideBySide, steps: int) -> None:
    """Sell, look, take back, let time pass: each answer is compared as it comes."""
    world = till.world
    now = data.draw(moments(world.epoch), label="now")
    for _ in range(data.draw(st.integers(4, steps), label="steps")):
        match data.draw(st.sampled_from(("sell", "sell", "sell", "look", "clock", "take back")), label="step"):
            case "sell":
                till.sell(data.draw(sales(world)), data.draw(st.sampled_from(world.members)), now)
            case "look":
                till.look(data.draw(st.sampled_from(PLACES)), data.draw(st.sampled_from(world.members)), now)
            case "clock":
                now = data.draw(moments(world.epoch), label="now")
            case _:
                till.take_back(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 3), label="units"))


@given(worlds(), st.data())
@examples()
def test_rules_answer_as_the_reference_does(world: World, data: st.DataObject) -> None:
    play(data, SideBySide(world, dict_counters(world)), STEPS)


@given(worlds(), st.data())
@examples(0.05, (Phase.explicit, Phase.reuse, Phase.generate))  # too slow to make a failing example smaller
def test_ledger_counts_as_the_reference_does(world: World, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        ledger = Ledger.open(path, "T1", SteppedClock())
        try:
            play(data, SideBySide(world, LedgerCounters(ledger, world)), LEDGER_STEPS)
        finally:
            ledger.close()
        assert verify(path).ok


@given(worlds(), st.data())
@examples(0.3)
def test_void_of_every_unit_leaves_usage_as_it_was(world: World, data: st.DataObject) -> None:
    counters = dict_counters(world)
    till = SideBySide(world, counters)
    play(data, till, STEPS)
    before, sold_before = counters.standing(), len(till.redemptions)
    now = data.draw(moments(world.epoch))
    till.sell(data.draw(sales(world)), data.draw(st.sampled_from(world.members)), now)
    for number in range(sold_before, len(till.redemptions)):
        sold = till.redemptions[number][1]
        if data.draw(st.booleans(), label="cancel"):
            till.take_back(number, 0)
        while not sold.cancelled and sold.void_units < sold.units:
            till.take_back(number, data.draw(st.integers(1, 3), label="units"))
    assert counters.standing() == before


@given(worlds(), st.data(), st.randoms(use_true_random=False))
@examples(0.3)
def test_order_of_offers_in_the_book_changes_nothing(world: World, data: st.DataObject, chance: random.Random) -> None:
    till = SideBySide(world, dict_counters(world))
    play(data, till, STEPS // 2)
    offers = list(world.book.book.offers)
    chance.shuffle(offers)
    shuffled = LoadedBook.of(world.book.book.model_copy(update={"offers": tuple(offers)}))
    usage = till.counters.usage
    sale, holder = data.draw(sales(world)), data.draw(st.sampled_from(world.members))
    now = data.draw(moments(world.epoch))
    for offer in (None, *(one.id for one in offers)):
        asked = replace(sale, offer=offer)
        one, other = (quote(asked, holder, book, usage, now) for book in (world.book, shuffled))
        assert _without_order(one) == _without_order(other)
    views, others = (overview(sale.place, holder, book, usage, now) for book in (world.book, shuffled))
    assert {view.offer: view for view in views} == {view.offer: view for view in others}


def _without_order(answer: Quote) -> Quote:
    passed_over = tuple(sorted(answer.passed_over, key=lambda passed: passed.offer))
    return replace(answer, book_hash="", passed_over=passed_over)


# Whatever comes -----------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(), max_size=80)
WORD = ANY_TEXT | st.sampled_from(
    ("o0", "o1", "tea", "film", "north", "south", "a", "t1", "format", "2d", "showing", "lowest", "photo", "voucher")
)
NUMBER = st.integers(1, 5) | st.integers(0, 10_000) | st.integers()
ANY_PLACE = st.sampled_from(PLACES) | st.builds(Place, WORD, WORD, WORD)
ANY_LINE = st.builds(SaleLine, WORD, NUMBER, NUMBER, st.dictionaries(WORD, WORD | st.just("900"), max_size=5))
ANY_SALE = st.builds(
    Sale,
    ANY_PLACE,
    st.none() | WORD,
    st.lists(ANY_LINE, max_size=60).map(tuple),
    st.dictionaries(WORD, WORD | st.booleans() | st.sampled_from(CODES), max_size=5),
)
ANY_MEMBER = st.builds(
    Member,
    ANY_TEXT,
    ANY_TEXT,
    st.sampled_from(Standing),
    st.sampled_from(MemberClass),
    st.none() | st.dates() | st.sampled_from((date.min, date.max)),
    st.booleans(),
)
OFFSETS = st.none() | st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
ANY_MOMENT = st.datetimes(timezones=OFFSETS) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
        datetime.max.replace(tzinfo=UTC),
        datetime.min,  # noqa: DTZ901 - a moment without a zone is one of the cases
        datetime.max,  # noqa: DTZ901
    ]
)


@dataclass
class ConstantUsage:
    """Answers every question alike."""

    count: int
    granted: int | None
    redeemed: date | None
    register: Mapping[str, VoucherRecord] | None

    def used(self, key: str) -> int:
        assert key.isascii()
        return self.count

    def elsewhere(self, key: str) -> int:
        return 0

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        return self.granted

    def last_redeemed(self, offer: str, person: str) -> date | None:
        return self.redeemed

    @property
    def vouchers_known(self) -> bool:
        return self.register is not None

    def voucher(self, code: str) -> VoucherRecord | None:
        return (self.register or {}).get(code)


@given(worlds(), st.data())
@examples(0.5)
def test_rules_answer_whatever_comes(world: World, data: st.DataObject) -> None:
    days = st.none() | st.dates() | st.sampled_from((date.min, date.max))
    usage = ConstantUsage(
        data.draw(st.integers()), data.draw(st.none() | st.integers()), data.draw(days), world.register
    )
    for _ in range(5):
        sale = data.draw(ANY_SALE | sales(world))
        holder = data.draw(ANY_MEMBER | st.sampled_from(world.members))
        now = data.draw(ANY_MOMENT)
        assert_sound(quote(sale, holder, world.book, usage, now))
        for view in overview(sale.place, holder, world.book, usage, now):
            assert view.eligible == (not view.refusals)
            assert view.remaining is None or view.remaining >= 0
            assert all(ask.as_dict() for ask in view.asks)

"""The right to a sale at a whole till: local, from a slice, or held at headquarters; and what the cashier reads.

Longer than most files here: each way to the same right is told of one till, side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from terminal.authorisation import authorisation_of
from terminal.held_quotes import HeldQuote, QuoteMoved, QuoteRequest, SaleRefused
from terminal.ledger.grants import Grant, HoldWord, KeyWord, LeaseWord, Wish
from terminal.ledger.project import Redemption
from terminal.offers.book import LoadedBook
from terminal.offers.counts import Offline
from terminal.offers.refusal import Refusal
from terminal.offers.sale import SaleLine
from terminal.redemption_id import new_id
from terminal.rights import SILENT_MS
from terminal.usage import TOLD_MS
from tests.fakes.clock import SteppedClock
from tests.fakes.escrow import PaperHeadquarters
from tests.fakes.till import FIRST_EVENING, Till, open_till, winter_book

POOL = "winter-film|pool|campaign=winter-2012|campaign=winter-2012"
NO_SLICES = {"other/offer": 1}
LIFE_MS = 600_000


@dataclass
class PaperHolder:
    """Asks a headquarters on paper; `deaf` gives no answer, `meanwhile` happens while it is asked."""

    headquarters: PaperHeadquarters
    clock: SteppedClock
    ready: bool = True
    deaf: bool = False
    wishes: list[Wish] = field(default_factory=list)
    given_back: list[tuple[str, int]] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    async def ask(self, wish: Wish) -> HoldWord | None:
        self.wishes.append(wish)
        if self.deaf:
            return None
        word = self.headquarters.hold("t01", wish, self.clock.boot(), self.clock.monotonic_ms())
        self.meanwhile()
        return word

    def give_back(self, redemption: str, attempt: int) -> None:
        self.given_back.append((redemption, attempt))


@dataclass
class Told:
    """What was used elsewhere, by a part of the key."""

    amounts: dict[str, int] = field(default_factory=dict)

    def used(self, key: str) -> int:
        return next((amount for part, amount in self.amounts.items() if part in key), 0)


@dataclass
class Scene:
    """A till, its headquarters on paper and what it knows of other shops."""

    till: Till
    holder: PaperHolder
    elsewhere: Told

    @property
    def headquarters(self) -> PaperHeadquarters:
        return self.holder.headquarters

    def lease(self, granted: int, generation: int = 1) -> None:
        clock = self.till.clock
        grant = Grant(POOL, "winter-film", "pool", granted)
        word = LeaseWord(generation, "v1", LIFE_MS, clock.monotonic_ms(), clock.boot(), (grant,))
        self.till.ledger.allowances.take(word)

    def film(self, tickets: int = 2, card_name: str = "member") -> HeldQuote:
        self.till.present(card_name)
        card = self.till.counter.presentation
        assert card is not None
        lines = (SaleLine("film-ticket", tickets, 8000, {"format": "2d"}),)
        return asyncio.run(self.till.counter.quote(QuoteRequest(card.id, "winter-film", lines, {})))

    def confirm(self, held: HeldQuote, redemption: str | None = None) -> Redemption:
        return asyncio.run(self.till.counter.authorise(redemption or new_id(), held.id, "c01"))

    def refused(self, held: HeldQuote, redemption: str | None = None) -> tuple[Refusal, ...]:
        with pytest.raises(SaleRefused) as caught:
            self.confirm(held, redemption)
        return caught.value.refusals


def book(**offline: Offline) -> LoadedBook:
    """The winter campaign, with other rules for some limits of the film."""
    winter = winter_book()
    offers = []
    for offer in winter.book.offers:
        limits = tuple(
            limit.model_copy(update={"offline": offline.get(limit.id, limit.offline)}) for limit in offer.limits
        )
        offers.append(offer.model_copy(update={"limits": limits}) if offer.id == "winter-film" else offer)
    return LoadedBook.of(winter.book.model_copy(update={"offers": tuple(offers)}))


def made(directory: Path, **offline: Offline) -> Scene:
    clock = SteppedClock(now=FIRST_EVENING)
    holder, elsewhere = PaperHolder(PaperHeadquarters(POOL, 20), clock), Told()
    opened = open_till(
        directory, slices=NO_SLICES, holder=holder, elsewhere=elsewhere, clock=clock, book=book(**offline)
    )
    return Scene(opened, holder, elsewhere)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    opened = made(tmp_path)
    yield opened
    opened.till.ledger.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Scene]:
    """Only the pool needs headquarters."""
    opened = made(tmp_path, tickets=Offline.LOCAL, purchase=Offline.LOCAL)
    yield opened
    opened.till.ledger.close()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Scene]:
    """The card's own limit needs headquarters, the pool does not."""
    opened = made(tmp_path, tickets=Offline.REFUSE, purchase=Offline.LOCAL, pool=Offline.LOCAL)
    yield opened
    opened.till.ledger.close()


# --- while the line is up ---------------------------------------------------------------------------------------------


def test_headquarters_is_asked_for_what_nothing_here_covers(scene: Scene) -> None:
    done = scene.confirm(scene.film())
    (wish,) = scene.holder.wishes
    assert [(each.key.split("|")[1], each.amount, each.max) for each in wish.keys] == [
        ("tickets", 2, 2),
        ("purchase", 1, 1),
        ("pool", 2, 20_000),
    ]
    assert (wish.redemption, wish.attempt, wish.units, done.granted) == (done.id, 1, 2, "hold")
    grant = scene.till.ledger.allowances.grant(POOL)
    assert grant is not None
    assert grant.granted == 2


def test_a_slice_that_covers_the_pool_is_spent_without_asking(local: Scene) -> None:
    local.lease(2)
    assert local.confirm(local.film()).granted == "lease"
    assert local.holder.wishes == []


def test_only_what_the_slice_lacks_is_asked_for(local: Scene) -> None:
    local.lease(1)
    local.headquarters.accounts["t01"].granted = 1
    assert local.confirm(local.film()).granted == "hold"
    assert [each.amount for each in local.holder.wishes[0].keys] == [1]


def test_nothing_is_asked_when_every_limit_is_local(tmp_path: Path) -> None:
    all_local = made(tmp_path, tickets=Offline.LOCAL, purchase=Offline.LOCAL, pool=Offline.LOCAL)
    assert all_local.confirm(all_local.film()).granted == "local"
    assert all_local.holder.wishes == []
    all_local.till.ledger.close()


def test_a_card_used_up_at_another_cinema_is_refused_with_headquarters_numbers(scene: Scene) -> None:
    held = scene.film(2)
    assert held.quote.eligible
    scene.headquarters.used_by[next(claim.key for claim in held.quote.claims if claim.limit == "tickets")] = 1
    (tickets,) = scene.refused(held)
    assert str(tickets.code) == "limit-reached"
    wanted = {"used": 1, "max": 2, "remaining": 1, "asked": 2, "elsewhere": 1}
    assert {name: tickets.numbers[name] for name in wanted} == wanted
    assert "已用 1（其中 1 在别处）" in tickets.text("zh")
    assert "1 (1 at another shop) used" in tickets.text("en")
    assert scene.till.ledger.last_sequence() == 0
    again = scene.film(2)
    assert [str(each.code) for each in again.quote.refusals] == ["limit-reached"]
    assert scene.confirm(scene.film(1)).granted == "hold"


def test_the_word_of_a_refusal_is_forgotten_after_a_while(scene: Scene) -> None:
    held = scene.film(2)
    key = next(claim.key for claim in held.quote.claims if claim.limit == "tickets")
    scene.headquarters.used_by[key] = 2
    scene.refused(held)
    assert not scene.film(2).quote.eligible
    scene.headquarters.used_by[key] = 0
    scene.till.clock.step(TOLD_MS)
    assert scene.confirm(scene.film(2)).granted == "hold"


def test_a_pool_that_is_gone_is_said_so(local: Scene) -> None:
    local.headquarters.units = 1
    (gone,) = local.refused(local.film())
    assert str(gone.code) == "quota-gone"
    assert gone.numbers["remaining"] == 1
    assert local.confirm(local.film(1)).granted == "hold"


def test_a_refusal_by_another_book_gives_headquarters_own_numbers(scene: Scene) -> None:
    """Headquarters' revision allows less than the till's."""
    held = scene.film(2)
    key = next(claim.key for claim in held.quote.claims if claim.limit == "tickets")

    async def less(wish: Wish) -> HoldWord:
        return HoldWord(False, {key: KeyWord(0, 1)}, "", 0)

    scene.holder.ask = less  # type: ignore[method-assign]
    (tickets,) = scene.refused(held)
    assert (tickets.numbers["max"], tickets.numbers["used"], tickets.numbers["asked"]) == (1, 0, 2)


def test_a_refusal_without_numbers_still_has_a_reason(scene: Scene) -> None:
    async def no(wish: Wish) -> HoldWord:
        return HoldWord(False, {}, "", 0)

    scene.holder.ask = no  # type: ignore[method-assign]
    assert [str(each.code) for each in scene.refused(scene.film())] == ["needs-hq"]


def test_a_repeat_asks_nothing_again(scene: Scene) -> None:
    held, redemption = scene.film(), new_id()
    scene.confirm(held, redemption)
    assert scene.confirm(held, redemption).repeat
    assert len(scene.holder.wishes) == 1


def test_the_same_wish_again_is_one_and_another_sale_is_the_next_attempt(scene: Scene) -> None:
    redemption = new_id()
    scene.headquarters.units = 0
    scene.refused(scene.film(2), redemption)
    scene.till.clock.step(TOLD_MS)
    scene.refused(scene.film(2), redemption)
    scene.headquarters.units = 1
    scene.till.clock.step(TOLD_MS)
    scene.confirm(scene.film(1), redemption)
    assert [wish.attempt for wish in scene.holder.wishes] == [1, 1, 2]


def test_a_slice_spent_meanwhile_is_made_up_by_a_hold(local: Scene) -> None:
    """Another tab sells the last units between quote and confirmation."""
    local.lease(2)
    local.headquarters.accounts["t01"].granted = 2
    held = local.film()
    local.till.ledger.allowances.take(
        LeaseWord(2, "v2", LIFE_MS, local.till.clock.monotonic_ms(), local.till.clock.boot(), ())
    )
    assert local.confirm(held).granted == "hold"


def test_a_hold_of_a_sale_that_fails_is_given_back_and_never_spent(scene: Scene) -> None:
    held, redemption = scene.film(), new_id()
    other = scene.film()

    def meanwhile() -> None:
        """The other tab sells to the same card while headquarters is asked."""
        scene.till.ledger.authorise(authorisation_of(new_id(), other, "c02", str, lambda claim: claim.max))

    scene.holder.meanwhile = meanwhile
    assert "limit-reached" in [str(each.code) for each in scene.refused(held, redemption)]
    assert scene.holder.given_back == [(redemption, 1)]
    assert scene.till.ledger.allowances.renounced(redemption) == 1


# --- while it is not --------------------------------------------------------------------------------------------------


def test_with_the_line_down_a_flag_limit_goes_on(tmp_path: Path) -> None:
    flagged = made(tmp_path, pool=Offline.LOCAL)
    flagged.holder.ready = False
    assert flagged.confirm(flagged.film()).granted == "flag"
    assert flagged.holder.wishes == []
    flagged.till.ledger.close()


def test_no_answer_is_the_line_down_and_the_next_sales_do_not_wait(tmp_path: Path) -> None:
    flagged = made(tmp_path, pool=Offline.LOCAL)
    flagged.holder.deaf = True
    assert flagged.confirm(flagged.film(1)).granted == "flag"
    assert not flagged.till.counter.rights.asks
    flagged.till.clock.step(SILENT_MS)
    assert flagged.till.counter.rights.asks
    assert len(flagged.holder.wishes) == 1
    flagged.till.ledger.close()


def test_with_the_line_down_a_pool_is_sold_from_the_slice_only(scene: Scene) -> None:
    scene.holder.ready = False
    assert [str(each.code) for each in scene.film().quote.refusals] == ["needs-hq"]
    scene.lease(1)
    assert [str(each.code) for each in scene.film().quote.refusals] == ["quota-gone"]
    assert scene.confirm(scene.film(1)).granted == "lease"


def test_a_pool_whose_hold_is_not_answered_is_refused(local: Scene) -> None:
    local.holder.deaf = True
    held = local.film()
    assert [str(each.code) for each in local.refused(held)] == ["needs-hq"]


def test_a_refuse_limit_needs_an_answer(strict: Scene) -> None:
    assert strict.confirm(strict.film(1)).granted == "hold"
    strict.holder.ready = False
    assert [str(each.code) for each in strict.film(1, "model-worker").quote.refusals] == ["needs-hq"]


def test_a_slice_of_the_settings_counts_until_headquarters_leases_one(tmp_path: Path) -> None:
    till = open_till(tmp_path, slices={"winter-film/pool": 3})
    till.present("member")
    scene = Scene(till, PaperHolder(PaperHeadquarters(POOL, 0), till.clock, ready=False), Told())
    assert scene.film().quote.eligible
    scene.lease(0)
    assert [str(each.code) for each in scene.film().quote.refusals] == ["quota-gone"]
    till.ledger.close()


def test_a_lease_that_ended_between_quote_and_confirmation_is_not_spent(local: Scene) -> None:
    local.lease(5)
    local.holder.ready = False
    local.till.clock.step(LIFE_MS - 1)
    held = local.film()
    local.till.clock.step(1)
    assert [str(each.code) for each in local.refused(held)] == ["needs-hq"]
    assert local.till.ledger.last_sequence() == 0


# --- what was used elsewhere ------------------------------------------------------------------------------------------


def test_what_was_used_elsewhere_counts_in_the_quote_and_in_the_ledger(tmp_path: Path) -> None:
    flagged = made(tmp_path, purchase=Offline.LOCAL, pool=Offline.LOCAL)
    flagged.holder.ready = False
    held = flagged.film(2)
    flagged.elsewhere.amounts["tickets"] = 1
    (tickets,) = flagged.refused(held)
    assert (tickets.numbers["used"], tickets.numbers["elsewhere"]) == (1, 1)
    done = flagged.confirm(flagged.film(1))
    assert next(claim.max for claim in done.claims if "|tickets|" in claim.key) == 1
    flagged.till.ledger.close()


def test_the_page_says_what_is_left_for_this_member(scene: Scene) -> None:
    scene.elsewhere.amounts["tickets"] = 1
    scene.till.present("member")
    card = scene.till.counter.presentation
    assert card is not None
    film = next(view for view in card.offers if view.offer == "winter-film")
    assert film.remaining == 1


def test_a_quote_that_moved_to_another_price_is_shown_not_sold(local: Scene) -> None:
    """The hold was not answered, and the slice grew meanwhile: the cashier confirms once more."""
    local.holder.deaf = True
    held = local.film()
    real_ask = local.holder.ask

    async def grows(wish: Wish) -> HoldWord | None:
        local.lease(5)
        return await real_ask(wish)

    local.holder.ask = grows  # type: ignore[method-assign]
    with pytest.raises(QuoteMoved):
        local.confirm(held)


@pytest.mark.parametrize("others", [False, True])
def test_a_card_that_could_have_nothing_is_announced_when_it_can(tmp_path: Path, others: bool) -> None:
    """Presented in the first second after a start; with another offer open to it the cashier may be selling already."""
    scene = made(tmp_path)
    scene.holder.ready = False
    counter = scene.till.counter
    if not others:
        film = tuple(offer for offer in counter.book.book.offers if offer.id == "winter-film")
        counter.replace_book(LoadedBook.of(counter.book.book.model_copy(update={"offers": film})))
    scene.till.present("member")
    before = counter.presentation
    counter.usage_changed()
    assert counter.presentation == before
    scene.holder.ready = True
    counter.usage_changed()
    after = counter.presentation
    assert before is not None
    assert after is not None
    assert next(view.eligible for view in after.offers if view.offer == "winter-film")
    assert (after.id == before.id) is others
    scene.till.ledger.close()

"""A draft over past sales: the book that sold them changes nothing, another one changes what it says it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, load_book, parse_book
from terminal.offers.conditions import voucher_code
from terminal.offers.counts import Scope
from terminal.offers.quote import quote
from terminal.offers.replay import PROGRESS_EVERY, Event, GivenBack, PastSale, Report, replay, unknown_code
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.voucher import VoucherRecord, check_character, well_formed
from tests.fakes.offers import BEIJING, BOOK, BOOK_PATH, FakeUsage
from tests.fakes.offers import Till as Counter
from tests.terminal.offers.reference.worlds import World, moments, sales, worlds

EVERYDAY = load_book(BOOK_PATH.with_name("everyday.toml"))
ISSUED = date(2012, 11, 1)
FIRST, LAST = date(2012, 12, 25), date(2013, 12, 31)
GRANTS = {"winter-film/pool": 20_000, "winter-haircut/pool": 20_000}


def code(number: int) -> str:
    stem = f"VOUCHER{number:04d}"
    return stem + check_character(stem)


@dataclass(frozen=True)
class Template:
    """One thing that is sold: where, what, with what, at which list price."""

    book: LoadedBook
    place: Place
    offer: str
    lines: tuple[tuple[str, int, dict[str, str]], ...]  # category, list price in fen, answers
    proofs: dict[str, str | bool] = field(default_factory=dict)


def one(book: LoadedBook, where: str, offer: str, category: str, fen: int, **more: Any) -> Template:
    merchant, _, site = where.partition("/")
    answers = more.pop("answers", {})
    return Template(book, Place(merchant, site, "t1"), offer, ((category, fen, answers),), more.pop("proofs", {}))


PASS_PROOFS: dict[str, str | bool] = {"id-card": "11010119900101001X", "photo": True}
SOLD = (
    one(BOOK, "dongsi/main", "winter-film", "film-ticket", 8000, answers={"format": "2d"}),
    one(BOOK, "sample-laundry/main", "winter-laundry", "laundry", 4500),
    one(BOOK, "manrui/main", "winter-haircut", "haircut", 3800, answers={"service": "ordinary"},
        proofs={"voucher": "?"}),
    one(BOOK, "parks/beihai", "park-pass", "park-annual-pass", 20000, answers={"purchase": "new"}, proofs=PASS_PROOFS),
    one(BOOK, "parks/tiantan", "park-pass", "park-annual-pass", 20000, answers={"purchase": "renewal"},
        proofs={**PASS_PROOFS, "transit-card": True}),
    one(EVERYDAY, "dongsi/main", "everyday-film", "film-ticket", 8000, answers={"lowest": "3000", "showing": "A1"}),
    one(EVERYDAY, "ditan/main", "temple-fair", "fair-ticket", 1000, proofs={"voucher": "?"}),
    one(EVERYDAY, "zhongtibeili/club-1", "gym-free-session", "gym-session", 8000),
    one(EVERYDAY, "zhongtibeili/club-1", "gym-pack", "gym-pack", 24000),
    one(EVERYDAY, "zhongtibeili/club-2", "gym-visit", "gym-session", 8000),
    one(EVERYDAY, "bookshop/main", "bookshop-binding", "bookshop-binding", 0),
    one(EVERYDAY, "bookshop/main", "bookshop", "books", 4321),
    Template(EVERYDAY, Place("tcm-hospital", "main", "t1"), "hospital",
             (("registration", 500, {}), ("drugs", 3333, {}), ("examination", 7, {}))),
    one(EVERYDAY, "tcm-hospital/main", "hospital-insured", "drugs", 3333, proofs={"insurance-card": True}),
    one(EVERYDAY, "canal/main", "canal-boat", "boat-ticket", 4001),
    one(EVERYDAY, "aquarium/main", "aquarium", "aquarium-ticket", 14001),
)  # fmt: skip


def member(number: int) -> Member:
    return Member(f"v1:{number:064x}", f"v1:{number + 9:064x}", Standing.ACTIVE, MemberClass.ORDINARY, ISSUED)


@dataclass
class Shop:
    """Sells under one book, remembers the events and gives back as the ledger does."""

    book: LoadedBook
    usage: FakeUsage = field(default_factory=lambda: FakeUsage(slices=GRANTS, vouchers=VOUCHERS))
    events: list[Event] = field(default_factory=list)
    claims: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    back: dict[str, int] = field(default_factory=dict)

    def sell(self, template: Template, who: int, quantity: int, voucher: str, at: datetime) -> PastSale | None:
        lines = tuple(SaleLine(name, quantity, fen, answers) for name, fen, answers in template.lines)
        proofs = {name: voucher if value == "?" else value for name, value in template.proofs.items()}
        return self.offer(Sale(template.place, template.offer, lines, proofs), member(who), at)

    def offer(self, asked: Sale, who: Member, at: datetime) -> PastSale | None:
        """Sell when the rules allow it, and keep of it what a ledger keeps."""
        answer = quote(asked, who, self.book, self.usage, at)
        if not answer.eligible:
            return None
        self.usage.commit(answer.claims)
        prepared = self.book.offers[answer.offer]
        per_voucher = any(Scope.VOUCHER in limit.per for limit in prepared.offer.limits)
        sale = PastSale(
            id=f"sale-{len(self.events)}",
            at=at,
            day=at.date(),
            place=asked.place,
            member=who,
            offer=answer.offer,
            lines=tuple(SaleLine(x.category, x.quantity, x.list_fen, x.attributes) for x in answer.lines),
            shown=frozenset(answer.proofs_kept),
            voucher=voucher_code(prepared, asked) if per_voucher else None,
            list_fen=answer.list_fen,
            pay_fen=answer.pay_fen,
            units=sum(line.quantity for line in answer.lines),
        )
        self.events.append(sale)
        self.claims[sale.id] = answer.claims
        return sale

    def give_back(self, sale: PastSale, units: int) -> None:
        before = self.back.get(sale.id, 0)
        after = min(sale.units, before + units)
        if after == before:
            return
        for claim in self.claims[sale.id]:
            share = claim.amount * after // sale.units - claim.amount * before // sale.units
            self.usage.counts[claim.key] -= share
        self.back[sale.id] = after
        self.events.append(GivenBack(sale.id, after - before))


VOUCHERS = {code(number): VoucherRecord("temple-fair", None, None) for number in range(4)}


def run(draft: LoadedBook, events: Iterable[Event], first: date = FIRST, last: date = LAST) -> Report:
    return replay(draft, events, first, last, lambda _: None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sell", "sell", "sell", "back"]),
        st.integers(0, len(SOLD) - 1),
        st.integers(0, 2),  # who
        st.integers(1, 3),  # quantity, or units given back
        st.integers(0, 3),  # voucher
        st.integers(1, 20_000),  # minutes since the step before
    ),
    max_size=40,
)


def sold_by(book: LoadedBook, steps: Sequence[tuple[str, int, int, int, int, int]]) -> list[Event]:
    shop, now = Shop(book), datetime(2012, 12, 25, 9, tzinfo=BEIJING)
    for kind, which, who, quantity, voucher, minutes in steps:
        now += timedelta(minutes=minutes)
        sales = [event for event in shop.events if isinstance(event, PastSale)]
        if kind == "back" and sales:
            shop.give_back(sales[which % len(sales)], quantity)
        else:
            shop.sell(SOLD[which], who, quantity, code(voucher), now)
    return shop.events


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
def test_the_book_that_sold_changes_nothing(steps: Sequence[tuple[str, int, int, int, int, int]]) -> None:
    for book in (BOOK, EVERYDAY):
        events = sold_by(book, steps)
        report = run(book, events)
        assert (report.changed, report.examples, report.bites) == (0, [], {})
        for total in (*report.offers.values(), *report.days.values()):
            assert total.was_pay_fen == total.would_pay_fen
            assert total.sales == total.would_sell
            assert not any(total.refused.values())
        assert report.given_back == sum(isinstance(event, GivenBack) for event in events)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(world=worlds(), data=st.data())
def test_any_book_that_sold_changes_nothing(world: World, data: st.DataObject) -> None:
    shop = Shop(world.book, FakeUsage({}, world.grants, world.register))
    now = data.draw(moments(world.epoch))
    for _ in range(data.draw(st.integers(3, 14))):
        match data.draw(st.sampled_from(("sell", "sell", "sell", "clock", "back"))):
            case "sell":
                shop.offer(data.draw(sales(world)), data.draw(st.sampled_from(world.members)), now)
            case "clock":
                now = data.draw(moments(world.epoch))
            case _:
                sold = [event for event in shop.events if isinstance(event, PastSale)]
                if sold:
                    shop.give_back(data.draw(st.sampled_from(sold)), data.draw(st.integers(1, 3)))
    report = run(world.book, shop.events, date.min, date.max)
    assert (report.changed, report.examples, report.bites) == (0, [], {})
    assert all(total.was_pay_fen == total.would_pay_fen for total in report.offers.values())


def test_everything_that_is_sold_replays_unchanged() -> None:
    for book in (BOOK, EVERYDAY):
        shop = Shop(book)
        for number, template in enumerate(each for each in SOLD if each.book is book):
            at = datetime(2013, 4, 20 if template.offer == "canal-boat" else 15, 10, number, tzinfo=BEIJING)
            if book is BOOK or template.offer in {"temple-fair", "bookshop-binding"}:
                at = datetime(2013, 1 if book is BOOK else 2, 10, 10, number, tzinfo=BEIJING)
            assert shop.sell(template, number % 2 if template.offer == "park-pass" else 3, 1, code(1), at), template
        report = run(book, sorted(shop.events, key=lambda event: event.at))
        assert (report.changed, report.sales) == (0, len(shop.events))


def film(shop: Shop, who: int = 1, quantity: int = 2, at: str = "2013-01-01 12:00") -> PastSale:
    moment = datetime.fromisoformat(at).replace(tzinfo=BEIJING)
    sale = shop.sell(SOLD[0], who, quantity, "", moment)
    assert sale is not None
    return sale


def draft_of(change: Callable[[str], str], path: str = "winter-2012.toml") -> LoadedBook:
    text = BOOK_PATH.with_name(path).read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    return LoadedBook.of(parse_book(changed, "toml"))


def test_a_cheaper_price_is_paid() -> None:
    shop = Shop(BOOK)
    film(shop)
    cheaper = draft_of(lambda text: text.replace("unit_fen = 1000", "unit_fen = 500", 1))
    report = run(cheaper, shop.events)
    total = report.offers["winter-film"]
    assert (total.was_pay_fen, total.would_pay_fen) == (2000, 1000)
    assert (total.was_saving_fen, total.would_save_fen) == (14_000, 15_000)
    [example] = report.examples
    assert (example.was_pay_fen, example.would_pay_fen, example.code) == (2000, 1000, "")


def test_a_stricter_limit_bites_and_the_sale_pays_its_list_price() -> None:
    shop = Shop(BOOK)
    film(shop, quantity=2)
    film(shop, who=2, quantity=1)
    stricter = draft_of(lambda text: text.replace('id = "tickets", max = 2', 'id = "tickets", max = 1', 1))
    report = run(stricter, shop.events)
    total = report.offers["winter-film"]
    assert report.bites == {("winter-film", "tickets"): 1}
    assert total.refused == {"limit-reached": 1}
    assert (total.sales, total.would_sell, total.would_pay_fen) == (2, 1, 16_000 + 1000)
    assert report.used["winter-film", "tickets"] == 1
    assert report.changed == 1


def test_an_exhausted_pool_bites_and_a_cancelled_sale_frees_it() -> None:
    shop = Shop(BOOK)
    first = film(shop)
    film(shop, who=2)
    narrow = draft_of(lambda text: text.replace("max = 20000", "max = 2", 1))
    assert run(narrow, shop.events).bites == {("winter-film", "pool"): 1}
    freed = Shop(BOOK)
    sold = film(freed)
    freed.give_back(sold, sold.units)
    film(freed, who=2)
    report = run(narrow, freed.events)
    assert (report.bites, report.given_back) == ({}, 1)
    total = report.offers["winter-film"]
    assert (total.sales, total.was_pay_fen, total.would_pay_fen, total.was_list_fen) == (1, 2000, 2000, 16_000)
    assert first.units == 2


def test_a_partial_void_takes_its_share_of_the_money() -> None:
    shop = Shop(BOOK)
    sale = film(shop)
    shop.give_back(sale, 1)
    total = run(BOOK, shop.events).offers["winter-film"]
    assert (total.sales, total.was_list_fen, total.was_pay_fen, total.would_pay_fen) == (1, 8000, 1000, 1000)


def test_refused_sale_that_came_back_is_in_no_sum() -> None:
    shop = Shop(BOOK)
    sale = film(shop)
    shop.give_back(sale, 2)
    never = draft_of(
        lambda text: text.replace("first_day = 2012-12-25, last_day = 2013-02-20", "first_day = 2013-02-01", 1)
    )
    report = run(never, shop.events)
    total = report.offers["winter-film"]
    assert (report.sales, total.sales, total.would_pay_fen, sum(total.refused.values())) == (0, 0, 0, 0)


def test_sales_before_the_first_day_fill_the_counters_and_those_after_the_last_are_left_out() -> None:
    shop = Shop(EVERYDAY)
    gym = SOLD[8]
    for number, day in enumerate(("2012-12-26", "2013-01-10", "2013-02-10"), start=1):
        assert shop.sell(gym, number, 1, "", datetime.fromisoformat(f"{day} 10:00").replace(tzinfo=BEIJING))
    total_of_two = draft_of(
        lambda text: text.replace(
            "opens = { visits = 3 }\nlimits = [",
            'opens = { visits = 3 }\nlimits = [{ id = "all", max = 1, count = "units", per = ["campaign"], '
            'window = "ever", offline = "flag" }, ',
        ),
        "everyday.toml",
    )
    report = run(total_of_two, shop.events, date(2013, 1, 1), date(2013, 1, 31))
    assert (report.sales, list(report.days)) == (1, [date(2013, 1, 10)])
    assert report.bites == {("gym-pack", "all"): 1}


def test_visits_need_their_pack_under_the_draft_too() -> None:
    shop = Shop(EVERYDAY)
    at = datetime(2013, 1, 5, 10, tzinfo=BEIJING)
    assert shop.sell(SOLD[8], 1, 1, "", at)
    assert shop.sell(SOLD[9], 1, 3, "", at + timedelta(hours=1))
    smaller = draft_of(lambda text: text.replace("visits = 3", "visits = 2"), "everyday.toml")
    report = run(smaller, shop.events)
    assert report.offers["gym-visit"].refused == {"no-visits-left": 1}


def test_a_window_that_begins_with_a_sale_is_replayed() -> None:
    shop = Shop(EVERYDAY)
    at = datetime(2013, 1, 5, 10, tzinfo=BEIJING)
    assert shop.sell(SOLD[10], 1, 1, "", at)
    assert shop.sell(SOLD[11], 1, 1, "", at + timedelta(days=300))
    shorter = draft_of(
        lambda text: text.replace('"bookshop-binding", months = 12', '"bookshop-binding", months = 6'), "everyday.toml"
    )
    assert run(EVERYDAY, shop.events).changed == 0
    assert run(shorter, shop.events).offers["bookshop"].refused == {"period-over": 1}


def test_a_sale_of_an_offer_that_is_gone_takes_the_drafts_best() -> None:
    shop = Shop(EVERYDAY)
    assert shop.sell(SOLD[13], 1, 1, "", datetime(2013, 1, 5, 10, tzinfo=BEIJING))
    gone = EVERYDAY.book.model_copy(
        update={"offers": tuple(one for one in EVERYDAY.book.offers if one.id != "hospital-insured")}
    )
    [example] = run(LoadedBook.of(gone), shop.events).examples
    assert (example.offer, example.would_offer, example.was_pay_fen, example.would_pay_fen) == (
        "hospital-insured", "hospital", 3000, 2833,
    )  # fmt: skip


def test_a_new_proof_that_nobody_brought_is_missed() -> None:
    shop = Shop(BOOK)
    assert shop.sell(SOLD[1], 1, 1, "", datetime(2013, 1, 5, 10, tzinfo=BEIJING))
    asking = draft_of(
        lambda text: text.replace(
            "# a bill of 45 yuan pays 10 + 15",
            '\nproof = [{ kind = "seen", name = "receipt", label = { zh = "小票", en = "receipt" } }]',
        )
    )
    assert run(asking, shop.events).offers["winter-laundry"].refused == {"proof-missing": 1}


def test_used_voucher_stays_used_under_the_draft() -> None:
    shop = Shop(EVERYDAY)
    at = datetime(2013, 2, 10, 10, tzinfo=BEIJING)
    sale = shop.sell(SOLD[6], 1, 1, code(1), at)
    assert sale is not None
    again = PastSale(
        **{**{name: getattr(sale, name) for name in PastSale.__slots__}, "id": "again", "member": member(2)}
    )
    report = run(EVERYDAY, [sale, again])
    assert report.offers["temple-fair"].refused == {"voucher-used": 1}


def test_code_that_was_not_kept_is_well_formed_and_the_sales_own() -> None:
    codes = {unknown_code(f"sale-{number}") for number in range(200)}
    assert len(codes) == 200
    assert all(well_formed(one) for one in codes)


def test_progress_is_told_as_it_goes() -> None:
    told: list[int] = []
    events = [GivenBack("nothing", 1)] * (2 * PROGRESS_EVERY + 5)
    report = replay(BOOK, events, FIRST, LAST, told.append)
    assert told == [PROGRESS_EVERY, 2 * PROGRESS_EVERY]
    assert (report.sales, report.given_back) == (0, 0)


def test_counters_of_a_till_and_of_a_replay_agree() -> None:
    till = Counter(Place("dongsi", "main", "t1"))
    answer = till.sell("winter-film", SaleLine("film-ticket", 2, 8000, {"format": "2d"}))
    shop = Shop(BOOK)
    film(shop)
    assert {claim.key.partition("|")[2].partition("|")[0] for claim in answer.claims} == {"tickets", "purchase", "pool"}
    assert run(BOOK, shop.events).used == {
        ("winter-film", "tickets"): 2, ("winter-film", "purchase"): 1, ("winter-film", "pool"): 2,
    }  # fmt: skip

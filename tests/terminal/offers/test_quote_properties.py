"""What holds for any sale, member, moment and order of sales: an answer, never too much, never too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.overview import overview
from terminal.offers.quote import Quote, quote
from terminal.offers.sale import Place, Sale, SaleLine
from tests.fakes.offers import BOOK, FakeUsage, beijing


class ConstantUsage:
    """Answers every key alike."""

    def __init__(self, count: int, granted: int | None) -> None:
        self._count, self._granted = count, granted

    def used(self, key: str) -> int:
        assert key.isascii()
        return self._count

    def elsewhere(self, key: str) -> int:
        return 0

    def slice_of(self, offer: str, limit: str, key: str) -> int | None:
        return self._granted


ANY_TEXT = st.text(st.characters(), max_size=80)
KNOWN = sorted(
    {*BOOK.offers, *BOOK.book.categories, *BOOK.book.attributes, "2d", "3d", "ordinary", "new", "id-card", "photo"}
    | {"voucher", "transit-card", "LF-0001", "parks", "main", "tiantan", "gongren-julebu", "manrui", "sample-laundry"}
)
WORD = st.sampled_from(KNOWN) | ANY_TEXT
NUMBER = st.integers(0, 5) | st.integers(0, 10_000) | st.integers()
PLACES = st.sampled_from(
    [Place(merchant.id, site.id, "t1") for merchant in BOOK.book.merchants for site in merchant.sites]
) | st.builds(Place, WORD, WORD, WORD)
LINES = st.builds(SaleLine, WORD, NUMBER, NUMBER, st.dictionaries(WORD, WORD, max_size=4))
SALES = st.builds(
    Sale,
    PLACES,
    st.none() | WORD,
    st.lists(LINES, max_size=60).map(tuple),
    st.dictionaries(WORD, WORD | st.booleans(), max_size=5),
)
MEMBERS = st.builds(
    Member, ANY_TEXT, ANY_TEXT, st.sampled_from(Standing), st.sampled_from(MemberClass), st.none() | st.dates()
)
ZONES = st.none() | st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
MOMENTS = st.datetimes(timezones=ZONES) | st.sampled_from(
    [datetime.min.replace(tzinfo=timezone(timedelta(hours=23))), datetime.max.replace(tzinfo=UTC)]
)
USAGES = st.builds(ConstantUsage, st.integers(), st.none() | st.integers())


def assert_sound(answer: Quote) -> None:
    """The sums and promises of every quote."""
    assert answer.pay_fen == sum(line.pay_fen for line in answer.lines) + sum(fee.amount_fen for fee in answer.fees)
    assert answer.list_fen == sum(line.quantity * line.list_fen for line in answer.lines)
    assert answer.saving_fen == answer.list_fen - sum(line.pay_fen for line in answer.lines)
    assert all(0 <= line.pay_fen <= line.quantity * line.list_fen for line in answer.lines)
    if answer.refusals:
        assert (answer.claims, answer.fees, answer.saving_fen) == ((), (), 0)
    else:
        assert answer.saving_fen > 0
        assert all(claim.amount > 0 for claim in answer.claims)
    for refusal in (*answer.refusals, *(one for passed in answer.passed_over for one in passed.refusals)):
        for language in ("zh", "en"):
            assert "?" not in refusal.text(language)  # every place of the sentence was filled


@given(SALES, MEMBERS, USAGES, MOMENTS)
@settings(max_examples=400)
def test_quote_answers_anything(sale: Sale, member: Member, usage: ConstantUsage, now: datetime) -> None:
    assert_sound(quote(sale, member, BOOK, usage, now))


@given(PLACES, MEMBERS, USAGES, MOMENTS)
def test_overview_answers_anything(place: Place, member: Member, usage: ConstantUsage, now: datetime) -> None:
    for view in overview(place, member, BOOK, usage, now):
        assert view.eligible == (not view.refusals)
        assert view.remaining is None or view.remaining >= 0
        assert all(ask.as_dict() for ask in view.asks)


FITTING = {
    "winter-film": (Place("gongren-julebu", "main", "t1"), "film-ticket", {"format": "2d"}),
    "winter-laundry": (Place("sample-laundry", "main", "t1"), "laundry", {}),
    "winter-haircut": (Place("manrui", "main", "t1"), "haircut", {"service": "ordinary"}),
    "park-pass": (Place("parks", "tiantan", "t1"), "park-annual-pass", {"purchase": "new"}),
}


@st.composite
def fitting_sales(draw: st.DrawFn) -> tuple[Sale, Member]:
    """A sale that is refused for its limits only, by one of three persons with two cards each."""
    offer = draw(st.sampled_from(sorted(FITTING)))
    place, category, answers = FITTING[offer]
    lines = draw(st.lists(st.builds(SaleLine, st.just(category), st.integers(1, 3), st.integers(500, 20000),
                                    st.just(answers)), min_size=1, max_size=3))  # fmt: skip
    voucher = draw(st.sampled_from(["LF-0001", "LF-0002", "lf-0001"]))
    proofs: dict[str, str | bool] = {"voucher": voucher, "id-card": "11010519491231002X", "photo": True}
    person, card = draw(st.integers(0, 2)), draw(st.integers(0, 1))
    holder = Member(f"v1:{person}{card}", f"v1:{person}", Standing.ACTIVE, MemberClass.ORDINARY, None)
    return Sale(place, draw(st.sampled_from([offer, None])), tuple(lines), proofs), holder


@given(st.lists(fitting_sales(), max_size=25), st.integers(0, 6))
@settings(max_examples=150)
def test_no_order_of_sales_exceeds_a_limit(sales: list[tuple[Sale, Member]], granted: int) -> None:
    usage = FakeUsage(slices={"winter-film/pool": granted, "winter-haircut/pool": granted})
    sold: dict[tuple[str, str, str], int] = {}
    for sale, holder in sales:
        answer = quote(sale, holder, BOOK, usage, beijing("2013-01-05 10:00"))
        assert_sound(answer)
        usage.commit(answer.claims)  # asserts each counter against its bound
        if answer.eligible:
            units = sum(line.quantity for line in answer.lines if line.pay_fen < line.quantity * line.list_fen)
            for key in ((answer.offer, "card", holder.token), (answer.offer, "person", holder.person),
                        (answer.offer, "all", "")):  # fmt: skip
                sold[key] = sold.get(key, 0) + units
    for (offer, per, _), units in sold.items():  # counted apart from the keys and claims under test
        assert (offer, per) != ("winter-film", "card") or units <= 2
        assert (offer, per) not in {("winter-haircut", "person"), ("park-pass", "person")} or units <= 1
        assert (offer, per) not in {("winter-film", "all"), ("winter-haircut", "all")} or units <= granted


@given(fitting_sales())
def test_quote_is_pure(case: tuple[Sale, Member]) -> None:
    sale, holder = case
    usage = FakeUsage()
    first, second = (quote(sale, holder, BOOK, usage, beijing("2013-01-05 10:00")) for _ in range(2))
    assert first == second
    assert usage.counts == {}

"""Past sales out of a real till's ledger: under the very book that sold them, nothing comes out otherwise."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import JingkaError
from config.zone import SHANGHAI
from terminal.held_quotes import QuoteRequest
from terminal.ledger.ledger import Ledger
from terminal.ledger.project import Redemption
from terminal.offers.replay import GivenBack, PastSale, Report, replay
from terminal.offers.sale import SaleLine
from terminal.redemption_id import new_id
from terminal.replay import count_entries, past_sales
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale
from tests.fakes.till import FIRST_EVENING, Till, open_till, winter_book

BOOK = winter_book()
PROOFS: dict[str, str | bool] = {"id-card": "11010119900101001X", "photo": True}
SALES = (
    ("winter-film", "film-ticket", 8000, {"format": "2d"}, {}),
    ("winter-laundry", "laundry", 4500, {}, {}),
    ("park-pass", "park-annual-pass", 20000, {"purchase": "new"}, PROOFS),
    ("park-pass", "park-annual-pass", 20000, {"purchase": "renewal"}, {**PROOFS, "transit-card": True}),
)
LEDGER = "ledger.sqlite"


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    opened = open_till(tmp_path, book=BOOK)
    yield opened
    opened.ledger.close()


def sell(till: Till, which: int, quantity: int = 1) -> Redemption | None:
    """Sell to the card that lies there, when the rules allow it."""
    offer, category, list_fen, answers, proofs = SALES[which]
    presented = till.counter.presentation
    assert presented is not None
    lines = (SaleLine(category, quantity, list_fen, answers),)
    held = asyncio.run(till.counter.quote(QuoteRequest(presented.id, offer, lines, proofs)))
    return asyncio.run(till.counter.authorise(new_id(), held.id, "c01")) if held.quote.eligible else None


def report_of(ledger: Path) -> Report:
    return replay(BOOK, past_sales(ledger, lambda _: None), date(2012, 1, 1), date(2013, 12, 31), lambda _: None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["member", "model-worker", "proved", "fallen-back"]),
        st.integers(0, len(SALES) - 1),
        st.integers(1, 2),  # quantity
        st.sampled_from(["complete", "cancel", "leave", "void one", "void all"]),
        st.integers(0, 20 * 3600),  # seconds until the next
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_the_book_that_sold_changes_nothing(steps: Sequence[tuple[str, int, int, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        till = open_till(Path(directory), book=BOOK)
        try:
            paid = 0
            for card, which, quantity, end, seconds in steps:
                till.present(card)
                sold = sell(till, which, quantity)
                till.clock.step(seconds * 1000)
                if sold is None:
                    continue
                if end == "cancel":
                    till.ledger.cancel(sold.id, "c01", "no money")
                    continue
                if end != "leave":
                    till.ledger.complete(sold.id, "c01", None)
                if end.startswith("void"):
                    last = till.ledger.void(sold.id, "c01", "mistake", 1 if end == "void one" else None)
                    paid -= last.voided_pay_fen
                paid += sold.pay_fen
        finally:
            till.ledger.close()
        report = report_of(Path(directory) / LEDGER)
    assert (report.changed, report.bites) == (0, {})
    assert sum(total.was_pay_fen for total in report.offers.values()) == paid
    assert sum(total.would_pay_fen for total in report.offers.values()) == paid


def test_entries_become_events_in_order(till: Till, tmp_path: Path) -> None:
    till.present("proved")
    first = sell(till, 0, 2)
    assert first is not None
    till.ledger.complete(first.id, "c01", None)
    till.ledger.void(first.id, "c01", "mistake", 1)
    second = sell(till, 1)
    assert second is not None
    till.ledger.cancel(second.id, "c01", "no money")
    events = list(past_sales(tmp_path / LEDGER, lambda _: date(2012, 11, 1)))
    film, back, laundry, gone = events
    assert isinstance(film, PastSale)
    assert isinstance(laundry, PastSale)
    assert (film.id, film.offer, film.units, film.pay_fen, film.list_fen) == (first.id, "winter-film", 2, 2000, 16_000)
    assert film.member.genuine
    assert film.member.issued == date(2012, 11, 1)
    assert film.at == FIRST_EVENING
    assert (back, gone) == (GivenBack(first.id, 1), GivenBack(second.id, 1))
    assert count_entries(tmp_path / LEDGER) == 5


def test_a_sale_confirmed_after_midnight_belongs_to_the_day_of_its_quote(till: Till, tmp_path: Path) -> None:
    till.clock.now = datetime(2013, 2, 20, 15, 59, 58, tzinfo=UTC)  # two seconds to midnight, the campaign's last day
    till.present("member")
    presented = till.counter.presentation
    assert presented is not None
    lines = (SaleLine("film-ticket", 1, 8000, {"format": "2d"}),)
    held = asyncio.run(till.counter.quote(QuoteRequest(presented.id, "winter-film", lines, {})))
    till.clock.step(5_000)
    asyncio.run(till.counter.authorise(new_id(), held.id, "c01"))
    [event] = past_sales(tmp_path / LEDGER, lambda _: None)
    assert isinstance(event, PastSale)
    assert (event.day, event.at) == (date(2013, 2, 20), datetime.combine(date(2013, 2, 20), time.max, SHANGHAI))
    assert report_of(tmp_path / LEDGER).changed == 0


def test_the_code_of_a_voucher_is_found_in_its_limits_key(tmp_path: Path) -> None:
    haircut = BOOK.book.offer("winter-haircut")
    assert haircut is not None
    here = haircut.model_copy(update={"where": haircut.where.model_copy(update={"merchants": ("gongren-julebu",)})})
    others = tuple(offer for offer in BOOK.book.offers if offer.id != "winter-haircut")
    book = type(BOOK).of(BOOK.book.model_copy(update={"offers": (*others, here)}))
    till = open_till(tmp_path, book=book, slices={"winter-haircut/pool": 5})
    try:
        till.present("member")
        presented = till.counter.presentation
        assert presented is not None
        lines = (SaleLine("haircut", 1, 3800, {"service": "ordinary"}),)
        request = QuoteRequest(presented.id, "winter-haircut", lines, {"voucher": "ab-12 34"})
        held = asyncio.run(till.counter.quote(request))
        assert held.quote.eligible, [refusal.text("en") for refusal in held.quote.refusals]
        asyncio.run(till.counter.authorise(new_id(), held.id, "c01"))
    finally:
        till.ledger.close()
    [event] = past_sales(tmp_path / LEDGER, lambda _: None)
    assert isinstance(event, PastSale)
    assert event.voucher == "AB-1234"
    again = replace(event, id="again", member=replace(event.member, person="v1:" + "0" * 64))
    report = replay(book, [event, again], date(2012, 1, 1), date(2013, 12, 31), lambda _: None)
    assert report.offers["winter-haircut"].refused == {"voucher-used": 1}


def test_what_a_customer_answers_never_passes_for_a_completion(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / LEDGER, "t01", SteppedClock())
    answers = {"kind": "completed", "zone": '"kind":"completed"'}
    line = {"category": "c", "quantity": 1, "list_fen": 10, "pay_fen": 10, "attributes": answers, "trace": ""}
    asked = sale(lines=(line,), proofs={"kind": "completed"}, units=1)
    ledger.authorise(asked)
    ledger.complete(asked.id, "c01", '"kind":"authorised"')
    ledger.close()
    [event] = past_sales(tmp_path / LEDGER, lambda _: None)
    assert isinstance(event, PastSale)
    assert (event.lines[0].attributes, event.comes_back) == (answers, False)


def test_a_ledger_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(JingkaError):
        count_entries(tmp_path / "none.sqlite")
    with pytest.raises(JingkaError):
        list(past_sales(tmp_path / "none.sqlite", lambda _: None))

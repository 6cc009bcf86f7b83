"""A new book while the till is open: what is judged anew, what stays as it began, and what a bad book changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal.book_file import BookFile
from terminal.book_in_force import REPLACED_BOOKS_MAX, BookInForce, BookNotTaken
from terminal.counter import PresentationGone
from terminal.held_quotes import QuoteRequest
from terminal.offers.book import BookInvalid, BookMissing, LoadedBook, canonical_json
from terminal.offers.prices import FixedUnit
from terminal.offers.sale import SaleLine
from terminal.redemption_id import new_id
from tests.fakes.till import Till, open_till, winter_book

QUOTE_S = 300  # `[counter] quote_s` of the fake till
TICKETS = (SaleLine("film-ticket", 2, 8000, {"format": "2d"}),)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    opened = open_till(tmp_path)
    yield opened
    opened.ledger.close()


def dearer(revision: int = 2, unit_fen: int = 1500) -> LoadedBook:
    """The same offers, with the film at another price."""
    book = winter_book().book
    offers = tuple(
        offer.model_copy(update={"price": FixedUnit(kind="fixed_unit", unit_fen=unit_fen)})
        if offer.id == "winter-film"
        else offer
        for offer in book.offers
    )
    return LoadedBook.of(book.model_copy(update={"revision": revision, "offers": offers}))


def without_film() -> LoadedBook:
    book = winter_book().book
    offers = tuple(offer for offer in book.offers if offer.id != "winter-film")
    return LoadedBook.of(book.model_copy(update={"revision": 3, "offers": offers}))


def unreadable() -> BookMissing:
    return BookMissing("read book", "book.toml", cause="gone")


def quote(till: Till, book: str = "") -> tuple[int, int]:
    """The revision and the price of two tickets for the card presented."""
    card = till.counter.presentation
    assert card is not None
    held = asyncio.run(till.counter.quote(QuoteRequest(card.id, "winter-film", TICKETS, {}, book)))
    return held.quote.revision, held.quote.pay_fen


def test_the_card_presented_is_judged_anew_and_stays_the_same_card(till: Till) -> None:
    till.present("member")
    before = till.counter.presentation
    assert before is not None
    till.counter.replace_book(dearer())
    after = till.counter.presentation
    assert after is not None
    assert (after.id, after.book) == (before.id, till.counter.book.hash)
    assert {view.revision for view in after.offers} == {2}
    assert quote(till) == (2, 3000)


def test_a_quote_that_is_held_is_sold_as_it_was_quoted(till: Till) -> None:
    till.present("member")
    card = till.counter.presentation
    assert card is not None
    held = asyncio.run(till.counter.quote(QuoteRequest(card.id, "winter-film", TICKETS, {})))
    till.counter.replace_book(without_film())
    sold = asyncio.run(till.counter.authorise(new_id(), held.id, "c01"))
    assert (sold.revision, sold.book_hash, sold.pay_fen) == (1, winter_book().hash, 2000)


def test_a_sale_that_began_under_a_book_is_quoted_from_it_until_its_time_is_over(till: Till) -> None:
    till.present("member")
    began = till.counter.book.hash
    till.counter.replace_book(without_film())
    assert quote(till, began) == (1, 2000)
    assert till.counter.offer_view("winter-film", book_hash=began).revision == 1
    with pytest.raises(PresentationGone):
        till.counter.offer_view("winter-film")
    till.counter.replace_book(dearer(4))
    till.clock.step(QUOTE_S * 1000)
    till.present("member")
    assert quote(till, began) == (1, 2000)
    till.clock.step(1)
    assert quote(till, began) == (4, 3000)


def test_a_book_nobody_knows_is_the_one_in_force(till: Till) -> None:
    till.present("member")
    assert quote(till, "f" * 64) == (1, 2000)


def test_a_bad_book_leaves_the_old_one_and_says_so_until_a_good_one_comes(till: Till) -> None:
    till.counter.replace_book(unreadable())
    till.present("member")
    assert quote(till) == (1, 2000)
    fault = till.counter.book_fault
    assert isinstance(fault, BookNotTaken)
    assert "仍按第 1 版" in fault.what_text("zh")
    assert unreadable().what_text("en") in fault.what_text("en")
    till.counter.replace_book(winter_book())
    assert till.counter.book_fault is None, "the book in force, put back"


def test_a_till_without_a_book_begins_to_sell_when_one_comes(tmp_path: Path) -> None:
    path = tmp_path / "book.json"
    file = BookFile(path)
    first = file.load()
    assert isinstance(first, BookMissing)
    books = BookInForce(first, kept_ms=1000)
    assert books.summary == {"revision": None, "code": "book-missing"}
    path.write_text("{", encoding="utf-8")
    assert file.changed
    worse = file.load()
    assert isinstance(worse, BookInvalid)
    assert books.replace(worse, 0)
    with pytest.raises(BookInvalid):
        _ = books.book
    path.write_text(canonical_json(winter_book().book), encoding="utf-8")
    good = file.load()
    assert isinstance(good, LoadedBook)
    assert books.replace(good, 0)
    assert books.summary == {"revision": 1, "code": None}
    assert not file.changed


def test_the_books_just_replaced_are_bounded() -> None:
    books = BookInForce(winter_book(), kept_ms=1000)
    for revision in range(2, REPLACED_BOOKS_MAX + 2):
        assert books.replace(dearer(revision), 0)
    assert books.pinned(winter_book().hash, 0).revision == 1
    books.replace(dearer(REPLACED_BOOKS_MAX + 2), 0)
    assert books.pinned(winter_book().hash, 0) is books.book


def test_the_file_is_looked_at_by_what_it_is(tmp_path: Path) -> None:
    path, other = tmp_path / "book.json", tmp_path / "other.json"
    text = canonical_json(winter_book().book)
    path.write_text(text, encoding="utf-8")
    file = BookFile(path)
    assert file.changed
    file.load()
    assert not file.changed
    other.write_text(text, encoding="utf-8")
    other.replace(path)
    assert file.changed, "another file of the same size"
    file.load()
    path.unlink()
    assert file.changed
    assert isinstance(file.load(), BookMissing)
    assert not file.changed, "its absence is told once"


async def _events(till: Till, act: list[LoadedBook | BookMissing]) -> list[tuple[str, dict[str, object]]]:
    heard: list[tuple[str, dict[str, object]]] = []
    till.hub.publish = lambda event, data: heard.append((event, dict(data)))  # type: ignore[method-assign]
    for book in act:
        till.counter.replace_book(book)
    return heard


def test_the_pages_are_told_what_holds_and_what_is_wrong(till: Till) -> None:
    heard = asyncio.run(_events(till, [dearer(), unreadable()]))
    assert heard == [
        ("book", {"revision": 2, "code": None}),
        ("book", {"revision": 2, "code": "book-not-taken"}),
    ]

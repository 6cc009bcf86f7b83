"""Every offer that was published stands in a book: the list of `docs/offers.md`, row by row."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from terminal.offers.book import check_book
from tests.fakes.cases import BOOKS, Case, published

CASES_MIN = 12  # inside, each edge, each refusal
PUBLISHED = {  # what was announced: the book that has it, and its offers there
    "Winter film": ("winter-2012", {"winter-film"}),
    "Everyday film": ("everyday", {"everyday-film"}),
    "Laundry": ("winter-2012", {"winter-laundry"}),
    "Haircut": ("winter-2012", {"winter-haircut"}),
    "Temple fair": ("everyday", {"temple-fair"}),
    "Park annual pass": ("winter-2012", {"park-pass"}),
    "Health check, Workers' Sanatorium": ("everyday", {"checkup-sanatorium", "checkup-sanatorium-vip"}),
    "Health check, Ciming": ("everyday", {"checkup-ciming"}),
    "Gym": ("everyday", {"gym-card", "gym-free-session", "gym-pack", "gym-visit"}),
    "Bookshop": ("everyday", {"bookshop-binding", "bookshop"}),
    "TCM hospital": ("everyday", {"hospital", "hospital-insured", "hospital-cared-for"}),
    "Canal boat": ("everyday", {"canal-boat"}),
    "Aquarium": ("everyday", {"aquarium"}),
}
IN_BOOKS = {name: set(published(name).offers) for name in ("winter-2012", "everyday")}


@pytest.mark.parametrize("announced", PUBLISHED)
def test_what_was_announced_stands_in_its_book(announced: str) -> None:
    book, offers = PUBLISHED[announced]
    assert offers
    assert offers <= IN_BOOKS[book]


def test_the_books_hold_nothing_that_was_not_announced() -> None:
    told = [(book, offer) for book, offers in PUBLISHED.values() for offer in offers]
    assert sorted(told) == sorted((book, offer) for book, offers in IN_BOOKS.items() for offer in offers)


@pytest.mark.parametrize("name", IN_BOOKS)
def test_there_is_nothing_to_regret_about_a_published_book(name: str) -> None:
    assert check_book(BOOKS / f"{name}.toml") == ()


def test_every_offer_has_at_least_a_dozen_cases_and_some_of_either_answer() -> None:
    cases = [
        case
        for path in Path(__file__).parent.glob("test_*.py")
        for table in vars(importlib.import_module(f"{__package__}.{path.stem}")).values()
        if isinstance(table, list)
        for case in table
        if isinstance(case, Case)
    ]
    for offer in {offer for offers in IN_BOOKS.values() for offer in offers}:
        own = [case for case in cases if case.sale.offer == offer]
        assert len(own) >= CASES_MIN, offer
        assert len({case.name for case in own}) == len(own), f"{offer}: two cases of one name"
        assert any(case.refused for case in own), offer
        assert any(not case.refused for case in own), offer


def test_there_are_no_other_books() -> None:
    assert {path.stem for path in BOOKS.glob("*.toml")} == IN_BOOKS.keys()

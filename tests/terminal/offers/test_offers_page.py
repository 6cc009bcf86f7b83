"""The page on writing campaigns is true: its books hold, its sales cost what it says, it names every word there is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from terminal.membership.standing import Member, MemberClass
from terminal.offers.book import LoadedBook, check_book, load_book
from terminal.offers.counts import Count, Offline, Scope, Window
from terminal.offers.model import Book, DayKind, Weekday
from terminal.offers.refusal import RefusalCode, yuan
from terminal.offers.sale import Place, SaleLine
from terminal.offers.values import Wording
from terminal.offers.voucher import VoucherRecord, spelt
from tests.fakes.offers import FakeUsage, Till, codes, member
from tests.terminal.offers.published.test_every_offer import PUBLISHED

PAGE = (Path(__file__).parents[3] / "docs" / "offers.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```toml\n(.*?)^```\n(.*?)(?=^```|\Z)", re.MULTILINE | re.DOTALL)
FRAME, *EXAMPLES = [(found.group(1), found.group(2)) for found in FENCE.finditer(PAGE)]
ROW = re.compile(r"^\| `([^`|]+)` \| ([^|]+) \|$", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
VOUCHER = "MHFK-6SY9-541H"  # the one that headquarters registered
SALES = [
    (number, sale, answer.strip())
    for number, (_, after) in enumerate(EXAMPLES)
    for sale, answer in ROW.findall(after.partition("## Every word")[0])
]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Each example in its frame, as a file."""
    directory = tmp_path_factory.mktemp("books")
    files = [directory / f"example-{number}.toml" for number in range(len(EXAMPLES))]
    for file, (example, _) in zip(files, EXAMPLES, strict=True):
        file.write_text(f"{FRAME[0]}\n{example}", encoding="utf-8")
    return files


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_book_without_a_mistake_or_a_doubt(number: int, books: list[Path]) -> None:
    told = [each.text("en") for each in check_book(books[number])]
    assert [each for each in told if "a merchant without any offer" not in each] == []


# The sales of the tables ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One sale as the page writes it."""

    offer: str | None  # None: the best
    lines: tuple[SaleLine, ...]


def asked(text: str, book: LoadedBook) -> Asked:
    """`offer: 2 film-ticket 80.00 format=2d + …`; without an offer the book's first that is for it."""
    name, colon, bill = text.rpartition(": ")
    lines = tuple(line(part) for part in bill.split(" + "))
    if colon:
        return Asked(None if name == "best" else name, lines)
    fitting = [one.offer.id for one in book.offers.values() if lines[0].category in one.categories]
    return Asked(fitting[0], lines)


def line(text: str) -> SaleLine:
    quantity, category, price, *answers = text.split()
    whole, cents = price.split(".")
    fen = int(whole) * 100 + int(cents)
    return SaleLine(category, int(quantity), fen, dict(answer.split("=", 1) for answer in answers))


def sold_to(words: str, who: Member) -> Member:
    if words == "genuine":
        return replace(who, genuine=True)
    return replace(who, member_class=MemberClass(words))


def answer_to(text: str, book: LoadedBook) -> tuple[list[str], int]:
    """The refusal codes, and what is to pay in fen."""
    bill, *circumstances = text.split("; ")
    who, at, before = member(), "2013-03-01 12:00", ""
    proofs: dict[str, str | bool] = {}
    for each in circumstances:
        word, rest = each.split(" ", 1)
        match word:
            case "at":
                at = rest
            case "as":
                who = sold_to(rest, who)
            case "issued":
                who = replace(who, issued=date.fromisoformat(rest))
            case "with":
                name, given, value = rest.partition("=")
                proofs[name] = value if given else True
            case "after":
                before = rest
            case _:
                raise AssertionError(f"what is {word!r}?")
    wanted = asked(bill, book)
    first = book.offers[wanted.offer or next(iter(book.offers))].offer.where
    merchant, _, site = (first.sites[0] if first.sites else f"{first.merchants[0]}/").partition("/")
    site = site or next(one for one in book.book.merchants if one.id == merchant).sites[0].id
    slices = {f"{one.offer.id}/{limit.id}": 100 for one in book.offers.values() for limit in one.offer.limits}
    register = {spelt(VOUCHER): VoucherRecord("temple-fair", None, None)}
    till = Till(Place(merchant, site, "t1"), book, FakeUsage({}, slices, register))
    if before:
        earlier = asked(before, book)
        sold = till.sell(earlier.offer, *earlier.lines, proofs=proofs, who=who, at=at)
        assert sold.eligible, [refusal.text("en") for refusal in sold.refusals]
    answer = till.quote(wanted.offer, *wanted.lines, proofs=proofs, who=who, at=at)
    return codes(answer), answer.pay_fen


@pytest.mark.parametrize(("number", "sale", "answer"), SALES, ids=[f"{number}-{sale}" for number, sale, _ in SALES])
def test_every_sale_costs_what_the_page_says(number: int, sale: str, answer: str, books: list[Path]) -> None:
    refused, pay_fen = answer_to(sale, load_book(books[number]))
    if answer.startswith("`"):
        assert set(refused) == set(INLINE.findall(answer))
    else:
        assert (refused, yuan(pay_fen)) == ([], answer.removesuffix(".00"))


def test_every_example_has_sales_that_pass_and_sales_that_do_not() -> None:
    for number in range(len(EXAMPLES)):
        answers = [answer for of, _, answer in SALES if of == number]
        assert any(answer.startswith("`") for answer in answers), EXAMPLES[number][0]
        assert any(not answer.startswith("`") for answer in answers), EXAMPLES[number][0]


# Every word -----------------------------------------------------------------------------------------------------------


def keys_of(part: type[BaseModel], prefix: str = "") -> set[str]:
    """Every key of a part as the page writes it; a name of one's own is NAME, or ANSWER for a choice's options."""
    return {
        key
        for name, field in part.model_fields.items()
        for key in _keys(field.annotation, f"{prefix}{field.alias or name}")
    }


def _keys(annotation: Any, key: str) -> set[str]:
    if annotation is Wording:
        return {key}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return keys_of(annotation, f"{key}.")
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _keys(inner[0], key)
    named = len(inner) == 2 and getattr(get_origin(annotation), "__name__", "") == "Mapping"
    if named and _models(inner[1]):
        return _keys(inner[1], f"{key}.{'ANSWER' if key.endswith('.options') else 'NAME'}")
    parts = [part for part in inner if _models(part)]
    return {one for part in parts for one in _keys(part, key)} if parts else {key}


def _models(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, BaseModel)
    return any(_models(part) for part in get_args(annotation))


def words_of(annotation: Any) -> set[str]:
    """Every word that a key may be set to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {word for field in annotation.model_fields.values() for word in words_of(field.annotation)}
    inner = get_args(annotation)
    own = {one for one in inner if isinstance(one, str)} if str(get_origin(annotation)) == "typing.Literal" else set()
    return own | {word for part in inner for word in words_of(part)}


def test_every_key_of_a_book_is_explained_and_no_other() -> None:
    tables = re.findall(r"^\| key \| takes \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    told = [row.split("`")[1] for table in tables for row in table.splitlines()]
    assert sorted(told) == sorted(keys_of(Book))
    assert {"offers.price.steps.from", "attributes.NAME.options.ANSWER", "offers.when.windows.end"} <= set(told)


def test_every_word_that_a_key_takes_is_named() -> None:
    words = words_of(Book) | {*MemberClass, *Weekday, *DayKind, *Count, *Scope, *Window, *Offline}
    assert {"nth_free", "voucher", "redeemed"} <= words
    assert words - set(INLINE.findall(PAGE)) == set()


def test_every_kind_is_shown_by_an_example() -> None:
    shown = FRAME[0] + "".join(example for example, _ in EXAMPLES)
    kinds = {word for word in words_of(Book) if word not in {"units", "list_fen", "sale", "person"}}
    assert {kind for kind in kinds if f'"{kind}"' not in shown} == set()
    parts = {key.rpartition(".")[2] for key in keys_of(Book)} - {"NAME", "ANSWER", "objected_on"}
    assert {part for part in parts if not re.search(rf"\b{part}\b", shown)} == set()


def test_every_refusal_has_the_part_that_says_it() -> None:
    table = PAGE.partition("## Which part says no")[2].partition("\n## ")[0]
    assert set(RefusalCode) - set(INLINE.findall(table)) == set()


def test_the_list_of_published_offers_is_the_books() -> None:
    table = PAGE.partition("## The published offers")[2]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")][1:]
    assert {name: (book, set(INLINE.findall(offers))) for name, book, offers in rows} == PUBLISHED

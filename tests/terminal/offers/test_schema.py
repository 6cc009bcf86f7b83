"""The JSON Schema that editors use is the model's own, and says yes and no where the model does."""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from terminal.offers.schema import book_schema

BOOKS = Path(__file__).parents[3] / "config" / "books"
PUBLISHED = sorted(BOOKS.glob("*.toml"))


def plain(book: Path) -> Any:
    data = tomllib.loads(book.read_text(encoding="utf-8"))
    return json.loads(json.dumps(data, default=lambda value: value.isoformat()))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(book_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def test_committed_schema_is_the_models() -> None:
    committed = (BOOKS / "book.schema.json").read_text(encoding="utf-8")
    assert committed == book_schema(), "run: jingka book schema --out config/books/book.schema.json"


@pytest.mark.parametrize("book", PUBLISHED, ids=lambda book: book.stem)
def test_published_books_name_the_schema_and_fit_it(book: Path, validator: jsonschema.Draft202012Validator) -> None:
    assert book.read_text(encoding="utf-8").splitlines()[0] == "#:schema ./book.schema.json"
    assert [error.message for error in validator.iter_errors(plain(book))] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda book: book.update(schema=2),
        lambda book: book.pop("tz"),
        lambda book: book["offers"][0].update(id="Winter Film"),
        lambda book: book["offers"][0].update(prise={}),
        lambda book: book["offers"][0]["price"].update(kind="cheap"),
        lambda book: book["offers"][0]["price"].update(unit_fen="1000"),
        lambda book: book["offers"][0]["when"].update(first_day="2012-02-30"),
        lambda book: book["offers"][0]["when"].update(windows=[{"start": "8.30"}]),
        lambda book: book["offers"][0]["limits"][0].update(max=0),
        lambda book: book["offers"][0]["name"].pop("en"),
        lambda book: book["merchants"][0].update(sites=[]),
    ],
)
def test_broken_book_does_not_fit(
    change: Callable[[dict[str, Any]], object], validator: jsonschema.Draft202012Validator
) -> None:
    book = plain(BOOKS / "winter-2012.toml")
    assert validator.is_valid(book)
    change(book)
    assert not validator.is_valid(book)


def test_parts_are_described_for_the_editor() -> None:
    schema = json.loads(book_schema())
    assert all(part.get("description") for part in schema["$defs"].values())
    assert "from" in schema["$defs"]["Step"]["properties"]


def test_times_of_a_book_fit_without_a_zone(validator: jsonschema.Draft202012Validator) -> None:
    book = plain(BOOKS / "winter-2012.toml")
    window = {"start": datetime.time(8, 30).isoformat(), "end": "16:30"}
    book["offers"][0]["when"]["windows"] = [window]
    assert validator.is_valid(book)

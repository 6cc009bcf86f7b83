"""A book is the same from TOML and JSON; what is wrong with one is said with its place; a campaign can be moved."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.book import (
    BOOK_BYTES_MAX,
    BookInvalid,
    BookMissing,
    LoadedBook,
    book_hash,
    canonical_json,
    check_book,
    load_book,
    moved_to,
    parse_book,
)
from tests.fakes.offers import BOOK, BOOK_PATH

TOML = BOOK_PATH.read_text(encoding="utf-8")


def test_published_book_has_no_findings() -> None:
    assert check_book(BOOK_PATH) == ()
    assert list(BOOK.offers) == ["winter-film", "winter-laundry", "winter-haircut", "park-pass"]


def test_toml_and_json_give_equal_books_with_one_hash(tmp_path: Path) -> None:
    as_json = tmp_path / "winter.json"
    as_json.write_text(canonical_json(BOOK.book), encoding="utf-8")
    from_json = load_book(as_json)
    assert from_json == load_book(BOOK_PATH)
    assert from_json.hash == BOOK.hash
    assert parse_book(canonical_json(BOOK.book), "json") == parse_book(TOML, "toml") == BOOK.book


def test_hash_does_not_depend_on_spelling_but_on_meaning() -> None:
    plain = tomllib.loads(TOML)
    shuffled = json.dumps(dict(reversed(plain.items())), default=str, indent=2)
    assert book_hash(parse_book(shuffled, "json")) == BOOK.hash
    assert len(BOOK.hash) == 64
    dearer = parse_book(TOML.replace("unit_fen = 1000", "unit_fen = 1001", 1), "toml")
    assert book_hash(dearer) != BOOK.hash


def test_explicit_default_is_the_same_book() -> None:
    explicit = TOML.replace('where = { merchants = ["parks"] }', 'where = { merchants = ["parks"], sites = [] }')
    assert explicit != TOML
    assert book_hash(parse_book(explicit, "toml")) == BOOK.hash


def test_missing_book_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(BookMissing) as caught:
        load_book(tmp_path / "none.toml")
    assert "none.toml" in caught.value.what_text("zh")
    with pytest.raises(BookMissing):
        check_book(tmp_path)  # a directory


def test_unknown_key_names_its_path_its_line_and_the_nearest_known_key(tmp_path: Path) -> None:
    book = tmp_path / "book.toml"
    book.write_text(TOML.replace("unit_fen = 1000", "unit_fenn = 1000", 1), encoding="utf-8")
    line = next(i for i, text in enumerate(TOML.splitlines(), start=1) if "unit_fen = 1000" in text)
    with pytest.raises(BookInvalid) as caught:
        load_book(book)
    found = {finding.path: finding for finding in caught.value.findings}
    unknown = found["offers[0].price.unit_fenn"]
    assert (unknown.nearest, unknown.line) == ("unit_fen", line)
    assert unknown.text("zh") == f"offers[0].price.unit_fenn（第 {line} 行）：没有这个键，是不是 unit_fen？"
    assert unknown.text("en") == f"offers[0].price.unit_fenn (line {line}): is no known key; did you mean unit_fen?"
    assert found["offers[0].price.unit_fen"].text("en").endswith("is missing")
    assert "2" in caught.value.what_text("zh")
    assert "jingka book check" in caught.value.hint_text("en")


@pytest.mark.parametrize(
    ("old", "new", "path", "marker"),
    [
        ("schema = 1", "shema = 1", "shema", "shema = 1"),
        ('tz = "Asia/Shanghai"', 'tz = "Asia/Peking"', "tz", "Asia/Peking"),
        ("list_fen = 20000", 'list_fen = "200"', "categories.park-annual-pass.list_fen", 'list_fen = "200"'),
        ("last_day = 2013-01-15", "last_day = 2013-01-15T00:00:00", "offers[3].when.last_day", "2013-01-15T"),
        ("start = 08:30:00", "start = 16:30:00", "offers[3].when.windows[0]", "16:30:00"),
        ('id = "purchase"', 'id = "Purchase"', "offers[0].limits[1].id", "Purchase"),
        ('max = 20000, count = "units"', 'max = 0, count = "units"', "offers[0].limits[2].max", "max = 0"),
        (
            'unless_proof = "transit-card"',
            'unless_prof = "transit-card"',
            "offers[3].fees[0].unless_prof",
            "unless_prof",
        ),
        ('name = "photo"', 'name = "Photo!"', "offers[3].proof[1].name", "Photo!"),
        ('id = "yuyuantan"', 'id = "y t"', "merchants[12].sites[9].id", '"y t"'),
    ],
)
def test_mistake_in_toml_is_found_with_its_line(old: str, new: str, path: str, marker: str, tmp_path: Path) -> None:
    text = TOML.replace(old, new, 1)
    (tmp_path / "book.toml").write_text(text, encoding="utf-8")
    found = {finding.path: finding.line for finding in check_book(tmp_path / "book.toml")}
    assert found[path] == next(i for i, line in enumerate(text.splitlines(), start=1) if marker in line)


@pytest.mark.parametrize(
    ("source", "form", "said"),
    [
        ("schema = = 1", "toml", "cannot be read as TOML"),
        ("schema = 1\nschema = 1", "toml", "cannot be read as TOML"),
        ("", "toml", "is missing"),
        ("", "json", "cannot be read as JSON"),
        ("[]", "json", "must be a table"),
        ('{"schema": 1, "schema": 1}', "json", "'schema' stands twice"),
        ('{"schema": ' + "9" * 5000 + "}", "json", "cannot be read as JSON"),
        ("[" * 100_000, "json", "cannot be read as JSON"),
        ('{"schema": "\\ud800"}', "json", "is not valid JSON"),
        ("\ud800", "toml", "cannot be read as TOML"),
        ("\ud800", "json", "cannot be read as JSON"),
        (b"\xff\xfe", "toml", "cannot be read as TOML"),
        (b"\x00", "json", "cannot be read as JSON"),
        (b" " * (BOOK_BYTES_MAX + 1), "json", "is larger than"),
    ],
)
def test_broken_file_is_a_finding_not_a_crash(source: str | bytes, form: str, said: str) -> None:
    with pytest.raises(BookInvalid) as caught:
        parse_book(source, "toml" if form == "toml" else "json")
    assert any(said in finding.text("en") for finding in caught.value.findings)
    assert all(finding.text("zh") for finding in caught.value.findings)


def test_syntax_error_in_toml_names_its_line() -> None:
    with pytest.raises(BookInvalid) as caught:
        parse_book("schema = 1\nrevision = \n", "toml")
    assert caught.value.findings[0].line == 2


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: TOML[:300] + text))
def test_any_bytes_are_a_book_or_a_finding(source: bytes | str) -> None:
    for form in ("toml", "json"):
        with pytest.raises(BookInvalid) as caught:
            parse_book(source, "toml" if form == "toml" else "json")
        assert caught.value.findings


@pytest.mark.parametrize("today", [date(2026, 7, 1), date(2011, 1, 1), date(2000, 2, 29)])
def test_moved_book_is_on_today_and_otherwise_the_same(today: date) -> None:
    moved = LoadedBook.of(moved_to(BOOK.book, today)).book
    by = today - date(2012, 12, 25)
    old, new = BOOK.book, moved
    for before, after in zip(old.offers, new.offers, strict=True):
        assert after.when.first_day
        assert before.when.first_day
        assert after.when.first_day == before.when.first_day + by <= today
        assert (before.id, before.price, before.limits, before.where) == (
            after.id,
            after.price,
            after.limits,
            after.where,
        )
    film, _, haircut, _ = new.offers
    assert (film.when.first_day, film.when.last_day) == (today, today + (date(2013, 2, 20) - date(2012, 12, 25)))
    assert haircut.proof[0].model_dump()["last_day"] == film.when.last_day
    assert all(one.agreement.first_day < today < one.agreement.last_day for one in new.merchants)
    assert (new.revision, new.categories, new.attributes) == (old.revision, old.categories, old.attributes)
    assert moved_to(moved, today) == moved


def test_book_that_is_on_stays_as_it_is() -> None:
    assert moved_to(BOOK.book, date(2013, 1, 15)) is BOOK.book
    assert moved_to(BOOK.book, date(2013, 1, 16)) is not BOOK.book


def test_moved_book_keeps_the_renewal_of_its_agreements() -> None:
    everyday = load_book(BOOK_PATH.with_name("everyday.toml")).book
    ditan = next(index for index, merchant in enumerate(everyday.merchants) if merchant.id == "ditan")
    agreement = everyday.merchants[ditan].agreement
    assert agreement.renewal is not None
    objected = agreement.model_copy(
        update={"renewal": agreement.renewal.model_copy(update={"objected_on": date(2012, 6, 1)})}
    )
    merchants = list(everyday.merchants)
    merchants[ditan] = merchants[ditan].model_copy(update={"agreement": objected})
    moved = moved_to(everyday.model_copy(update={"merchants": tuple(merchants)}), date(2026, 7, 1))
    by = moved.merchants[ditan].agreement.first_day - agreement.first_day
    assert by.days > 0
    for before, after in zip(merchants, moved.merchants, strict=True):
        was, now = before.agreement.renewal, after.agreement.renewal
        assert (was is None) == (now is None)
        if was is not None and now is not None:
            assert now.notice_days == was.notice_days
            assert now.objected_on == (was.objected_on and was.objected_on + by)


def test_book_without_days_has_nothing_to_move() -> None:
    timeless = BOOK.book.model_copy(update={"offers": ()})
    assert moved_to(timeless, date(2026, 7, 1)) is timeless

"""Every bad value of every field, in a book as people write it: the mistake is told with the line it stands on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from terminal.offers.book import check_book
from terminal.offers.findings import Location
from tests.terminal.offers.test_model_fields import CASES, GONE, WHOLE, at

WRONG_ON_PURPOSE = 40  # characters of a value beyond which its line is not shown when a test fails


class Written:
    """A document as TOML, a key on each line and a header for each table; `lines` has the line of every place."""

    def __init__(self, plain: dict[str, Any], inline: Location) -> None:
        self.rows: list[str] = []
        self.lines: dict[Location, int] = {}
        self._inline = inline
        self._table((), plain)

    @property
    def text(self) -> str:
        return "\n".join(self.rows) + "\n"

    def line_of(self, location: Location) -> int:
        """The line of a place, or of the nearest thing around it; what the whole book lacks is told at its top."""
        around = (location[:depth] for depth in range(len(location), 0, -1))
        return next((self.lines[place] for place in around if place in self.lines), 1)

    def _put(self, place: Location, row: str) -> None:
        self.rows.append(row)
        self.lines[place] = len(self.rows)

    def _table(self, place: Location, table: dict[str, Any]) -> None:
        tables = {key: value for key, value in table.items() if self._as_tables((*place, key), value)}
        for key, value in table.items():
            if key not in tables:
                self._put((*place, key), f"{_key(key)} = {_inline(value)}")
        for key, value in tables.items():
            here = (*place, key)
            header = ".".join(_key(str(step)) for step in here if isinstance(step, str))
            if isinstance(value, dict):
                self._put(here, f"[{header}]")
                self._table(here, value)
            for number, one in enumerate(value if isinstance(value, list) else ()):
                self._put((*here, number), f"[[{header}]]")
                self._table((*here, number), one)

    def _as_tables(self, place: Location, value: Any) -> bool:
        if place == self._inline:
            return False
        some = isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
        return some or (isinstance(value, dict) and bool(value))


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_inline(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # numbers, truth values and plain text are the same in TOML


def test_the_good_document_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    book = tmp_path / "book.toml"
    book.write_text(Written(WHOLE, ()).text, encoding="utf-8")
    assert not [one.path for one in check_book(book) if "is missing" in one.text("en") or "must be" in one.text("en")]


@pytest.mark.parametrize(
    ("place", "field", "value", "said"),
    CASES,
    ids=[f"{'.'.join(map(str, place))}.{field}-{number}" for number, (place, field, _, _) in enumerate(CASES)],
)
def test_bad_value_is_told_with_its_line(place: Location, field: str, value: Any, said: str, tmp_path: Path) -> None:
    plain = copy.deepcopy(WHOLE)
    part = at(plain, place)
    if value is GONE:
        del part[field]
    else:
        part[field] = value
    written = Written(plain, (*place, field))
    book = tmp_path / "book.toml"
    book.write_text(written.text, encoding="utf-8")
    fitting = [one for one in check_book(book) if said in one.text("en")]
    assert fitting
    for one in fitting:
        expected = written.line_of(one.location)
        assert one.line == expected, (one.text("en")[:200], written.rows[(one.line or 1) - 1][:WRONG_ON_PURPOSE])
        assert f"(line {expected})" in one.text("en")
        assert f"（第 {expected} 行）" in one.text("zh")
    whole_part = written.lines.get(place, 1)  # a key that is missing, or two that do not go together
    assert {one.line for one in fitting} & {whole_part, written.lines.get((*place, field))}

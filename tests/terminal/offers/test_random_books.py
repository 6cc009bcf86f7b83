"""The random books that the rules are held against a reference on have everything that a book may have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings

from terminal.membership.standing import MemberClass
from terminal.offers.book import canonical_json
from terminal.offers.counts import Count, Offline, Scope, Window
from terminal.offers.model import Book, DayKind, Weekday
from tests.terminal.offers.reference.worlds import World, worlds
from tests.terminal.offers.test_offers_page import keys_of, words_of

WORLDS = 450  # what is drawn rarest comes by then, and by the same every time
ANSWERS = {"offers.what.any", "offers.what.none"}  # by questions, whose names are one's own
NEVER = {"categories.NAME.list_fen"}  # it fills in the form, and no rule reads it


def test_every_key_and_word_of_a_book_is_drawn() -> None:
    keys: set[str] = set()
    words: set[str] = set()

    @given(worlds())
    @settings(
        max_examples=WORLDS, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    def draw(world: World) -> None:
        for key, value in _walk(json.loads(canonical_json(world.book.book)), ""):
            keys.add(key)
            if isinstance(value, str):
                words.add(value)

    draw()
    assert keys_of(Book) - keys - NEVER == set()
    wanted = words_of(Book) | {*MemberClass, *Weekday, *DayKind, *Count, *Scope, *Window, *Offline}
    assert wanted - words == set()


def _walk(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Each key of a book as the page on offers writes it, with its value."""
    if isinstance(value, list):
        for one in value:
            yield from _walk(one, key)
    elif isinstance(value, Mapping) and value.keys() != {"zh", "en"} and key not in ANSWERS:
        for name, inner in value.items():
            yield from _walk(inner, f"{key}.{_named(key, name)}".removeprefix("."))
    else:
        yield key, value


def _named(key: str, name: str) -> str:
    if key.endswith(".options"):
        return "ANSWER"
    return "NAME" if key in {"categories", "attributes", "offers.price.rates"} else name

"""What changed between two books: all of it, nothing else, in the place where it changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.book import canonical_json
from terminal.offers.diff import CHANGES_MAX, Change, diff
from terminal.offers.model import Book
from tests.fakes.offers import BOOK

PLAIN: dict[str, Any] = json.loads(canonical_json(BOOK.book))
Edit = Callable[[dict[str, Any]], object]


def book(plain: dict[str, Any]) -> Book:
    return Book.model_validate_json(json.dumps(plain))


def changes(*edits: Edit) -> tuple[Change, ...]:
    plain = copy.deepcopy(PLAIN)
    for edit in edits:
        edit(plain)
    return diff(BOOK.book, book(plain))


def test_a_book_does_not_differ_from_itself() -> None:
    assert diff(BOOK.book, BOOK.book) == ()
    assert changes(lambda _: None) == ()


@given(order=st.permutations(range(len(PLAIN["offers"]))), shops=st.permutations(range(len(PLAIN["merchants"]))))
def test_the_order_of_offers_and_merchants_is_no_difference(order: list[int], shops: list[int]) -> None:
    assert (
        changes(
            lambda plain: plain.update(
                offers=[plain["offers"][index] for index in order],
                merchants=[plain["merchants"][index] for index in shops],
            )
        )
        == ()
    )


EDITS: list[tuple[Edit, tuple[str, str, str, str, Any, Any]]] = [
    (lambda p: p.update(revision=2), ("changed", "", "", "revision", 1, 2)),
    (lambda p: p.update(tz="UTC"), ("changed", "", "", "tz", "Asia/Shanghai", "UTC")),
    (
        lambda p: p["offers"][0]["price"].update(unit_fen=900),
        ("changed", "offers", "winter-film", "price.unit_fen", 1000, 900),
    ),
    (
        lambda p: p["offers"][0]["when"].update(last_day="2013-02-28"),
        ("changed", "offers", "winter-film", "when.last_day", "2013-02-20", "2013-02-28"),
    ),
    (
        lambda p: p["offers"][0]["when"].pop("last_day"),
        ("removed", "offers", "winter-film", "when.last_day", "2013-02-20", None),
    ),
    (
        lambda p: p["offers"][1].update(saving_max_fen=500),
        ("added", "offers", "winter-laundry", "saving_max_fen", None, 500),
    ),
    (
        lambda p: p["offers"][0]["limits"][2].update(max=10_000),
        ("changed", "offers", "winter-film", "limits[pool].max", 20_000, 10_000),
    ),
    (
        lambda p: p["offers"][3]["fees"][0].update(amount_fen=200),
        ("changed", "offers", "park-pass", "fees[base-card].amount_fen", 300, 200),
    ),
    (
        lambda p: p["offers"][3]["proof"][1]["label"].update(en="photo"),
        ("changed", "offers", "park-pass", "proof[photo].label.en", "one 1-inch photo", "photo"),
    ),
    (
        lambda p: p["offers"][0]["where"].update(merchants=p["offers"][0]["where"]["merchants"][:1]),
        ("changed", "offers", "winter-film", "where.merchants", PLAIN["offers"][0]["where"]["merchants"],
         PLAIN["offers"][0]["where"]["merchants"][:1]),
    ),
    (
        lambda p: p["merchants"][0]["agreement"].update(last_day="2014-11-30"),
        ("changed", "merchants", "gongren-julebu", "agreement.last_day", "2013-11-30", "2014-11-30"),
    ),
    (
        lambda p: p["merchants"][12]["sites"].pop(0),
        ("removed", "merchants", "parks", "sites[yiheyuan]", PLAIN["merchants"][12]["sites"][0], None),
    ),
    (
        lambda p: p["categories"]["haircut"]["name"].update(en="cuts"),
        ("changed", "categories", "haircut", "name.en", "haircuts", "cuts"),
    ),
    (
        lambda p: p["attributes"]["format"]["options"].update({"4d": {"zh": "4D", "en": "4D"}}),
        ("added", "attributes", "format", "options.4d", None, {"zh": "4D", "en": "4D"}),
    ),
    (
        lambda p: p["offers"].pop(1),
        ("removed", "offers", "winter-laundry", "", PLAIN["offers"][1], None),
    ),
    (
        lambda p: p["offers"].append({**PLAIN["offers"][1], "id": "spring-laundry"}),
        ("added", "offers", "spring-laundry", "", None, {**PLAIN["offers"][1], "id": "spring-laundry"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "expected"), EDITS)
def test_each_edit_is_the_one_change(edit: Edit, expected: tuple[str, str, str, str, Any, Any]) -> None:
    [change] = changes(edit)
    assert (change.kind, change.table, change.entry, change.path, change.before, change.after) == expected
    for language in ("zh", "en"):
        text = change.text(language)
        assert expected[2] in text
        assert expected[3] in text
        assert "None" not in text


@given(picked=st.sets(st.integers(0, len(EDITS) - 3), max_size=6).filter(lambda picked: not {3, 4} <= picked))
def test_edits_together_are_their_changes_together(picked: set[int]) -> None:
    expected = {EDITS[index][1][1:4] for index in picked}
    found = changes(*(EDITS[index][0] for index in sorted(picked)))
    assert {(one.table, one.entry, one.path) for one in found} == expected
    assert len(found) == len(expected)


@given(picked=st.sets(st.integers(0, len(EDITS) - 1), max_size=6).filter(lambda picked: not {3, 4} <= picked))
def test_the_other_way_round_is_the_opposite(picked: set[int]) -> None:
    plain = copy.deepcopy(PLAIN)
    for index in sorted(picked):
        EDITS[index][0](plain)
    there, back = diff(BOOK.book, book(plain)), diff(book(plain), BOOK.book)
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {(one.table, one.entry, one.path, opposite[one.kind]) for one in there} == {
        (one.table, one.entry, one.path, one.kind) for one in back
    }
    assert all(any(one.before == other.after for other in back) for one in there)


def test_a_renamed_offer_is_one_gone_and_one_new() -> None:
    found = changes(lambda p: p["offers"][0].update(id="winter-cinema"))
    assert [(one.kind, one.entry) for one in found] == [("added", "winter-cinema"), ("removed", "winter-film")]
    assert found[0].text("zh") == "新增 优惠 winter-cinema"
    assert found[1].text("en") == "removed offer winter-film"


def test_a_window_says_what_became_of_it() -> None:
    [change] = changes(lambda p: p["offers"][3]["when"].update(windows=[{"start": "09:00:00", "end": "16:30:00"}]))
    assert change.path == "when.windows"
    assert "08:30:00" in change.text("en")
    assert "09:00:00" in change.text("en")


def test_differences_have_a_bound() -> None:
    plain = copy.deepcopy(PLAIN)
    plain["categories"] |= {f"c-{number}": PLAIN["categories"]["laundry"] for number in range(900)}
    plain["attributes"] |= {f"a-{number}": PLAIN["attributes"]["format"] for number in range(900)}
    plain["merchants"] += [{**PLAIN["merchants"][0], "id": f"m-{number}"} for number in range(900)]
    assert len(diff(BOOK.book, book(plain))) == CHANGES_MAX

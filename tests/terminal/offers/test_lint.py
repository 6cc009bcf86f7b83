"""What a well-formed book can still get wrong, each with its place and a suggestion."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from terminal.offers.book import BookInvalid, canonical_json, parse_book
from terminal.offers.findings import FINDINGS_MAX, Finding
from terminal.offers.lint import lint
from terminal.offers.model import Book
from tests.fakes.offers import BOOK

PLAIN: dict[str, Any] = json.loads(canonical_json(BOOK.book))
Change = Callable[[dict[str, Any]], object]
SHOWING_LIMIT = {"id": "s", "max": 1, "count": "uses", "per": ["showing"], "window": "ever", "offline": "local"}
NAME = {"zh": "甲", "en": "one"}
FILM, LAUNDRY, HAIRCUT, PASS = range(4)


def findings(change: Change) -> tuple[Finding, ...]:
    plain = copy.deepcopy(PLAIN)
    change(plain)
    return lint(Book.model_validate_json(json.dumps(plain)))


def offer(index: int, **changes: Any) -> Change:
    return lambda plain: plain["offers"][index].update(changes)


@pytest.mark.parametrize(
    ("change", "path", "nearest"),
    [
        (lambda p: p["offers"].append(p["offers"][0]), "offers[4].id", None),
        (lambda p: p["merchants"].append(p["merchants"][0]), "merchants[13].id", None),
        (
            lambda p: p["merchants"][12]["sites"].append(p["merchants"][12]["sites"][0]),
            "merchants[12].sites[11].id",
            None,
        ),
        (
            lambda p: p["merchants"][0]["agreement"].update(last_day="2012-01-01"),
            "merchants[0].agreement.last_day",
            None,
        ),
        (offer(FILM, what={"categories": ["film-ticket"], "asks": ["formad"]}), "offers[0].what.asks", "format"),
        (offer(FILM, where={"merchants": ["dongsy"]}), "offers[0].where.merchants", "dongsi"),
        (offer(FILM, where={"merchants": ["zzz"]}), "offers[0].where.merchants", None),
        (offer(FILM, where={"sites": ["parks/tiantang"]}), "offers[0].where.sites", "parks/tiantan"),
        (offer(FILM, what={"categories": ["film-tickets"]}), "offers[0].what.categories", "film-ticket"),
        (
            offer(FILM, what={"categories": ["film-ticket"], "none": {"formt": ["3d"]}}),
            "offers[0].what.none.formt",
            "format",
        ),
        (
            offer(FILM, what={"categories": ["film-ticket"], "none": {"format": ["3dd"]}}),
            "offers[0].what.none.format",
            "3d",
        ),
        (
            offer(FILM, what={"categories": ["film-ticket"], "none": {"format": ["2d", "3d"]}}),
            "offers[0].what.none.format",
            None,
        ),
        (
            offer(FILM, what={"categories": ["film-ticket"], "any": {"format": ["3d"]}, "none": {"format": ["3d"]}}),
            "offers[0].what.any.format",
            None,
        ),
        (offer(FILM, when={"first_day": "2013-02-20", "last_day": "2013-02-19"}), "offers[0].when.last_day", None),
        (
            offer(LAUNDRY, price={"kind": "flat_up_to", "pay_fen": 3000, "covers_fen": 3000}),
            "offers[1].price.pay_fen",
            None,
        ),
        (offer(FILM, price={"kind": "lowest_listed", "attribute": "fromat"}), "offers[0].price.attribute", "format"),
        (offer(FILM, price={"kind": "lowest_listed", "attribute": "format"}), "offers[0].price.attribute", None),
        (lambda p: p["offers"][0]["limits"].append(p["offers"][0]["limits"][0]), "offers[0].limits[3].id", None),
        (lambda p: p["offers"][0]["limits"][0].update(per=["card", "card"]), "offers[0].limits[0].per", None),
        (lambda p: p["offers"][0]["limits"][0].update(per=["voucher"]), "offers[0].limits[0].per", None),
        (lambda p: p["offers"][0]["limits"].append(SHOWING_LIMIT), "offers[0].limits[3].per", None),
        (lambda p: p["offers"][3]["proof"].append(p["offers"][3]["proof"][1]), "offers[3].proof[3].name", None),
        (
            lambda p: p["offers"][2]["proof"].append({**p["offers"][2]["proof"][0], "name": "second"}),
            "offers[2].proof",
            None,
        ),
        (
            lambda p: p["attributes"].update(row={"kind": "number", "label": NAME, "min": 5, "max": 4}),
            "attributes.row.max",
            None,
        ),
        (
            lambda p: (
                p["attributes"].update(row={"kind": "number", "label": NAME}),
                p["offers"][FILM]["what"].update(any={"row": ["1"]}),
            ),
            "offers[0].what.any.row",
            None,
        ),
        (
            offer(LAUNDRY, price={"kind": "by_category", "rates": {"laundri": {"kind": "free"}}}),
            "offers[1].price.rates.laundri",
            "laundry",
        ),
        (offer(FILM, takes={"offer": "winter-laundry"}), "offers[0].takes.offer", None),
        (offer(FILM, takes={"offer": "winter-laundri"}), "offers[0].takes.offer", "winter-laundry"),
        (lambda p: p["offers"][3]["fees"].append(p["offers"][3]["fees"][0]), "offers[3].fees[1].id", None),
        (
            lambda p: p["offers"][3]["fees"][0].update(unless_proof="transitcard"),
            "offers[3].fees[0].unless_proof",
            "transit-card",
        ),
    ],
)
def test_mistake_makes_the_book_unusable(change: Change, path: str, nearest: str | None) -> None:
    found = {finding.path: finding for finding in findings(change)}
    assert (found[path].severity, found[path].nearest) == ("error", nearest)
    assert nearest or found[path].advice, "nothing is suggested"
    plain = copy.deepcopy(PLAIN)
    change(plain)
    with pytest.raises(BookInvalid):
        parse_book(json.dumps(plain), "json")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (offer(PASS, price={"kind": "fixed_unit", "unit_fen": 20000}), "offers[3].price.unit_fen"),
        (offer(FILM, when={"first_day": "2013-12-01"}, campaign="spring"), "offers[0].where"),
        (offer(FILM, when={"last_day": "2012-11-30"}, campaign="autumn"), "offers[0].where"),
    ],
)
def test_doubt_is_a_warning_and_the_book_still_loads(change: Change, path: str) -> None:
    found = findings(change)
    assert {(finding.severity, finding.path) for finding in found} == {("warning", path)}
    plain = copy.deepcopy(PLAIN)
    change(plain)
    assert parse_book(json.dumps(plain), "json")


def test_unknown_name_far_from_all_is_told_what_there_is() -> None:
    found = next(one for one in findings(offer(FILM, what={"categories": ["zzz"]})) if "zzz" in one.problem.en)
    there = "there are: film-ticket, haircut, laundry, park-annual-pass"
    assert found.text("en") == f"offers[0].what.categories: names no known category: zzz; {there}"
    assert "可用的有：film-ticket" in found.text("zh")


def test_findings_have_a_bound() -> None:
    assert len(findings(lambda p: p["offers"].extend([p["offers"][0]] * (FINDINGS_MAX + 1)))) == FINDINGS_MAX


def test_published_book_is_clean() -> None:
    assert findings(lambda _: None) == ()

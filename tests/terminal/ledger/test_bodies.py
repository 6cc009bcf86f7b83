"""What may stand in an entry, and what may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from terminal.ledger.bodies import (
    CLAIMS_MAX,
    LINES_MAX,
    PROOFS_MAX,
    TEXT_CHARS_MAX,
    Authorisation,
    Cancellation,
    Completion,
    GiveBack,
    UsageClaim,
    Voiding,
    body_fields,
    check_authorisation,
    kind_of,
    parse_body,
    refuse_card_numbers,
)
from terminal.ledger.clock import Clock
from terminal.ledger.entry import Entry, canonical, parse_entry
from terminal.ledger.errors import CardNumberTyped, EntryInvalid
from terminal.ledger.head import Head
from terminal.ledger.journal import next_entry
from tests.fakes.clock import SteppedClock
from tests.fakes.sales import sale

CARD_NUMBERS = ["6210947000000021", "6212345678900000003", "6217790001000000030", "6250946000000016"]


def carried(body: Authorisation | Completion | Cancellation | Voiding, redemption: str) -> Entry:
    clock: Clock = SteppedClock()
    entry = next_entry(Head(), body, terminal="T1", clock=clock, redemption=redemption, cashier="c01")
    return parse_entry(canonical(entry))


@pytest.mark.parametrize(
    "body",
    [
        Completion("000000000001"),
        Completion(None),
        Cancellation("刷卡未成功", (GiveBack("k", 2),)),
        Cancellation("timeout", ()),
        Voiding("买错场次", 1, 8000, 1000, (GiveBack("k", 1),)),
    ],
)
def test_each_body_comes_back_from_the_bytes(body: Completion | Cancellation | Voiding) -> None:
    entry = carried(body, sale().id)
    assert entry.kind is kind_of(body)
    assert parse_body(entry) == body


def test_an_authorisation_comes_back_from_the_bytes() -> None:
    asked = check_authorisation(sale(proofs={"voucher": "V-17", "transit-card": True}))
    assert parse_body(carried(asked, asked.id)) == asked
    assert "cashier" not in body_fields(asked)


OPTIONAL = {"authenticity_reason": "typed", "approved_by": "m01"}


def test_what_came_later_stands_in_the_body_only_when_there_is_something_to_say() -> None:
    assert OPTIONAL.keys().isdisjoint(body_fields(sale()))
    asked = check_authorisation(sale(entry_mode="manual", **OPTIONAL))
    assert body_fields(asked).items() >= OPTIONAL.items()
    assert parse_body(carried(asked, asked.id)) == asked


def test_an_entry_of_the_first_form_is_read_and_written_to_the_same_bytes() -> None:
    """The hash is over these bytes: a later version must not change one of them."""
    first = canonical(carried(sale(), sale().id))
    assert not any(name.encode() in first for name in OPTIONAL)
    body = parse_body(parse_entry(first))
    assert isinstance(body, Authorisation)
    assert (body.authenticity_reason, body.approved_by) == (None, None)
    assert canonical(replace(parse_entry(first), body=body_fields(body))) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"approved_by": ""},
        {"approved_by": "x" * (TEXT_CHARS_MAX + 1)},
        {"authenticity_reason": 1},
        {"token": "6210947000000021"},
        {"token": "v1:" + "A" * 64},
        {"person": "v1:" + "a" * 63},
        {"masked": "6210947000000021"},
        {"masked": "21094 0021"},
        {"business_day": "25.12.2012"},
        {"pay_fen": -1},
        {"pay_fen": 10.0},
        {"pay_fen": "10"},
        {"units": 0},
        {"units": True},
        {"offer": ""},
        {"offer": "x" * (TEXT_CHARS_MAX + 1)},
        {"lines": ()},
        {"lines": ({},) * (LINES_MAX + 1)},
        {"fees": ({},) * (LINES_MAX + 1)},
        {"claims": (UsageClaim("k", 1, 1),) * (CLAIMS_MAX + 1)},
        {"claims": (UsageClaim("k", 0, 1),)},
        {"claims": (UsageClaim("", 1, 1),)},
        {"proofs": {str(number): True for number in range(PROOFS_MAX + 1)}},
        {"id": "not-a-uuid"},
    ],
)
def test_a_faulty_authorisation_is_refused_and_its_content_not_repeated(changes: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid) as caught:
        check_authorisation(sale(**changes))
    assert "6210947000000021" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"pos_reference": 1},
        {},
        {"pos_reference": None, "tip": 1},
    ],
)
def test_a_faulty_body_is_refused_when_read(body: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid):
        parse_body(replace(carried(Completion(None), sale().id), body=body))


def test_a_body_cannot_smuggle_in_another_id_or_cashier() -> None:
    asked = sale()
    entry = carried(asked, asked.id)
    with pytest.raises(EntryInvalid, match="envelope"):
        parse_body(replace(entry, body={**entry.body, "cashier": "m01"}))


@pytest.mark.parametrize("number", CARD_NUMBERS)
@pytest.mark.parametrize(
    "spelling",
    [
        "{}",
        "card {} wrong",
        "卡号{}。",
    ],
)
def test_a_typed_card_number_is_refused_wherever_it_stands(number: str, spelling: str) -> None:
    for written in (
        number,
        " ".join(number),
        "-".join(number),
        number.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
    ):
        with pytest.raises(CardNumberTyped) as caught:
            refuse_card_numbers("void", "id", "reason", spelling.format(written))
        assert number not in str(caught.value)
    with pytest.raises(CardNumberTyped):
        check_authorisation(sale(proofs={"note": spelling.format(number)}))
    with pytest.raises(CardNumberTyped):
        check_authorisation(sale(lines=({"attributes": {"showing": [number]}},)))


@pytest.mark.parametrize(
    "text", ["000000000001", "12351", "**** 0021", "62109470000", "1262109470000000219912345", "", "理发券 9001"]
)
def test_other_numbers_pass(text: str) -> None:
    refuse_card_numbers("void", "id", "reason", text)

"""Findings settled by a person, and what that does to what a merchant is owed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import insert, select

from sync.errors import MessageMalformed
from sync.headquarters.money.conflicts import (
    SETTLED_AT_ONCE_MAX,
    ConflictView,
    Verdict,
    page_of_conflicts,
    settle_conflicts,
)
from sync.headquarters.money.errors import ConflictMissing, NothingToCharge
from sync.headquarters.money.settlement import close, settlement
from sync.headquarters.money.terms import NewTerms, set_terms
from sync.headquarters.people.tables import audit
from sync.headquarters.projection import FlagCode
from sync.headquarters.storage import Storage
from sync.headquarters.tables import flags
from terminal.ledger.errors import CardNumberTyped
from tests.sync.headquarters.money.scenes import FINANCE, KEY, arrive, assert_money_adds_up, lines_of, moment
from tests.sync.headquarters.written_ledger import MERCHANT, WrittenLedger, known_ledger

JAN, FEB = "2026-01", "2026-02"


@pytest.fixture
def sold(storage: Storage, ledger: WrittenLedger) -> WrittenLedger:
    """Two sales at a subsidy of 30 yuan each, the first flagged twice; and a step without its authorisation."""
    with storage.write() as connection:
        wanted = NewTerms.model_validate({"first_day": "2026-01-01", "share_bp": 5000})
        set_terms(connection, MERCHANT, wanted, FINANCE, now=moment("2026-01-02"))
    for number in (1, 2):
        ledger.authorise(number)
        ledger.complete(number)
    ledger.complete(9)
    arrive(storage, ledger, moment("2026-01-05"))
    with storage.write() as connection:
        for sequence, code in ((1, FlagCode.OVER_LIMIT), (1, FlagCode.NOT_MEMBER_THEN), (3, FlagCode.OVER_LIMIT)):
            row = {"terminal": ledger.terminal, "sequence": sequence, "code": code.value, "detail": "3 of 2"}
            connection.execute(insert(flags).values(**row, noted_at=moment("2026-01-06")))
    return ledger


def decide(
    storage: Storage, decision: str, *findings: tuple[int, str], now: str = "2026-01-20", **more: Any
) -> Sequence[ConflictView]:
    conflicts = [{"terminal": "bj-0001", "sequence": sequence, "code": code} for sequence, code in findings]
    verdict = Verdict.model_validate({"conflicts": conflicts, "decision": decision, **more})
    with storage.write() as connection:
        return settle_conflicts(connection, verdict, FINANCE, now=moment(now))


def owed(storage: Storage, month: str = JAN) -> int:
    with storage.read() as connection:
        return settlement(connection, MERCHANT, month).totals.subsidy


def listed(storage: Storage, **asked: Any) -> list[tuple[int, str, str]]:
    with storage.read() as connection:
        found, _ = page_of_conflicts(connection, limit=100, **asked)
    return [(each.sequence, each.code, each.state) for each in found]


def test_a_finding_tells_the_story_of_its_sale(storage: Storage, sold: WrittenLedger) -> None:
    with storage.read() as connection:
        found, later = page_of_conflicts(connection, code=FlagCode.OVER_LIMIT, limit=10)
    assert later is None
    first, second = found
    assert (first.sequence, second.sequence, first.merchant, first.detail) == (1, 3, MERCHANT, "3 of 2")
    story = first.story
    assert (story.kind, story.offer, story.units, story.pay, story.masked) == (
        "authorised",
        "winter-film",
        2,
        2000,
        "••••0021",
    )
    assert (story.subsidy, story.state, story.cashier, story.limits[0].max) == (3000, "completed", "c01", 2)
    with storage.read() as connection:
        (stray,), _ = page_of_conflicts(connection, code=FlagCode.WITHOUT_AUTHORISATION, limit=10)
    assert (stray.story.kind, stray.story.redemption) == ("completed", None)


def test_findings_are_filtered_and_paged(storage: Storage, sold: WrittenLedger) -> None:
    decide(storage, "accepted", (1, "over-limit"))
    assert listed(storage, state="open") == [
        (1, "not-member-then", "open"),
        (3, "over-limit", "open"),
        (5, "without-authorisation", "open"),
    ]
    assert listed(storage, state="settled") == [(1, "over-limit", "accepted")]
    assert listed(storage, merchant="nobody") == []
    assert len(listed(storage, merchant=MERCHANT, terminal="bj-0001")) == 4
    seen: list[tuple[int, str]] = []
    before: str | None = None
    with storage.read() as connection:
        while True:
            (one,), before = page_of_conflicts(connection, limit=1, before=before)
            seen.append((one.sequence, one.code))
            if before is None:
                break
    assert seen == [(each[0], each[1]) for each in listed(storage)]
    with storage.read() as connection, pytest.raises(MessageMalformed):
        page_of_conflicts(connection, limit=1, before="nonsense")


def test_a_charge_takes_the_subsidy_off_in_the_month_of_the_decision(storage: Storage, sold: WrittenLedger) -> None:
    with storage.write() as connection:
        close(connection, MERCHANT, JAN, FINANCE, KEY, now=moment("2026-02-02"))
    (view,) = decide(storage, "charged", (1, "over-limit"), now="2026-02-03", note="超限")
    assert (view.state, view.charged, view.decided_by, view.note) == ("charged", 3000, "f01", "超限")
    assert (owed(storage, JAN), owed(storage, FEB)) == (6000, -3000)
    (line,) = lines_of(storage, FEB)
    assert (line.kind, line.day, line.offer, line.subsidy) == ("charge", "2026-01-05", "winter-film", -3000)
    assert_money_adds_up(storage)
    with storage.read() as connection:
        noted = connection.execute(select(audit.c.action, audit.c.subject, audit.c.detail)).all()
    assert tuple(noted[-1]) == ("conflict-charged", "bj-0001 1 over-limit", "超限")


def test_one_sale_is_not_charged_for_twice(storage: Storage, sold: WrittenLedger) -> None:
    decide(storage, "charged", (1, "over-limit"))
    with pytest.raises(NothingToCharge):
        decide(storage, "charged", (1, "not-member-then"))
    assert owed(storage) == 3000
    decide(storage, "charged", (1, "not-member-then"), amount=500)
    assert owed(storage) == 2500
    assert_money_adds_up(storage)


def test_another_decision_gives_back_what_was_charged(storage: Storage, sold: WrittenLedger) -> None:
    decide(storage, "charged", (1, "over-limit"))
    decide(storage, "charged", (1, "over-limit"), amount=1000)
    assert owed(storage) == 5000
    decide(storage, "dismissed", (1, "over-limit"))
    assert owed(storage) == 6000
    assert listed(storage, state="dismissed") == [(1, "over-limit", "dismissed")]
    assert_money_adds_up(storage)


def test_a_void_of_a_charged_sale_takes_nothing_twice(storage: Storage, sold: WrittenLedger) -> None:
    decide(storage, "charged", (1, "over-limit"))
    first = sold.next_sequence
    sold.void(1, 1)
    arrive(storage, sold, moment("2026-01-21"), first)
    assert owed(storage) == 3000
    sold.void(1, 1)
    arrive(storage, sold, moment("2026-01-22"), first + 1)
    assert owed(storage) == 3000
    decide(storage, "dismissed", (1, "over-limit"))
    assert owed(storage) == 3000, "there is nothing left to give back"
    assert_money_adds_up(storage)


def test_a_step_without_a_sale_is_charged_by_an_amount_only(storage: Storage, sold: WrittenLedger) -> None:
    with pytest.raises(NothingToCharge):
        decide(storage, "charged", (5, "without-authorisation"))
    decide(storage, "charged", (5, "without-authorisation"), amount=1234)
    assert owed(storage) == 6000 - 1234
    assert_money_adds_up(storage)


def test_many_are_settled_together_or_not_at_all(storage: Storage, sold: WrittenLedger) -> None:
    with pytest.raises(ConflictMissing):
        decide(storage, "charged", (1, "over-limit"), (99, "over-limit"))
    assert owed(storage) == 6000
    decide(storage, "charged", (1, "over-limit"), (3, "over-limit"))
    assert owed(storage) == 0
    assert_money_adds_up(storage)


def test_a_note_holds_no_card_number(storage: Storage, sold: WrittenLedger) -> None:
    with pytest.raises(CardNumberTyped):
        decide(storage, "accepted", (1, "over-limit"), note="card 6210 9470 0000 0021 003")
    assert listed(storage, state="settled") == []


def test_so_many_are_settled_at_once_and_no_more(storage: Storage) -> None:
    with pytest.raises(ValidationError):
        decide(storage, "accepted", *((each + 1, "over-limit") for each in range(SETTLED_AT_ONCE_MAX + 1)))


def test_only_a_charge_has_an_amount(storage: Storage) -> None:
    with pytest.raises(ValidationError):
        decide(storage, "accepted", (1, "over-limit"), amount=1)


def test_another_terminal_s_sale_is_not_charged_for(storage: Storage, sold: WrittenLedger) -> None:
    thief = known_ledger(storage, "bj-0002")
    thief.complete(1)
    arrive(storage, thief, moment("2026-01-07"))
    verdict = Verdict.model_validate(
        {
            "conflicts": [{"terminal": "bj-0002", "sequence": 1, "code": "foreign-redemption"}],
            "decision": "charged",
        }
    )
    with storage.write() as connection, pytest.raises(NothingToCharge):
        settle_conflicts(connection, verdict, FINANCE, now=moment("2026-01-20"))

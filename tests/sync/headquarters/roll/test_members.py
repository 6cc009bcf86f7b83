"""How cards stand and why: the rules by table, what the clock does, and what stood when sold to; on both databases."""

from __future__ import annotations

import dataclasses
import threading
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.zone import SHANGHAI
from sync.headquarters.ingest import Taken, ingest
from sync.headquarters.people.audit import page_of_audit
from sync.headquarters.roll import members, rules
from sync.headquarters.roll.errors import MemberKnown, MemberMissing, StandingRefused, ValidityRefused
from sync.headquarters.roll.judge import RollJudge
from sync.headquarters.roll.rules import Action, Card
from sync.headquarters.roll.tables import members as table
from sync.headquarters.storage import Storage
from terminal.ledger.entry import EntryKind, instant
from terminal.membership.standing import MemberClass, Standing
from tests.sync.headquarters.roll.lists import KEY, NOON, OPERATOR, holder, imported, line, token
from tests.sync.headquarters.written_ledger import WrittenLedger, known_ledger, sale

GOOD = Card(Standing.ACTIVE, True, MemberClass.ORDINARY, date(2020, 5, 4), None, None, by_person=False)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("standing", "actions"),
    [
        (Standing.ACTIVE, "suspend lose withdraw"),
        (Standing.INACTIVE, "suspend lose withdraw activate"),
        (Standing.SUSPENDED, "lose reinstate withdraw"),
        (Standing.LOST, "withdraw"),
        (Standing.EXPIRED, "lose withdraw"),
    ],
)
def test_what_may_be_done_to_a_card(standing: Standing, actions: str) -> None:
    card = dataclasses.replace(GOOD, card=standing)
    assert " ".join(card.actions) == actions
    for action in set(Action) - set(card.actions):
        with pytest.raises(StandingRefused) as refused:
            rules.changed(card, action, NOON)
        assert "?" not in refused.value.what_text("zh") + refused.value.what_text("en")


def test_a_lost_card_is_lost_for_good_even_when_the_member_returns() -> None:
    lost = rules.changed(GOOD, Action.LOSE, NOON)
    gone = rules.changed(lost, Action.WITHDRAW, NOON)
    assert (gone.standing, gone.actions) == (Standing.WITHDRAWN, ())


def test_a_returning_member_gets_the_card_as_it_was() -> None:
    suspended = rules.changed(GOOD, Action.SUSPEND, NOON)
    back = rules.changed(rules.changed(suspended, Action.WITHDRAW, NOON), Action.REINSTATE, NOON)
    assert (back.standing, back.by_person) == (Standing.SUSPENDED, True)
    again = rules.changed(rules.changed(GOOD, Action.WITHDRAW, NOON), Action.REINSTATE, NOON)
    assert (again.standing, again.by_person) == (Standing.ACTIVE, False)


def test_an_activation_takes_effect_after_48_hours() -> None:
    asked = rules.changed(dataclasses.replace(GOOD, card=Standing.INACTIVE), Action.ACTIVATE, NOON)
    assert asked.standing is Standing.INACTIVE
    assert Action.ACTIVATE not in asked.actions
    assert rules.elapsed(asked, NOON + 48 * HOUR - timedelta(seconds=1)) is None
    after = rules.elapsed(asked, NOON + 48 * HOUR)
    assert after is not None
    assert (after.standing, after.due_at) == (Standing.ACTIVE, None)


def test_a_suspension_that_nobody_confirms_stays_one() -> None:
    card = rules.changed(GOOD, Action.SUSPEND, NOON)
    assert card.due_at == NOON + timedelta(days=7)
    assert rules.elapsed(card, NOON + timedelta(days=100)) is None


def test_a_temporary_card_ends_after_60_days_and_can_be_extended_to_six_months() -> None:
    card = rules.temporary(MemberClass.ORDINARY, NOON)
    assert (card.issued, card.valid_until) == (date(2026, 1, 5), date(2026, 3, 5))
    last_moment = datetime(2026, 3, 5, 23, 59, 59, tzinfo=SHANGHAI)
    assert rules.elapsed(card, last_moment) is None
    ended = rules.elapsed(card, last_moment + timedelta(seconds=1))
    assert ended is not None
    assert ended.standing is Standing.EXPIRED
    with pytest.raises(ValidityRefused):
        rules.changed(card, Action.EXTEND, NOON)  # it is good for as long already
    now = last_moment
    for until in (date(2026, 5, 3), date(2026, 7, 1), date(2026, 7, 4)):
        card = rules.changed(card, Action.EXTEND, now)
        assert card.valid_until == until
        now = datetime.combine(until, datetime.min.time(), SHANGHAI)
    with pytest.raises(ValidityRefused):
        rules.changed(card, Action.EXTEND, now)


def test_six_months_from_the_end_of_a_long_month() -> None:
    issued = datetime(2026, 8, 31, 12, tzinfo=SHANGHAI)
    card = rules.temporary(MemberClass.ORDINARY, issued)
    for now in (datetime(2026, 10, 29, tzinfo=SHANGHAI), datetime(2026, 12, 27, tzinfo=SHANGHAI)):
        card = rules.changed(card, Action.EXTEND, now)
    card = rules.changed(card, Action.EXTEND, datetime(2027, 2, 20, tzinfo=SHANGHAI))
    assert card.valid_until == date(2027, 2, 27)


def test_a_replaced_card_hands_on_its_holder_and_what_was_used_up(storage: Storage, tmp_path: Path) -> None:
    nobody = line(2, "lost").removesuffix("P-2")
    imported(storage, tmp_path, [line(1), nobody.replace("lost", "active")])
    with storage.write() as connection:
        fresh = members.replace(connection, KEY, token(1), token(11), by=OPERATOR, now=NOON)
        heir = members.replace(connection, KEY, token(2), token(12), by=OPERATOR, now=NOON)
    assert (fresh.person, heir.person) == (holder(1), token(2)), "without a person's token the card's own goes on"
    assert (fresh.standing, fresh.due_at) == (Standing.INACTIVE, NOON + 48 * HOUR)
    with storage.read() as connection:
        old = members.find(connection, token(1))
        assert (old.standing, old.replaced_by) == (Standing.LOST, token(11))
        assert [each.token for each in members.cards_of(connection, fresh)] == [token(1)]
    with storage.write() as connection, pytest.raises(StandingRefused):
        members.replace(connection, KEY, token(1), token(13), by=OPERATOR, now=NOON)
    with storage.write() as connection, pytest.raises(MemberKnown):
        members.replace(connection, KEY, token(11), token(2), by=OPERATOR, now=NOON)
    again = imported(storage, tmp_path, [line(1, "lost"), nobody])
    assert again.preview.changes == 0, "a card that no list has yet is taken off by none"
    assert members.sweep_due(storage, NOON + 48 * HOUR) == 2
    assert members.sweep_due(storage, NOON + 48 * HOUR) == 0
    with storage.read() as connection:
        assert [each.by for each in members.history(connection, members.find(connection, token(11)))] == [
            "clock",
            "op1",
        ]
        assert {each.action for each in page_of_audit(connection)} >= {"member-replace", "roll-confirm", "roll-import"}


def test_what_is_not_there_is_said_so(storage: Storage) -> None:
    with storage.write() as connection, pytest.raises(MemberMissing):
        members.change(connection, KEY, token(1), Action.SUSPEND, by=OPERATOR, now=NOON)


def test_unconfirmed_suspensions_are_listed_until_somebody_decides(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(1), line(2)])
    later = NOON + timedelta(days=7)
    with storage.write() as connection:
        members.change(connection, KEY, token(1), Action.SUSPEND, by=OPERATOR, now=NOON)
    with storage.read() as connection:
        assert members.overdue(connection, 1, later - HOUR) == []
        assert [each.token for each in members.overdue(connection, 1, later)] == [token(1)]
    assert members.sweep_due(storage, later) == 0
    with storage.write() as connection:
        members.change(connection, KEY, token(1), Action.LOSE, by=OPERATOR, now=later)
        assert members.overdue(connection, 1, later) == []


def test_changes_made_at_once_have_versions_of_their_own(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(number) for number in range(12)])
    start = threading.Barrier(3)

    def suspend(numbers: range) -> None:
        start.wait(10)
        for number in numbers:
            with storage.write() as connection:
                members.change(connection, KEY, token(number), Action.SUSPEND, by=OPERATOR, now=NOON)

    threads = [threading.Thread(target=suspend, args=(range(each, 12, 3),)) for each in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with storage.read() as connection:
        assert sorted(connection.scalars(select(table.c.version))) == list(range(13, 25))


def test_a_sale_to_who_was_no_active_member_then_is_flagged(storage: Storage, tmp_path: Path) -> None:
    ledger = known_ledger(storage, "bj-0001")
    imported(storage, tmp_path, [line(number) for number in range(4)])
    with storage.write() as connection:
        members.change(connection, KEY, token(1), Action.SUSPEND, by=OPERATOR, now=NOON + HOUR)
        members.change(connection, KEY, token(2), Action.SUSPEND, by=OPERATOR, now=NOON + HOUR)
        members.change(connection, KEY, token(2), Action.REINSTATE, by=OPERATOR, now=NOON + 3 * HOUR)
    sales = [
        (1, token(0), NOON + 2 * HOUR),
        (2, token(1), NOON),
        (3, token(1), NOON + 2 * HOUR),  # suspended
        (4, token(2), NOON + 2 * HOUR),  # suspended then, active now
        (5, token(2), NOON + 4 * HOUR),
        (6, token(9), NOON + HOUR),  # on no roll
        (7, token(9), NOON - HOUR),  # before there was a roll
        (8, "v2:" + "ab" * 32, NOON + HOUR),  # another key's
    ]
    for number, card, at in sales:
        _sell(ledger, number, card, at)
    assert _flagged(storage, ledger) == [(3, "suspended"), (4, "suspended"), (6, "unknown")]


def test_without_a_roll_nobody_is_judged(storage: Storage) -> None:
    ledger = known_ledger(storage, "bj-0001")
    _sell(ledger, 1, token(1), NOON)
    assert _flagged(storage, ledger) == []


def _sell(ledger: WrittenLedger, number: int, card: str, at: datetime) -> None:
    ledger.write(EntryKind.AUTHORISED, number, sale(token=card), at=instant(at))


def _flagged(storage: Storage, ledger: WrittenLedger) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []

    def judge(*seen: Any) -> Any:
        findings = list(RollJudge()(*seen))
        found.extend((each.sequence, each.detail.rpartition(" ")[2]) for each in findings)
        return findings

    with storage.write() as connection:
        outcome = ingest(connection, ledger.batch(), now=NOON + 9 * HOUR, judges=(judge,))
    assert isinstance(outcome, Taken)
    assert [sequence for sequence, code in outcome.flagged if code == "not-member-then"] == [each for each, _ in found]
    return found

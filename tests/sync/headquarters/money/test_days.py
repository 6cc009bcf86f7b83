"""Day statements: what terminals say, what headquarters counts, and what lies between."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sync.errors import SequenceGap
from sync.headquarters.money.days import CHAIN, DaysFeed, DayView, page_of_days, take_statement
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage
from sync.wire import encode_message
from sync.wire_days import NONE_YET, DayStatement, days_path
from tests.sync.headquarters.money.scenes import arrive, moment
from tests.sync.headquarters.scene import Scene, code_of
from tests.sync.headquarters.written_ledger import MERCHANT, SITE, WrittenLedger, known_ledger

DAY = "2026-01-05"
NOW = moment("2026-01-06")
OFFER: dict[str, Any] = {
    "offer": "winter-film",
    "sales": 2,
    "units": 4,
    "list": 16_000,
    "pay": 4_000,
    "voided_units": 1,
    "voided_list": 4_000,
    "voided_pay": 1_000,
}


@pytest.fixture
def sold(storage: Storage, ledger: WrittenLedger) -> WrittenLedger:
    """Two sales, one unit of one void: five entries."""
    for number in (1, 2):
        ledger.authorise(number)
        ledger.complete(number)
    ledger.void(2, 1)
    arrive(storage, ledger, moment(DAY))
    return ledger


def statement(ledger: WrittenLedger, sequence: int = 5, day: str = DAY, **changes: Any) -> DayStatement:
    fields: dict[str, Any] = {
        "terminal": ledger.terminal,
        "day": day,
        "sequence": sequence,
        "hash": ledger.messages[sequence - 1].hash,
        "closed_at": "2026-01-05T14:00:00.000Z",
        "closed_by": "m01",
        "unsettled": 0,
        "offers": [OFFER | changes],
    }
    return DayStatement.model_validate_json(json.dumps(fields))


def take(storage: Storage, said: DayStatement) -> int:
    with storage.write() as connection:
        return take_statement(connection, said, NOW)


def days(storage: Storage, **asked: Any) -> list[DayView]:
    with storage.read() as connection:
        return page_of_days(connection, limit=100, **asked)[0]


def test_what_agrees_has_no_differences(storage: Storage, sold: WrittenLedger) -> None:
    assert take(storage, statement(sold)) == 0
    (view,) = days(storage, day=DAY)
    assert (view.terminal, view.merchant, view.closed_by, view.sales, view.units, view.pay) == (
        "bj-0001",
        MERCHANT,
        "m01",
        2,
        3,
        3000,
    )
    assert (view.differences, view.after, view.superseded) == ([], [], False)
    assert days(storage, differing=True) == []


def test_what_differs_is_named(storage: Storage, sold: WrittenLedger) -> None:
    assert take(storage, statement(sold, sales=3, pay=4_001)) == 2
    (view,) = days(storage, differing=True)
    told = [(each.offer, each.what, each.terminal, each.headquarters) for each in view.differences]
    assert told == [("winter-film", "sales", 3, 2), ("winter-film", "pay", 4001, 4000)]


def test_an_offer_that_only_one_side_knows_differs(storage: Storage, sold: WrittenLedger) -> None:
    take(storage, statement(sold, offer="laundry"))
    (view,) = days(storage)
    assert {(each.offer, each.terminal > 0) for each in view.differences} == {("laundry", True), ("winter-film", False)}


def test_another_entry_under_the_same_number_is_named(storage: Storage, sold: WrittenLedger) -> None:
    take(storage, statement(sold).model_copy(update={"hash": "ab" * 32}))
    (view,) = days(storage)
    assert [each.what for each in view.differences] == [CHAIN]


def test_what_comes_after_the_closing_is_no_difference(storage: Storage, sold: WrittenLedger) -> None:
    take(storage, statement(sold))
    sold.void(1)
    sold.authorise(3)
    sold.complete(3)
    arrive(storage, sold, NOW, 6)
    (view,) = days(storage)
    assert view.differences == []
    (after,) = view.after
    assert (after.offer, after.completed, after.voided, after.units, after.pay) == ("winter-film", 1, 1, 0, 0)


def test_a_repeat_is_given_the_same_answer(storage: Storage, sold: WrittenLedger) -> None:
    assert take(storage, statement(sold, sales=3)) == 1
    assert take(storage, statement(sold, sales=3)) == 1
    assert len(days(storage)) == 1


def test_a_second_closing_takes_the_place_of_the_first(storage: Storage, sold: WrittenLedger) -> None:
    take(storage, statement(sold, sequence=2, sales=1, units=2, list=8000, pay=2000))
    take(storage, statement(sold))
    assert [(each.sequence, each.superseded) for each in days(storage)] == [(5, False), (2, True)]


def test_a_statement_ahead_of_its_entries_waits(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    with pytest.raises(SequenceGap) as refused:
        take(storage, statement(ledger, sequence=1))
    assert refused.value.details["expected"] == 1


def test_the_feed_names_the_latest_day(storage: Storage, sold: WrittenLedger) -> None:
    place = Place(sold.terminal, MERCHANT, SITE)
    with storage.read() as connection:
        assert DaysFeed().version(connection, place) == NONE_YET
    take(storage, statement(sold))
    take(storage, statement(sold, day="2026-01-04"))
    with storage.read() as connection:
        assert DaysFeed().version(connection, place) == f"{DAY}/5"
        assert DaysFeed().version(connection, replace(place, terminal="bj-0002")) == NONE_YET


def test_statements_are_paged(storage: Storage, sold: WrittenLedger) -> None:
    other = known_ledger(storage, "bj-0002")
    other.authorise(7)
    arrive(storage, other, NOW)
    for said in (statement(sold), statement(sold, sequence=2), statement(sold, day="2026-01-04")):
        take(storage, said)
    take(storage, statement(other, sequence=1))
    seen: list[tuple[str, str, int]] = []
    after: str | None = ""
    with storage.read() as connection:
        while after is not None:
            (one,), after = page_of_days(connection, limit=1, after=after)
            seen.append((one.day, one.terminal, one.sequence))
    assert seen == [(DAY, "bj-0001", 5), (DAY, "bj-0001", 2), (DAY, "bj-0002", 1), ("2026-01-04", "bj-0001", 5)]


def test_a_terminal_states_its_day_by_a_signed_request(scene: Scene) -> None:
    scene.ledger.authorise(1)
    scene.terminal.push(scene.ledger.batch())
    said = statement(scene.ledger, sequence=1, sales=0, units=0, list=0, pay=0, voided_units=0).model_copy(
        update={"offers": ()}
    )
    path = days_path(scene.terminal.terminal)
    answer = scene.terminal.send(scene.terminal.signed(path, encode_message(said)))
    assert answer.status == 200
    assert scene.terminal.proves(answer, scene.key)
    assert json.loads(answer.body)["differences"] == 0
    ahead = said.model_copy(update={"sequence": 9})
    assert code_of(scene.terminal.send(scene.terminal.signed(path, encode_message(ahead)))) == "sequence-gap"
    foreign = said.model_copy(update={"terminal": "bj-0002"})
    assert code_of(scene.terminal.send(scene.terminal.signed(path, encode_message(foreign)))) == "message-malformed"
    unsigned = scene.terminal.client.post(path, content=encode_message(said))
    assert unsigned.status_code == 401

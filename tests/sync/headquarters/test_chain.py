"""Follows on, leaves a gap, or forks: every place where a batch may meet the chain."""

from __future__ import annotations

import pytest

from sync.headquarters.chain import Follows, Gap, Head, check
from tests.sync.headquarters.written_ledger import WrittenLedger


@pytest.fixture
def ledger() -> WrittenLedger:
    written = WrittenLedger()
    for number in range(1, 6):
        written.authorise(number)
    return written


def head_at(ledger: WrittenLedger, sequence: int) -> Head:
    return Head(sequence, bytes.fromhex(ledger.messages[sequence - 1].hash)) if sequence else Head()


def stored(ledger: WrittenLedger, sequence: int) -> dict[int, str]:
    return {message.sequence: message.hash for message in ledger.messages[:sequence]}


@pytest.mark.parametrize("at", range(6))
def test_whatever_headquarters_has_the_whole_ledger_follows(ledger: WrittenLedger, at: int) -> None:
    verdict = check(head_at(ledger, at), stored(ledger, at), ledger.messages)
    assert verdict == Follows(tuple(ledger.messages[at:]), head_at(ledger, 5))


def test_an_empty_batch_follows_anything(ledger: WrittenLedger) -> None:
    assert check(head_at(ledger, 3), {}, ()) == Follows((), head_at(ledger, 3))


@pytest.mark.parametrize(("at", "first"), [(0, 2), (0, 5), (2, 4)])
def test_a_hole_before_the_batch_is_a_gap(ledger: WrittenLedger, at: int, first: int) -> None:
    assert check(head_at(ledger, at), {}, ledger.messages[first - 1 :]) == Gap(at + 1)


def test_another_story_in_the_past_is_a_fork(ledger: WrittenLedger) -> None:
    other = WrittenLedger()
    for number in (1, 2, 9, 10, 11):
        other.authorise(number)
    verdict = check(head_at(ledger, 5), stored(ledger, 5), other.messages)
    assert verdict == Follows((), head_at(ledger, 5), forked_at=3)


def test_a_batch_that_forks_half_way_follows_up_to_there(ledger: WrittenLedger) -> None:
    other = ledger.fork()
    ledger.authorise(6)
    other.authorise(7)
    mixed = [*ledger.messages, other.authorise(8)]
    verdict = check(head_at(ledger, 5), stored(ledger, 5), mixed)
    assert verdict == Follows((ledger.messages[5],), head_at(ledger, 6), forked_at=7)


def test_a_hash_that_is_not_the_body_s_is_a_fork(ledger: WrittenLedger) -> None:
    wrong = ledger.messages[0].model_copy(update={"hash": "00" * 32})
    assert check(Head(), {}, [wrong]) == Follows((), Head(), forked_at=1)

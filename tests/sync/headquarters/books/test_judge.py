"""Sales by a book that was never released for their terminal are flagged; without any release nothing is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.judge import OfferJudge
from sync.headquarters.books.stages import Target
from sync.headquarters.ingest import Taken, ingest
from sync.headquarters.storage import Storage
from terminal.ledger.entry import EntryKind, instant
from tests.sync.headquarters.books.campaign import DEARER, EDITOR, WINTER, desk_of, released
from tests.sync.headquarters.client import HandClock
from tests.sync.headquarters.database import ARRIVAL
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, WrittenLedger, sale

EVERYWHERE = Target(everywhere=True)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOON - timedelta(hours=2))


@pytest.fixture
def desk(storage: Storage, tmp_path: Path, clock: HandClock) -> CampaignDesk:
    return desk_of(storage, tmp_path, clock)


def flagged(storage: Storage, ledger: WrittenLedger) -> tuple[tuple[int, str], ...]:
    with storage.write() as connection:
        taken = ingest(connection, ledger.batch(), now=ARRIVAL, judges=(OfferJudge(),))
    assert isinstance(taken, Taken)
    return taken.flagged


def sold_by(ledger: WrittenLedger, number: int, revision: int, sha256: str, **changes: Any) -> None:
    ledger.authorise(number, revision=revision, book_hash=sha256, **changes)


def test_a_headquarters_that_never_released_a_book_flags_nothing(storage: Storage, ledger: WrittenLedger) -> None:
    ledger.authorise(1)
    ledger.authorise(2, offer="never-heard-of")
    assert flagged(storage, ledger) == ()


def test_a_release_that_was_not_rolled_out_changes_nothing(
    desk: CampaignDesk, storage: Storage, ledger: WrittenLedger
) -> None:
    released(desk)
    ledger.authorise(1)
    assert flagged(storage, ledger) == ()


def test_sales_by_what_was_released_for_here_pass(desk: CampaignDesk, storage: Storage, ledger: WrittenLedger) -> None:
    first = released(desk)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    second = released(desk, DEARER)
    desk.roll_out(EDITOR, 2, Target(merchants=(MERCHANT,)))
    desk.stop(EDITOR, 2)
    sold_by(ledger, 1, 1, first.sha256)
    sold_by(ledger, 2, 2, second.sha256)  # fetched before it was stopped, perhaps
    ledger.complete(1)
    assert flagged(storage, ledger) == ()


STRANGE: dict[str, dict[str, Any]] = {
    "another content": {"book_hash": "0" * 64},
    "another number": {"revision": 2},
    "no offer of the book": {"offer": "free-beer"},
    "a NUL in the offer": {"offer": "free\0beer"},
    "a hash that is none": {"book_hash": "a\0b"},
    "a number beyond all": {"revision": 2**53 - 1},
}


def test_anything_else_is_flagged_and_kept(desk: CampaignDesk, storage: Storage, ledger: WrittenLedger) -> None:
    first = released(desk)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    for number, changes in enumerate(STRANGE.values(), start=1):
        ledger.authorise(number, **{"revision": 1, "book_hash": first.sha256, **changes})
    sold_by(ledger, 99, 1, first.sha256)
    found = {sequence for sequence, _ in flagged(storage, ledger)}  # by us, or by who finds such a body unreadable
    assert found == set(range(1, len(STRANGE) + 1))


def test_a_book_for_other_shops_is_not_one_for_here(
    desk: CampaignDesk, storage: Storage, ledger: WrittenLedger
) -> None:
    first = released(desk)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    second = released(desk, DEARER)
    desk.roll_out(EDITOR, 2, Target(merchants=("another",)))
    sold_by(ledger, 1, 1, first.sha256)
    sold_by(ledger, 2, 2, second.sha256)
    assert flagged(storage, ledger) == ((2, "unknown-offer"),)


def test_what_was_sold_or_quoted_before_the_first_roll_out_is_let_pass(
    desk: CampaignDesk, storage: Storage, ledger: WrittenLedger, clock: HandClock
) -> None:
    released(desk)
    clock.now = NOON
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    local = {"revision": 7, "book_hash": "ef" * 32}
    for number, minutes in enumerate((-600, 0, 59, 60, 600), start=1):
        at = instant(NOON + timedelta(minutes=minutes))
        ledger.write(EntryKind.AUTHORISED, number, sale(**local), at=at)
    assert flagged(storage, ledger) == ((4, "unknown-offer"), (5, "unknown-offer"))


def test_a_time_in_no_calendar_gains_nothing(desk: CampaignDesk, storage: Storage, ledger: WrittenLedger) -> None:
    released(desk)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    ledger.write(EntryKind.AUTHORISED, 1, sale(), at="2026-13-45T00:00:00.000Z")
    assert (1, "unknown-offer") in flagged(storage, ledger)


def test_the_first_release_may_be_the_book_that_the_tills_have(
    desk: CampaignDesk, storage: Storage, ledger: WrittenLedger
) -> None:
    from terminal.offers.book import book_hash, parse_book

    local = WINTER.replace("revision = 1", "revision = 7")
    release = released(desk, local)
    assert (release.revision, release.sha256) == (7, book_hash(parse_book(local, "toml")))
    desk.roll_out(EDITOR, 7, EVERYWHERE)
    sold_by(ledger, 1, 7, release.sha256)
    assert flagged(storage, ledger) == ()

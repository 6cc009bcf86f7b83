"""A staged roll-out reaches exactly the terminals that are meant, and nobody ever goes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.headquarters.books import releases, stages
from sync.headquarters.books.desk import CampaignDesk
from sync.headquarters.books.errors import ReleaseMissing, RolloutBackwards, RolloutIdle, TargetInvalid
from sync.headquarters.books.stages import InForce, Target, share_of, target_of
from sync.headquarters.projection import Place
from sync.headquarters.storage import Storage
from terminal.serving.problems import RoleMissing
from tests.sync.headquarters.books.campaign import (
    APPROVER,
    AUDITOR,
    DEARER,
    EDITOR,
    OPERATOR,
    WINTER,
    add_terminal,
    desk_of,
    released,
)
from tests.sync.headquarters.written_ledger import NOON

EVERYWHERE = Target(everywhere=True)


@pytest.fixture
def desk(storage: Storage, tmp_path: Path) -> CampaignDesk:
    return desk_of(storage, tmp_path)


@pytest.fixture
def city(storage: Storage) -> list[Place]:
    """Twelve terminals: three merchants of two sites, two terminals each."""
    return [
        add_terminal(storage, f"t-{merchant}-{site}-{number}", f"m{merchant}", f"s{site}")
        for merchant in range(3)
        for site in range(2)
        for number in range(2)
    ]


def in_force(storage: Storage, places: list[Place]) -> dict[str, int]:
    """The revision that each terminal should have; 0: none."""
    with storage.read() as connection:
        chosen = {place.terminal: releases.in_force_for(connection, place) for place in places}
    return {terminal: each.revision if each else 0 for terminal, each in chosen.items()}


def take(storage: Storage, place: Place) -> None:
    """The terminal fetches what is meant for it."""
    with storage.write() as connection:
        chosen = releases.in_force_for(connection, place)
        stages.note_held(connection, place.terminal, chosen, "", now=NOON)


TARGETS = {
    "a merchant": (Target(merchants=("m1",)), lambda place: place.merchant == "m1"),
    "a site": (Target(sites=("m0/s1",)), lambda place: (place.merchant, place.site) == ("m0", "s1")),
    "a terminal": (Target(terminals=("t-2-0-1",)), lambda place: place.terminal == "t-2-0-1"),
    "a percentage": (Target(percent=30), lambda place: share_of(place.terminal, 1) < 30),
    "several": (
        Target(merchants=("m2",), terminals=("t-0-0-0",)),
        lambda place: place.merchant == "m2" or place.terminal == "t-0-0-0",
    ),
    "everywhere": (EVERYWHERE, lambda place: True),
}


def test_a_stage_reaches_exactly_whom_it_names(desk: CampaignDesk, storage: Storage, city: list[Place]) -> None:
    released(desk)
    assert set(in_force(storage, city).values()) == {0}
    for name, (target, meant) in TARGETS.items():
        desk.roll_out(EDITOR, 1, target)
        expected = {place.terminal: int(meant(place)) for place in city}
        assert in_force(storage, city) == expected, name
        assert desk.release(1).reach.meant == sum(expected.values()), name
        desk.stop(EDITOR, 1)


def test_first_some_then_all_and_then_the_next(desk: CampaignDesk, storage: Storage, city: list[Place]) -> None:
    released(desk, WINTER)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    released(desk, DEARER)
    desk.roll_out(APPROVER, 2, Target(merchants=("m0",)))
    assert in_force(storage, city) == {place.terminal: 2 if place.merchant == "m0" else 1 for place in city}
    for place in city[:6]:
        take(storage, place)
    reach = desk.overview().reach
    assert (reach[2].meant, reach[2].has, reach[1].meant, reach[1].has) == (4, 4, 8, 2)
    desk.roll_out(EDITOR, 2, EVERYWHERE)
    late = add_terminal(storage, "t-new", "m9", "s9")
    assert set(in_force(storage, [*city, late]).values()) == {2}


def test_stopping_keeps_it_from_others_and_takes_it_from_none(
    desk: CampaignDesk, storage: Storage, city: list[Place]
) -> None:
    released(desk, WINTER)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    released(desk, DEARER)
    desk.roll_out(EDITOR, 2, Target(merchants=("m0",)))
    take(storage, city[0])
    assert desk.stop(OPERATOR, 2) == 1
    assert in_force(storage, city) == {place.terminal: 2 if place is city[0] else 1 for place in city}
    with pytest.raises(RolloutIdle):
        desk.stop(OPERATOR, 2)


def test_going_back_reaches_who_had_it_and_who_had_not(desk: CampaignDesk, storage: Storage, city: list[Place]) -> None:
    released(desk, WINTER)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    released(desk, DEARER)
    desk.roll_out(EDITOR, 2, Target(percent=50))
    for place in city:
        take(storage, place)
    desk.stop(EDITOR, 2)
    desk.restore(APPROVER, 1, everywhere=True)
    assert set(in_force(storage, city).values()) == {3}


def test_an_older_revision_is_not_rolled_out_over_a_newer_one(desk: CampaignDesk) -> None:
    released(desk, WINTER)
    released(desk, DEARER)
    desk.roll_out(EDITOR, 2, EVERYWHERE)
    with pytest.raises(RolloutBackwards):
        desk.roll_out(EDITOR, 1, EVERYWHERE)
    with pytest.raises(ReleaseMissing):
        desk.roll_out(EDITOR, 9, EVERYWHERE)
    with pytest.raises(RoleMissing):
        desk.roll_out(AUDITOR, 2, EVERYWHERE)


def test_running_stages_are_bounded(desk: CampaignDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGES_RUNNING_MAX", 2)
    released(desk)
    for percent in (10, 20):
        desk.roll_out(EDITOR, 1, Target(percent=percent))
    with pytest.raises(TargetInvalid):
        desk.roll_out(EDITOR, 1, Target(percent=30))


def test_what_a_terminal_does_not_take_is_counted_by_its_reason(
    desk: CampaignDesk, storage: Storage, city: list[Place]
) -> None:
    released(desk)
    desk.roll_out(EDITOR, 1, EVERYWHERE)
    with storage.write() as connection:
        stages.note_held(connection, city[0].terminal, None, "release-key-changed", now=NOON)
    take(storage, city[1])
    reach = desk.release(1).reach
    assert (reach.meant, reach.has, reach.faults) == (12, 1, {"release-key-changed": 1})


ODD_TARGETS = {
    "nobody": {},
    "everywhere and somebody": {"everywhere": True, "merchants": ["m1"]},
    "none of a hundred": {"percent": 0},
    "all of a hundred": {"percent": 100},
    "no number": {"percent": "x"},
    "an empty name": {"sites": [""]},
    "too many": {"terminals": [str(number) for number in range(stages.NAMES_MAX + 1)]},
    "a NUL": {"merchants": ["a\0b"]},
    "another word": {"colour": "red"},
}


@pytest.mark.parametrize("asked", ODD_TARGETS.values(), ids=ODD_TARGETS.keys())
def test_a_target_that_cannot_be_is_told(asked: dict[str, object]) -> None:
    with pytest.raises(TargetInvalid):
        target_of(**asked)


@given(st.text(min_size=1, max_size=20), st.integers(1, 1000), st.integers(1, 98))
def test_a_small_share_lies_within_a_larger_one(terminal: str, revision: int, percent: int) -> None:
    place = Place(terminal, "m", "s")
    if Target(percent=percent).reaches(place, revision):
        assert Target(percent=percent + 1).reaches(place, revision)


def test_shares_are_even() -> None:
    counted = sum(share_of(f"bj-{number:04}", 7) < 20 for number in range(5000))
    assert 900 < counted < 1100


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=8), st.integers(0, 9))
def test_the_newest_that_reaches_wins(steps: list[tuple[int, bool]], held: int) -> None:
    """`choose` over any stages is the greatest revision among those that reach the place."""
    place = Place("t", "m", "s")
    told = [
        stages.Stage(index, revision, "0" * 64, Target(merchants=("m" if here else "x",)), "e", NOON, None, None)
        for index, (revision, here) in enumerate(steps)
    ]
    chosen = stages.choose(place, told)
    expected = max((revision for revision, here in steps if here), default=None)
    assert chosen == (InForce(expected, "0" * 64) if expected else None)

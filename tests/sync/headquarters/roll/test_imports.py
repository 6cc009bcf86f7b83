"""Lists in: what a preview says, what counts afterwards, and what persons said in between; on both databases."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from sync.headquarters.roll import imports, members
from sync.headquarters.roll import tables as room
from sync.headquarters.roll.errors import HashingKeyForeign, ImportSettled, SecondPersonNeeded
from sync.headquarters.roll.imports import ImportState, Moved
from sync.headquarters.roll.rules import Action
from sync.headquarters.roll.versions import state_of
from sync.headquarters.storage import Storage
from terminal.membership.card_list import CardListInvalid
from terminal.membership.official_lists import ListKind
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey
from tests.sync.headquarters.roll.lists import (
    JUMP_PERCENT_MAX,
    KEY,
    NOON,
    OPERATOR,
    SECOND,
    digits,
    holder,
    imported,
    line,
    previewed,
    token,
    write_list,
)

LATER = NOON + timedelta(days=1)


def standings(storage: Storage, *numbers: int) -> list[str]:
    with storage.read() as connection:
        return [members.find(connection, token(number)).standing.value for number in numbers]


def test_a_preview_counts_and_changes_nothing_until_it_is_confirmed(storage: Storage, tmp_path: Path) -> None:
    view = previewed(storage, tmp_path, [line(1), line(2, "suspended"), "62109", line(1, "lost"), ""])
    assert (view.state, view.preview.lines, view.preview.taken) == (ImportState.WAITING, 5, 3)
    assert (view.preview.repeated, view.preview.rejected, view.preview.changes) == (1, 1, 2)
    assert view.preview.moved == [Moved("unknown", "lost", 1), Moved("unknown", "suspended", 1)]
    with storage.read() as connection:
        assert state_of(connection).version == 0
        assert imports.rejected(connection, view.id) == [imports.RejectedLine(4, "columns")]
        assert connection.execute(select(room.members)).all() == []
    done = imports.confirm(storage, view.id, KEY, by=OPERATOR, now=NOON)
    assert (done.state, done.confirmed_by, done.done_at) == (ImportState.DONE, "op1", NOON)
    assert standings(storage, 1, 2) == ["lost", "suspended"]
    with storage.read() as connection:
        state = state_of(connection)
        assert (state.version, state.key_fingerprint, state.began_at) == (2, KEY.fingerprint, NOON)
        assert connection.execute(select(room.roll_diff)).all() == []
        assert sorted(connection.scalars(select(room.members.c.version))) == [1, 2]


def test_what_came_is_there_field_by_field(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(1, "inactive", member_class="hardship")])
    with storage.read() as connection:
        found = members.find(connection, token(1))
    assert (found.standing, found.member_class) == (Standing.INACTIVE, MemberClass.HARDSHIP)
    assert (found.person, str(found.issued), found.by, found.since) == (holder(1), "2020-05-04", "import 1", NOON)


def test_the_same_list_again_changes_nothing(storage: Storage, tmp_path: Path) -> None:
    lines = [line(number) for number in range(30)]
    imported(storage, tmp_path, lines)
    assert previewed(storage, tmp_path, lines[::-1]).preview.changes == 0


def test_a_list_adds_removes_and_changes_and_what_stood_before_is_kept(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(number) for number in range(4)])
    view = imported(
        storage, tmp_path, [line(0), line(1, "expired"), line(2, member_class="hardship"), line(9)], at=LATER
    )
    assert view.preview.moved == [
        Moved("active", "active", 1),
        Moved("active", "expired", 1),
        Moved("active", "withdrawn", 1),
        Moved("unknown", "active", 1),
    ]
    assert standings(storage, 0, 1, 2, 3, 9) == ["active", "expired", "active", "withdrawn", "active"]
    with storage.read() as connection:
        gone = members.history(connection, members.find(connection, token(3)))
        assert [(each.standing, each.since, each.until, each.by) for each in gone] == [
            (Standing.WITHDRAWN, LATER, None, "import 2"),
            (Standing.ACTIVE, NOON, LATER, "import 1"),
        ]
        moments = [(token(3), NOON), (token(3), LATER), (token(3), NOON - timedelta(1)), (token(7), LATER)]
        assert members.standings_at(connection, moments) == ["active", "withdrawn", None, None]
        versions = dict(connection.execute(select(room.members.c.token, room.members.c.version)).all())
        assert sorted(versions[members.hash_of(token(number))] for number in (1, 2, 3, 9)) == [5, 6, 7, 8]


def test_union_and_bank_make_one_standing(storage: Storage, tmp_path: Path) -> None:
    bank = [f"{digits(1)},active,2020-05-04", f"{digits(2)},suspended,2021-01-01", f"{digits(3)},active,"]
    imported(storage, tmp_path, bank, ListKind.BANK)
    assert standings(storage, 1, 2, 3) == ["unknown"] * 3  # nobody has said that these are members
    union = [f"{digits(1)},hardship,P-1", f"{digits(2)},ordinary,P-2", f"{digits(4)},ordinary,P-4"]
    view = imported(storage, tmp_path, union, ListKind.UNION)
    assert standings(storage, 1, 2, 3, 4) == ["active", "suspended", "unknown", "inactive"]
    assert view.preview.changes == 3
    imported(storage, tmp_path, union[1:], ListKind.UNION)
    assert standings(storage, 1, 2, 4) == ["withdrawn", "suspended", "inactive"]
    imported(storage, tmp_path, [bank[0], f"{digits(2)},active,2021-01-01", f"{digits(4)},active,"], ListKind.BANK)
    assert standings(storage, 1, 2, 3, 4) == ["withdrawn", "active", "unknown", "active"]
    imported(storage, tmp_path, bank[:1], ListKind.BANK)
    assert standings(storage, 1, 2, 4) == ["withdrawn", "expired", "expired"]


def test_a_bank_cannot_say_who_is_a_member(storage: Storage, tmp_path: Path) -> None:
    view = previewed(storage, tmp_path, [f"{digits(1)},withdrawn,"], ListKind.BANK)
    with storage.read() as connection:
        assert imports.rejected(connection, view.id) == [imports.RejectedLine(2, "standing")]


def test_a_list_does_not_bring_back_what_a_person_took_out_of_use(storage: Storage, tmp_path: Path) -> None:
    lines = [line(number) for number in range(4)]
    imported(storage, tmp_path, lines)
    with storage.write() as connection:
        for number, action in enumerate((Action.SUSPEND, Action.LOSE, Action.WITHDRAW)):
            members.change(connection, KEY, token(number), action, by=OPERATOR, now=LATER)
    again = previewed(storage, tmp_path, lines, at=LATER)
    assert (again.preview.changes, again.preview.kept) == (0, 3)
    imported(storage, tmp_path, [line(0, "lost"), *lines[1:]], at=LATER)  # what is worse is taken
    assert standings(storage, 0, 1, 2, 3) == ["lost", "lost", "withdrawn", "active"]
    with storage.write() as connection:
        members.change(connection, KEY, token(2), Action.REINSTATE, by=OPERATOR, now=LATER)
    imported(storage, tmp_path, [line(0, "lost"), line(1), line(2, "expired"), line(3)], at=LATER)
    assert standings(storage, 1, 2) == ["lost", "expired"]  # a person's yes holds up no list


def test_what_changed_after_the_comparison_stays(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(1), line(2)])
    view = previewed(storage, tmp_path, [line(1, member_class="hardship"), line(2, member_class="hardship")])
    with storage.write() as connection:
        members.change(connection, KEY, token(1), Action.SUSPEND, by=OPERATOR, now=LATER)
    imports.confirm(storage, view.id, KEY, by=OPERATOR, now=LATER)
    with storage.read() as connection:
        first, second = (members.find(connection, token(number)) for number in (1, 2))
    assert (first.standing, first.member_class) == (Standing.SUSPENDED, MemberClass.ORDINARY)
    assert (second.standing, second.member_class) == (Standing.ACTIVE, MemberClass.HARDSHIP)


def test_a_jump_takes_two_people(storage: Storage, tmp_path: Path) -> None:
    lines = [line(number) for number in range(100)]
    imported(storage, tmp_path, lines)
    assert not previewed(storage, tmp_path, lines[:98]).preview.suspicious
    view = previewed(storage, tmp_path, lines[:97])
    assert (view.preview.losing_percent, view.preview.suspicious) == (3.0, True)
    first = imports.confirm(storage, view.id, KEY, by=OPERATOR, now=LATER)
    assert (first.state, first.confirmed_by) == (ImportState.SECOND, "op1")
    assert standings(storage, 99) == ["active"]
    with pytest.raises(SecondPersonNeeded):
        imports.confirm(storage, view.id, KEY, by=OPERATOR, now=LATER)
    assert imports.confirm(storage, view.id, KEY, by=SECOND, now=LATER).state is ImportState.DONE
    assert standings(storage, 99) == ["withdrawn"]


def test_a_list_is_settled_once_and_a_newer_one_takes_its_place(storage: Storage, tmp_path: Path) -> None:
    old = previewed(storage, tmp_path, [line(1)])
    new = previewed(storage, tmp_path, [line(2)])
    with pytest.raises(ImportSettled):
        imports.confirm(storage, old.id, KEY, by=OPERATOR, now=NOON)
    imports.discard(storage, new.id, by=OPERATOR, now=NOON)
    with pytest.raises(ImportSettled):
        imports.confirm(storage, new.id, KEY, by=OPERATOR, now=NOON)
    with storage.read() as connection:
        assert [each.state for each in imports.latest(connection)] == [ImportState.DISCARDED] * 2
        assert state_of(connection).version == 0


def test_another_programme_key_is_refused(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(1)])
    other = ProgrammeKey(1, bytes(32))
    path = write_list(tmp_path, ListKind.COMBINED, [line(1)])
    with pytest.raises(HashingKeyForeign):
        imports.preview_file(
            storage, path, ListKind.COMBINED, other, by=OPERATOR, now=NOON, jump_percent_max=JUMP_PERCENT_MAX
        )


def test_a_list_of_another_kind_is_refused_and_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(CardListInvalid):
        imports.preview_upload(
            storage,
            f"{digits(1)},active\n".encode(),
            ListKind.BANK,
            KEY,
            by=OPERATOR,
            now=NOON,
            jump_percent_max=JUMP_PERCENT_MAX,
        )
    with storage.read() as connection:
        assert imports.latest(connection) == []


def test_an_upload_is_read_as_a_file_is(storage: Storage, tmp_path: Path) -> None:
    lines = [line(number) for number in range(20)] + ["rubbish"]
    content = write_list(tmp_path, ListKind.COMBINED, lines).read_bytes()
    how: dict[str, Any] = {"by": OPERATOR, "now": NOON, "jump_percent_max": JUMP_PERCENT_MAX}
    of_file = previewed(storage, tmp_path, lines)
    uploaded = imports.preview_upload(storage, content, ListKind.COMBINED, KEY, **how)
    assert dataclasses.asdict(uploaded.preview) == dataclasses.asdict(of_file.preview)


def test_no_card_number_is_anywhere_in_the_database(storage: Storage, tmp_path: Path) -> None:
    imported(storage, tmp_path, [line(number) for number in range(5)] + [digits(77) + ",x"])
    with storage.read() as connection:
        for table in room.metadata.tables.values():
            told = str(connection.execute(select(table)).all())
            assert not any(digits(number) in told for number in (*range(5), 77)), table.name
        assert connection.execute(text("SELECT count(*) FROM members")).scalar() == 5

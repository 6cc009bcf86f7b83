from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from drivers.card import Authenticity, CardRead, EntryMode, Expiry, Pan
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.desk import ISSUER_DIGITS_MAX, IssuerRange, IssuerRangeInvalid, MembershipDesk
from terminal.membership.roll import RECORDS_OFFSET, RollDamaged, RollError, RollKeyMismatch, RollMissing
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, card_token, person_token

KEY = ProgrammeKey(1, bytes(range(32)))
TODAY = date(2012, 12, 25)
LATER = Expiry(2020, 12)
BEFORE = Expiry(2012, 11)

MEMBER = Pan("6210947000000021")
COLLEAGUE = Pan("6212345678901265")
STRANGER = Pan("6231200100000000217")
OTHER_BANK = Pan("6250946000000016")
ISSUERS = (
    IssuerRange("北京银行", "621094", "621094"),
    IssuerRange("京卡", "62123400", "62123499"),
    IssuerRange("联名卡", "623120", "623129"),
)


def read_of(pan: Pan, expiry: Expiry | None = LATER) -> CardRead:
    return CardRead(pan, expiry, EntryMode.CONTACT, "reader 1", Authenticity.UNVERIFIED, None, 0, 1.0)


def put_roll(path: Path, *lines: RosterLine, key: ProgrammeKey = KEY) -> None:
    write_roll(lines, path, key)


class Room:
    """A desk and the files it answers from."""

    def __init__(self, folder: Path) -> None:
        self.roll = folder / "members.roll"
        self.changes = folder / "changes.roll"
        self.desk = MembershipDesk(ISSUERS, KEY, self.roll, self.changes)

    def standing(self, pan: Pan, expiry: Expiry | None = LATER, today: date = TODAY) -> Standing:
        return self.desk.identify(read_of(pan, expiry), today).member.standing


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A desk whose roll holds `MEMBER`, active, and has no changes yet."""
    room = Room(tmp_path)
    put_roll(
        room.roll,
        RosterLine.of(MEMBER, KEY, member_class=MemberClass.MODEL_WORKER, issued=date(2012, 3, 1), person="P-0001"),
    )
    yield room
    room.desk.close()


def test_member_is_known_by_everything_the_roll_says(room: Room) -> None:
    found = room.desk.identify(read_of(MEMBER), TODAY)
    assert found.member.token == card_token(MEMBER, KEY)
    assert found.member.person == person_token("P-0001", KEY)
    assert found.member.standing is Standing.ACTIVE
    assert found.member.member_class is MemberClass.MODEL_WORKER
    assert found.member.issued == date(2012, 3, 1)
    assert (found.masked, found.issuer, found.expiry, found.expired) == ("**** 0021", "北京银行", LATER, False)


def test_card_without_a_person_on_the_roll_is_its_own_person(room: Room) -> None:
    put_roll(room.roll, RosterLine.of(COLLEAGUE, KEY))
    member = room.desk.identify(read_of(COLLEAGUE), TODAY).member
    assert member.person == member.token == card_token(COLLEAGUE, KEY)


def test_accepted_issuers_card_that_is_not_on_the_roll_is_unknown(room: Room) -> None:
    found = room.desk.identify(read_of(STRANGER), TODAY)
    assert found.member.standing is Standing.UNKNOWN
    assert found.member.person == found.member.token
    assert found.issuer == "联名卡"


def test_another_banks_card_is_other_issuer_even_when_it_is_on_the_roll(room: Room) -> None:
    put_roll(room.roll, RosterLine.of(OTHER_BANK, KEY, member_class=MemberClass.HARDSHIP))
    found = room.desk.identify(read_of(OTHER_BANK), TODAY)
    assert found.member.standing is Standing.OTHER_ISSUER
    assert found.member.member_class is MemberClass.ORDINARY
    assert found.issuer is None


@pytest.mark.parametrize(
    ("on_roll", "expiry", "standing"),
    [
        (Standing.ACTIVE, LATER, Standing.ACTIVE),
        (Standing.ACTIVE, None, Standing.ACTIVE),
        (Standing.ACTIVE, BEFORE, Standing.EXPIRED),
        (Standing.EXPIRED, LATER, Standing.EXPIRED),
        (Standing.INACTIVE, BEFORE, Standing.INACTIVE),
        (Standing.SUSPENDED, BEFORE, Standing.SUSPENDED),
        (Standing.LOST, LATER, Standing.LOST),
        (Standing.LOST, BEFORE, Standing.LOST),
        (Standing.WITHDRAWN, BEFORE, Standing.WITHDRAWN),
    ],
)
def test_standing_on_the_roll_holds_before_the_cards_own_date(
    room: Room, on_roll: Standing, expiry: Expiry | None, standing: Standing
) -> None:
    put_roll(room.roll, RosterLine.of(MEMBER, KEY, standing=on_roll))
    assert room.standing(MEMBER, expiry) is standing


def test_unknown_card_past_its_date_stays_unknown(room: Room) -> None:
    found = room.desk.identify(read_of(STRANGER, BEFORE), TODAY)
    assert found.member.standing is Standing.UNKNOWN
    assert found.expired


def test_card_is_good_to_the_last_day_of_its_month(room: Room) -> None:
    month = Expiry(2012, 12)
    assert room.standing(MEMBER, month, date(2012, 12, 31)) is Standing.ACTIVE
    assert room.standing(MEMBER, month, date(2013, 1, 1)) is Standing.EXPIRED


def test_changes_hold_before_the_roll_both_for_old_and_new_cards(room: Room) -> None:
    assert room.standing(MEMBER) is Standing.ACTIVE
    put_roll(
        room.changes,
        RosterLine.of(MEMBER, KEY, standing=Standing.SUSPENDED),
        RosterLine.of(STRANGER, KEY),
    )
    assert room.standing(MEMBER) is Standing.SUSPENDED
    assert room.standing(STRANGER) is Standing.ACTIVE


def test_cards_the_changes_do_not_name_are_answered_from_the_roll(room: Room) -> None:
    put_roll(room.changes, RosterLine.of(STRANGER, KEY))
    assert room.standing(MEMBER) is Standing.ACTIVE


def test_changes_that_are_taken_away_no_longer_hold(room: Room) -> None:
    put_roll(room.changes, RosterLine.of(MEMBER, KEY, standing=Standing.LOST))
    assert room.standing(MEMBER) is Standing.LOST
    room.changes.unlink()
    assert room.standing(MEMBER) is Standing.ACTIVE


def test_replaced_roll_answers_the_next_card(room: Room) -> None:
    assert room.standing(COLLEAGUE) is Standing.UNKNOWN
    before = room.desk.check().roll
    put_roll(room.roll, RosterLine.of(COLLEAGUE, KEY))
    assert room.standing(COLLEAGUE) is Standing.ACTIVE
    assert room.standing(MEMBER) is Standing.UNKNOWN
    assert room.desk.check().roll.revision != before.revision


def test_desk_without_a_changes_place_answers_from_the_roll_alone(room: Room) -> None:
    desk = MembershipDesk(ISSUERS, KEY, room.roll, None)
    assert desk.identify(read_of(MEMBER), TODAY).member.standing is Standing.ACTIVE
    assert desk.check().changes is None
    desk.close()


def test_check_says_what_stands_behind_the_answers(room: Room) -> None:
    put_roll(room.changes, RosterLine.of(STRANGER, KEY), RosterLine.of(COLLEAGUE, KEY))
    condition = room.desk.check()
    assert condition.roll.count == 1
    assert condition.changes is not None
    assert condition.changes.count == 2


def damage(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.unlink()
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("place", [20, RECORDS_OFFSET - 1, RECORDS_OFFSET, RECORDS_OFFSET + 51])
def test_damaged_roll_refuses_until_a_sound_one_is_put_there(room: Room, place: int) -> None:
    assert room.standing(MEMBER) is Standing.ACTIVE
    damage(room.roll, place)
    for _ in range(2):
        with pytest.raises(RollDamaged):
            room.standing(MEMBER)
    put_roll(room.roll, RosterLine.of(MEMBER, KEY))
    assert room.standing(MEMBER) is Standing.ACTIVE


def test_damaged_changes_refuse_too_for_they_may_name_a_lost_card(room: Room) -> None:
    put_roll(room.changes, RosterLine.of(MEMBER, KEY, standing=Standing.LOST))
    damage(room.changes, RECORDS_OFFSET - 1)
    with pytest.raises(RollDamaged):
        room.standing(MEMBER)


def test_missing_roll_refuses_and_says_so_from_the_first_card(tmp_path: Path) -> None:
    room = Room(tmp_path)
    with pytest.raises(RollMissing):
        room.desk.check()
    with pytest.raises(RollMissing):
        room.standing(MEMBER)


def test_changes_without_a_roll_are_not_enough(tmp_path: Path) -> None:
    room = Room(tmp_path)
    put_roll(room.changes, RosterLine.of(MEMBER, KEY))
    with pytest.raises(RollMissing):
        room.standing(MEMBER)
    room.desk.close()


def test_roll_that_cannot_be_opened_refuses(room: Room) -> None:
    room.roll.unlink()
    room.roll.mkdir()
    with pytest.raises(RollError):
        room.standing(MEMBER)


@pytest.mark.parametrize("key", [ProgrammeKey(2, KEY.secret), ProgrammeKey(1, bytes(32))], ids=["version", "secret"])
def test_roll_of_another_key_is_refused_rather_than_making_all_members_strangers(room: Room, key: ProgrammeKey) -> None:
    put_roll(room.roll, RosterLine.of(MEMBER, key), key=key)
    with pytest.raises(RollKeyMismatch):
        room.standing(MEMBER)


def test_closed_desk_opens_its_files_again(room: Room) -> None:
    assert room.standing(MEMBER) is Standing.ACTIVE
    room.desk.close()
    assert room.standing(MEMBER) is Standing.ACTIVE


def test_look_ups_in_several_threads_survive_replacements(room: Room) -> None:
    failures: list[BaseException] = []
    answers: list[Standing] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            while not done.is_set():
                answers.append(room.standing(MEMBER))
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=look_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for standing in (Standing.SUSPENDED, Standing.ACTIVE) * 3:
        put_roll(room.roll, RosterLine.of(MEMBER, KEY, standing=standing))
    done.set()
    for thread in threads:
        thread.join(timeout=10)
    assert not failures
    assert set(answers) <= {Standing.ACTIVE, Standing.SUSPENDED}
    assert answers


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("", ""),
        ("62109a", "621099"),
        ("621094", "62109"),
        ("621099", "621094"),
        ("٦٢١٠٩٤", "٦٢١٠٩٤"),
        ("6" * (ISSUER_DIGITS_MAX + 1), "6" * (ISSUER_DIGITS_MAX + 1)),
    ],
)
def test_senseless_issuer_range_is_refused_by_name(low: str, high: str) -> None:
    with pytest.raises(IssuerRangeInvalid) as caught:
        IssuerRange("北京银行", low, high)
    assert "北京银行" in caught.value.what_text("zh")


def test_issuer_range_holds_both_its_ends() -> None:
    assert IssuerRange("x", "621094", "621095").holds(MEMBER)
    assert IssuerRange("x", "621093", "621094").holds(MEMBER)
    assert not IssuerRange("x", "621095", "621099").holds(MEMBER)
    assert IssuerRange("x", "6" * ISSUER_DIGITS_MAX, "6" * ISSUER_DIGITS_MAX).low == "6" * ISSUER_DIGITS_MAX


@pytest.mark.parametrize("authenticity", list(Authenticity))
def test_only_a_chip_that_proved_itself_counts_as_genuine(room: Room, authenticity: Authenticity) -> None:
    read = replace(read_of(MEMBER), authenticity=authenticity)
    assert room.desk.identify(read, TODAY).member.genuine is (authenticity is Authenticity.DDA)

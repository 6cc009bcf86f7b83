from __future__ import annotations

import gc
import hashlib
import os
import re
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terminal.membership import roll as roll_module
from terminal.membership.build import write_roll
from terminal.membership.card_list import RosterLine
from terminal.membership.roll import (
    BUCKETS,
    CLASS_CODES,
    INDEX_ENTRY,
    INDEX_OFFSET,
    RECORD,
    RECORDS_OFFSET,
    STANDING_CODES,
    Roll,
    RollDamaged,
    RollError,
    RollHeader,
    RollKeyMismatch,
    RollMissing,
    RollRecord,
    front_bytes,
)
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey
from terminal.membership.whole_file import FileIdentity

KEY = ProgrammeKey(1, bytes(range(32)))
BUILT = datetime(2012, 12, 25, 8, 30, tzinfo=UTC)
CARDS = 300

hexadecimal = st.binary(min_size=32, max_size=32).map(bytes.hex)
roster_lines = st.builds(
    RosterLine,
    token=hexadecimal.map(lambda digits: f"v1:{digits}"),
    standing=st.sampled_from(sorted(STANDING_CODES)),
    member_class=st.sampled_from(sorted(CLASS_CODES)),
    issued=st.none() | st.dates(date(2000, 1, 1), date(2179, 6, 4)),
    person=st.none() | hexadecimal.map(lambda digits: f"v1:1{digits[1:]}"),  # all zeros stand for nobody
)
in_one_folder = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def quiet(done_bytes: int, total_bytes: int) -> None:
    """A progress nobody watches."""


def token_of(number: int) -> str:
    return f"v1:{hashlib.sha256(str(number).encode()).hexdigest()}"


def line_of(number: int) -> RosterLine:
    standings, classes = sorted(STANDING_CODES), sorted(CLASS_CODES)
    return RosterLine(
        token=token_of(number),
        standing=standings[number % len(standings)],
        member_class=classes[number % len(classes)],
        issued=date(2009, 8, 13) if number % 2 else None,
        person=f"v1:{number + 1:064x}" if number % 3 else None,
    )


def record_of(line: RosterLine) -> RollRecord:
    return RollRecord(line.standing, line.member_class, line.issued, line.person)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound roll of `CARDS` cards; tests that damage it take a copy."""
    path = tmp_path_factory.mktemp("roll") / "members.roll"
    write_roll(map(line_of, range(CARDS)), path, KEY, BUILT)
    return path


def copy_with(sound: Path, folder: Path, content: bytes) -> Path:
    path = folder / "copy.roll"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


@in_one_folder
@given(lines=st.lists(roster_lines, max_size=30, unique_by=lambda line: line.token), strange=hexadecimal)
def test_everything_put_in_is_found_and_nothing_else(tmp_path: Path, lines: list[RosterLine], strange: str) -> None:
    path = tmp_path / "members.roll"
    write_roll(lines, path, KEY, BUILT)
    roll = Roll.open(path)
    try:
        assert roll.count == len(lines)
        for line in lines:
            assert roll.find(line.token) == record_of(line)
        known = {line.token for line in lines}
        neighbours = {f"{token[:34]}{'0' if token[34] != '0' else '1'}{token[35:]}" for token in known}
        for token in {f"v1:{strange}", "v1:" + "0" * 64, "v1:" + "f" * 64} | neighbours:
            assert (roll.find(token) is not None) == (token in known)
    finally:
        roll.close()


def test_cards_that_share_a_bucket_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "members.roll"
    lines = [RosterLine(f"v1:ffff{n:060x}", Standing.ACTIVE, MemberClass.ORDINARY, None, None) for n in (0, 1 << 200)]
    lines += [RosterLine(f"v1:ffff{'f' * 60}", Standing.LOST, MemberClass.ORDINARY, None, None)]
    write_roll(lines, path, KEY)
    roll = Roll.open(path)
    assert [roll.find(line.token) for line in lines] == [record_of(line) for line in lines]
    roll.close()


def test_header_says_what_the_roll_is(sound: Path) -> None:
    roll = Roll.open(sound)
    records = sound.read_bytes()[RECORDS_OFFSET:]
    assert roll.header == RollHeader(1, KEY.fingerprint, CARDS, BUILT, hashlib.sha256(records).hexdigest())
    assert (roll.count, roll.key_version, roll.revision) == (CARDS, 1, roll.header.revision)
    roll.close()


def test_empty_roll_opens_verifies_and_knows_nobody(tmp_path: Path) -> None:
    path = tmp_path / "members.roll"
    write_roll([], path, KEY)
    roll = Roll.open(path)
    roll.verify(quiet)
    assert roll.count == 0
    assert roll.find(token_of(1)) is None
    roll.close()


def test_verify_of_a_sound_roll_reports_progress_to_the_last_byte(sound: Path) -> None:
    seen: list[tuple[int, int]] = []
    roll = Roll.open(sound)
    roll.verify(lambda done_bytes, total_bytes: seen.append((done_bytes, total_bytes)))
    roll.close()
    size = sound.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 4_095)
    | st.integers(INDEX_OFFSET, RECORDS_OFFSET - 1)
    | st.integers(RECORDS_OFFSET, RECORDS_OFFSET + CARDS * RECORD.size - 1),
    flip=st.integers(1, 255),
)
def test_any_changed_byte_is_detected_and_never_gives_a_wrong_answer(
    sound: Path, tmp_path: Path, place: int, flip: int
) -> None:
    content = bytearray(sound.read_bytes())
    content[place] ^= flip
    path = copy_with(sound, tmp_path, bytes(content))
    if place < RECORDS_OFFSET:
        with pytest.raises(RollDamaged):
            Roll.open(path)
        return
    roll = Roll.open(path)
    damaged = 0
    for number in range(CARDS):
        try:
            found = roll.find(token_of(number))
        except RollDamaged:
            damaged += 1
        else:
            assert found == record_of(line_of(number))
    assert 1 <= damaged <= 5  # the cards of one bucket, no others
    with pytest.raises(RollDamaged):
        roll.verify(quiet)
    roll.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, RECORDS_OFFSET + CARDS * RECORD.size - 1))
def test_roll_cut_short_anywhere_is_damaged(sound: Path, tmp_path: Path, length: int) -> None:
    path = copy_with(sound, tmp_path, sound.read_bytes()[:length])
    with pytest.raises(RollDamaged):
        Roll.open(path)


def test_roll_with_bytes_appended_is_damaged(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(RollDamaged):
        Roll.open(copy_with(sound, tmp_path, sound.read_bytes() + b"\0"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\0" * RECORDS_OFFSET, b"pan,standing,class\n" * 40_000])
def test_another_kind_of_file_is_damaged_and_not_a_crash(sound: Path, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RollDamaged):
        Roll.open(copy_with(sound, tmp_path, content))


def with_front(sound: Path, folder: Path, header: bytes, index: bytes) -> Path:
    """A roll whose digest is right and whose front is not what our writer writes."""

    class Given(RollHeader):
        def to_bytes(self) -> bytes:
            return header

    front = front_bytes(Given(1, KEY.fingerprint, CARDS, BUILT, ""), index)
    return copy_with(sound, folder, front + sound.read_bytes()[RECORDS_OFFSET:])


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"built":"x","count":1,"key_fingerprint":"","key_version":1,"revision":""}',
        b"\xff",
        b'{"count":' + b"[" * 3_000,
    ],
)
def test_header_that_is_none_of_ours_is_damaged(sound: Path, tmp_path: Path, header: bytes) -> None:
    index = sound.read_bytes()[INDEX_OFFSET:RECORDS_OFFSET]
    with pytest.raises(RollDamaged):
        Roll.open(with_front(sound, tmp_path, header, index))


def test_index_that_runs_backwards_is_damaged_at_the_look_up(sound: Path, tmp_path: Path) -> None:
    content = sound.read_bytes()
    index = bytearray(content[INDEX_OFFSET:RECORDS_OFFSET])
    bucket = int(token_of(0).partition(":")[2][:4], 16)
    INDEX_ENTRY.pack_into(index, (bucket - 1) * INDEX_ENTRY.size, CARDS + 1, 0)
    header = Roll.open(sound)
    path = with_front(sound, tmp_path, header.header.to_bytes(), bytes(index))
    header.close()
    roll = Roll.open(path)
    with pytest.raises(RollDamaged):
        roll.find(token_of(0))
    roll.close()


def test_more_cards_than_the_format_allows_is_damaged(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll_module, "RECORDS_MAX", CARDS - 1)
    with pytest.raises(RollDamaged):
        Roll.open(sound)


def test_record_with_an_unknown_standing_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "members.roll"
    monkeypatch.setitem(STANDING_CODES, Standing.ACTIVE, 99)
    write_roll([RosterLine(token_of(1), Standing.ACTIVE, MemberClass.ORDINARY, None, None)], path, KEY)
    roll = Roll.open(path)
    with pytest.raises(RollDamaged):
        roll.find(token_of(1))
    with pytest.raises(RollDamaged):
        roll.verify(quiet)
    roll.close()


def test_missing_roll_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(RollMissing) as caught:
        Roll.open(tmp_path / "members.roll")
    assert str(tmp_path / "members.roll") in caught.value.what_text("zh")


def test_folder_in_the_rolls_place_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(RollError):
        Roll.open(tmp_path)


def test_token_of_another_key_version_is_a_mismatch_not_a_stranger(sound: Path) -> None:
    roll = Roll.open(sound)
    with pytest.raises(RollKeyMismatch):
        roll.find("v2:" + "0" * 64)
    roll.close()


@pytest.mark.parametrize("key", [ProgrammeKey(2, KEY.secret), ProgrammeKey(1, bytes(32))])
def test_key_that_did_not_make_the_roll_is_refused(sound: Path, key: ProgrammeKey) -> None:
    roll = Roll.open(sound)
    roll.check_key(KEY)
    with pytest.raises(RollKeyMismatch):
        roll.check_key(key)
    roll.close()


def test_roll_cut_short_while_open_is_damaged_and_the_process_lives(sound: Path, tmp_path: Path) -> None:
    path = copy_with(sound, tmp_path, sound.read_bytes())
    roll = Roll.open(path)
    os.truncate(path, RECORDS_OFFSET)
    with pytest.raises(RollDamaged):
        roll.find(token_of(1))
    with pytest.raises(RollDamaged):
        roll.verify(quiet)
    roll.close()


def test_closing_twice_is_harmless(sound: Path) -> None:
    roll = Roll.open(sound)
    roll.close()
    roll.close()


def test_identity_changes_with_the_file(sound: Path, tmp_path: Path) -> None:
    path = copy_with(sound, tmp_path, sound.read_bytes())
    roll = Roll.open(path)
    assert roll.identity == FileIdentity.of(path.stat())
    copy_with(sound, tmp_path, sound.read_bytes())
    assert roll.identity != FileIdentity.of(path.stat())
    roll.close()


def resident_kb(path: Path) -> int:
    """How much of the file this process holds in memory now (proc(5), smaps)."""
    smaps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    mapping = re.search(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", smaps)
    assert mapping is not None
    return int(mapping.group(1))


def test_many_look_ups_leave_little_of_the_roll_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "members.roll"
    cards = 200_000  # 10 MB: enough to tell "all of it" from "a few pages"
    plain = (RosterLine(token_of(n), Standing.ACTIVE, MemberClass.ORDINARY, None, None) for n in range(cards))
    write_roll(plain, path, KEY)
    roll = Roll.open(path)
    for number in range(2_000):
        assert roll.find(token_of(number)) is not None
    assert resident_kb(path) <= 256
    roll.close()


def test_index_covers_every_first_two_bytes() -> None:
    assert BUCKETS == 1 << 16
    assert RECORDS_OFFSET % 4_096 == 0
    assert RECORD.size == 52


def test_a_roll_that_nobody_closed_leaves_no_open_file(tmp_path: Path) -> None:
    write_roll([], tmp_path / "empty.roll", KEY)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        Roll.open(tmp_path / "empty.roll")
        gc.collect()
    assert caught == []

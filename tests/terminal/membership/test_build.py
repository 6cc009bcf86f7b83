from __future__ import annotations

import hashlib
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.card import Pan
from terminal.membership import build as build_module
from terminal.membership.build import (
    RollNotWritten,
    RollTooLarge,
    build_roll,
    write_roll,
)
from terminal.membership.card_list import CardListInvalid, RejectReason, RosterLine
from terminal.membership.csv_list import REJECTED_KEPT_MAX, Rejected
from terminal.membership.roll import RECORD, Roll, RollKeyMismatch
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, card_token, person_token

KEY = ProgrammeKey(1, bytes(range(32)))
BUILT = datetime(2012, 12, 25, 8, 30, tzinfo=UTC)
HEADER = "pan,standing,class,issued,person\n"
CARDS = ("6210947000000021", "6212345678901265", "6212345678900000003", "6231200100000000217")


def quiet(done_bytes: int, total_bytes: int) -> None:
    """A progress nobody watches."""


def plain_line(number: int, standing: Standing = Standing.ACTIVE) -> RosterLine:
    token = f"v1:{hashlib.sha256(str(number).encode()).hexdigest()}"
    return RosterLine(token, standing, MemberClass.ORDINARY, None, None)


def card_list(folder: Path, *lines: str) -> Path:
    path = folder / "cards.csv"
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_list_becomes_a_roll_that_answers_for_each_card(tmp_path: Path) -> None:
    source = card_list(
        tmp_path,
        f"{CARDS[0]},active,model-worker,2012-03-01,P-0001",
        f"{CARDS[1]},suspended,ordinary,,",
        "not a card,active,ordinary,,",
        f"{CARDS[2]},lost,hardship,,P-0001",
    )
    out = tmp_path / "members.roll"
    summary = build_roll(source, out, KEY, quiet, BUILT)
    assert (summary.taken, summary.replaced, summary.rejected_count) == (3, 0, 1)
    assert summary.rejected == (Rejected(4, RejectReason.CARD_NUMBER),)
    roll = Roll.open(out)
    assert roll.header == summary.header
    found = [roll.find(card_token(Pan(digits), KEY)) for digits in CARDS]
    assert [record and record.standing for record in found] == [
        Standing.ACTIVE,
        Standing.SUSPENDED,
        Standing.LOST,
        None,
    ]
    assert [record and record.person for record in found] == [
        person_token("P-0001", KEY),
        None,
        person_token("P-0001", KEY),
        None,
    ]
    roll.close()


def test_a_card_listed_twice_has_the_standing_of_its_last_line(tmp_path: Path) -> None:
    source = card_list(
        tmp_path, *(f"{CARDS[0]},{standing},ordinary,," for standing in ("active", "withdrawn", "suspended"))
    )
    out = tmp_path / "members.roll"
    summary = build_roll(source, out, KEY, quiet)
    assert (summary.taken, summary.replaced) == (1, 2)
    roll = Roll.open(out)
    record = roll.find(card_token(Pan(CARDS[0]), KEY))
    assert record is not None
    assert record.standing is Standing.SUSPENDED
    roll.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(st.integers(0, 40), st.sampled_from([Standing.ACTIVE, Standing.LOST])), max_size=60),
    waiting_max=st.integers(1, 20),
)
def test_spilling_to_partition_files_gives_the_same_roll_as_memory_alone(
    tmp_path: Path, lines: list[tuple[int, Standing]], waiting_max: int
) -> None:
    records = [plain_line(number, standing) for number, standing in lines]
    write_roll(records, tmp_path / "memory.roll", KEY, BUILT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "SPILL_BYTES", waiting_max * RECORD.size)
        write_roll(records, tmp_path / "spilled.roll", KEY, BUILT)
    assert (tmp_path / "memory.roll").read_bytes() == (tmp_path / "spilled.roll").read_bytes()
    roll = Roll.open(tmp_path / "spilled.roll")
    last = dict(lines)
    assert roll.count == len(last)
    for number, standing in last.items():
        record = roll.find(plain_line(number).token)
        assert record is not None
        assert record.standing is standing
    roll.close()


def test_equal_lists_give_equal_revisions_whenever_and_in_whatever_order_built(tmp_path: Path) -> None:
    lines = [plain_line(number) for number in range(50)]
    first = write_roll(lines, tmp_path / "a.roll", KEY, BUILT)
    second = write_roll(reversed(lines), tmp_path / "b.roll", KEY)
    other = write_roll(lines[1:], tmp_path / "c.roll", KEY)
    assert first.revision == second.revision != other.revision


def test_nothing_written_holds_a_card_number_and_only_the_roll_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "SPILL_BYTES", RECORD.size)  # every card goes through a partition file
    folder = tmp_path / "rolls"
    folder.mkdir()
    looked_into: set[str] = set()

    def look_at_files(done_bytes: int, total_bytes: int) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                looked_into.add(path.name)
                content = path.read_bytes()
                for digits in CARDS:
                    assert digits.encode() not in content
                    assert bytes.fromhex(digits.zfill(20)) not in content

    def watched() -> Iterator[RosterLine]:
        for digits in CARDS:
            yield RosterLine.of(Pan(digits), KEY, person="P-0001")
            look_at_files(0, 0)

    write_roll(watched(), folder / "members.roll", KEY)
    look_at_files(0, 0)
    assert len(looked_into) > len(CARDS)
    assert names_in(folder) == ["members.roll"]


def test_progress_says_done_only_when_the_roll_is_in_place(tmp_path: Path) -> None:
    source, out = card_list(tmp_path, f"{CARDS[0]},active,ordinary,,"), tmp_path / "members.roll"
    seen: list[tuple[int, int, bool]] = []
    build_roll(source, out, KEY, lambda done, total: seen.append((done, total, out.exists())))
    size = source.stat().st_size
    assert seen == [(0, size, False), (size, size, True)]


def test_rejected_lines_are_kept_to_the_bound_and_all_counted(tmp_path: Path) -> None:
    source = card_list(tmp_path, *["wrong"] * (REJECTED_KEPT_MAX + 5))
    summary = build_roll(source, tmp_path / "members.roll", KEY, quiet)
    assert len(summary.rejected) == REJECTED_KEPT_MAX
    assert summary.rejected_count == REJECTED_KEPT_MAX + 5
    assert summary.taken == 0


def test_more_cards_than_the_format_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "RECORDS_MAX", 3)
    write_roll(map(plain_line, range(3)), tmp_path / "members.roll", KEY)
    with pytest.raises(RollTooLarge):
        write_roll(map(plain_line, range(4)), tmp_path / "members.roll", KEY)
    assert names_in(tmp_path) == ["members.roll"]


def test_token_of_another_key_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RollKeyMismatch):
        write_roll([plain_line(1)], tmp_path / "members.roll", ProgrammeKey(2, KEY.secret))


def test_a_list_that_turns_out_unusable_leaves_the_old_roll_and_no_remains(tmp_path: Path) -> None:
    out = tmp_path / "members.roll"
    write_roll([plain_line(1)], out, KEY)
    before = out.read_bytes()
    source = tmp_path / "cards.csv"
    source.write_text("nothing of ours\n", encoding="utf-8")
    with pytest.raises(CardListInvalid):
        build_roll(source, out, KEY, quiet)
    assert out.read_bytes() == before
    assert names_in(tmp_path) == ["cards.csv", "members.roll"]


def test_a_disk_that_takes_no_more_leaves_the_old_roll_and_no_remains(tmp_path: Path) -> None:
    out = tmp_path / "members.roll"
    write_roll([plain_line(1)], out, KEY)
    before = out.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel's own refusal, as with a full quota
    try:
        with pytest.raises(RollNotWritten):
            write_roll(map(plain_line, range(10)), out, KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == before
    assert names_in(tmp_path) == ["members.roll"]


def test_a_missing_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(RollNotWritten):
        write_roll([plain_line(1)], tmp_path / "nowhere" / "members.roll", KEY)


def test_the_roll_is_not_for_every_user_of_the_machine(tmp_path: Path) -> None:
    write_roll([plain_line(1)], tmp_path / "members.roll", KEY)
    assert (tmp_path / "members.roll").stat().st_mode & 0o007 == 0

"""What was used elsewhere: exact look-ups, kept over restarts, fetched anew when its file is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire_usage
from sync.elsewhere import BASE_FILE, CHANGES_FILE, UsageElsewhere, UsageSet, fingerprint
from sync.errors import UsageSetNotKept

KEY = "film|tickets|card=v1:ab|campaign=c"
NUMBERS = st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 2**53 - 1), max_size=20)


def test_the_counter_and_the_wire_mean_the_same_key() -> None:
    for key in ("", KEY, "影|场次|showing=一厅", "\ud800"):
        assert fingerprint(key) == wire_usage.fingerprint(key)


@given(NUMBERS, st.lists(NUMBERS, max_size=4), st.booleans())
def test_a_set_answers_as_a_dictionary_does(first: dict[int, int], deltas: list[dict[int, int]], merges: bool) -> None:
    held, known = UsageSet.of(first.items(), "1", ""), dict(first)
    for number, delta in enumerate(deltas):
        held = held.changed(delta.items(), f"2.{number}", "")
        known |= delta
        held = held.merged() if merges else held
    for key in {*known, 0, 1, 2**64 - 1}:
        assert held.amount(key) == known.get(key, 0)


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    kept = UsageElsewhere(tmp_path)
    assert (kept.used(KEY), kept.now.version) == (0, "")
    kept.replace(UsageSet.of([(fingerprint(KEY), 2), (7, 1)], "1.a", "2012-12-25T02:30:00.000Z"))
    kept.replace(kept.now.changed([(7, 0), (9, 3)], "2.a", "2012-12-25T02:31:00.000Z"))
    again = UsageElsewhere(tmp_path)
    assert again.now == kept.now
    assert (again.used(KEY), again.now.amount(7), again.now.amount(9)) == (2, 0, 3)
    assert (again.now.version, again.now.told[14:16], again.fault) == ("2.a", "31", None)
    assert (tmp_path / BASE_FILE).stat().st_mode & 0o077 == 0


def test_many_changes_are_merged_and_few_do_not_rewrite_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.elsewhere.CHANGES_MAX", 3)
    kept = UsageElsewhere(tmp_path)
    kept.replace(UsageSet.of([(1, 1)], "1", ""))
    first = (tmp_path / BASE_FILE).read_bytes()
    kept.replace(kept.now.changed([(2, 1), (3, 1), (1, 0)], "2", ""))
    assert (tmp_path / BASE_FILE).read_bytes() == first
    kept.replace(kept.now.changed([(4, 1)], "3", ""))
    assert (list(kept.now.fingerprints), kept.now.changes) == ([2, 3, 4], {})
    assert UsageElsewhere(tmp_path).now == kept.now


@pytest.mark.parametrize("name", [BASE_FILE, CHANGES_FILE])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "directory"])
def test_a_damaged_file_is_told_and_counts_for_nothing(tmp_path: Path, name: str, damage: str) -> None:
    kept = UsageElsewhere(tmp_path)
    kept.replace(UsageSet.of([(1, 1), (2, 1)], "1", ""))
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "directory":
        path.mkdir()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[:-1]), "empty": b""}[damage])
    again = UsageElsewhere(tmp_path)
    assert again.fault is not None
    assert again.fault.code == "usage-set-damaged"
    assert (again.now.version, len(again.now)) == ("", 0)
    if damage != "directory":
        again.replace(UsageSet.of([(1, 1)], "1", ""))
        assert again.fault is None
        assert UsageElsewhere(tmp_path).now.amount(1) == 1


def test_cut_off_between_its_two_files_it_is_the_older_whole(tmp_path: Path) -> None:
    kept = UsageElsewhere(tmp_path)
    kept.replace(UsageSet.of([(1, 1)], "1", ""))
    kept.replace(kept.now.changed([(2, 1)], "2", ""))
    changes = (tmp_path / CHANGES_FILE).read_bytes()
    kept.replace(UsageSet.of([(1, 5)], "3", ""))
    (tmp_path / CHANGES_FILE).write_bytes(changes)  # of the set before
    again = UsageElsewhere(tmp_path)
    assert (again.now.version, again.now.amount(1), again.now.amount(2)) == ("3", 5, 0)


def test_what_cannot_be_written_leaves_the_old_set_in_force(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    kept = UsageElsewhere(directory)
    kept.replace(UsageSet.of([(1, 1)], "1", ""))
    for each in directory.iterdir():
        each.unlink()
    directory.rmdir()
    with pytest.raises(UsageSetNotKept):
        kept.replace(UsageSet.of([(1, 2)], "2", ""))
    assert (kept.now.version, kept.now.amount(1)) == ("1", 1)


def test_a_set_beyond_its_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.elsewhere.PAIRS_MAX", 2)
    with pytest.raises(UsageSetNotKept):
        UsageSet.of([(1, 1), (2, 1), (3, 1)], "1", "")

"""New codes: different, well formed, clear to read, and never written over a list that is there."""

from __future__ import annotations

import csv
import random
import secrets
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal.offers.voucher import CODE_CHARS_MAX, GROUP_CHARS, grouped, spelt, well_formed
from terminal.vouchers.build import build_register
from terminal.vouchers.issue import (
    CLEAR_CHARACTERS,
    PREFIX_CHARS_MAX,
    RANDOM_CHARS_MIN,
    VoucherListExists,
    VoucherListNotWritten,
    is_prefix,
    new_codes,
    write_list,
)
from terminal.vouchers.voucher_list import COLUMNS
from tests.fakes.vouchers import KEY

prefixes = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=PREFIX_CHARS_MAX)


@given(prefix=prefixes, seed=st.integers(0, 10**6))
def test_codes_are_well_formed_clear_and_fill_their_printed_groups(prefix: str, seed: int) -> None:
    codes = list(new_codes(20, prefix, random.Random(seed).choice))
    assert len(set(codes)) == 20
    for code in codes:
        assert well_formed(code)
        assert code.startswith(prefix)
        assert len(code) % GROUP_CHARS == 0
        assert len(code) <= CODE_CHARS_MAX
        assert len(code) - len(prefix) - 1 >= RANDOM_CHARS_MIN
        assert set(code[len(prefix) :]) <= set(CLEAR_CHARACTERS)
        assert spelt(grouped(code)) == code


def test_a_code_that_comes_twice_or_ends_in_an_unclear_letter_is_drawn_again() -> None:
    drawn = random.Random(7).choice
    first = next(new_codes(1, "LF", drawn))
    played = iter(first[2:-1] * 2 + next(new_codes(1, "LF", drawn))[2:-1])
    assert len(set(new_codes(2, "LF", lambda _: next(played)))) == 2


@pytest.mark.parametrize("prefix", ["lf", "L-F", "L F", "券", "A" * (PREFIX_CHARS_MAX + 1)])
def test_what_cannot_begin_a_code_is_no_prefix(prefix: str) -> None:
    assert not is_prefix(prefix)
    assert is_prefix("")
    assert is_prefix("A" * PREFIX_CHARS_MAX)


def test_the_list_is_what_the_register_is_built_from(tmp_path: Path) -> None:
    out = tmp_path / "vouchers.csv"
    assert write_list(out, new_codes(100, "MH", secrets.choice), "temple-fair", date(2013, 2, 15)) == 100
    rows = list(csv.reader(out.read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {tuple(row[1:]) for row in rows[1:]} == {("temple-fair", "", "", "2013-02-15", "", "")}
    assert out.stat().st_mode & 0o077 == 0
    done = build_register(out, tmp_path / "vouchers.bin", KEY, lambda done, total: None)
    assert (done.taken, done.rejected_count) == (100, 0)


def test_a_list_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "vouchers.csv"
    out.write_text("printed already", encoding="utf-8")
    with pytest.raises(VoucherListExists):
        write_list(out, new_codes(1, "", secrets.choice), "temple-fair", None)
    assert out.read_text(encoding="utf-8") == "printed already"


def test_a_folder_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(VoucherListNotWritten):
        write_list(tmp_path / "nowhere" / "vouchers.csv", new_codes(1, "", secrets.choice), "temple-fair", None)


def test_a_full_disk_leaves_nothing_of_a_list(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(VoucherListNotWritten):
            write_list(tmp_path / "vouchers.csv", new_codes(500, "", secrets.choice), "temple-fair", None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []

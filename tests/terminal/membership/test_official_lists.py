"""The union's and the bank's lists in blocks: every line once, in whatever pieces and processes they are read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import Pan
from terminal.membership import list_workers
from terminal.membership.card_list import CardListError, RejectReason
from terminal.membership.csv_list import LINE_BYTES_MAX, LineFault, Rejected
from terminal.membership.list_workers import read_list_blocks
from terminal.membership.official_lists import BlockRead, ListKind, blocks_of, read_block
from terminal.membership.token import ProgrammeKey, card_token, person_token

KEY = ProgrammeKey(1, bytes(range(32)))
CARD = "6210947000000021"
TOKEN = card_token(Pan(CARD), KEY).removeprefix("v1:")
HOLDER = person_token("P-1", KEY).removeprefix("v1:")


def read(content: bytes, kind: ListKind, block_bytes: int = 1 << 20) -> list[BlockRead]:
    blocks = blocks_of(io.BytesIO(content), kind, "list", block_bytes)
    return [read_block(io.BytesIO(content), block, kind, KEY) for block in blocks]


@pytest.mark.parametrize(
    ("kind", "content", "row"),
    [
        (ListKind.UNION, f"pan,class,person\n{CARD},hardship, P-1\n", f"17\t\\N\thardship\t\\N\t\\\\x{HOLDER}"),
        (ListKind.BANK, f"pan,standing,issued\n{CARD},Lost,2020-05-04\n", "20\tlost\t\\N\t2020-05-04\t\\N"),
        (
            ListKind.COMBINED,
            f"pan,standing,class,issued,person\n{CARD},active,ordinary,,\n",
            "33\tactive\tordinary\t\\N\t\\N",
        ),
    ],
)
def test_each_kind_says_what_it_knows(kind: ListKind, content: str, row: str) -> None:
    (found,) = read(content.encode(), kind)
    assert found.rows.decode() == f"\\\\x{TOKEN}\t{row}\n"
    assert (found.lines, found.taken, found.rejected) == (1, 1, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{CARD[:-1]}2,active,", RejectReason.CARD_NUMBER),
        (f"{CARD},withdrawn,", RejectReason.STANDING),
        (f"{CARD},active,2020-5-4", RejectReason.ISSUED),
        (CARD, LineFault.COLUMNS),
        ("x" * LINE_BYTES_MAX, LineFault.TOO_LONG),
    ],
)
def test_a_wrong_line_is_set_aside_and_the_next_one_taken(line: str, reason: str) -> None:
    (found,) = read(f"pan,standing,issued\n\n{line}\n{CARD},active,".encode(), ListKind.BANK)
    assert (found.lines, found.taken, found.rejected) == (3, 1, [Rejected(2, reason)])  # type: ignore[arg-type]


@given(
    lines=st.lists(
        st.sampled_from([f"{CARD},active,", "", "x", "y" * (LINE_BYTES_MAX + 5), f'"{CARD}",lost,2020-01-01']),
        max_size=12,
    ),
    block_bytes=st.integers(1, 3000),
    ends=st.booleans(),
)
def test_blocks_of_any_size_hold_every_line_once(lines: list[str], block_bytes: int, ends: bool) -> None:
    content = ("pan,standing,issued\n" + "\n".join(lines) + ("\n" if ends and lines else "")).encode()
    whole, pieces = read(content, ListKind.BANK), read(content, ListKind.BANK, block_bytes)
    assert b"".join(each.rows for each in pieces) == b"".join(each.rows for each in whole)
    for count in ("lines", "taken"):
        assert sum(getattr(each, count) for each in pieces) == sum(getattr(each, count) for each in whole)
    assert sum(len(each.rejected) for each in pieces) == sum(len(each.rejected) for each in whole)


def test_two_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.csv"
    path.write_text("pan,standing,issued\n" + f"{CARD},active,\nwrong\n" * 500, encoding="ascii")
    alone = [each for _, each in read_list_blocks(path, ListKind.BANK, KEY, 1)]
    monkeypatch.setattr(list_workers, "ALONE_BYTES_MAX", 0)
    together = [each for _, each in read_list_blocks(path, ListKind.BANK, KEY, 2)]
    assert together == alone
    assert (alone[0].taken, alone[0].lines, len(alone[0].rejected)) == (500, 1000, 500)


def test_a_missing_list_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(CardListError):
        list(read_list_blocks(tmp_path / "none.csv", ListKind.BANK, KEY))

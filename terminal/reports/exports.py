"""The daily report as JSON, CSV, Excel and plain text.

Names and reasons are typed by people and opened in a spreadsheet, so no cell may become a formula there (OWASP, "CSV
Injection"), and no control character reaches a file or a screen. JSON keeps what was typed: it is read by programs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from config.errors import Language, Words
from terminal.reports.daily import DailyReport, RedemptionRow, Sums
from terminal.reports.sheets import TITLE, Cell, Sheet, Yuan, sheets, short_sheet

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet
    from rich.table import Table

FORMULA_STARTS = "=+-@＝＋－＠"  # the wide forms too: Chinese and Japanese spreadsheets take them for the narrow ones
CSV_ENCODING = "utf-8-sig"  # without the byte-order mark Excel in China reads GBK
CSV_DIALECT = "excel"  # commas, CRLF (RFC 4180)
YUAN_FORMAT = "#,##0.00"
TEXT_COLUMNS = 120  # the widest table of a usual day fits; long reasons wrap
XLSX_COLUMN_CHARS_MAX = 40

_VOIDS = Words("作废", "Voided")
_UNSETTLED = Words("待收款", "Unpaid")


def as_dict(report: DailyReport) -> dict[str, Any]:
    """The report as JSON-able values, money in fen; the names are the API's."""
    return {
        "day": report.day,
        "total": _sums_dict(report.total),
        "voided": _sums_dict(report.voided),
        "states": {state.value: count for state, count in report.states.items()},
        "offers": [
            {"offer": row.offer, "name": {"zh": row.name.zh, "en": row.name.en}, **_sums_dict(row.sums)}
            for row in report.offers
        ],
        "cashiers": [{"cashier": row.cashier, "name": row.name, **_sums_dict(row.sums)} for row in report.cashiers],
        "hours": [{"hour": row.hour, **_sums_dict(row.sums)} for row in report.hours],
        "redemptions": [_redemption_dict(row) for row in report.redemptions],
    }


def to_json(report: DailyReport) -> str:
    """`as_dict` as text."""
    return json.dumps(as_dict(report), ensure_ascii=False, indent=2) + "\n"


def to_csv(report: DailyReport, language: Language) -> bytes:
    """Each sheet as its title, its headings and its rows, then an empty line; UTF-8 with a byte-order mark."""
    return csv_of(sheets(report, language))


def to_xlsx(report: DailyReport, language: Language) -> bytes:
    """A workbook with one worksheet per sheet; money as numbers in yuan, everything typed as text."""
    return xlsx_of(sheets(report, language))


def csv_of(told: Iterable[Sheet]) -> bytes:
    """Any sheets as `to_csv` writes them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, CSV_DIALECT)
    for sheet in told:
        writer.writerow([sheet.title])
        writer.writerow(sheet.headings)
        writer.writerows([_csv_cell(cell) for cell in row] for row in sheet.rows)
        writer.writerow([])
    return text.getvalue().encode(CSV_ENCODING)


def xlsx_of(told: Iterable[Sheet]) -> bytes:
    """Any sheets as `to_xlsx` writes them."""
    from openpyxl import Workbook

    book = Workbook()
    for unused in book.worksheets:
        book.remove(unused)
    for sheet in told:
        _fill_worksheet(book.create_sheet(sheet.title), sheet)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def to_text(report: DailyReport, language: Language) -> str:
    """Tables for a terminal: the sheets, hours without sales left out, then voids and what is unpaid, if any."""
    from rich.console import Console

    summary, offers, cashiers, hours, _ = sheets(report, language)
    busy = tuple(cells for cells, row in zip(hours.rows, report.hours, strict=True) if row.sums.sales)
    shown = [summary, offers, cashiers, Sheet(hours.title, hours.headings, busy)]
    for title, rows in ((_VOIDS, report.voids), (_UNSETTLED, report.unsettled)):
        if rows:
            shown.append(short_sheet(title, rows, language))
    text = io.StringIO()
    console = Console(file=text, width=TEXT_COLUMNS, color_system=None, force_terminal=False)
    console.print(TITLE.text(language, day=report.day), markup=False, highlight=False)
    for sheet in shown:
        console.print(_text_table(sheet))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def printable(text: str) -> str:
    """`text` with a blank for each line break, tab and control character."""
    return "".join(character if character.isprintable() else " " for character in text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet might calculate the printable `text` instead of showing it."""
    return text.lstrip()[:1] in tuple(FORMULA_STARTS)


def _csv_cell(cell: Cell) -> str | int:
    if isinstance(cell, int):
        return cell
    if isinstance(cell, Yuan):
        return str(cell)
    text = printable(cell)
    return f"'{text}" if is_formula(text) else text


def _fill_worksheet(worksheet: Worksheet, sheet: Sheet) -> None:
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    for row, cells in enumerate((sheet.headings, *sheet.rows), start=1):
        for column, cell in enumerate(cells, start=1):
            _write_cell(worksheet, row, column, cell)
    for column, heading in enumerate(sheet.headings, start=1):
        worksheet.cell(1, column).font = Font(bold=True)
        widest = max(map(_width, (heading, *(row[column - 1] for row in sheet.rows))))
        worksheet.column_dimensions[get_column_letter(column)].width = min(widest + 2, XLSX_COLUMN_CHARS_MAX)
    worksheet.freeze_panes = "A2"


def _write_cell(worksheet: Worksheet, row: int, column: int, cell: Cell) -> None:
    place = worksheet.cell(row, column)
    if isinstance(cell, Yuan):
        place.value = Decimal(cell.fen) / 100
        place.number_format = YUAN_FORMAT
    elif isinstance(cell, int):
        place.value = cell
    else:
        text = printable(cell)
        place.value = text
        place.data_type = "s"  # openpyxl would make a formula of a leading `=`
        place.quotePrefix = is_formula(text)  # what Excel itself sets for '=: it stays text when edited


def _width(cell: Cell) -> int:
    """Columns that the cell needs; Chinese characters need two."""
    return sum(2 if ord(character) > 0x2E7F else 1 for character in str(cell))


def _text_table(sheet: Sheet) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(sheet.title), title_justify="left")
    for column, heading in enumerate(sheet.headings):
        numbers = any(not isinstance(row[column], str) for row in sheet.rows)
        table.add_column(Text(heading), justify="right" if numbers else "left")
    for row in sheet.rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))  # as Text: typed brackets are no markup
    return table


def _sums_dict(sums: Sums) -> dict[str, int]:
    return {
        "sales": sums.sales,
        "units": sums.units,
        "list": sums.list_fen,
        "pay": sums.pay_fen,
        "fees": sums.fees_fen,
        "saving": sums.saving_fen,
    }


def _redemption_dict(row: RedemptionRow) -> dict[str, Any]:
    at: datetime = row.at
    return {
        "id": row.id,
        "sequence": row.sequence,
        "at": at.isoformat(timespec="milliseconds"),
        "state": row.state.value,
        "offer": row.offer,
        "cashier": row.cashier,
        "settled_by": row.settled_by,
        "masked": row.masked,
        "sold": _sums_dict(row.sold),
        "voided": _sums_dict(row.voided),
        "counted": _sums_dict(row.counted),
        "pos_reference": row.pos_reference,
        "reason": row.reason,
        "entry_mode": row.entry_mode,
        "approved_by": row.approved_by,
    }

"""`jingka report`: the daily report without the page."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path

import typer

from config.errors import Language
from config.places import LEDGER_FILE, PEOPLE_FILE
from terminal.commands.options import data_dir

FORMATS = ("text", "json", "csv", "xlsx")


def write_report(config: Path, data: Path | None, day: str | None, form: str, out: Path | None, language: str) -> None:
    """Write the report of `day` (Shanghai's today when None) in one of `FORMATS`; reads beside a working daemon."""
    from config.zone import SHANGHAI
    from terminal.ledger.queries import Queries
    from terminal.reports.daily import daily
    from terminal.reports.exports import to_csv, to_json, to_text, to_xlsx

    if form not in FORMATS:
        raise typer.BadParameter(" | ".join(FORMATS), param_hint="--format")
    spoken: Language = "en" if language == "en" else "zh"
    directory = data_dir(config, data)
    queries = Queries(directory / LEDGER_FILE)
    try:
        chosen = _day(day) or datetime.now(SHANGHAI).date().isoformat()
        report = daily(queries.redemptions(chosen), chosen, _names(directory / PEOPLE_FILE))
    finally:
        queries.close()
    if form == "csv":
        content = to_csv(report, spoken)
    elif form == "xlsx":
        content = to_xlsx(report, spoken)
    else:
        content = (to_json(report) if form == "json" else to_text(report, spoken)).encode()
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        out.write_bytes(content)


def _day(text: str | None) -> str | None:
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        raise typer.BadParameter("YYYY-MM-DD", param_hint="--day") from None


def _names(path: Path) -> dict[str, str]:
    """The cashiers' names, for the report; without the file their ids stand alone."""
    from terminal.serving.people import People

    return People.load(path).names() if path.exists() else {}

"""`jingka hq settlement`: settlements from the command line: look, close, prove, hand on; docs/settlement.md."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.commands.at_headquarters import headquarters_storage, person_with
from terminal.commands.options import JSON, Language

if TYPE_CHECKING:
    from config.settings import HqSettings
    from sync.headquarters.money.desk import MoneyDesk
    from terminal.serving.people import Person

app = typer.Typer(help="Settlements at headquarters.", no_args_is_help=True, rich_markup_mode=None)

By = Annotated[str, typer.Option("--person", help="who does this; their PIN is asked for, or read from the input")]
Month = Annotated[str, typer.Option("--month", help="YYYY-MM", metavar="MONTH")]
Merchant = Annotated[str, typer.Argument(help="the merchant's id")]
OneOrAll = Annotated[str | None, typer.Argument(help="the merchant's id; none: all of them")]


class FileForm(StrEnum):
    """The forms that a settlement is handed on in; `signed` is the document with its signature, as JSON."""

    CSV = "csv"
    XLSX = "xlsx"
    SIGNED = "signed"


@app.callback()
def settlement() -> None:
    """Settlements at headquarters."""


@app.command()
def show(context: typer.Context, month: Month, merchant: OneOrAll = None, json: JSON = False) -> None:
    """A month as it stands: of one merchant with its lines, or the sums of all."""
    from dataclasses import asdict

    from sync.headquarters.money.settlement import every_month

    _check(month)
    with _desk(context.obj) as desk:
        if merchant is not None:
            found = desk.settlement(merchant, month)
            if json:
                typer.echo(_as_json(asdict(found)))
                return
            for line in found.lines:
                late = " late" if line.day[:7] < month else ""
                typer.echo(f"{line.day}{late}  {line.kind}  {line.offer}  {line.steps}  {_yuan(line.subsidy)}")
            typer.echo(f"{month}  {merchant}  {found.state}  {_yuan(found.totals.subsidy)}")
            return
        with desk.storage.read() as connection:
            totals = every_month(connection, month)
    if json:
        typer.echo(_as_json([asdict(each) for each in totals]))
        return
    for each in totals:
        counts = f"{each.completed}  {each.voided}"
        typer.echo(f"{each.month}  {each.merchant}  {each.state}  {counts}  {_yuan(each.subsidy)}")


@app.command()
def close(context: typer.Context, month: Month, person: By, merchant: OneOrAll = None) -> None:
    """Close and sign a month that is over; of one merchant, or of all that have sales in it."""
    from config.errors import JingkaError
    from sync.headquarters.money.desk import CLOSES
    from sync.headquarters.money.settlement import every_month
    from terminal.serving.problems import RoleMissing

    _check(month)
    refused = 0
    with _desk(context.obj) as desk:
        by = _person(context.obj, desk, person)
        if by.role not in CLOSES:
            raise RoleMissing("close", "role")
        if merchant is not None:
            closed = desk.close(by, merchant, month)
            typer.echo(f"{month}  {merchant}  {_yuan(closed.totals.subsidy)}  {closed.hash}")
            return
        with desk.storage.read() as connection:
            totals = every_month(connection, month)
        for each in totals:
            try:
                closed = desk.close(by, each.merchant, month)
            except JingkaError as error:
                refused += 1
                typer.echo(f"{month}  {each.merchant}  {error}", err=True)
            else:
                typer.echo(f"{month}  {each.merchant}  {_yuan(closed.totals.subsidy)}  {closed.hash}")
    if refused:
        raise typer.Exit(1)


@app.command()
def verify(context: typer.Context, merchant: OneOrAll = None, json: JSON = False) -> None:
    """Prove every signature, hash and link, and that each line is the sum of its steps and charges."""
    from sync.headquarters.money.settlement import merchants_with_lines

    with _desk(context.obj) as desk:
        if merchant is None:
            with desk.storage.read() as connection:
                merchants = merchants_with_lines(connection)
        else:
            merchants = [merchant]
        faults = {each: found for each in merchants if (found := desk.unsound(each))}
    if json:
        typer.echo(_as_json({"merchants": len(merchants), "faults": faults}))
    else:
        for each, found in faults.items():
            for fault in found:
                typer.echo(f"{each}  {fault}")
        typer.echo(f"{len(merchants)} merchants, {len(faults)} with faults")
    if faults:
        raise typer.Exit(1)


@app.command()
def export(
    context: typer.Context,
    merchant: Merchant,
    month: Month,
    out: Annotated[Path, typer.Option("--out", help="the file to write; replaced in one step")],
    form: Annotated[FileForm, typer.Option("--format", help="csv or xlsx or signed")] = FileForm.XLSX,
    language: Language = "zh",
) -> None:
    """Write a settlement to a file, with every line; `signed` is what others can prove."""
    from config.errors import LANGUAGES
    from sync.headquarters.money.sheets import settlement_sheets
    from terminal.membership.whole_file import write_whole
    from terminal.reports.exports import csv_of, xlsx_of

    _check(month)
    if language not in LANGUAGES:
        raise typer.BadParameter(", ".join(LANGUAGES), param_hint="--language")
    with _desk(context.obj) as desk:
        if form is FileForm.SIGNED:
            content = _as_json(desk.document(merchant, month)).encode()
        else:
            sheets = settlement_sheets(desk.settlement(merchant, month), "en" if language == "en" else "zh")
            content = csv_of(sheets) if form is FileForm.CSV else xlsx_of(sheets)
    write_whole(out, 0o644, lambda file: file.write(content))
    typer.echo(f"{out}")


def _check(month: str) -> None:
    from sync.headquarters.money.months import is_month

    if not is_month(month):
        raise typer.BadParameter("YYYY-MM", param_hint="--month")


@contextmanager
def _desk(settings: HqSettings) -> Iterator[MoneyDesk]:
    """The desk over headquarters' own database; works beside a running service."""
    from sync.headquarters.door import headquarters_key
    from sync.headquarters.money.desk import MoneyDesk, former_keys
    from sync.headquarters.service import utc_now

    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = headquarters_key(settings.data_dir)
    with headquarters_storage(settings) as storage:
        yield MoneyDesk(storage, utc_now, key, former_keys(settings.data_dir))


def _person(settings: HqSettings, desk: MoneyDesk, person: str) -> Person:
    typed = typer.prompt("PIN", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    return person_with(settings, desk.storage, person, typed)


def _yuan(fen: int) -> str:
    from terminal.reports.sheets import Yuan

    return str(Yuan(fen))


def _as_json(value: object) -> str:
    return json_text.dumps(value, ensure_ascii=False, indent=2, default=str)

"""`jingka book`: look an offer book over before it is used."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from terminal.commands.options import JSON

app = typer.Typer(help="Offer books.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def book() -> None:
    """Offer books."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="the book, TOML or JSON")],
    json: JSON = False,
) -> None:
    """Everything a person would regret about a book, with its line; exit code 1 when it cannot be used."""
    from terminal.offers.book import check_book, load_book

    findings = check_book(file)
    usable = not any(finding.severity == "error" for finding in findings)
    if json:
        rows = [
            {
                "severity": each.severity,
                "path": each.path,
                "line": each.line,
                "zh": each.text("zh"),
                "en": each.text("en"),
            }
            for each in findings
        ]
        typer.echo(json_format.dumps({"ok": usable, "findings": rows}, ensure_ascii=False))
    else:
        for each in findings:
            typer.echo(f"{each.severity}: {each.text('zh')}\n{' ' * len(each.severity)}  {each.text('en')}")
        if usable:
            loaded = load_book(file)
            typer.echo(f"revision {loaded.revision}, {len(loaded.offers)} offers, sha256 {loaded.hash}")
    raise typer.Exit(0 if usable else 1)

"""`jingka book`: look an offer book over before it is used."""

from __future__ import annotations

import json as json_format
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from terminal.commands.options import DEFAULT_CONFIG, JSON, Config, LedgerDir

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


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="the book, TOML or JSON")],
    offer: Annotated[str | None, typer.Argument(help="one offer's id; none: all of them")] = None,
    json: JSON = False,
) -> None:
    """Each offer as a paragraph in zh and en, to proof-read against the announcement."""
    from terminal.offers.book import load_book
    from terminal.offers.explain import explain as say
    from terminal.offers.findings import nearest

    book = load_book(file).book
    wanted = [one for one in book.offers if offer in (None, one.id)]
    if not wanted:
        near = nearest(offer or "", [one.id for one in book.offers])
        raise typer.BadParameter(f"no offer {offer}" + (f"; did you mean {near}?" if near else ""))
    paragraphs = {one.id: say(book, one) for one in wanted}
    if json:
        typer.echo(
            json_format.dumps({name: {"zh": w.zh, "en": w.en} for name, w in paragraphs.items()}, ensure_ascii=False)
        )
    else:
        typer.echo("\n\n".join(f"{words.zh}\n{words.en}" for words in paragraphs.values()))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="the book in force")],
    new: Annotated[Path, typer.Argument(help="the draft")],
    json: JSON = False,
) -> None:
    """What changed from one book to another, in words."""
    from terminal.offers.book import load_book
    from terminal.offers.diff import diff as compare

    changes = compare(load_book(old).book, load_book(new).book)
    if json:
        rows = [
            {"kind": one.kind, "table": one.table, "entry": one.entry, "path": one.path,
             "before": one.before, "after": one.after}
            for one in changes
        ]  # fmt: skip
        typer.echo(json_format.dumps(rows, ensure_ascii=False))
    else:
        for one in changes:
            typer.echo(f"{one.text('zh')}\n  {one.text('en')}")
        if not changes:
            typer.echo("没有改动 / no changes")


@app.command()
def replay(
    draft: Annotated[Path, typer.Argument(help="the draft book")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day, included")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day, included")],
    config: Config = DEFAULT_CONFIG,
    data: LedgerDir = None,
    json: JSON = False,
) -> None:
    """Run a draft over the ledger's own past sales: who would have paid what, which limits would have bitten."""
    from terminal.commands.replay import run

    if last < first:
        raise typer.BadParameter(f"{last:%Y-%m-%d} is before {first:%Y-%m-%d}", param_hint="--to")
    run(draft, first.date(), last.date(), config, data, json=json)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="write it here; none: to the screen")] = None,
) -> None:
    """The JSON Schema of books, for editors that complete and check while one is written."""
    from terminal.offers.schema import book_schema

    if out is None:
        typer.echo(book_schema(), nl=False)
    else:
        out.write_text(book_schema(), encoding="utf-8")


@app.command()
def keygen(
    keyfile: Annotated[Path, typer.Argument(help="where the private key goes; nothing is overwritten")],
) -> None:
    """Make a key to sign books with; prints the public half for the tills' settings."""
    from terminal.commands import release

    release.keygen(keyfile)


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="the book, TOML or JSON")],
    key: Annotated[Path, typer.Option("--key", help="the private key, made by jingka book keygen")],
    out: Annotated[Path, typer.Option("--out", help="the signed book, to be named *.json")],
) -> None:
    """Check a book and write it in its signed form: one file with its revision, hash and signature."""
    from terminal.commands import release

    if out.suffix != ".json":
        raise typer.BadParameter("a signed book is JSON: name it *.json", param_hint="--out")
    release.sign(file, key, out)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="the signed book")],
    key: Annotated[str | None, typer.Option("--key", help="the public key that must have signed it")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="take the key from these settings")] = None,
) -> None:
    """Whether a signed book is as it was signed, and by whom."""
    from terminal.commands import release

    release.verify(file, key, config)

"""`jingka ledger`: prove it, rebuild its projections, take its entries out."""

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from pathlib import Path
from typing import Annotated

import typer

from terminal.commands.options import DEFAULT_CONFIG, JSON, Config, LedgerDir, data_dir, ledger_path
from terminal.commands.progress import progress_bar

app = typer.Typer(help="The ledger.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def verify(config: Config = DEFAULT_CONFIG, data: LedgerDir = None, json: JSON = False) -> None:
    """Prove the chain and the projections; exit code 1 when anything is wrong. Runs beside a working daemon."""
    from terminal.ledger.verify import verify as prove

    with progress_bar("verify") as progress:
        report = prove(ledger_path(config, data), progress)
    if json:
        typer.echo(json_format.dumps({"ok": report.ok, **dataclasses.asdict(report)}, ensure_ascii=False))
    else:
        for finding in report.findings:
            typer.echo(f"{finding.code} · {finding.sequence or '-'} · {finding.text}")
        if report.more:
            typer.echo(f"… {report.more} more")
        verdict = "账本完好 / the ledger is whole" if report.ok else "账本有误 / the ledger is NOT whole"
        typer.echo(f"{verdict}: {report.entries} entries, head {report.last_hash[:16]}")
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def rebuild(config: Config = DEFAULT_CONFIG, data: LedgerDir = None, json: JSON = False) -> None:
    """Make current states and usage counts anew from the entries; the daemon must not be running."""
    from terminal.ledger.rebuild import rebuild as replay

    with progress_bar("rebuild") as progress:
        done = replay(ledger_path(config, data), progress)
    if json:
        typer.echo(json_format.dumps(dataclasses.asdict(done)))
    else:
        typer.echo(f"{done.entries} entries, {done.redemptions} redemptions, {done.usage_keys} usage counts")


@app.command()
def export(
    config: Config = DEFAULT_CONFIG,
    data: LedgerDir = None,
    out: Annotated[Path | None, typer.Option(help="write here instead of to the screen")] = None,
    first: Annotated[int, typer.Option(min=1, help="the first sequence")] = 1,
    last: Annotated[int | None, typer.Option(min=1, help="the last sequence, included")] = None,
) -> None:
    """The entries as JSON Lines, each with its hash."""
    from terminal.ledger.export import export as write

    if out is None:
        write(ledger_path(config, data), sys.stdout.buffer, first, last)
        return
    with out.open("wb") as file:
        written = write(ledger_path(config, data), file, first, last)
    typer.echo(f"{written} entries → {out}")


@app.command()
def receipt(config: Config = DEFAULT_CONFIG, data: LedgerDir = None, json: JSON = False) -> None:
    """Headquarters' signed word of what it holds, proven against this ledger, also without a line.

    Exit code 1 when there is none, or the ledger has another entry there.
    """
    from sync.enrolment import load_enrolment
    from sync.receipt import load_receipt
    from terminal.ledger.export import hash_at

    directory = data_dir(config, data)
    kept = load_receipt(directory, load_enrolment(directory).headquarters_key)
    if kept is None:
        typer.echo(json_format.dumps(None) if json else "还没有总部回执 / no receipt yet")
        raise typer.Exit(1)
    agrees = hash_at(ledger_path(config, data), kept.sequence) == kept.head
    if json:
        typer.echo(json_format.dumps({**dataclasses.asdict(kept), "agrees": agrees}))
    else:
        verdict = "与账本一致 / the ledger agrees" if agrees else "与账本不一致 / the ledger does NOT agree"
        typer.echo(f"{kept.sequence} · {kept.head} · {kept.time}\n{verdict}")
    raise typer.Exit(0 if agrees else 1)

"""`jingka`: all its commands. Exit codes: 0 done, 1 refused with a reason, 2 wrong usage.

Every command imports what it needs when it runs. `jingka run --config FILE` does not even come here (`__main__`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from terminal.commands import (
    book,
    headquarters_book,
    headquarters_money,
    headquarters_roll,
    headquarters_vouchers,
    keys,
    ledger,
    membership,
    people,
    voucher,
)
from terminal.commands.options import DEFAULT_CONFIG, JSON, Config, DataDir, HqConfig, Language, LedgerDir

app = typer.Typer(
    name="jingka",
    help="The 京卡 merchant terminal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
hq_app = typer.Typer(help="The headquarters service; without a subcommand it serves.", rich_markup_mode=None)
app.add_typer(ledger.app, name="ledger")
app.add_typer(book.app, name="book")
app.add_typer(membership.roll_app, name="roll")
app.add_typer(membership.key_app, name="key")
app.add_typer(voucher.app, name="voucher")
app.add_typer(people.app, name="person")
app.add_typer(keys.app, name="keys")
app.add_typer(hq_app, name="hq")
hq_app.add_typer(headquarters_book.app, name="book")
hq_app.add_typer(headquarters_money.app, name="settlement")
hq_app.add_typer(headquarters_roll.app, name="roll")
hq_app.add_typer(headquarters_vouchers.app, name="vouchers")
hq_app.add_typer(keys.hq_app, name="key")


@app.command()
def run(
    config: Config = DEFAULT_CONFIG,
    record_reads: Annotated[
        Path | None, typer.Option(help="keep each chip reading here as a masked transcript, for a bug report")
    ] = None,
) -> None:
    """Run the terminal daemon."""
    from config.settings import load_terminal
    from terminal.daemon import serve

    settings = load_terminal(config)
    if record_reads is not None:
        support = settings.support.model_copy(update={"reads_dir": record_reads.resolve()})
        settings = settings.model_copy(update={"support": support})
    raise typer.Exit(serve(settings))


@hq_app.callback(invoke_without_command=True)
def hq(context: typer.Context, config: HqConfig = None) -> None:
    """Run the headquarters service, or one of its subcommands."""
    from config.settings import load_hq

    settings = load_hq(config)
    context.obj = settings
    if context.invoked_subcommand is None:
        from config import log
        from sync.headquarters.app import serve

        log.configure(settings.log.level, settings.log.format)
        raise typer.Exit(serve(settings))


@hq_app.command("code")
def hq_code(
    context: typer.Context,
    terminal: Annotated[str, typer.Option(help="the new terminal's id")],
    merchant: Annotated[str, typer.Option(help="the merchant's name")],
    site: Annotated[str, typer.Option(help="the site's name")],
) -> None:
    """Make a one-time code that enrols one terminal; it is shown only here."""
    from sync.headquarters.enrolment import issue_code

    typer.echo(issue_code(context.obj, terminal=terminal, merchant=merchant, site=site))


@hq_app.command("person")
def hq_person(
    context: typer.Context,
    person: Annotated[str, typer.Argument(help="the person's id")],
    name: Annotated[str, typer.Option(help="the name on the pages")] = "",
    role: Annotated[str, typer.Option(help="operator | editor | approver | finance | auditor")] = "operator",
) -> None:
    """Add a person who may sign in at headquarters; asks for the PIN."""
    from terminal.serving.people import HEADQUARTERS_ROLES

    if role not in set(HEADQUARTERS_ROLES):
        raise typer.BadParameter(", ".join(HEADQUARTERS_ROLES), param_hint="--role")
    people.add(context.obj.data_dir, person, role, name)


@app.command()
def demo(
    reader: Annotated[str, typer.Option(help="virtual | pcsc | serial:, pn532: or wedge:DEVICE")] = "virtual",
    data: DataDir = None,
) -> None:
    """Start headquarters and a sample cinema with cards to present; Ctrl-C ends it."""
    from terminal.demo import run_demo

    raise typer.Exit(run_demo(reader, data))


@app.command()
def enrol(
    code: Annotated[str, typer.Option(help="the one-time code from headquarters")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Make this terminal known to headquarters: makes its key, checks headquarters' key against the code."""
    from config.settings import load_terminal
    from sync.enrolment import enrol as enrol_terminal

    settings = load_terminal(config)
    done = enrol_terminal(settings.headquarters.url, code, settings.data_dir)
    typer.echo(f"{done.terminal} · {done.merchant} · {done.site}")


@app.command()
def readers(
    device: Annotated[str | None, typer.Argument(help="with --detect: the port; none: the only one there is")] = None,
    detect: Annotated[bool, typer.Option("--detect", help="find a serial reader's settings while you swipe")] = False,
    json: JSON = False,
    out: Annotated[Path | None, typer.Option(help="with --detect: write the table here too")] = None,
    write: Annotated[Path | None, typer.Option(help="with --detect: add the table to this settings file")] = None,
) -> None:
    """List the readers of this machine, or find out how a serial one must be set."""
    if detect:
        from terminal.commands.detect import detect_reader

        detect_reader(device, json, out, write)
        return
    if device or out or write:
        raise typer.BadParameter("DEVICE, --out and --write go with --detect")
    from terminal.commands.inspect import list_readers

    list_readers(json)


@app.command()
def doctor(config: Config = DEFAULT_CONFIG, json: JSON = False) -> None:
    """Check this installation: a line for each finding, with the next step."""
    from terminal.commands.inspect import run_doctor

    raise typer.Exit(run_doctor(config, json))


@app.command()
def support(
    config: Config = DEFAULT_CONFIG,
    out: Annotated[Path | None, typer.Option(help="write here instead of to the screen")] = None,
) -> None:
    """A dump for support: versions, settings, findings, readers, the last reads; no card numbers, no keys."""
    from terminal.commands.support import write_support

    write_support(config, out)


@app.command()
def report(
    config: Config = DEFAULT_CONFIG,
    data: LedgerDir = None,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, today when left out")] = None,
    form: Annotated[str, typer.Option("--format", help="text | json | csv | xlsx")] = "text",
    out: Annotated[Path | None, typer.Option(help="write here instead of to the screen")] = None,
    language: Language = "zh",
) -> None:
    """The daily report."""
    from terminal.commands.day import write_report

    write_report(config, data, day, form, out, language)


sync_app = typer.Typer(help="The wait queue to headquarters.", rich_markup_mode=None)
app.add_typer(sync_app, name="sync")


@sync_app.callback()
def sync() -> None:
    """The wait queue to headquarters."""


@sync_app.command("now")
def sync_now(config: Config = DEFAULT_CONFIG, json: JSON = False) -> None:
    """Push what waits, now, and say how it went."""
    from terminal.commands.queue import push_now

    raise typer.Exit(push_now(config, json))

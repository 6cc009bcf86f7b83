"""`jingka roll` and `jingka key`: the roll of members and the key that makes tokens of card numbers."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from terminal.commands.lists import Key, echo_rejected, key_path, rejected_rows
from terminal.commands.options import JSON
from terminal.commands.progress import progress_bar

roll_app = typer.Typer(help="The roll of members.", no_args_is_help=True, rich_markup_mode=None)
key_app = typer.Typer(help="The programme's key.", no_args_is_help=True, rich_markup_mode=None)


@roll_app.callback()
def roll() -> None:
    """The roll of members."""


@roll_app.command("build")
def build(
    cards: Annotated[Path, typer.Argument(help="CSV with the header pan,standing,class,issued,person")],
    out: Annotated[Path, typer.Option(help="the roll to write; replaced in one step")],
    key: Key = None,
    json: JSON = False,
) -> None:
    """Make a roll from a list of card numbers; wrong lines are reported and set aside, never with the number."""
    from terminal.membership.build import build_roll
    from terminal.membership.card_list import REJECT_WORDS
    from terminal.membership.token import load_programme_key

    programme_key = load_programme_key(key_path(key))
    with progress_bar("roll") as progress:
        done = build_roll(cards, out, programme_key, progress)
    if json:
        summary = {"taken": done.taken, "replaced": done.replaced, "rejected": done.rejected_count}
        rows = {"lines": rejected_rows(done.rejected), "revision": done.header.revision}
        typer.echo(json_format.dumps(summary | rows))
        return
    echo_rejected(done.rejected, REJECT_WORDS)
    typer.echo(f"{done.taken} cards, {done.replaced} replaced by a later line, {done.rejected_count} lines set aside")


@key_app.callback()
def programme() -> None:
    """The programme's key."""


@key_app.command("create")
def create(
    out: Annotated[Path, typer.Argument(help="the key file; never overwritten")],
    version: Annotated[int, typer.Option(min=1, help="counts up with each new key")] = 1,
) -> None:
    """Make a new random key. Every roll and ledger of the programme belongs to one key: keep it safe."""
    from terminal.membership.token import create_programme_key

    made = create_programme_key(out, version)
    typer.echo(f"{out}: version {made.version}, fingerprint {made.fingerprint}")

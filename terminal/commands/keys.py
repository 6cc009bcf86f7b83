"""`jingka keys rotate`: a new key for this terminal. `jingka hq key rotate`: one for headquarters."""

from __future__ import annotations

import typer

from terminal.commands.options import DEFAULT_CONFIG, Config

app = typer.Typer(help="This terminal's key.", no_args_is_help=True, rich_markup_mode=None)
hq_app = typer.Typer(help="Headquarters' key.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def keys() -> None:
    """This terminal's key."""


@app.command("rotate")
def rotate(config: Config = DEFAULT_CONFIG) -> None:
    """Give this terminal a new key; the old one is void at once. A running daemon takes it up by itself."""
    from config.settings import load_terminal
    from sync.rotation import rotate_key

    settings = load_terminal(config)
    typer.echo(rotate_key(settings.headquarters.url, settings.data_dir).hex())


@hq_app.callback()
def hq_key() -> None:
    """Headquarters' key."""


@hq_app.command("rotate")
def rotate_hq(context: typer.Context) -> None:
    """Give headquarters a new key, named by the one before; restart the service then. Terminals follow alone."""
    from sync.headquarters.keys import rotate_headquarters_key

    old, new = rotate_headquarters_key(context.obj.data_dir)
    typer.echo(f"{old.hex()} → {new.hex()}")

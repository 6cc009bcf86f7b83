"""`jingka person`: who may sign in at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from config.places import PEOPLE_FILE
from terminal.commands.options import DEFAULT_CONFIG, Config, LedgerDir, data_dir

app = typer.Typer(help="Cashiers and managers.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def person() -> None:
    """Cashiers and managers."""


@app.command("add")
def add_person_here(
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="what the person types to sign in, such as c01")],
    role: Annotated[str, typer.Option(help="cashier | manager")] = "cashier",
    name: Annotated[str, typer.Option(help="the name on pages and reports")] = "",
    config: Config = DEFAULT_CONFIG,
    data: LedgerDir = None,
    replace: Annotated[bool, typer.Option(help="change a person who is there, for example a forgotten PIN")] = False,
) -> None:
    """Add a cashier or a manager; asks for the PIN, or reads it from the standard input when that is no terminal."""
    if role not in {"cashier", "manager"}:
        raise typer.BadParameter("cashier or manager", param_hint="--role")
    add(data_dir(config, data), person_id, role, name, replace=replace)


def add(directory: Path, person_id: str, role: str, name: str, *, replace: bool = False) -> None:
    """Ask for the PIN and write the person into `directory`."""
    from terminal.serving.people import Person, Role, add_person

    interactive = sys.stdin.isatty()
    pin = (
        typer.prompt("PIN", hide_input=True, confirmation_prompt=True) if interactive else sys.stdin.readline().strip()
    )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    add_person(directory / PEOPLE_FILE, Person(person_id, name or person_id, Role(role)), pin, replace=replace)
    typer.echo(f"{person_id} ({role})")

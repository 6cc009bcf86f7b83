"""`jingka hq roll`: the union's and the bank's lists, from the command line; docs/roll.md."""

from __future__ import annotations

import dataclasses
import json as json_format
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.commands.at_headquarters import By, headquarters_storage, person_at
from terminal.commands.options import JSON

if TYPE_CHECKING:
    from config.settings import HqSettings
    from sync.headquarters.roll.desk import RollDesk
    from sync.headquarters.roll.imports import ImportView, RejectedLine
    from sync.headquarters.storage import Storage

app = typer.Typer(help="The roll of members at headquarters.", no_args_is_help=True, rich_markup_mode=None)

Number = Annotated[int, typer.Argument(metavar="LIST", help="the list's number", min=1)]
LINES_SHOWN_MAX = 20  # of those set aside; the page has the first thousand
REVIEW_ROLES = ("operator", "approver")


@app.callback()
def roll() -> None:
    """The roll of members at headquarters."""


@app.command("import")
def bring(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="the list, CSV in UTF-8")],
    person: By,
    kind: Annotated[str, typer.Option(help="union | bank | combined")] = "combined",
    confirm: Annotated[bool, typer.Option("--confirm/--preview", help="put it in force at once, or only look")] = False,
    json: JSON = False,
) -> None:
    """Hash the list's card numbers, compare it with the roll, and say what it would change."""
    from terminal.commands.progress import progress_bar
    from terminal.membership.official_lists import ListKind

    if kind not in set(ListKind):
        raise typer.BadParameter("union, bank or combined", param_hint="--kind")
    with _desk(context.obj) as (desk, storage):
        by = person_at(context.obj, storage, person, "operator")
        size = file.stat().st_size if file.exists() else 0
        with progress_bar("hash and load") as progress:
            view = desk.preview_file(file, ListKind(kind), by, lambda done: progress(done, size))
        _, rejected = desk.list_of(view.id)
        if confirm:
            view = desk.confirm(view.id, by)
    _show(view, rejected, json)


@app.command("confirm")
def confirm_list(context: typer.Context, number: Number, person: By, json: JSON = False) -> None:
    """Put a list in force; one that takes many cards out of use needs two persons, one after the other."""
    with _desk(context.obj) as (desk, storage):
        view = desk.confirm(number, person_at(context.obj, storage, person, *REVIEW_ROLES))
    _show(view, [], json)


@app.command()
def discard(context: typer.Context, number: Number, person: By) -> None:
    """Forget a list that waits."""
    with _desk(context.obj) as (desk, storage):
        desk.discard(number, person_at(context.obj, storage, person, *REVIEW_ROLES))
    typer.echo(f"list {number}: discarded")


@app.command("list")
def show_lists(context: typer.Context, json: JSON = False) -> None:
    """The roll's version, and the lists, latest first."""
    with _desk(context.obj) as (desk, _):
        state, lists = desk.state(), desk.imports()
    if json:
        typer.echo(_as_json({"version": state.version, "lists": [dataclasses.asdict(each) for each in lists]}))
        return
    typer.echo(f"version {state.version}, terminals start from {state.snapshot or '–'}")
    for view in lists:
        told = f"{view.preview.taken} cards, {view.preview.changes} changes"
        typer.echo(
            f"list {view.id}  {view.kind.value}  {view.at:%Y-%m-%d %H:%M}Z  {view.state.value}  {told}  {view.by}"
        )


@app.command()
def snapshot(context: typer.Context) -> None:
    """Make the file that terminals start from now; the service does it by itself when it is time."""
    from sync.headquarters.roll.snapshot import build
    from sync.headquarters.service import utc_now

    with _desk(context.obj) as (desk, storage):
        made = build(storage, desk.key, data_dir=context.obj.data_dir, now=utc_now())
    typer.echo(f"{made.name}: version {made.version}, {made.size_bytes} bytes, sha256 {made.sha256}")


def _show(view: ImportView, rejected: list[RejectedLine], json: bool) -> None:
    if json:
        lines = [dataclasses.asdict(each) for each in rejected]
        typer.echo(_as_json({**dataclasses.asdict(view), "rejected": lines}))
        return
    from terminal.membership.card_list import REJECT_WORDS

    words = {each.value: told for each, told in REJECT_WORDS.items()}
    preview = view.preview
    for each in rejected[:LINES_SHOWN_MAX]:
        typer.echo(f"line {each.line}: {words[each.reason].zh} / {words[each.reason].en}")
    typer.echo(f"{preview.taken} cards, {preview.repeated} repeated, {preview.rejected} lines set aside")
    for moved in preview.moved:
        typer.echo(f"  {moved.before} → {moved.after}: {moved.count}")
    if preview.kept:
        typer.echo(f"  {preview.kept} stay out of use: a person at headquarters said so")
    if preview.suspicious:
        typer.echo(
            f"  suspicious: {preview.losing_percent}% of the active cards would be so no more; it takes two people"
        )
    typer.echo(f"list {view.id}: {view.state.value}")


def _as_json(value: object) -> str:
    return json_format.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def _desk(settings: HqSettings) -> Iterator[tuple[RollDesk, Storage]]:
    """The desk over headquarters' own database; works beside a running service."""
    from sync.headquarters.roll.desk import RollDesk
    from sync.headquarters.service import utc_now
    from terminal.membership.token import load_programme_key

    key = load_programme_key(settings.programme_key) if settings.programme_key else None
    with headquarters_storage(settings) as storage:
        yield RollDesk(storage, key, clock=utc_now, jump_percent_max=settings.roll_jump_percent), storage

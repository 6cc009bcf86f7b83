"""`jingka hq vouchers`: the register of vouchers at headquarters, from the command line; docs/vouchers.md."""

from __future__ import annotations

import dataclasses
import json as json_format
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.commands.at_headquarters import By, headquarters_storage, person_at
from terminal.commands.headquarters_roll import LINES_SHOWN_MAX, Number
from terminal.commands.options import JSON

if TYPE_CHECKING:
    from config.settings import HqSettings
    from sync.headquarters.storage import Storage
    from sync.headquarters.vouchers.desk import VouchersDesk
    from sync.headquarters.vouchers.lists import ListView, RejectedLine

app = typer.Typer(help="The register of vouchers at headquarters.", no_args_is_help=True, rich_markup_mode=None)

CONFIRM_ROLES = ("editor", "approver")


@app.callback()
def vouchers() -> None:
    """The register of vouchers at headquarters."""


@app.command("import")
def bring(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="the list, CSV in UTF-8")],
    person: By,
    confirm: Annotated[bool, typer.Option("--confirm/--preview", help="put it in force at once, or only look")] = False,
    json: JSON = False,
) -> None:
    """Hash the list's codes and card numbers, compare it with the register, and say what it would change."""
    from terminal.commands.progress import progress_bar

    with _desk(context.obj) as (desk, storage):
        by = person_at(context.obj, storage, person, "editor")
        with progress_bar("vouchers") as progress:
            view = desk.preview_file(file, by, progress)
        _, rejected = desk.list_of(view.id)
        if confirm:
            view = desk.confirm(view.id, by)
    _show(view, rejected, json)


@app.command("confirm")
def confirm_list(context: typer.Context, number: Number, person: By, json: JSON = False) -> None:
    """Put a list in force."""
    with _desk(context.obj) as (desk, storage):
        view = desk.confirm(number, person_at(context.obj, storage, person, *CONFIRM_ROLES))
    _show(view, [], json)


@app.command()
def discard(context: typer.Context, number: Number, person: By) -> None:
    """Forget a list that waits."""
    with _desk(context.obj) as (desk, storage):
        desk.discard(number, person_at(context.obj, storage, person, *CONFIRM_ROLES))
    typer.echo(f"list {number}: discarded")


@app.command()
def withdraw(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="as it is printed, typed or scanned")],
    person: By,
) -> None:
    """Withdraw one voucher; connected tills refuse it within ten seconds."""
    with _desk(context.obj) as (desk, storage):
        found = desk.withdraw(code, person_at(context.obj, storage, person, "editor", "operator"))
    typer.echo(f"withdrawn: a voucher of {found.offer}")


@app.command("list")
def show_lists(context: typer.Context, json: JSON = False) -> None:
    """The register's version, what it holds of each offer, and the lists, latest first."""
    with _desk(context.obj) as (desk, _):
        state, offers, lists = desk.overview()
    if json:
        told = {"offers": [dataclasses.asdict(each) for each in offers], "lists": [_told(each) for each in lists]}
        typer.echo(_as_json({"version": state.version, **told}))
        return
    typer.echo(f"version {state.version}")
    for each in offers:
        typer.echo(f"{each.offer}: {each.count} vouchers, {each.revoked} withdrawn, version {each.version}")
    for view in lists:
        changes = f"{view.preview.taken} lines, {view.preview.changes} changes"
        typer.echo(f"list {view.id}  {view.at:%Y-%m-%d %H:%M}Z  {view.state.value}  {changes}  {view.by}")


def _show(view: ListView, rejected: list[RejectedLine], json: bool) -> None:
    if json:
        typer.echo(_as_json({**_told(view), "rejected": [dataclasses.asdict(each) for each in rejected]}))
        return
    from terminal.vouchers.voucher_list import VOUCHER_FAULT_WORDS

    words = {each.value: told for each, told in VOUCHER_FAULT_WORDS.items()}
    preview = view.preview
    for each in rejected[:LINES_SHOWN_MAX]:
        typer.echo(f"line {each.line}: {words[each.reason].zh} / {words[each.reason].en}")
    typer.echo(f"{preview.taken} vouchers, {preview.repeated} repeated, {preview.rejected} lines set aside")
    typer.echo(
        f"  {preview.new} new, {preview.changed} changed, {preview.withdrawn} withdrawn, {preview.restored} restored, "
        f"{preview.unchanged} as before"
    )
    typer.echo(f"list {view.id}: {view.state.value}")


def _told(view: ListView) -> dict[str, object]:
    return dataclasses.asdict(view) | {"state": view.state.value}


def _as_json(value: object) -> str:
    return json_format.dumps(value, ensure_ascii=False, default=str)


@contextmanager
def _desk(settings: HqSettings) -> Iterator[tuple[VouchersDesk, Storage]]:
    """The desk over headquarters' own database; works beside a running service."""
    from sync.headquarters.service import utc_now
    from sync.headquarters.vouchers.desk import VouchersDesk
    from terminal.membership.token import load_programme_key

    key = load_programme_key(settings.programme_key) if settings.programme_key else None
    with headquarters_storage(settings) as storage:
        yield VouchersDesk(storage, key, utc_now), storage

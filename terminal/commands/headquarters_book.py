"""`jingka hq book`: campaigns from the command line, from a draft to its roll-out and back; docs/campaigns.md."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terminal.commands.at_headquarters import headquarters_storage, person_with, typed_pin
from terminal.commands.options import JSON

if TYPE_CHECKING:
    from config.settings import HqSettings
    from sync.headquarters.books.desk import CampaignDesk, Overview
    from terminal.offers.book import Format
    from terminal.serving.people import Person

app = typer.Typer(help="Offer books at headquarters.", no_args_is_help=True, rich_markup_mode=None)

By = Annotated[str, typer.Option("--person", help="who does this; their PIN is asked for, or read from the input")]
Draft = Annotated[int, typer.Argument(help="the draft's number", min=1)]
Revision = Annotated[int, typer.Argument(help="the released revision", min=1)]
Note = Annotated[str, typer.Option("--note", help="what it is for")]


@app.callback()
def book() -> None:
    """Offer books at headquarters."""


@app.command()
def keygen(context: typer.Context) -> None:
    """Make the key that books are released with, where the settings say; prints its public half."""
    from sync.headquarters.books.release import release_key_file
    from sync.signing import DeviceKey

    path = release_key_file(context.obj)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = DeviceKey.create(path)
    typer.echo(f"私钥已写入 {path}，请妥善保管 / the private key is in {path}: keep it safe")
    typer.echo(f'signed_by = "{base64.b64encode(key.public).decode()}"')


@app.command()
def succeed(context: typer.Context) -> None:
    """Name a new key to release books with, signed by the one before. Terminals follow with its first book."""
    from sync.headquarters.books.release import release_key_file, succeed_release_key

    old, new = (base64.b64encode(key).decode() for key in succeed_release_key(release_key_file(context.obj)))
    typer.echo(f"{old} → {new}")
    typer.echo(f'signed_by = "{new}"')


@app.command("list")
def list_books(context: typer.Context, json: JSON = False) -> None:
    """Drafts under way, released revisions, and how many terminals should have and do have each."""
    with _desk(context.obj) as desk:
        seen = desk.overview()
    if json:
        typer.echo(_as_json(seen))
        return
    for draft in seen.drafts:
        typer.echo(f"draft {draft.id}  {draft.state.value}  {draft.title}  {draft.edited_by}")
    everywhere = {stage.revision for stage in seen.running if stage.target.everywhere}
    running = {stage.revision for stage in seen.running}
    for release in seen.releases:
        reach = seen.reach.get(release.revision)
        has, meant = (reach.has, reach.meant) if reach else (0, 0)
        where = "everywhere" if release.revision in everywhere else "some" if release.revision in running else "–"
        typer.echo(f"revision {release.revision}  {has}/{meant}  {where}  {release.note}  {release.released_by}")


@app.command()
def draft(
    context: typer.Context,
    person: By,
    file: Annotated[Path | None, typer.Argument(help="TOML or JSON; none: the newest release's text")] = None,
    title: Annotated[str, typer.Option(help="a name for the draft")] = "",
    into: Annotated[int | None, typer.Option(help="put the file in place of this draft's text", min=1)] = None,
) -> None:
    """Begin a draft, or put another text into one; says what is wrong with it."""
    text, form = _read(file)
    with _desk(context.obj) as desk:
        by = _person(context.obj, desk, person)
        if into is None:
            saved = desk.begin(by, title or (file.stem if file else ""), text, form)
        elif text is None:
            raise typer.BadParameter("--into needs a file")
        else:
            saved = desk.save(by, into, text, desk.draft(into).draft.version, title or None)
        typer.echo(f"draft {saved.id}  version {saved.version}")
        _say_findings(desk, saved.id)


@app.command()
def check(context: typer.Context, draft: Draft, json: JSON = False) -> None:
    """A draft's findings and what it changes, in words; exit code 1 when it cannot be used."""
    from sync.headquarters.books.api import checked_out

    with _desk(context.obj) as desk:
        look = desk.draft(draft).look
        if json:
            typer.echo(checked_out(look).model_dump_json())
        else:
            _say_findings(desk, draft)
            for change in look.changes:
                typer.echo(f"{change.text('zh')}\n  {change.text('en')}")
    raise typer.Exit(0 if look.usable else 1)


@app.command()
def submit(context: typer.Context, draft: Draft, person: By) -> None:
    """Hand a draft in for approval."""
    with _desk(context.obj) as desk:
        by = _person(context.obj, desk, person)
        desk.submit(by, draft, desk.draft(draft).draft.version)
    typer.echo(f"draft {draft}  submitted")


@app.command()
def approve(
    context: typer.Context,
    draft: Draft,
    person: By,
    version: Annotated[int | None, typer.Option(help="what was looked at; another version is refused", min=1)] = None,
) -> None:
    """Another person's yes: an approver who has not written in the draft."""
    with _desk(context.obj) as desk:
        by = _person(context.obj, desk, person)
        desk.approve(by, draft, version or desk.draft(draft).draft.version)
    typer.echo(f"draft {draft}  approved")


@app.command()
def discard(context: typer.Context, draft: Draft, person: By) -> None:
    """Give a draft up."""
    with _desk(context.obj) as desk:
        by = _person(context.obj, desk, person)
        desk.discard(by, draft, desk.draft(draft).draft.version)
    typer.echo(f"draft {draft}  discarded")


@app.command()
def release(context: typer.Context, draft: Draft, person: By, note: Note = "") -> None:
    """Number and sign an approved draft. No terminal takes it before it is rolled out."""
    with _desk(context.obj) as desk:
        made = desk.publish(_person(context.obj, desk, person), draft, note)
    typer.echo(f"revision {made.revision}, sha256 {made.sha256}")


@app.command()
def rollout(
    context: typer.Context,
    revision: Revision,
    person: By,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="to every terminal")] = False,
    merchant: Annotated[list[str] | None, typer.Option(help="to this merchant's terminals; may be repeated")] = None,
    site: Annotated[list[str] | None, typer.Option(help="to this site's, as merchant/site; may be repeated")] = None,
    terminal: Annotated[list[str] | None, typer.Option(help="to this terminal; may be repeated")] = None,
    percent: Annotated[int | None, typer.Option(help="to so many of a hundred terminals", min=1, max=99)] = None,
) -> None:
    """One more stage: the revision reaches these terminals too."""
    from sync.headquarters.books.stages import said, target_of

    target = target_of(
        everywhere=everywhere,
        merchants=tuple(merchant or ()),
        sites=tuple(site or ()),
        terminals=tuple(terminal or ()),
        percent=percent,
    )
    with _desk(context.obj) as desk:
        desk.roll_out(_person(context.obj, desk, person), revision, target)
    typer.echo(f"revision {revision}  {said(target)}")


@app.command()
def stop(context: typer.Context, revision: Revision, person: By) -> None:
    """The revision reaches no other terminal; those that have it keep it."""
    with _desk(context.obj) as desk:
        ended = desk.stop(_person(context.obj, desk, person), revision)
    typer.echo(f"revision {revision}  {ended} stopped")


@app.command()
def rollback(
    context: typer.Context,
    revision: Revision,
    person: By,
    note: Note = "",
    everywhere: Annotated[bool, typer.Option("--everywhere", help="roll it out to every terminal at once")] = False,
) -> None:
    """Release an earlier revision's content as a new revision."""
    with _desk(context.obj) as desk:
        made = desk.restore(_person(context.obj, desk, person), revision, note, everywhere=everywhere)
    typer.echo(f"revision {made.revision}, sha256 {made.sha256}")


@contextmanager
def _desk(settings: HqSettings) -> Iterator[CampaignDesk]:
    """The desk over headquarters' own database; works beside a running service."""
    from sync.headquarters.books.desk import CampaignDesk
    from sync.headquarters.books.release import release_key_file
    from sync.headquarters.service import utc_now

    with headquarters_storage(settings) as storage:
        yield CampaignDesk(storage, utc_now, release_key_file(settings))


def _person(settings: HqSettings, desk: CampaignDesk, person: str) -> Person:
    return person_with(settings, desk.storage, person, typed_pin(person))


def _read(file: Path | None) -> tuple[str | None, Format]:
    if file is None:
        return None, "toml"
    try:
        return file.read_text(encoding="utf-8"), "json" if file.suffix == ".json" else "toml"
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error


def _say_findings(desk: CampaignDesk, draft: int) -> None:
    for each in desk.draft(draft).look.findings:
        typer.echo(f"{each.severity}: {each.text('zh')}\n{' ' * len(each.severity)}  {each.text('en')}")


def _as_json(seen: Overview) -> str:
    from pydantic import TypeAdapter

    from sync.headquarters.books.desk import Overview

    return TypeAdapter(Overview).dump_json(seen).decode()

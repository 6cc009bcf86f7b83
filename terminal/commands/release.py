"""`jingka book keygen`, `sign` and `verify`: headquarters releases a book, and a till's operator looks at one."""

from __future__ import annotations

import base64
from pathlib import Path

import typer

RELEASE_FILE_MODE = 0o644  # a released book is no secret


def keygen(out: Path) -> None:
    """Make a key and say its public half. Raises `KeyExists`."""
    from sync.signing import DeviceKey

    key = DeviceKey.create(out)
    typer.echo(f"私钥已写入 {out}，请妥善保管 / the private key is in {out}: keep it safe")
    typer.echo(f'signed_by = "{_text(key.public)}"')


def sign(book: Path, key_file: Path, out: Path) -> None:
    """Check a book and write its signed form. Raises `BookInvalid` and what reading the key raises."""
    from sync.errors import KeyMissing
    from sync.signing import DeviceKey
    from terminal.membership.whole_file import write_whole
    from terminal.offers.book import canonical_json, check_book, load_book
    from terminal.offers.signature import signed_form

    try:
        key = DeviceKey.load(key_file)
    except KeyMissing as error:
        raise typer.BadParameter(f"no key in {key_file}; make one with: jingka book keygen {key_file}") from error
    loaded = load_book(book)
    for doubt in check_book(book):
        typer.echo(f"{doubt.severity}: {doubt.text('zh')}\n         {doubt.text('en')}", err=True)
    form = signed_form(canonical_json(loaded.book), loaded.revision, key.public, key.private_key().sign)
    write_whole(out, RELEASE_FILE_MODE, lambda file: file.write(form.encode()))
    typer.echo(f"revision {loaded.revision}, {len(loaded.offers)} offers, sha256 {loaded.hash}")
    typer.echo(f'signed_by = "{_text(key.public)}"')


def verify(book: Path, public: str | None, config: Path | None) -> None:
    """Say whose signature stands on a book. Raises `BookUnsigned`, `BookSignatureInvalid` and what loading raises."""
    import json

    from config.settings import load_terminal
    from sync.released_book import ReleasedBook
    from terminal.offers.book import load_book
    from terminal.offers.signature import BookUnsigned, is_signed

    wanted = public
    if config is not None:
        settings = load_terminal(config)
        wanted = ReleasedBook(settings.data_dir, settings.offers.signed_by).settings_key()
    loaded = load_book(book, wanted)
    data = json.loads(book.read_bytes()) if book.suffix == ".json" else None
    if not is_signed(data):
        raise BookUnsigned("verify book", str(book))
    typer.echo(f"revision {loaded.revision}, {len(loaded.offers)} offers, sha256 {loaded.hash}")
    typer.echo(f'signed_by = "{data["key"]}"')
    if wanted is None:
        typer.echo("未与任何公钥核对 / not compared with any key: use --key or --config", err=True)


def _text(public: bytes) -> str:
    return base64.b64encode(public).decode()

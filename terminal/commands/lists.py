"""What the commands share that turn headquarters' lists into files: the programme's key, and the lines set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.errors import Words

if TYPE_CHECKING:
    from terminal.membership.csv_list import Rejected

KEY_FILE = "programme-key.toml"

Key = Annotated[
    Path | None,
    typer.Option("--key", help=f"the programme's key; none: {KEY_FILE} in the data directory, made when it is missing"),
]


def key_path(given: Path | None) -> Path:
    """`--key`, else the key in the data directory; the first command that needs one makes it, and says so."""
    from config.settings import default_data_dir
    from terminal.membership.token import create_programme_key

    if given is not None:
        return given
    path = default_data_dir() / KEY_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = create_programme_key(path)
        typer.echo(f"made a new programme key {path}, fingerprint {made.fingerprint}", err=True)
    return path


def echo_rejected(rejected: Iterable[Rejected], words: Mapping[StrEnum, Words]) -> None:
    """A line for each line of the list that was set aside, and why."""
    for each in rejected:
        reason = words[each.reason]
        typer.echo(f"line {each.line}: {reason.zh} / {reason.en}")


def rejected_rows(rejected: Iterable[Rejected]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [{"line": each.line, "reason": each.reason.value} for each in rejected]

"""Options that several commands share, so that they read the same everywhere, and what they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.places import LEDGER_FILE

DEFAULT_CONFIG = Path("/etc/jingka/terminal.toml")  # where the systemd unit looks too

Config = Annotated[Path, typer.Option("--config", help="the terminal's settings")]
HqConfig = Annotated[Path | None, typer.Option("--config", help="headquarters' settings; none: all defaults")]
DataDir = Annotated[
    Path | None, typer.Option("--data", help="keep the data here; none: a fresh directory, removed at the end")
]
LedgerDir = Annotated[Path | None, typer.Option("--data", help="the terminal's data directory, instead of --config")]
JSON = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]
Language = Annotated[str, typer.Option("--language", help="zh | en")]


def data_dir(config: Path, data: Path | None) -> Path:
    """`--data`, else what the settings say, else (no settings at the default place) this user's own directory."""
    from config.settings import default_data_dir, load_terminal

    if data is not None:
        return data
    if config == DEFAULT_CONFIG and not config.exists():
        return default_data_dir()
    return load_terminal(config).data_dir


def ledger_path(config: Path, data: Path | None) -> Path:
    """The ledger's file."""
    return data_dir(config, data) / LEDGER_FILE

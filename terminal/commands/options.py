"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("/etc/jingka/terminal.toml")  # where the systemd unit looks too

Config = Annotated[Path, typer.Option("--config", help="the terminal's settings", show_default=str(DEFAULT_CONFIG))]
HqConfig = Annotated[Path | None, typer.Option("--config", help="headquarters' settings; none: all defaults")]
DataDir = Annotated[
    Path | None, typer.Option("--data", help="keep the data here; none: a fresh directory, removed at the end")
]
JSON = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]

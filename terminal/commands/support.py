"""`jingka support`: what to send to support. No card numbers, no keys, no PINs.

Versions, findings and settings are looked up here; the readers' states and the last cards presented are known to the
running daemon alone, which tells them to anybody on this machine (`GET /api/v1/readers`).
"""

from __future__ import annotations

import json as json_format
import platform
import sqlite3
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from config.errors import JingkaError
from config.settings import TerminalSettings, load_terminal
from terminal.commands.inspect import examine

SECRET_WORDS = ("key", "pin", "password")  # settings whose value the dump replaces
DAEMON_WAIT_S = 3.0  # it answers in milliseconds; one that hangs must not keep the dump from being written
ANSWER_BYTES_MAX = 2 * 1024 * 1024  # 50 outcomes of 128 steps each, with room


def write_support(config: Path, out: Path | None) -> None:
    """The dump as JSON, to `out` or the screen."""
    dump = {
        "versions": {
            "jingka-terminal": version("jingka-terminal"),
            "python": sys.version.split()[0],
            "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(),
        },
        "checks": [asdict(check) for check in examine(config)],
        **_of_these_settings(config),
    }
    text = json_format.dumps(dump, ensure_ascii=False, indent=2)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


def _of_these_settings(config: Path) -> dict[str, Any]:
    """The settings, and what their daemon tells; why not, when they cannot be read."""
    try:
        settings = load_terminal(config)
    except JingkaError as error:
        return {"settings": str(error), "reading": {"unknown": "without settings there is no daemon to ask"}}
    return {"settings": _without_secrets(settings.model_dump(mode="json")), "reading": told_by_daemon(settings)}


def told_by_daemon(settings: TerminalSettings) -> dict[str, Any]:
    """`readers` and `outcomes` as the daemon answers; `unknown` with the reason when it does not."""
    import httpx

    host, port = settings.terminal.host, settings.terminal.port
    if port == 0:
        return {"unknown": "terminal.port is 0: the daemon's port is known to its log alone"}
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/api/v1/readers"
    try:
        with httpx.stream("GET", url, timeout=DAEMON_WAIT_S, trust_env=False) as answer:
            answer.raise_for_status()
            return _told(answer)
    except (httpx.HTTPError, ValueError) as error:  # ValueError: something else listens there, and speaks no JSON
        return {"unknown": f"no daemon answers at {url} ({type(error).__name__})"}


def _told(answer: Any) -> dict[str, Any]:
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("more than any daemon tells")
    told = json_format.loads(body)
    if not isinstance(told, dict):
        raise ValueError("not what a daemon tells")  # noqa: TRY004 - about the data, like the one above
    return told


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, name) for inner in value]
    return "…" if any(word in name for word in SECRET_WORDS) else value

"""`jingka sync now`: push what waits, through the running daemon or without it."""

from __future__ import annotations

import json as json_format
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import typer

from config.settings import TerminalSettings, load_terminal
from terminal.commands.options import LEDGER_FILE

DAEMON_PID_FILE = "daemon.pid"
WAIT_S = 60  # a person waits for this: a day's entries, not a month's
POLL_S = 0.2


def push_now(config: Path, json: bool) -> int:
    """Push until the queue is empty or `WAIT_S` is over; exit code 0 when nothing waits any more."""
    from terminal.ledger.errors import LedgerLocked

    settings = load_terminal(config)
    try:
        left = _push_alone(settings)
    except LedgerLocked:
        left = _ask_daemon(settings)
    if json:
        typer.echo(json_format.dumps(left, ensure_ascii=False))
    elif left["waiting"]:
        typer.echo(f"仍有 {left['waiting']} 笔待上传 / {left['waiting']} entries still wait: {left['reason']}")
    else:
        typer.echo("全部已上传 / nothing waits")
    return 1 if left["waiting"] else 0


def _push_alone(settings: TerminalSettings) -> dict[str, Any]:
    """No daemon runs: open the ledger here and drain it."""
    from sync.agent import Agent
    from terminal.ledger.clock import SystemClock
    from terminal.ledger.ledger import Ledger

    clock = SystemClock()
    ledger = Ledger.open(settings.data_dir / LEDGER_FILE, settings.terminal.name, clock)
    try:
        agent = Agent(ledger=ledger, data_dir=settings.data_dir, url=settings.headquarters.url, clock=clock)
        report = agent.push_now()
    finally:
        ledger.close()
    return {"waiting": report.waiting, "reason": str(report.error) if report.error else ""}


def _ask_daemon(settings: TerminalSettings) -> dict[str, Any]:
    """The daemon holds the ledger: tell it to hurry and watch its queue."""
    pid = int((settings.data_dir / DAEMON_PID_FILE).read_text(encoding="ascii"))
    os.kill(pid, signal.SIGUSR1)
    url = f"http://127.0.0.1:{settings.terminal.port}/healthz"
    deadline = time.monotonic() + WAIT_S
    line: dict[str, Any] = {}
    while time.monotonic() < deadline:
        with urllib.request.urlopen(url, timeout=5) as answer:
            line = json_format.load(answer)["headquarters"]
        if not line["waiting"]:
            break
        time.sleep(POLL_S)
    return {"waiting": line["waiting"], "reason": "" if line["online"] else "headquarters is not reached"}

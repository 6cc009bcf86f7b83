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

from config.errors import JingkaError, Retry, Words
from config.places import DAEMON_PID_FILE, LEDGER_FILE
from config.settings import TerminalSettings, load_terminal

WAIT_S = 60  # a person waits for this: a day's entries, not a month's
POLL_S = 0.2


class DaemonSilent(JingkaError):
    """Another program holds the ledger, and it does not answer as the daemon of these settings."""

    code = "daemon-silent"
    retry = Retry.RETRY
    what = Words("账本被占用，但终端程序没有应答（{reason}）", "the ledger is in use, but no daemon answers ({reason})")
    hint = Words(
        "请稍后再试；并确认 --config 是运行中的终端所用的设置",
        "try again in a moment; check that --config names the running terminal's settings",
    )


def push_now(config: Path, json: bool) -> int:
    """Push until the queue is empty or `WAIT_S` is over; exit code 0 when nothing waits any more."""
    from terminal.ledger.errors import LedgerLocked

    settings = load_terminal(config)
    try:
        left = _push_alone(settings)
    except LedgerLocked:
        left = _daemon_drains(settings)
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


def _daemon_drains(settings: TerminalSettings) -> dict[str, Any]:
    """The daemon holds the ledger: it does the work. Raises `DaemonSilent`, also for one that is only starting."""
    try:
        return _ask_daemon(settings)
    except (OSError, ValueError) as error:  # no pid file yet, a pid that is gone, a page that does not answer
        raise DaemonSilent("push entries", settings.terminal.name, reason=type(error).__name__) from error


def _ask_daemon(settings: TerminalSettings) -> dict[str, Any]:
    """Tell the daemon to hurry and watch its queue."""
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

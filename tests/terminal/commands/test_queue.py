"""`jingka sync now` beside a program that holds the ledger and is no daemon of these settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.places import DAEMON_PID_FILE
from config.settings import load_terminal
from terminal.commands.queue import DaemonSilent, push_now
from terminal.demo import prepare
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger

PID_OF_NOBODY = "4194305"  # one above the kernel's highest


@pytest.mark.parametrize(
    "pid", [None, "", PID_OF_NOBODY], ids=["no pid file", "an empty one", "a process that is gone"]
)
def test_a_held_ledger_without_its_daemon_is_told_and_leaves_no_traceback(tmp_path: Path, pid: str | None) -> None:
    config, _ = prepare(tmp_path, "virtual")
    settings = load_terminal(config)
    if pid is not None:
        (settings.data_dir / DAEMON_PID_FILE).write_text(pid, encoding="ascii")
    ledger = Ledger.open(settings.data_dir / "ledger.sqlite", settings.terminal.name, SystemClock())
    try:
        with pytest.raises(DaemonSilent) as told:
            push_now(config, json=False)
    finally:
        ledger.close()
    assert "--config" in told.value.hint_text("zh")

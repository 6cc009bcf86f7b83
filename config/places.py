"""What stands under a data directory, by name, for the programs that write it and the commands that look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

LEDGER_FILE: Final = "ledger.sqlite"
DAY_CLOSES_FILE: Final = "day-closes.json"  # what each business day came to when it was closed
PEOPLE_FILE: Final = "people.toml"  # who may sign in, at the terminal and at headquarters alike
VOUCHERS_FILE: Final = "vouchers.bin"  # the register, where the settings name no other place
DAEMON_PID_FILE: Final = "daemon.pid"  # whom `jingka sync now` signals


def vouchers_file(named: Path | None, data_dir: Path) -> Path:
    """Where a terminal's register of vouchers stands, or will once headquarters sends one: as the settings name it."""
    return named or data_dir / VOUCHERS_FILE

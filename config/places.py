"""What stands under a data directory, by name, for the programs that write it and the commands that look at it."""

from __future__ import annotations

from typing import Final

LEDGER_FILE: Final = "ledger.sqlite"
DAY_CLOSES_FILE: Final = "day-closes.json"  # what each business day came to when it was closed
PEOPLE_FILE: Final = "people.toml"  # who may sign in, at the terminal and at headquarters alike
DAEMON_PID_FILE: Final = "daemon.pid"  # whom `jingka sync now` signals

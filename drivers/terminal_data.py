"""What every port tells a chip about this moment: the impure half of `drivers.pboc.dol.TerminalData`."""

from __future__ import annotations

import secrets
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.pboc.dol import UNPREDICTABLE_OCTETS, TerminalData

BEIJING = ZoneInfo("Asia/Shanghai")  # a card checks its dates against the day here, not the machine's zone


def terminal_data_now() -> TerminalData:
    """Today in Beijing and fresh random octets."""
    return TerminalData.at(datetime.now(BEIJING), secrets.token_bytes(UNPREDICTABLE_OCTETS))

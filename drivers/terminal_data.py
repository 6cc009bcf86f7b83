"""What every port tells a chip about this moment: the impure half of `drivers.pboc.dol.TerminalData`."""

from __future__ import annotations

import secrets
from datetime import datetime

from config.zone import SHANGHAI
from drivers.pboc.dol import UNPREDICTABLE_OCTETS, TerminalData


def terminal_data_now() -> TerminalData:
    """Today in Beijing and fresh random octets."""
    return TerminalData.at(datetime.now(SHANGHAI), secrets.token_bytes(UNPREDICTABLE_OCTETS))

"""The one time zone of the programme."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")  # published days, business days and a card's dates are the calendar's here

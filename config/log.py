"""What the programs write about themselves: plain lines for a person, JSON for a collector, never a card number.

Modules log with the standard library's `logging`; structlog renders the JSON form and is imported only for it, because
its import alone would cost a tenth of the daemon's start.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal, TextIO

TRAFFIC = 7  # below DEBUG: bytes to and from cards and readers, masked; uvicorn calls 5 TRACE
LEVELS = {
    "traffic": TRAFFIC,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LIKE_A_PAN = re.compile(r"(?<![0-9A-Fa-f-])\d{13,19}(?![0-9A-Fa-f-])")  # not inside a hash or a UUID
QUIET_LOGGERS = ("httpx", "httpcore", "uvicorn.access", "alembic")  # one line a request would drown the rest


def configure(level: str, form: Literal["text", "json"], stream: TextIO = sys.stderr) -> None:
    """Route every log record of this process to `stream` in one form."""
    logging.addLevelName(TRAFFIC, "TRAFFIC")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_json_formatter() if form == "json" else MaskingFormatter())
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def mask(text: str) -> str:
    """The text with everything that could be a card number cut to its last four digits: the last net, not the first."""
    return LIKE_A_PAN.sub(lambda found: "****" + found[0][-4:], text)


class MaskingFormatter(logging.Formatter):
    """Readable lines; tracebacks go through the same net."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One record as text, masked."""
        return mask(super().format(record))


def _json_formatter() -> logging.Formatter:
    import structlog

    class MaskingJson(structlog.stdlib.ProcessorFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return mask(super().format(record))

    return MaskingJson(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )

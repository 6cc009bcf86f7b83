"""What passes between readers, cards and this program, masked, at the log level TRAFFIC; nothing is done below it."""

from __future__ import annotations

import logging

from config.log import TRAFFIC
from drivers.masking import mask_answer, mask_command, mask_line
from drivers.pboc.exchange import Transmit

logger = logging.getLogger(__name__)


def followed(transmit: Transmit, reader: str) -> Transmit:
    """`transmit` itself, or at the level TRAFFIC one that also tells each command and answer."""
    return _Followed(transmit, reader) if logger.isEnabledFor(TRAFFIC) else transmit


def line_heard(reader: str, data: bytes) -> None:
    """Bytes that came over a serial line: their frame, and a `*` for each byte within."""
    if data and logger.isEnabledFor(TRAFFIC):
        logger.log(TRAFFIC, "%s: heard %s", reader, mask_line(data))


class _Followed:
    """A `Transmit` around another."""

    def __init__(self, below: Transmit, reader: str) -> None:
        self._below = below
        self._reader = reader

    def __call__(self, command: bytes, /) -> bytes:
        logger.log(TRAFFIC, "%s > %s", self._reader, _told(mask_command(command), command))
        try:
            answer = self._below(command)
        except Exception as fault:
            # The type alone: a port's message may quote what it was reading.
            logger.log(TRAFFIC, "%s < no answer: %s", self._reader, type(fault).__name__)
            raise
        told = _told(mask_answer(answer), answer)
        logger.log(TRAFFIC, "%s < %s", self._reader, told)
        return answer


def _told(masked: bytes | None, octets: bytes) -> str:
    """Hex; of what cannot be masked only the length and, as every answer's end, the last two octets."""
    if masked is not None:
        return masked.hex().upper()
    return f"({len(octets)} octets, not told) {octets[-2:].hex().upper()}"

"""ID TECH MiniMag on RS-232, in its own format and in the one it calls UIC."""

from __future__ import annotations

from config.errors import Words
from drivers.framing.base import CR, DLE, ETX, LF, STX
from drivers.framing.text_line import TextLine


class IdTech(TextLine):
    """`SS data ES CR` for each track (as delivered), or `STX SS data ES [LRC] DLE`, the last track ended by ETX.

    The MiniMag RS-232 manual ("Output Format Selection", "Data Formats") names both; sentinels may be switched off by
    its send option. It does not say how UIC's LRC is coded: the track's own check character (`0`..`?`) is understood,
    any other byte is told as garbled, and the LRC can be switched off in the reader.
    """

    name = "idtech"
    words = Words(
        "ID TECH（MiniMag）：每磁道一行，或 STX…DLE/ETX（UIC 格式）",
        "ID TECH (MiniMag): a line for each track, or STX…DLE/ETX (UIC format)",
    )
    begins = frozenset((STX,))
    ends = frozenset((CR, LF, DLE, ETX))

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return payload + bytes((CR,))

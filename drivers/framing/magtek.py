"""MagTek swipe readers on RS-232 (port-powered and switch-set)."""

from __future__ import annotations

from config.errors import Words
from drivers.framing.base import CR, ESC, ETX, LF, STX
from drivers.framing.text_line import TextLine


class MagTek(TextLine):
    """`[STX] [ESC] tracks [CR] [ETX]`: all tracks of a swipe run together, `%…?;…?+…?`; each mark is a switch.

    A track that could not be read comes as `E` between its sentinels (`;E?`). With CR and ETX both off nothing ends a
    swipe but the silence after it. (Port Powered Swipe Reader manual: "Card Read", "Switch B"; MT-211232 manual,
    figures 3-1 and 3-2.) Insertion readers add a sensor's digit behind the tracks and are not meant here.
    """

    name = "magtek"
    words = Words(
        "MagTek：各磁道连在一起，STX、ESC、CR、ETX 可有可无",
        "MagTek: all tracks run together; STX, ESC, CR and ETX each optional",
    )
    begins = frozenset((STX,))
    ends = frozenset((CR, LF, ETX))
    passed_over = frozenset((ESC,))
    silence_ends = True

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return payload + bytes((CR,))

"""The plain line."""

from __future__ import annotations

from config.errors import Words
from drivers.framing.base import CR, LF
from drivers.framing.text_line import TextLine


class PlainLine(TextLine):
    """Printable characters up to CR or LF or both: what most stripe readers send as they leave the factory."""

    name = "plain"
    words = Words("一行文本，以回车或换行结束", "a line of text, ended by CR or LF or both")
    ends = frozenset((CR, LF))

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return payload + bytes((CR,))

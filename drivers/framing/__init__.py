"""From a serial line's bytes to whole frames, pure: one small class per frame, chosen by its name in the settings."""

from __future__ import annotations

from drivers.framing.base import (
    CR,
    DLE,
    ESC,
    ETX,
    FRAME_BYTES_MAX,
    LF,
    PARITY_BYTES_MAX,
    PARITY_BYTES_MIN,
    SILENCE_MS,
    STRANGE_BYTES_MAX,
    STRAY_BYTES_MIN,
    STX,
    Frame,
    Framing,
    ParityTally,
)
from drivers.framing.ecr_55aa import Ecr55Aa
from drivers.framing.faults import (
    FrameCheckFailed,
    FrameCutOff,
    FrameParity,
    FrameTooLong,
    FrameUnknown,
    FrameUnreadable,
)
from drivers.framing.idtech import IdTech
from drivers.framing.magtek import MagTek
from drivers.framing.plain import PlainLine
from drivers.framing.stx_etx_lrc import StxEtxLrc

FRAMINGS: dict[str, type[Framing]] = {
    framing.name: framing for framing in (PlainLine, StxEtxLrc, IdTech, MagTek, Ecr55Aa)
}


def framing_named(name: str) -> Framing:
    """A new framing of the kind that the settings call `name`; raises `FrameUnknown`."""
    if name not in FRAMINGS:
        raise FrameUnknown("choose frame", name, known=", ".join(FRAMINGS))
    return FRAMINGS[name]()


__all__ = [
    "CR",
    "DLE",
    "ESC",
    "ETX",
    "FRAME_BYTES_MAX",
    "FRAMINGS",
    "LF",
    "PARITY_BYTES_MAX",
    "PARITY_BYTES_MIN",
    "SILENCE_MS",
    "STRANGE_BYTES_MAX",
    "STRAY_BYTES_MIN",
    "STX",
    "Ecr55Aa",
    "Frame",
    "FrameCheckFailed",
    "FrameCutOff",
    "FrameParity",
    "FrameTooLong",
    "FrameUnknown",
    "FrameUnreadable",
    "Framing",
    "IdTech",
    "MagTek",
    "ParityTally",
    "PlainLine",
    "StxEtxLrc",
    "framing_named",
]

"""What can be wrong with the bytes on a serial line: every fault names its next step."""

from __future__ import annotations

from config.errors import Retry, Words
from drivers.card import ReaderError, ReaderNoise


class FrameUnreadable(ReaderNoise):
    """Bytes that no reader sends: nearly always a wrong baud rate, parity or frame kind."""

    code = "frame-unreadable"
    what = Words("读卡器送来乱码", "the reader's bytes are garbled")
    hint = Words(
        "请重刷；若一直乱码，请检查波特率、校验位和帧格式设置",
        "swipe again; if it persists check baud, parity and frame",
    )


class FrameParity(ReaderNoise):
    """Seven data bits and a parity bit, read as eight data bits: the top bit of each byte gives it away."""

    code = "frame-parity"
    what = Words("读卡器用 7 位数据加校验位，设置却是 8 位", "the reader sends 7 bits with parity, the settings say 8")
    hint = Words(
        '请把该读卡器的设置改为 bytesize = 7、parity = "{parity}"（波特率不用改）',
        'set bytesize = 7 and parity = "{parity}" for this reader; its baud rate is right',
    )


class FrameCutOff(ReaderNoise):
    """A frame began and never ended."""

    code = "frame-cut-off"
    what = Words("读卡器数据中断", "the reader stopped in the middle of a card")
    hint = Words(
        "请重刷；若一直如此，请检查连线、波特率和帧格式设置", "swipe again; if it persists check cable, baud and frame"
    )


class FrameTooLong(ReaderNoise):
    """More bytes than any stripe holds without the frame's end."""

    code = "frame-too-long"
    what = Words("读卡器数据超过 {bytes_max} 字节仍未结束", "no end of frame within {bytes_max} bytes")
    hint = Words("请重刷；若一直如此，请检查帧格式设置", "swipe again; if it persists check the frame kind")


class FrameCheckFailed(ReaderNoise):
    """The frame's check byte does not fit its data: a byte was changed or lost on the line."""

    code = "frame-check-failed"
    what = Words("读卡器数据校验不符", "the reader's check byte does not fit its data")
    hint = Words("请重刷；若一直如此，请检查读卡器连线", "swipe again; if it persists check the cable")


class FrameUnknown(ReaderError):
    """The settings name a frame kind that does not exist."""

    code = "frame-unknown"
    retry = Retry.STOP
    what = Words("没有名为 {subject} 的帧格式", "there is no frame kind {subject}")
    hint = Words("请在设置中改为：{known}", "set it to one of: {known}")

"""A virtual stripe reader on a pseudo-terminal: its swipes reach `drivers.serial_port` as those of a real device do."""

from __future__ import annotations

import threading
from pathlib import Path

from config.errors import Words
from drivers.card import ReaderError
from drivers.framing import framing_named
from drivers.virtual.card import VirtualCard
from drivers.virtual.pty_line import PtyLine

WRITE_WAIT_S = 2.0  # a reader drains the line at once; longer means that none is listening


class PortUnread(ReaderError):
    """Nobody takes the bytes off the pseudo-terminal."""

    code = "port-unread"
    what = Words("没有程序在读取串口 {subject}", "no program reads port {subject}")
    hint = Words("请先启动终端程序再刷卡", "start the terminal before presenting a card")


class PtyPresenter:
    """Plugs a virtual reader in at `device` and swipes cards through it; a `CardPresenter`. `link` as for `PtyLine`."""

    def __init__(self, frame: str = "plain", link: Path | None = None) -> None:
        self._framing = framing_named(frame)
        self._line = PtyLine(link)
        self._lock = threading.Lock()  # cards may be presented from any thread; each swipe is whole

    @property
    def device(self) -> str:
        """What the terminal opens."""
        return self._line.device

    def present(self, card: VirtualCard) -> None:
        """Swipe `card`."""
        self.send(self.frame_of(card))

    def remove(self) -> None:
        """Nothing: a swipe leaves no card behind."""

    def frame_of(self, card: VirtualCard) -> bytes:
        """The bytes that a swipe of `card` sends."""
        return self._framing.wrap(card.track2_text().encode("ascii"))

    def send(self, data: bytes) -> None:
        """Send raw bytes, also for noise and damaged swipes; raises `PortUnread` when none takes them in time."""
        with self._lock:
            if not self._line.write(data, WRITE_WAIT_S):
                raise PortUnread("present card", self.device)

    def unplug(self) -> None:
        """Pull the reader: the port hangs up and its device is gone. Harmless when it is out already."""
        with self._lock:
            self._line.unplug()

    def replug(self) -> None:
        """Plug the reader in, again if need be; the kernel may give it another number."""
        with self._lock:
            self._line.replug()

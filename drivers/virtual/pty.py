"""A virtual stripe reader on a pseudo-terminal: its swipes reach `drivers.serial_port` as those of a real device do."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from pathlib import Path

from config.errors import Words
from drivers.card import ReaderError
from drivers.framing import framing_named
from drivers.virtual.card import VirtualCard

WRITE_WAIT_S = 2.0  # a reader drains the line at once; longer means that none is listening


class PortUnread(ReaderError):
    """Nobody takes the bytes off the pseudo-terminal."""

    code = "port-unread"
    what = Words("没有程序在读取串口 {subject}", "no program reads port {subject}")
    hint = Words("请先启动终端程序再刷卡", "start the terminal before presenting a card")


class PtyPresenter:
    """Plugs a virtual reader in at `device` and swipes cards through it; a `CardPresenter`.

    With `link`, `device` is a symbolic link that follows the reader through `unplug` and `replug`, as the paths under
    `/dev/serial/by-id/` do; the caller owns the directory it stands in.
    """

    def __init__(self, frame: str = "plain", link: Path | None = None) -> None:
        self._framing = framing_named(frame)
        self._link = link
        self._lock = threading.Lock()  # cards may be presented from any thread; each swipe is whole
        self._master: int | None = None
        self._slave: int | None = None
        self.device = ""
        self.replug()

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
        deadline = time.monotonic() + WRITE_WAIT_S
        unsent = memoryview(data)
        with self._lock:
            assert self._master is not None, "the reader is unplugged"
            while unsent:
                remaining_s = max(0.0, deadline - time.monotonic())
                _, writable, _ = select.select([], [self._master], [], remaining_s)
                if not writable:
                    raise PortUnread("present card", self.device)
                unsent = unsent[os.write(self._master, unsent) :]

    def unplug(self) -> None:
        """Pull the reader: the port hangs up and its device is gone. Harmless when it is out already."""
        with self._lock:
            for descriptor in (self._master, self._slave):
                if descriptor is not None:
                    os.close(descriptor)
            self._master = self._slave = None
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def replug(self) -> None:
        """Plug the reader in, again if need be; the kernel may give it another number."""
        self.unplug()
        # The slave stays open here too, so that the line does not hang up while the terminal reopens the port.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # no echo, no line editing, from the first byte on
        os.set_blocking(self._master, False)
        port = os.ttyname(self._slave)
        if self._link is None:
            self.device = port
        else:
            self._link.symlink_to(port)
            self.device = str(self._link)

"""A pseudo-terminal that stands for a serial device: plugged in, pulled and plugged in again under a stable path."""

from __future__ import annotations

import os
import select
import time
import tty
from pathlib import Path


class PtyLine:
    """The device's side of the line; `device` is what the terminal opens. Not locked: the owner sees to that.

    With `link`, `device` is a symbolic link that follows the line through `unplug` and `replug`, as the paths under
    `/dev/serial/by-id/` do; the caller owns the directory it stands in.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master: int | None = None
        self._slave: int | None = None
        self.device = ""
        self.replug()

    @property
    def plugged(self) -> bool:
        """Whether the device is plugged in."""
        return self._master is not None

    def read(self, count_max: int, wait_s: float) -> bytes:
        """At most `count_max` octets, as soon as there are any; empty after `wait_s`."""
        assert self._master is not None, "the device is unplugged"
        readable, _, _ = select.select([self._master], [], [], wait_s)
        return os.read(self._master, count_max) if readable else b""

    def write(self, data: bytes, wait_s: float) -> bool:
        """Send all of `data`; False when nobody takes it within `wait_s`."""
        assert self._master is not None, "the device is unplugged"
        deadline = time.monotonic() + wait_s
        unsent = memoryview(data)
        while unsent:
            _, writable, _ = select.select([], [self._master], [], max(0.0, deadline - time.monotonic()))
            if not writable:
                return False
            unsent = unsent[os.write(self._master, unsent) :]
        return True

    def unplug(self) -> None:
        """Pull the device: the port hangs up and its path is gone. Harmless when it is out already."""
        for descriptor in (self._master, self._slave):
            if descriptor is not None:
                os.close(descriptor)
        self._master = self._slave = None
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def replug(self) -> None:
        """Plug the device in, again if need be; the kernel may give it another number."""
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

"""A virtual keyboard-wedge reader: it types cards as `struct input_event`s, into whoever has grabbed it.

It stands in for `/dev/input`: give its `open_device` to `WedgeReader`. What is typed while nobody has grabbed it would
land in the page that has the focus: it is counted in `leaked`.
"""

from __future__ import annotations

import errno
import os
import select
import threading

from drivers.virtual.card import VirtualCard
from drivers.wedge.device import DescriptorDevice
from drivers.wedge.keys import KeyEvent, encode_events, keystrokes

DEVICE = "virtual-wedge"
LINE_END = "\r"
WRITE_WAIT_S = 1.0  # the terminal takes keys at once; what it does not take is lost, as in the kernel


class VirtualWedge:
    """A `CardPresenter` and the input device behind it. Close it with `unplug`."""

    def __init__(self, device: str = DEVICE) -> None:
        self.device = device
        self.leaked = 0  # times that keys went elsewhere because nobody had grabbed the device
        self._lock = threading.Lock()
        self._plugged = True
        self._open: list[_OpenWedge] = []

    def present(self, card: VirtualCard) -> None:
        """Swipe `card`."""
        self.type(card.track2_text() + LINE_END)

    def remove(self) -> None:
        """Nothing: a swipe leaves no card behind."""

    def type(self, text: str) -> None:
        """Type `text` on a US keyboard; `\\r` is Enter."""
        self.send(keystrokes(text))

    def send(self, events: list[KeyEvent]) -> None:
        """Send raw events, also such as no wedge sends."""
        self.send_octets(encode_events(events))

    def send_octets(self, octets: bytes) -> None:
        """Send octets as they are, also parts of events."""
        with self._lock:
            holder = next((opened for opened in self._open if opened.grabbed), None)
            if holder is None:
                self.leaked += 1
                return
        holder.deliver(octets)

    def open_device(self, path: str) -> _OpenWedge:
        """As opening the device's file; ENOENT when it is another's or unplugged."""
        with self._lock:
            if path != self.device or not self._plugged:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            opened = _OpenWedge(self)
            self._open.append(opened)
            return opened

    def unplug(self) -> None:
        """Pull the reader: whoever has it open reads ENODEV. Harmless when it is out already."""
        with self._lock:
            self._plugged = False
            for opened in self._open:
                opened.hang_up()

    def replug(self) -> None:
        """Plug the reader in, again if need be."""
        self.unplug()
        with self._lock:
            self._plugged = True

    @property
    def grabbed(self) -> bool:
        """Whether somebody has the device for himself."""
        with self._lock:
            return any(opened.grabbed for opened in self._open)

    def claim(self, by: _OpenWedge) -> None:
        """EVIOCGRAB on behalf of an open device: EBUSY when another has it, ENODEV when it is gone."""
        with self._lock:
            if not self._plugged:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            if any(opened.grabbed for opened in self._open):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            by.grabbed = True

    def closed(self, by: _OpenWedge) -> None:
        """An open device was closed."""
        with self._lock:
            self._open.remove(by)


class _OpenWedge(DescriptorDevice):
    """One opening of the device: an `InputDevice` over a pipe."""

    def __init__(self, wedge: VirtualWedge) -> None:
        reading, writing = os.pipe()
        super().__init__(reading)
        self._wedge = wedge
        self._writing: int | None = writing
        os.set_blocking(writing, False)
        self._lock = threading.Lock()
        self.grabbed = False

    def grab(self) -> None:
        """See `InputDevice`."""
        self._wedge.claim(self)

    def ungrab(self) -> None:
        """See `InputDevice`."""
        if self._writing is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self.grabbed = False

    def deliver(self, octets: bytes) -> None:
        """Events on their way to the reader; lost when it was unplugged meanwhile."""
        with self._lock:
            unsent = memoryview(octets)
            while unsent and self._writing is not None:
                _, writable, _ = select.select([], [self._writing], [], WRITE_WAIT_S)
                if not writable:
                    return
                unsent = unsent[os.write(self._writing, unsent) :]

    def hang_up(self) -> None:
        """The device is gone."""
        with self._lock:
            self.grabbed = False
            if self._writing is not None:
                os.close(self._writing)
                self._writing = None

    def close(self) -> None:
        """See `InputDevice`."""
        self.hang_up()
        super().close()
        self._wedge.closed(self)

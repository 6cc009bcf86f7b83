"""A keyboard-wedge reader as a `Reader`: its keys are grabbed, put together to lines, and read as stripes."""

from __future__ import annotations

import threading
import time

from drivers.framing import Frame
from drivers.framing.base import wipe
from drivers.reader import ReaderListener
from drivers.swipes import SwipeDesk
from drivers.traffic import line_heard
from drivers.wedge.device import EvdevDevice, InputDevice, OpenDevice, grabbed_device, input_faults_typed
from drivers.wedge.keys import TypedLine, Typist, decode_events

READ_WAIT_S = 0.1  # a bounded wait: `stop` is seen, and a pause in the typing is told, within this time


class WedgeReader:
    """The `Reader` of one input device; name it by its path under `/dev/input/by-id/`, event numbers move."""

    kind = "wedge"

    def __init__(self, device: str, name: str | None = None, *, open_device: OpenDevice = EvdevDevice) -> None:
        self.device = device
        self.name = name or device
        self._open_device = open_device

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read swipes until `stop`; raises `ReaderError` when the device cannot be had for us alone, or goes away."""
        with grabbed_device(self.device, self.name, self._open_device) as device:
            desk = SwipeDesk(self.name, self.kind, listener)
            desk.open()
            try:
                self._read_swipes(device, desk, stop)
            finally:
                desk.close()

    def _read_swipes(self, device: InputDevice, desk: SwipeDesk, stop: threading.Event) -> None:
        typist, line = Typist(), TypedLine()
        while not stop.is_set():
            with input_faults_typed("read keys", self.name):
                octets = device.read(READ_WAIT_S)
            typed = typist.type(decode_events(octets))
            now_ns = time.monotonic_ns()
            line_heard(self.name, bytes(typed))
            for outcome in line.feed(bytes(typed), now_ns // 1_000_000):
                if isinstance(outcome, Frame):
                    desk.frame(outcome, now_ns)
                else:
                    desk.fault(outcome)
            desk.heard(len(typed), line.burst)
            wipe(typed)

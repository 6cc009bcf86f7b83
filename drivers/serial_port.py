"""A stripe reader on a serial port (RS-232, or USB showing up as one): bytes through a framing to a `CardRead`.

`run` ends with a typed `ReaderError` when the port fails; `drivers.supervision` opens it again. Name the device by its
`/dev/serial/by-id/` path: ttyUSB numbers move when a reader is plugged in again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.framing import Frame, Framing, framing_named
from drivers.port import PortSettings, opened_port, port_faults_typed
from drivers.reader import ReaderListener
from drivers.swipes import SwipeDesk
from drivers.traffic import line_heard

if TYPE_CHECKING:
    import serial

READ_WAIT_S = 0.1  # a bounded wait: `stop` is seen, and a silence on the line is told, within this time
READ_BYTES_MAX = 256  # taken at once, however much a flooding device has ready


@dataclass(frozen=True, slots=True)
class SerialSettings(PortSettings):
    """How to open the port and which frame the reader sends; `frame` is a name of `drivers.framing.FRAMINGS`."""

    frame: str = "plain"


class SerialReader:
    """The `Reader` of one serial port."""

    kind = "serial"

    def __init__(self, settings: SerialSettings, name: str | None = None) -> None:
        self.settings = settings
        self.name = name or settings.device

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read swipes until `stop`; raises `ReaderError` when the port cannot be opened or goes away."""
        framing = framing_named(self.settings.frame)
        with opened_port(self.settings, self.name, READ_WAIT_S) as port:
            self._read_swipes(port, framing, SwipeDesk(self.name, self.kind, listener), stop)

    def _read_swipes(self, port: serial.Serial, framing: Framing, desk: SwipeDesk, stop: threading.Event) -> None:
        desk.open()
        try:
            while not stop.is_set():
                with port_faults_typed("read port", self.name, self.settings):
                    # One byte ends the wait; what else is ready comes along, so no swipe waits for a full buffer.
                    data = port.read(min(max(1, port.in_waiting), READ_BYTES_MAX))
                now_ns = time.monotonic_ns()
                line_heard(self.name, data)
                for outcome in framing.feed(data, now_ns // 1_000_000):
                    if isinstance(outcome, Frame):
                        desk.frame(outcome, now_ns)
                    else:
                        desk.fault(outcome)
                desk.heard(len(data), framing.burst)
        finally:
            desk.close()

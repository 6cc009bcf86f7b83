"""A stripe reader on a serial port (RS-232, or USB showing up as one): bytes through a framing to a `CardRead`.

`run` ends with a typed `ReaderError` when the port fails; `drivers.supervision` opens it again. Name the device by its
`/dev/serial/by-id/` path: ttyUSB numbers move when a reader is plugged in again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.card import Authenticity, CardError, CardRead, EntryMode
from drivers.framing import Frame, Framing, framing_named
from drivers.magstripe import Track2, parse_track2
from drivers.port import PortSettings, opened_port, port_faults_typed
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

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
            listener.reader_changed(ReaderStatus(self.name, self.kind, ReaderState.READY, time.monotonic_ns()))
            self._read_swipes(port, framing, listener, stop)

    def _read_swipes(
        self, port: serial.Serial, framing: Framing, listener: ReaderListener, stop: threading.Event
    ) -> None:
        desk = _Desk(self.name, listener)
        while not stop.is_set():
            with port_faults_typed("read port", self.name, self.settings):
                # One byte ends the wait; what else is ready comes along, so no swipe waits for a full buffer.
                data = port.read(min(max(1, port.in_waiting), READ_BYTES_MAX))
            now_ns = time.monotonic_ns()
            for outcome in framing.feed(data, now_ns // 1_000_000):
                if isinstance(outcome, Frame):
                    desk.frame(outcome, now_ns)
                else:
                    listener.card_failed(self.name, outcome)


class _Desk:
    """Turns frames into reads, and tells at most one unreadable card per burst: a flood is not a row of swipes."""

    def __init__(self, reader: str, listener: ReaderListener) -> None:
        self._reader = reader
        self._listener = listener
        self._failed_burst = -1

    def frame(self, frame: Frame, now_ns: int) -> None:
        """Read the card in `frame`, wipe it, and tell."""
        try:
            track2 = _parse_and_wipe(frame)
        except CardError as error:
            if frame.burst != self._failed_burst:
                self._failed_burst = frame.burst
                self._listener.card_failed(self._reader, error)
            return
        self._listener.card_read(
            CardRead(
                pan=track2.pan,
                expiry=track2.expiry,
                entry_mode=EntryMode.STRIPE,
                reader=self._reader,
                authenticity=Authenticity.STRIPE,
                service_code=track2.service_code,
                finished_ns=now_ns,
                read_ms=float(frame.took_ms),
            )
        )


def _parse_and_wipe(frame: Frame) -> Track2:
    try:
        return parse_track2(frame.payload)
    finally:
        frame.wipe()

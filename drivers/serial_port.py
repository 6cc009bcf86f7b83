"""A stripe reader on a serial port (RS-232, or USB showing up as one): bytes through a framing to a `CardRead`.

`run` ends with a typed `ReaderError` when the port fails; `drivers.supervision` opens it again. Name the device by its
`/dev/serial/by-id/` path: ttyUSB numbers move when a reader is plugged in again.
"""

from __future__ import annotations

import errno
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from config.errors import Words
from drivers.card import (
    Authenticity,
    CardError,
    CardRead,
    EntryMode,
    ReaderBusy,
    ReaderError,
    ReaderForbidden,
    ReaderMissing,
)
from drivers.framing import Frame, Framing, framing_named
from drivers.magstripe import Track2, parse_track2
from drivers.reader import ReaderListener, ReaderState, ReaderStatus

if TYPE_CHECKING:
    import serial

READ_WAIT_S = 0.1  # a bounded wait: `stop` is seen, and a silence on the line is told, within this time
READ_BYTES_MAX = 256  # taken at once, however much a flooding device has ready

Parity = Literal["N", "E", "O"]  # none, even, odd


class PortSettingsRefused(ReaderError):
    """The device does not take the settings, or is no serial port at all."""

    code = "port-settings-refused"
    what = Words(
        "串口 {subject} 不接受所设参数（{settings}）", "port {subject} does not take its settings ({settings})"
    )
    hint = Words("请检查设备路径、波特率、数据位和校验位设置", "check the device path, baud rate, byte size and parity")


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """How to open the port and which frame the reader sends; `frame` is a name of `drivers.framing.FRAMINGS`."""

    device: str
    baud: int = 9600
    bytesize: Literal[7, 8] = 8
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1
    frame: str = "plain"

    def __str__(self) -> str:
        return f"{self.baud} {self.bytesize}{self.parity}{self.stopbits}"


class SerialReader:
    """The `Reader` of one serial port."""

    kind = "serial"

    def __init__(self, settings: SerialSettings, name: str | None = None) -> None:
        self.settings = settings
        self.name = name or settings.device

    def run(self, listener: ReaderListener, stop: threading.Event) -> None:
        """Read swipes until `stop`; raises `ReaderError` when the port cannot be opened or goes away."""
        framing = framing_named(self.settings.frame)
        with self._faults_typed("open port"):
            port = self._open()
        try:
            listener.reader_changed(ReaderStatus(self.name, self.kind, ReaderState.READY, time.monotonic_ns()))
            self._read_swipes(port, framing, listener, stop)
        finally:
            with self._faults_typed("close port"):
                port.close()

    def _open(self) -> serial.Serial:
        import serial

        return serial.Serial(
            port=self.settings.device,
            baudrate=self.settings.baud,
            bytesize=self.settings.bytesize,
            parity=self.settings.parity,
            stopbits=self.settings.stopbits,
            timeout=READ_WAIT_S,
            exclusive=True,  # two owners of one port steal each other's bytes
        )

    def _read_swipes(
        self, port: serial.Serial, framing: Framing, listener: ReaderListener, stop: threading.Event
    ) -> None:
        desk = _Desk(self.name, listener)
        while not stop.is_set():
            with self._faults_typed("read port"):
                # One byte ends the wait; what else is ready comes along, so no swipe waits for a full buffer.
                data = port.read(min(max(1, port.in_waiting), READ_BYTES_MAX))
            now_ns = time.monotonic_ns()
            for outcome in framing.feed(data, now_ns // 1_000_000):
                if isinstance(outcome, Frame):
                    desk.frame(outcome, now_ns)
                else:
                    listener.card_failed(self.name, outcome)

    @contextmanager
    def _faults_typed(self, operation: str) -> Iterator[None]:
        """Whatever the port's libraries raise, as a `ReaderError`; around port calls only."""
        try:
            yield
        except OSError as fault:  # serial.SerialException is one
            raise self._port_fault(operation, fault) from fault
        except (termios.error, ValueError, OverflowError) as fault:  # pyserial lets these through
            raise PortSettingsRefused(operation, self.name, settings=str(self.settings)) from fault

    def _port_fault(self, operation: str, fault: OSError) -> ReaderError:
        match fault.errno:
            case errno.EACCES | errno.EPERM:
                return ReaderForbidden(operation, self.name)
            case errno.EBUSY | errno.EAGAIN:  # EAGAIN: the exclusive lock is taken
                return ReaderBusy(operation, self.name)
            case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.EIO:
                return ReaderMissing(operation, self.name)
            case None if operation == "open port":  # pyserial, when the device is no terminal
                return PortSettingsRefused(operation, self.name, settings=str(self.settings))
            case None:  # pyserial, when a read finds the line hung up
                return ReaderMissing(operation, self.name)
            case _:
                return ReaderError(operation, self.name, reason=errno.errorcode.get(fault.errno, fault.errno))


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

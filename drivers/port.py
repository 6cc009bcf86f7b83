"""Serial ports: opened for one owner, every call bounded, and every fault of theirs a typed `ReaderError`."""

from __future__ import annotations

import errno
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from config.errors import Words
from drivers.card import ReaderBusy, ReaderError, ReaderForbidden, ReaderMissing

if TYPE_CHECKING:
    import serial

WRITE_WAIT_S = 1.0  # a port takes some hundred bytes at once; one that does not within this time hangs

_HUNG_UP = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO})  # no such device, or no more

Parity = Literal["N", "E", "O"]  # none, even, odd


class PortSettingsRefused(ReaderError):
    """The device does not take the settings, or is no serial port at all."""

    code = "port-settings-refused"
    what = Words(
        "串口 {subject} 不接受所设参数（{settings}）", "port {subject} does not take its settings ({settings})"
    )
    hint = Words("请检查设备路径、波特率、数据位和校验位设置", "check the device path, baud rate, byte size and parity")


class PortBusy(ReaderBusy):
    """Another program holds the port open."""

    code = "port-busy"
    what = Words("串口 {subject} 被其他程序占用", "another program holds port {subject}")
    hint = Words(
        "请关闭占用该串口的程序；如果是本终端，请先执行 systemctl stop jingka-terminal",
        "close the program that has it open; if that is this terminal: systemctl stop jingka-terminal",
    )


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Which port, and how fast and in which form its bytes travel."""

    device: str
    baud: int = 9600
    bytesize: Literal[7, 8] = 8
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1

    def __str__(self) -> str:
        return f"{self.baud} {self.bytesize}{self.parity}{self.stopbits}"


@contextmanager
def opened_port(settings: PortSettings, reader: str, read_wait_s: float) -> Iterator[serial.Serial]:
    """The port, open for us alone and closed at the end; a read waits at most `read_wait_s` for its first byte.

    Raises `ReaderError`s that name `reader`. Calls on the port belong inside `port_faults_typed`.
    """
    import serial

    with port_faults_typed("open port", reader, settings):
        port = serial.Serial(
            port=settings.device,
            baudrate=settings.baud,
            bytesize=settings.bytesize,
            parity=settings.parity,
            stopbits=settings.stopbits,
            timeout=read_wait_s,
            write_timeout=WRITE_WAIT_S,
            exclusive=True,  # two owners of one port steal each other's bytes
        )
    try:
        yield port
    finally:
        with port_faults_typed("close port", reader, settings):
            port.close()


@contextmanager
def port_faults_typed(operation: str, reader: str, settings: PortSettings) -> Iterator[None]:
    """Whatever the port's libraries raise, as a `ReaderError`; around port calls only."""
    try:
        yield
    except OSError as fault:  # serial.SerialException is one
        raise _port_fault(operation, reader, settings, fault) from fault
    except termios.error as fault:  # pyserial lets these and the next through
        if fault.args[0] in _HUNG_UP:
            raise ReaderMissing(operation, reader) from fault
        raise PortSettingsRefused(operation, reader, settings=str(settings)) from fault
    except (ValueError, OverflowError) as fault:
        raise PortSettingsRefused(operation, reader, settings=str(settings)) from fault


def _port_fault(operation: str, reader: str, settings: PortSettings, fault: OSError) -> ReaderError:
    match fault.errno:
        case errno.EACCES | errno.EPERM:
            return ReaderForbidden(operation, reader)
        case errno.EBUSY | errno.EAGAIN:  # EAGAIN: the exclusive lock is taken
            return PortBusy(operation, reader)
        case number if number in _HUNG_UP:
            return ReaderMissing(operation, reader)
        case None if operation == "open port":  # pyserial, when the device is no terminal
            return PortSettingsRefused(operation, reader, settings=str(settings))
        case None:  # pyserial, when a read finds the line hung up
            return ReaderMissing(operation, reader)
        case _:
            return ReaderError(operation, reader, reason=errno.errorcode.get(fault.errno, fault.errno))

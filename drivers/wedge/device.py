"""Linux input devices (`/dev/input`): opened, grabbed for us alone, read with a bound, and let go of whatever happens.

A grabbed device's keys reach nobody else: no digit of a card lands in the cashier's page or another program's window.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from config.errors import Words
from drivers.card import ReaderBusy, ReaderError, ReaderForbidden, ReaderMissing
from drivers.wedge.keys import EVENT

EVENTS_MAX = 64  # taken at once; a key is four events with its reports
INPUT_MAJOR = 13  # the kernel's number for input devices (Documentation/admin-guide/devices.txt)
STABLE_NAMES = Path("/dev/input/by-id")  # names that stay when event numbers move


class InputForbidden(ReaderForbidden):
    """This user may not read input devices."""

    code = "input-forbidden"
    what = Words("系统不允许读取输入设备 {subject}", "this user may not read the input device {subject}")
    hint = Words(
        "请技术人员安装 systemd/71-jingka-wedge.rules，或将服务用户加入 input 组",
        "ask support to install systemd/71-jingka-wedge.rules, or to put the service's user in the group input",
    )


class InputBusy(ReaderBusy):
    """Another program has grabbed the device."""

    code = "input-busy"
    what = Words("输入设备 {subject} 被其他程序独占", "another program has grabbed the input device {subject}")
    hint = Words(
        "请关闭该程序；同一设备也不能在设置中写两次", "close that program; the settings must not name a device twice"
    )


class InputDeviceWrong(ReaderError):
    """The path names something that is no input device."""

    code = "input-device-wrong"
    what = Words("{subject} 不是输入设备", "{subject} is no input device")
    hint = Words("用 jingka readers 查看可用的设备路径", "see the paths with jingka readers")


class InputDevice(Protocol):
    """An open input device. Every call raises `OSError` as the kernel does."""

    def grab(self) -> None:
        """Have all events from now on for ourselves; EBUSY when another program has."""

    def ungrab(self) -> None:
        """Let others have them again."""

    def read(self, wait_s: float) -> bytes:
        """Whole `struct input_event`s, as soon as there are any; empty after `wait_s`; ENODEV when unplugged."""

    def close(self) -> None:
        """Close it, and with it end the grab."""


OpenDevice = Callable[[str], InputDevice]


class DescriptorDevice:
    """The part of an input device that is plain reading: select, then whole events."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._part = b""

    def read(self, wait_s: float) -> bytes:
        """See `InputDevice`."""
        readable, _, _ = select.select([self._descriptor], [], [], wait_s)
        if not readable:
            return b""
        octets = os.read(self._descriptor, EVENTS_MAX * EVENT.size)
        if not octets:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        octets = self._part + octets  # the kernel gives whole events; a pipe may not
        whole = len(octets) - len(octets) % EVENT.size
        self._part = octets[whole:]
        return octets[:whole]

    def close(self) -> None:
        """See `InputDevice`."""
        os.close(self._descriptor)


class EvdevDevice(DescriptorDevice):
    """A real input device, through python-evdev."""

    def __init__(self, path: str) -> None:
        if os.major(Path(path).stat().st_rdev) != INPUT_MAJOR:  # nothing else is opened: it might react
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY), path)
        import evdev

        self._device = evdev.InputDevice(path, readonly=True)
        super().__init__(self._device.fd)

    def grab(self) -> None:
        """See `InputDevice`."""
        self._device.grab()

    def ungrab(self) -> None:
        """See `InputDevice`."""
        self._device.ungrab()

    def close(self) -> None:
        """See `InputDevice`."""
        self._device.close()


@contextmanager
def grabbed_device(path: str, reader: str, open_device: OpenDevice) -> Iterator[InputDevice]:
    """The device at `path`, ours alone until the block ends. Raises `ReaderError`s that name `reader`."""
    with input_faults_typed("open input device", reader):
        device = open_device(path)
    try:
        with input_faults_typed("grab input device", reader):
            device.grab()
        try:
            yield device
        finally:
            with suppress(OSError):  # unplugged: the grab has gone with the device
                device.ungrab()
    finally:
        device.close()


@contextmanager
def input_faults_typed(operation: str, reader: str) -> Iterator[None]:
    """What the kernel says, as a `ReaderError`; around calls on a device only."""
    try:
        yield
    except OSError as fault:
        raise _typed(operation, reader, fault) from fault


def _typed(operation: str, reader: str, fault: OSError) -> ReaderError:
    match fault.errno:
        case errno.EACCES | errno.EPERM:
            return InputForbidden(operation, reader)
        case errno.EBUSY:
            return InputBusy(operation, reader)
        case errno.ENOENT | errno.ENXIO | errno.ENODEV | errno.EIO:
            return ReaderMissing(operation, reader)
        case errno.ENOTTY | errno.EINVAL | errno.EISDIR | errno.ENOTDIR:
            return InputDeviceWrong(operation, reader)
        case _:
            return ReaderError(operation, reader, reason=errno.errorcode.get(fault.errno or 0, fault.errno))


def list_keyboards(directory: Path = STABLE_NAMES) -> list[str]:
    """Paths of the devices that type: wedges, and keyboards, which look the same."""
    return sorted(str(path) for path in directory.glob("*-event-kbd"))

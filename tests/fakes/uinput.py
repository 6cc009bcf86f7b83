"""A keyboard that the kernel itself makes up (uinput), on machines whose kernel can."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from drivers.wedge.keys import EV_SYN, KeyEvent

REPORT_S = 0.001  # a USB keyboard's fastest pace; faster, the kernel's 64 events of buffer run over
APPEAR_S = 5.0  # udev makes the device's file within a blink


def uinput_works() -> bool:
    """Whether this kernel makes input devices for us."""
    try:
        with UinputKeyboard():
            return True
    except OSError:
        return False


class UinputKeyboard:
    """A virtual keyboard of the kernel's; `device` is its path under /dev/input. Raises `OSError` without uinput."""

    def __init__(self) -> None:
        import evdev

        try:
            self._keyboard = evdev.UInput(name="jingka-test-wedge")
        except evdev.UInputError as error:  # the module is missing, or its file is
            raise OSError(str(error)) from error
        deadline = time.monotonic() + APPEAR_S
        while self._keyboard.device is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.device = str(self._keyboard.device.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._keyboard.close()

    def send(self, events: list[KeyEvent]) -> None:
        """Type `events`."""
        for event in events:
            self._keyboard.write(event.kind, event.code, event.value)
            if event.kind == EV_SYN:
                time.sleep(REPORT_S)

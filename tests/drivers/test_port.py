"""What a serial port's libraries raise, as typed errors: none gets through as it is."""

from __future__ import annotations

import errno
import os
import termios

import pytest
import serial

from drivers.card import ReaderBusy, ReaderError, ReaderForbidden, ReaderMissing
from drivers.port import PortSettings, PortSettingsRefused, port_faults_typed

SETTINGS = PortSettings("/dev/ttyUSB0", 115_200)


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (os_error(errno.EACCES), ReaderForbidden),
        (os_error(errno.EBUSY), ReaderBusy),
        (os_error(errno.EAGAIN), ReaderBusy),
        (os_error(errno.ENOENT), ReaderMissing),
        (os_error(errno.EIO), ReaderMissing),
        (os_error(errno.EMFILE), ReaderError),
        (serial.SerialException("device reports readiness to read but returned no data"), ReaderMissing),
        (serial.SerialTimeoutException("Write timeout"), ReaderMissing),
        (termios.error(errno.EIO, "Input/output error"), ReaderMissing),
        (termios.error(errno.EINVAL, "Invalid argument"), PortSettingsRefused),
        (ValueError("Invalid baudrate"), PortSettingsRefused),
        (OverflowError("baud"), PortSettingsRefused),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else repr(value)[:50],
)
def test_each_fault_of_a_port_in_use_is_typed(fault: Exception, error: type[ReaderError]) -> None:
    with pytest.raises(ReaderError) as typed, port_faults_typed("read port", "stripe", SETTINGS):
        raise fault
    assert isinstance(typed.value, error)
    assert typed.value.subject == "stripe"


def test_a_device_that_is_no_port_is_refused_when_it_is_opened() -> None:
    with pytest.raises(PortSettingsRefused) as refused, port_faults_typed("open port", "stripe", SETTINGS):
        raise serial.SerialException("could not open port")
    assert "115200 8N1" in refused.value.what_text("zh")


def test_what_is_no_fault_of_the_port_passes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), port_faults_typed("read port", "stripe", SETTINGS):
        raise ZeroDivisionError

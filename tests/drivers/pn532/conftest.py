"""A virtual module and a supervised reader on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.reader import ReaderState
from drivers.supervision import Backoff, Supervisor
from drivers.virtual.pn532 import VirtualPn532
from tests.fakes.listener import RecordingListener
from tests.fakes.nfc import NAME, StartReader, reader_of


@pytest.fixture
def module(tmp_path: Path) -> Iterator[VirtualPn532]:
    """A virtual module under a stable path."""
    virtual = VirtualPn532(link=tmp_path / "usb-nfc-module")
    yield virtual
    virtual.unplug()


@pytest.fixture
def start() -> Iterator[StartReader]:
    """Starts a supervised reader, waits until it is ready, and stops it after the test."""
    supervisors: list[Supervisor] = []

    def start_reader(module: VirtualPn532, backoff: Backoff | None = None) -> RecordingListener:
        listener = RecordingListener()
        supervisors.append(Supervisor([reader_of(module)], listener, backoff=backoff))
        supervisors[-1].start()
        listener.wait_for_state(NAME, ReaderState.READY)
        return listener

    yield start_reader
    for supervisor in supervisors:
        assert supervisor.stop() == ()

"""`jingka doctor` looks at each reader of the settings: plugged in, and open to us; a busy one is left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.card import ReaderForbidden
from drivers.serial_port import SerialSettings
from drivers.virtual.pty import PtyPresenter
from drivers.wedge.device import InputForbidden
from terminal.commands import inspect
from terminal.commands.inspect import Check, examine
from terminal.commands.settings_file import add_reader
from terminal.demo import prepare
from tests.fakes.pcscd import READERS, PcscDaemon


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return prepare(tmp_path / "till", "virtual")[0]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PtyPresenter]:
    """A serial reader that is plugged in under a name that stays."""
    presenter = PtyPresenter(link=tmp_path / "usb-stripe-reader")
    yield presenter
    presenter.unplug()


def set_reader(settings_file: Path, table: str) -> None:
    settings_file.write_text(f"{settings_file.read_text('utf-8')}\n[[readers]]\n{table}\n", "utf-8")


def reader(settings_file: Path, name: str) -> Check:
    (check,) = (check for check in examine(settings_file) if check.name == f"reader {name}")
    return check


def test_a_serial_reader_is_there_or_its_cable_is_named(settings_file: Path, port: PtyPresenter) -> None:
    add_reader(settings_file, SerialSettings(str(port.device)))
    found = reader(settings_file, "stripe")
    assert (found.ok, found.found) == (True, f"serial at {os.path.realpath(port.device)}")
    port.unplug()
    gone = reader(settings_file, "stripe")
    assert not gone.ok
    assert str(port.device) in gone.found
    assert gone.hint_en == "check the reader's cable"
    assert gone.hint_zh


@pytest.mark.parametrize(
    ("kind", "found"), [("serial", "does not take"), ("pn532", "does not take"), ("wedge", "is no input device")]
)
def test_what_is_no_device_is_told(settings_file: Path, kind: str, found: str, tmp_path: Path) -> None:
    plain = tmp_path / "a-file"
    plain.touch()
    set_reader(settings_file, f'kind = "{kind}"\nname = "left"\ndevice = "{plain}"')
    check = reader(settings_file, "left")
    assert not check.ok
    assert found in check.found


@pytest.mark.parametrize(("kind", "error"), [("serial", ReaderForbidden), ("wedge", InputForbidden)])
def test_a_device_that_is_not_ours_names_the_right_that_is_missing(
    settings_file: Path,
    port: PtyPresenter,
    kind: str,
    error: type[ReaderForbidden],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_reader(settings_file, f'kind = "{kind}"\nname = "left"\ndevice = "{port.device}"')
    monkeypatch.setattr(inspect.os, "access", lambda path, mode: False)  # tests may run as root, who may everything
    check = reader(settings_file, "left")
    assert (check.ok, check.hint_zh, check.hint_en) == (False, error.hint.zh, error.hint.en)


def test_pcsc_readers_are_named_and_one_that_is_not_plugged_in_is_a_finding(settings_file: Path) -> None:
    others = settings_file.with_name("others.toml")
    others.write_bytes(settings_file.read_bytes())
    set_reader(settings_file, 'kind = "pcsc"')
    set_reader(others, 'kind = "pcsc"\nname = "ACS ACR1281 1S Dual Reader 00 01"')
    with PcscDaemon.start():
        every, named = reader(settings_file, "*"), reader(others, "ACS ACR1281 1S Dual Reader 00 01")
    assert (every.ok, every.found) == (True, ", ".join(READERS))
    assert not named.ok
    down = reader(settings_file, "*")
    assert not down.ok
    assert "pcscd" in down.hint_en


def test_the_demonstrations_reader_needs_nothing(settings_file: Path, tmp_path: Path) -> None:
    assert reader(settings_file, "virtual").ok
    played = prepare(tmp_path / "played", "serial:pty")[0]
    assert [check.ok for check in examine(played) if check.name.startswith("reader ")] == [True]

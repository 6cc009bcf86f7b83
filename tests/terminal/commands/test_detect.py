"""`jingka readers --detect`: as a person runs it, on a real pseudo-terminal; and what becomes of the settings file."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from config.settings import SETTINGS_BYTES_MAX, SerialReaderSection, SettingsInvalid, SettingsMissing, load_terminal
from drivers.detect import Heard
from drivers.serial_port import SerialSettings
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pty import PtyPresenter
from terminal.commands.detect import SAID, PortNotChosen, only_port, serial_ports
from terminal.commands.settings_file import (
    BACKUP_SUFFIX,
    ReaderAlreadySet,
    SettingsNotWritten,
    add_reader,
    reader_table,
)

EXAMPLE = Path(__file__).parents[3] / "config" / "examples" / "terminal.toml"
MEMBER = DEMO_CARDS["member"]
RUN_S_MAX = 60.0
FOUND = SerialSettings("/dev/ttyUSB7", 19200, 7, "E", 1, "magtek")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file as a person has it: the example, comments and all."""
    path = tmp_path / "terminal.toml"
    path.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.fixture(params=["plain", "stx-etx-lrc"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PtyPresenter]:
    """A plugged-in reader under a name that stays."""
    presenter = PtyPresenter(request.param, link=tmp_path / "usb-stripe-reader")
    yield presenter
    presenter.unplug()


def detect(presenter: PtyPresenter, *options: str) -> tuple[int, str, str]:
    """Run the command and swipe whenever it asks for a swipe; exit code, standard output, error stream."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINGKA_")}
    command = [sys.executable, "-u", "-m", "terminal", "readers", "--detect", presenter.device, *options]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as running,
        selectors.DefaultSelector() as ready,
    ):
        assert running.stdout is not None
        assert running.stderr is not None
        told = {running.stdout.fileno(): b"", running.stderr.fileno(): b""}
        for descriptor in told:
            ready.register(descriptor, selectors.EVENT_READ)
        ends_at, asked = time.monotonic() + RUN_S_MAX, 0
        while ready.get_map():
            assert time.monotonic() < ends_at, told
            for key, _ in ready.select(1.0):
                data = os.read(key.fd, 4096)
                told[key.fd] += data
                if not data:
                    ready.unregister(key.fd)
            now = sum(text.count(SAID[Heard.SWIPE].zh.encode()) for text in told.values())
            if now > asked:
                asked = now
                presenter.present(MEMBER)
        out, err = (text.decode() for text in told.values())
    assert "Traceback" not in err, err
    return running.returncode, out, err


def test_a_person_is_led_to_the_settings_and_they_are_put_into_the_file(reader: PtyPresenter, config: Path) -> None:
    before = config.read_text(encoding="utf-8")
    code, out, err = detect(reader, "--write", str(config))
    assert (code, err) == (0, "")
    assert "[1/14] 9600 8N1  请刷卡 / swipe the card" in out
    assert MEMBER.pan.masked in out
    assert MEMBER.digits[6:12] not in out
    after = config.read_text(encoding="utf-8")
    assert after.startswith(before.rstrip("\n"))
    assert config.with_name(config.name + BACKUP_SUFFIX).read_text(encoding="utf-8") == before
    section = load_terminal(config).readers[-1]
    assert isinstance(section, SerialReaderSection)
    assert (section.device, section.name, section.baud) == (reader.device, "stripe", 9600)
    assert section.frame == ("stx-etx-lrc" if reader.frame_of(MEMBER)[0] == 2 else "plain")
    assert "--write" not in out
    code, out, err = detect(reader, "--write", str(config))
    assert code == 1
    assert reader_table(SerialSettings(reader.device, frame=section.frame)) in out, (
        "shown for whoever puts it in by hand"
    )
    assert reader.device in err
    assert config.read_text(encoding="utf-8") == after


def test_json_alone_stands_on_the_standard_output_and_the_table_in_its_own_file(tmp_path: Path) -> None:
    presenter = PtyPresenter("magtek")
    try:
        code, out, err = detect(presenter, "--json", "--out", str(tmp_path / "reader.toml"))
    finally:
        presenter.unplug()
    assert code == 0
    told = json.loads(out)
    assert told == {
        "device": presenter.device,
        "baud": 9600,
        "bytesize": 8,
        "parity": "N",
        "stopbits": 1,
        "frame": "plain",
        "card": MEMBER.pan.masked,
    }
    assert "请刷卡" in err
    (table,) = tomllib.loads((tmp_path / "reader.toml").read_text(encoding="utf-8"))["readers"]
    assert table == {"kind": "serial", "name": "stripe"} | {key: told[key] for key in told if key != "card"}


def test_a_port_that_the_terminal_holds_is_told_with_what_to_do() -> None:
    presenter = PtyPresenter()
    with serial.Serial(presenter.device, exclusive=True):
        code, _, err = detect(presenter)
    presenter.unplug()
    assert code == 1
    assert "systemctl stop" in err


def test_the_only_port_is_taken_and_otherwise_a_person_must_choose(tmp_path: Path) -> None:
    for ports in ([], ["/dev/a", "/dev/b"]):
        with pytest.raises(PortNotChosen) as told:
            only_port(ports)
        assert str(len(ports)) in told.value.what_text("zh")
    (tmp_path / "usb-reader-0").touch()
    assert only_port(serial_ports(tmp_path)) == str(tmp_path / "usb-reader-0")
    assert serial_ports(tmp_path / "none") == []


# --- the settings file ------------------------------------------------------------------------------------------------


def test_a_table_reads_back_as_the_settings_it_was_made_of() -> None:
    odd = SerialSettings('/dev/serial/by-id/usb-"读卡器"\\1', 9600, 8, "N", 2, "idtech")
    for settings in (FOUND, odd):
        (table,) = tomllib.loads(reader_table(settings))["readers"]
        section = SerialReaderSection(**table)
        assert (section.device, section.baud, section.bytesize) == (settings.device, settings.baud, settings.bytesize)
        assert (section.parity, section.stopbits, section.frame) == (
            settings.parity,
            settings.stopbits,
            settings.frame,
        )


def test_readers_added_one_after_the_other_have_names_of_their_own(config: Path) -> None:
    for number in range(3):
        _, table = add_reader(config, SerialSettings(f"/dev/ttyUSB{number}"))
        assert table in config.read_text(encoding="utf-8")
    serial_readers = [each for each in load_terminal(config).readers if isinstance(each, SerialReaderSection)]
    assert [each.name for each in serial_readers] == ["stripe", "stripe-2", "stripe-3"]
    assert config.stat().st_mode & 0o777 == 0o640


def test_a_port_that_is_there_already_under_another_name_is_not_added_again(config: Path, tmp_path: Path) -> None:
    device, by_id = tmp_path / "ttyUSB0", tmp_path / "usb-reader"
    device.touch()
    by_id.symlink_to(device)
    add_reader(config, SerialSettings(str(device)))
    before = config.read_bytes()
    with pytest.raises(ReaderAlreadySet):
        add_reader(config, SerialSettings(str(by_id)))
    assert config.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda text: text.replace("[membership]", "[memberhsip]"), SettingsInvalid),
        (lambda text: text + "\n[broken", SettingsInvalid),
        (
            lambda text: 'readers = [{ kind = "pcsc" }]\n' + text.replace('[[readers]]\nkind = "pcsc"', ""),
            SettingsInvalid,
        ),
        (lambda text: text + "#" * SETTINGS_BYTES_MAX, SettingsInvalid),
    ],
    ids=["unknown section", "no TOML", "readers in one line", "far too long"],
)
def test_a_file_that_the_terminal_would_not_take_stays_as_it_is(config: Path, damage: object, error: type) -> None:
    assert callable(damage)
    config.write_text(damage(config.read_text(encoding="utf-8")), encoding="utf-8")
    before = sorted((path.name, path.read_bytes()) for path in config.parent.iterdir())
    with pytest.raises(error):
        add_reader(config, FOUND)
    assert sorted((path.name, path.read_bytes()) for path in config.parent.iterdir()) == before


def test_a_settings_file_that_is_not_there_or_cannot_be_replaced_is_told(config: Path) -> None:
    with pytest.raises(SettingsMissing):
        add_reader(config.with_name("other.toml"), FOUND)
    config.with_name(config.name + BACKUP_SUFFIX).mkdir()  # nothing can be written over it
    before = config.read_bytes()
    with pytest.raises(SettingsNotWritten):
        add_reader(config, FOUND)
    assert config.read_bytes() == before

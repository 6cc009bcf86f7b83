"""The scheme's keys in a whole terminal: a bad file stops no sale, and everybody is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.settings import AuthenticitySection, DemoSection, PcscReaderSection, VirtualReaderSection, load_terminal
from drivers.card import Authenticity
from drivers.pboc.authenticity.keys import SchemeKeyMismatch, SchemeKeysDamaged, SchemeKeysMissing
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.vpcd import VpcdCard
from terminal.commands.inspect import Check, examine
from terminal.daemon import Daemon
from terminal.demo import prepare
from terminal.readers import chip_terms, make_readers
from terminal.serving.hub import Hub
from tests.fakes.listener import RecordingListener
from tests.fakes.pcscd import READERS, PcscDaemon

KEY_FILE = "scheme-keys.toml"


def terms_of(path: Path | None) -> tuple[bool, type[Exception] | None]:
    """Whether chips are checked with this file, and what is wrong with it."""
    terms, fault = chip_terms(AuthenticitySection(keys=path), None, lambda: datetime.now(UTC))
    return terms.keys is not None, type(fault) if fault else None


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return prepare(tmp_path, "virtual")[0]


def damage(settings_file: Path, old: str, new: str) -> None:
    keys = settings_file.parent / KEY_FILE
    text = keys.read_text("utf-8")
    assert old in text
    keys.write_text(text.replace(old, new), encoding="utf-8")


def chips(settings_file: Path) -> Check:
    (check,) = (check for check in examine(settings_file) if check.name == "chips")
    return check


def test_a_good_file_checks_chips_and_any_other_says_why_not(settings_file: Path) -> None:
    keys = settings_file.parent / KEY_FILE
    assert terms_of(None) == (False, None)
    assert terms_of(keys) == (True, None)
    assert terms_of(keys.with_name("none.toml")) == (False, SchemeKeysMissing)
    damage(settings_file, 'index = "FE"', 'index = "FD"')
    assert terms_of(keys) == (False, SchemeKeyMismatch)
    keys.write_text("no keys", encoding="utf-8")
    assert terms_of(keys) == (False, SchemeKeysDamaged)


def test_the_path_is_relative_to_the_settings_file(settings_file: Path) -> None:
    assert load_terminal(settings_file).authenticity.keys == settings_file.parent / KEY_FILE


def test_every_chip_reader_is_given_the_keys(settings_file: Path) -> None:
    terms, _ = chip_terms(load_terminal(settings_file).authenticity, None, lambda: datetime.now(UTC))
    sections = (PcscReaderSection(kind="pcsc"), VirtualReaderSection(kind="virtual"))
    listener = RecordingListener()
    with PcscDaemon.start() as pcscd:
        readers, virtual = make_readers(sections, DemoSection(cards=True), terms)
        supervisor = Supervisor(readers, listener)
        supervisor.start()
        assert virtual is not None
        slot = VpcdCard(pcscd.host, pcscd.port)
        for port in (virtual, slot):
            port.present(DEMO_CARDS["member"])
        reads = listener.wait_for_reads(2)
        slot.remove()
        assert supervisor.stop() == ()
    assert {read.reader: read.authenticity for read in reads} == {
        "virtual": Authenticity.DDA,
        READERS[0]: Authenticity.DDA,
    }


@pytest.mark.parametrize("damaged", [False, True])
def test_a_damaged_file_is_told_on_the_status_page_and_stops_nothing(settings_file: Path, damaged: bool) -> None:
    if damaged:
        damage(settings_file, 'index = "FE"', 'index = "FD"')
    daemon = Daemon(load_terminal(settings_file), Hub())
    try:
        codes = [fault.code for fault in daemon.status.now().faults]
    finally:
        daemon.ledger.close()
    assert ("scheme-key-mismatch" in codes) == damaged


def test_the_doctor_names_the_keys_and_their_last_days(settings_file: Path) -> None:
    assert (chips(settings_file).ok, chips(settings_file).found) == (True, "key A000000333/FE until 2049-12-31")
    damage(settings_file, "2049-12-31", "2020-12-31")
    assert chips(settings_file).found == "key A000000333/FE expired 2020-12-31"
    damage(settings_file, 'index = "FE"', 'index = "FD"')
    assert not chips(settings_file).ok
    assert "A000000333/FD" in chips(settings_file).found
    settings_file.write_text(settings_file.read_text("utf-8").replace(f'keys = "{KEY_FILE}"', ""), encoding="utf-8")
    assert chips(settings_file).found == "not checked: no key file is set"

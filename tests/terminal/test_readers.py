"""From the settings to readers: each kind is made as it is set, and each that the demonstration plays reads cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from config.settings import READER_KINDS, DemoSection, ReaderSection, load_terminal
from drivers.chip_reading import ChipTerms
from drivers.supervision import Supervisor
from drivers.virtual.card import DEMO_CARDS
from terminal.demo import prepare
from terminal.readers import make_readers
from tests.fakes.listener import RecordingListener

SECTIONS = TypeAdapter(tuple[ReaderSection, ...])
PLAYED = ("virtual", "serial:pty", "pn532:pty", "wedge:virtual")  # `pcsc` needs a pcscd: tests/end_to_end
MEMBER = DEMO_CARDS["member"]


@pytest.mark.parametrize("kind", READER_KINDS)
def test_each_kind_of_reader_is_made_under_its_name(kind: str) -> None:
    device = {} if kind in {"pcsc", "virtual"} else {"device": "/dev/none"}
    sections = SECTIONS.validate_python([{"kind": kind, "name": "left", **device}])
    (reader,), presenter = make_readers(sections, DemoSection(), ChipTerms())
    assert (reader.kind, reader.name) == (kind, "left")
    assert presenter is None


@pytest.mark.parametrize("choice", PLAYED)
def test_a_card_clicked_in_the_demonstration_is_read_by_the_reader_that_was_chosen(choice: str, tmp_path: Path) -> None:
    settings = load_terminal(prepare(tmp_path, choice)[0])
    readers, presenter = make_readers(settings.readers, settings.demo, ChipTerms())
    assert presenter is not None
    listener = RecordingListener()
    supervisor = Supervisor(readers, listener)
    supervisor.start()
    listener.wait_for(lambda told: "state:ready" in told.events)
    presenter.present(MEMBER)
    assert listener.wait_for_reads(1)[0].pan == MEMBER.pan
    presenter.remove()
    assert supervisor.stop() == ()
    unplug = getattr(presenter, "unplug", None)
    if unplug is not None:
        unplug()

from __future__ import annotations

import logging

import pytest

from config.log import TRAFFIC
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.traffic import followed, line_heard
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip

MEMBER = DEMO_CARDS["member"]


def read_member(chip: VirtualChip) -> None:
    ChipReading(chip.transmit, chip.protocol, contactless=chip.contactless, reader="virtual", terms=ChipTerms()).read()


def test_at_the_level_traffic_every_command_and_answer_is_told_masked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(TRAFFIC, "drivers.traffic"):
        read_member(VirtualChip(MEMBER))
    told = [record.getMessage() for record in caplog.records]
    sent, answered = [line for line in told if " > " in line], [line for line in told if " < " in line]
    assert len(sent) == len(answered) >= 4
    assert sent[0] == "virtual > 00A404000E325041592E5359532E444446303100"
    assert all(line.endswith("9000") for line in answered)
    assert not any(MEMBER.digits in line for line in told)
    assert any(MEMBER.digits[-4:] in line for line in answered)


def test_below_that_level_nothing_stands_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    chip = VirtualChip(MEMBER)
    with caplog.at_level(logging.DEBUG, "drivers.traffic"):
        transmit = chip.transmit
        assert followed(transmit, "virtual") is transmit
        read_member(chip)
        line_heard("stripe", b";6210")
    assert caplog.records == []


def test_of_an_answer_in_parts_only_the_length_is_told(caplog: pytest.LogCaptureFixture) -> None:
    part = bytes.fromhex("6210947000000021") + b"\x61\x10"
    with caplog.at_level(TRAFFIC, "drivers.traffic"):
        assert followed(lambda _: part, "virtual")(bytes.fromhex("00C0000008")) == part
    assert caplog.messages == ["virtual > 00C0000008", "virtual < (10 octets, not told) 6110"]


def test_of_a_fault_only_its_type_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: bytes) -> bytes:
        raise ValueError("5A086210947000000021")

    with caplog.at_level(TRAFFIC, "drivers.traffic"), pytest.raises(ValueError, match="5A08"):
        followed(fail, "virtual")(bytes.fromhex("00B2010C00"))
    assert caplog.messages[-1] == "virtual < no answer: ValueError"


def test_a_line_is_told_without_a_digit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(TRAFFIC, "drivers.traffic"):
        line_heard("stripe", b";6210947000000021=49122200000?\r\n")
        line_heard("stripe", b"")
    assert caplog.messages == ["stripe: heard ;****************=***********?<0D><0A>"]

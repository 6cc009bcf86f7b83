"""What the check costs and asks on the way: commands, times of day, protocols, cards that are pulled."""

from __future__ import annotations

import pytest

from drivers.card import Authenticity, AuthenticityReason, CardRemoved
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.apdu import Instruction
from drivers.pboc.dol import TerminalData
from drivers.pboc.exchange import READ_ONLY_COMMANDS, TransmissionProtocol
from drivers.virtual.card import ChipKind, ChipProof
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import chip_of
from tests.fakes.signed_cards import DDA, NUMBER, TODAY, card, keys_of, outcome

KINDS = [ChipKind.CONTACT, ChipKind.CONTACTLESS, ChipKind.QPBOC]
FEWEST = {ChipKind.CONTACT: 11, ChipKind.CONTACTLESS: 4, ChipKind.QPBOC: 3}  # commands of a reading without a check
SIGNATURE_OF_OURS = bytes([0x00, Instruction.INTERNAL_AUTHENTICATE])


class Wire:
    """Keeps the commands; may pull the card when one of them comes."""

    def __init__(self, chip: VirtualChip, pulled_at: bytes | None = None) -> None:
        self.commands: list[bytes] = []
        self._chip = chip
        self._pulled_at = pulled_at

    def __call__(self, command: bytes, /) -> bytes:
        self.commands.append(command)
        if self._pulled_at and command.startswith(self._pulled_at):
            raise CardRemoved("transmit", "slot")
        return self._chip.transmit(command)


def reading(chip: VirtualChip, wire: Wire, *, keys: bool, protocol: TransmissionProtocol | None = None) -> ChipReading:
    told = TerminalData(TODAY, NUMBER)
    terms = ChipTerms(terminal_data=lambda: told, keys=keys_of() if keys else None)
    return ChipReading(wire, protocol or chip.protocol, contactless=chip.contactless, reader="slot", terms=terms)


@pytest.mark.parametrize("kind", KINDS)
def test_without_keys_a_signed_chip_is_read_in_the_fewest_commands(kind: ChipKind) -> None:
    chip = chip_of(card(kind))
    wire = Wire(chip)
    read = reading(chip, wire, keys=False).read()
    assert (read.authenticity, read.authenticity_reason) == (Authenticity.UNVERIFIED, AuthenticityReason.NO_KEYS)
    assert len(wire.commands) == len(read.steps) == FEWEST[kind]
    assert not any(command.startswith(SIGNATURE_OF_OURS) for command in wire.commands)


@pytest.mark.parametrize("kind", KINDS)
def test_the_check_sends_nothing_but_reading_commands(kind: ChipKind) -> None:
    chip = chip_of(card(kind))
    wire = Wire(chip)
    assert reading(chip, wire, keys=True).read().authenticity is Authenticity.DDA
    assert {tuple(command[:2]) for command in wire.commands} <= READ_ONLY_COMMANDS
    asked = [command for command in wire.commands if command.startswith(SIGNATURE_OF_OURS)]
    assert len(asked) == (1 if kind is ChipKind.CONTACT else 0)  # a tap brings its signature along


def test_a_contact_chip_signs_over_both_protocols() -> None:
    """T=0: our number goes without Le and the signature is fetched; T=1: all at once."""
    for protocol, sent in (
        (TransmissionProtocol.T0, "0088000004A1B2C3D4"),
        (TransmissionProtocol.T1, "0088000004A1B2C3D400"),
    ):
        chip = chip_of(card())
        chip.protocol = protocol
        wire = Wire(chip)
        assert reading(chip, wire, keys=True).read().authenticity is Authenticity.DDA
        at = next(index for index, command in enumerate(wire.commands) if command.startswith(SIGNATURE_OF_OURS))
        assert wire.commands[at] == bytes.fromhex(sent)
        fetched = [command[:2] for command in wire.commands[at + 1 :]]
        assert fetched == ([b"\x00\xc0"] if protocol is TransmissionProtocol.T0 else [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", [SIGNATURE_OF_OURS, b"\x00\xb2", b"\x80\xa8"])
def test_a_card_pulled_while_it_proves_itself_is_removed_and_not_failed(kind: ChipKind, command: bytes) -> None:
    chip = chip_of(card(kind))
    wire = Wire(chip, pulled_at=command)
    if command == SIGNATURE_OF_OURS and kind is not ChipKind.CONTACT:
        assert reading(chip, wire, keys=True).read().authenticity is Authenticity.DDA  # nothing is asked of it
        return
    with pytest.raises(CardRemoved):
        reading(chip, wire, keys=True).read()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_chip_is_read_all_the_same(kind: ChipKind) -> None:
    """Whether it is sold to is for the settings to say."""
    held = card(kind, ChipProof.COPIED)
    chip = chip_of(held)
    read = reading(chip, Wire(chip), keys=True).read()
    assert (read.authenticity, read.authenticity_reason) == (Authenticity.FAILED, AuthenticityReason.SIGNATURE)
    assert read.pan == held.pan


def test_a_chip_is_judged_anew_at_each_reading() -> None:
    chip = chip_of(card(ChipKind.QPBOC))
    assert [outcome(chip) for _ in range(3)] == [DDA] * 3

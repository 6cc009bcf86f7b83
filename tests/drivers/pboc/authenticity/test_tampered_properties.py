"""Whatever octet a forger changes: what was signed stays what is believed, and only card errors are raised."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.card import Authenticity, CardError
from drivers.pboc.authenticity.static_data import signed_static_data
from drivers.pboc.authenticity.verify import Authenticator
from drivers.pboc.dol import TerminalData
from drivers.pboc.evidence import Evidence, Verdict
from drivers.pboc.exchange import Exchange
from drivers.pboc.read import ChipRead, read_card
from drivers.virtual.card import ChipKind, ChipProof, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import chip_of
from tests.fakes.signed_cards import NUMBER, TODAY, card, keys_of, static_of

GENUINE = {Authenticity.DDA, Authenticity.SDA}
KINDS = [ChipKind.CONTACT, ChipKind.CONTACTLESS, ChipKind.QPBOC]
PROOFS = [ChipProof.STATIC, ChipProof.DYNAMIC, ChipProof.COPIED]
COMMANDS_MAX = 24  # of the longest of these readings
HELD = {(kind, proof): card(kind, proof) for kind in KINDS for proof in PROOFS}


@cache
def issued(held: VirtualCard) -> VirtualChip:
    """One chip for each card: making its certificates takes longer than reading it."""
    return chip_of(held)


class Believing:
    """An authenticator that keeps what it was asked to believe."""

    def __init__(self) -> None:
        self.believed: Evidence | None = None
        self._authenticator = Authenticator(keys_of(), TODAY)

    def __call__(self, evidence: Evidence, exchange: Exchange) -> Verdict:
        self.believed = evidence
        return self._authenticator(evidence, exchange)


def reading(
    chip: VirtualChip, transmit: Callable[[bytes], bytes], number: bytes = NUMBER
) -> tuple[ChipRead | None, Evidence | None]:
    """What was read, None when the card was refused, as any card may be; and what was believed."""
    chip.reset()
    believing = Believing()
    told = TerminalData(TODAY, number, authenticating=True)
    try:
        read = read_card(
            transmit, chip.protocol, contactless=chip.contactless, terminal_data=told, authenticate=believing
        )
    except CardError:
        return None, None
    return read, believing.believed


@settings(max_examples=600, deadline=None)
@given(
    held=st.sampled_from(list(HELD.values())),
    at=st.integers(0, COMMANDS_MAX),
    octet=st.integers(0, 255),
    change=st.integers(1, 255),
)
def test_one_changed_octet_never_makes_other_data_genuine(held: VirtualCard, at: int, octet: int, change: int) -> None:
    chip = issued(held)
    answers = 0

    def transmit(command: bytes) -> bytes:
        nonlocal answers
        answer = bytearray(chip.transmit(command))
        if answers == at:
            answer[octet % len(answer)] ^= change
        answers += 1
        return bytes(answer)

    read, believed = reading(chip, transmit)
    if read is None or believed is None or read.verdict.authenticity not in GENUINE:
        return
    assert held.proof is ChipProof.DYNAMIC or read.verdict.authenticity is Authenticity.SDA  # a copy shows no more
    assert read.pan == held.pan
    assert signed_static_data(believed) == static_of(held)


@settings(max_examples=100, deadline=None)
@given(held=st.sampled_from(list(HELD.values())[1::3]), number=st.binary(min_size=4, max_size=4))
def test_an_old_conversation_never_passes_for_the_chip(held: VirtualCard, number: bytes) -> None:
    """A copy that answers as the chip did when our number was another."""
    chip = issued(held)
    kept: list[bytes] = []

    def keep(command: bytes) -> bytes:
        kept.append(chip.transmit(command))
        return kept[-1]

    first, _ = reading(chip, keep)
    assert first is not None
    assert first.verdict.authenticity is Authenticity.DDA
    answers = iter(kept)
    again, _ = reading(chip, lambda _: next(answers), number)
    assert again is not None
    assert (again.verdict.authenticity is Authenticity.DDA) == (number == NUMBER)

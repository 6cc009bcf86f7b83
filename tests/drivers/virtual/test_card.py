"""The demonstration's cards are whole, distinct, and keep their numbers to themselves."""

from __future__ import annotations

import pytest

from drivers.virtual.card import DEMO_CARDS, DEMO_ISSUERS, ChipKind, VirtualCard

NAMES = {
    "member",
    "member-2",
    "model-worker",
    "hardship",
    "suspended",
    "lost",
    "expired",
    "inactive",
    "withdrawn",
    "stranger",
    "other-bank",
    "stripe-member",
    "chip-swiped",
    "copied",
}


def test_the_demonstration_has_a_card_for_every_answer_and_kind() -> None:
    assert set(DEMO_CARDS) == NAMES
    assert {card.chip for card in DEMO_CARDS.values()} == set(ChipKind)


def test_demonstration_cards_have_different_luhn_good_numbers() -> None:
    assert len({card.pan for card in DEMO_CARDS.values()}) == len(DEMO_CARDS)


@pytest.mark.parametrize("card", DEMO_CARDS.values(), ids=lambda card: card.name)
def test_only_the_other_banks_card_is_of_a_foreign_issuer(card: VirtualCard) -> None:
    accepted = any(card.pan.begins_between(issuer, issuer) for issuer in DEMO_ISSUERS)
    assert accepted == (card.name != "other-bank")


@pytest.mark.parametrize("card", DEMO_CARDS.values(), ids=lambda card: card.name)
def test_a_virtual_card_never_shows_its_number(card: VirtualCard) -> None:
    assert card.digits not in repr(card)


def test_track2_is_written_with_sentinels() -> None:
    assert DEMO_CARDS["stripe-member"].track2_text() == ";6210947000000021=491252000000?"

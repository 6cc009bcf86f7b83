"""The demonstration's chips prove what they are said to prove, and its authority is a whole one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from drivers.card import Authenticity, AuthenticityReason
from drivers.pboc.authenticity.keys import load_scheme_keys
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.demo_authority import DEMO_AUTHORITY, DEMO_KEY_INDEX, chip_of
from tests.fakes.signed_cards import outcome, read

CHIPS = [card for card in DEMO_CARDS.values() if card.chip is not ChipKind.NONE]
OTHERS = {  # every other one has a key of its own
    "hardship": (Authenticity.SDA, None),
    "other-bank": (Authenticity.UNVERIFIED, AuthenticityReason.NOT_OFFERED),
    "copied": (Authenticity.FAILED, AuthenticityReason.SIGNATURE),
}


@pytest.mark.parametrize("card", CHIPS, ids=lambda card: card.name)
def test_each_chip_of_the_demonstration_gives_its_verdict(card: VirtualCard) -> None:
    chip = chip_of(card)
    assert outcome(chip) == OTHERS.get(card.name, (Authenticity.DDA, None))
    assert read(chip).pan == card.pan


def test_the_demonstrations_key_file_loads_and_no_real_key_has_its_index(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(DEMO_AUTHORITY.key_file(date(2049, 12, 31)), encoding="utf-8")
    (key,) = load_scheme_keys(file)
    assert key.expires == date(2049, 12, 31)
    for shipped in (Path(__file__).parents[3] / "config/keys").glob("*.toml"):
        assert load_scheme_keys(shipped).find(key.rid, DEMO_KEY_INDEX) is None


@pytest.mark.parametrize("key", [DEMO_AUTHORITY.scheme, DEMO_AUTHORITY.issuer, DEMO_AUTHORITY.card])
def test_the_written_down_keys_are_pairs(key: object) -> None:
    from drivers.virtual.authority import SigningKey

    assert isinstance(key, SigningKey)
    assert pow(pow(2, key.private, key.modulus), key.exponent, key.modulus) == 2
    assert hex(key.private)[2:].upper() not in repr(key).upper()
    assert str(key.private) not in repr(key)

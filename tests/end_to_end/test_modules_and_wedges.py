"""A real till with an NFC module or a wedge: the card is on the page, a pulled plug is told, and no number is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.pn532 import VirtualPn532
from tests.fakes.installation import Installation, eventually

TALKATIVE = {"JINGKA_HEADQUARTERS__URL": "", "JINGKA_LOG__LEVEL": "traffic"}
MEMBER, STRANGER, STRIPE = DEMO_CARDS["member"], DEMO_CARDS["stranger"], DEMO_CARDS["stripe-member"]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[VirtualPn532]:
    """An NFC module under a stable path."""
    virtual = VirtualPn532(link=tmp_path / "usb-nfc-module")
    yield virtual
    virtual.unplug()


def state(installation: Installation) -> str:
    (reader,) = installation.health()["readers"]
    return str(reader["state"])


def shown(installation: Installation) -> tuple[str, str] | None:
    """Last digits and entry mode of the card on the page."""
    presented = installation.presented()
    return (presented["masked"][-4:], presented["entry_mode"]) if presented else None


def assert_no_number_kept(root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 1000, "nothing was searched"
    for path in files:
        held = path.read_bytes()
        for card in (MEMBER, STRANGER, STRIPE):
            digits = card.digits.encode()
            packed = bytes.fromhex(card.digits[: len(card.digits) // 2 * 2])
            for form in (digits, digits.hex().encode(), packed):
                assert form not in held, f"{path.name} holds a card number"
            assert card.digits[:-1] not in held.decode("latin-1").upper()


def test_cards_on_an_nfc_module_are_on_the_page_and_a_pulled_module_comes_back(
    module: VirtualPn532, tmp_path: Path
) -> None:
    with Installation(tmp_path / "till", reader=f"pn532:{module.device}", environment=TALKATIVE) as till:
        till.terminal.start()
        eventually(lambda: state(till) == "ready", "the module is ready")
        module.present(MEMBER)
        eventually(lambda: shown(till) == (MEMBER.digits[-4:], "contactless"), "the member's card is on the page")
        module.unplug()
        eventually(lambda: state(till) == "missing", "the pulled module is told")
        module.replug()
        module.present(STRANGER)
        eventually(lambda: shown(till) == (STRANGER.digits[-4:], "contactless"), "the next card is on the page")
    assert_no_number_kept(till.root)


def test_a_card_swiped_through_a_wedge_is_on_the_page(tmp_path: Path) -> None:
    with Installation(tmp_path / "till", reader="wedge:virtual", environment=TALKATIVE) as till:
        till.terminal.start()
        eventually(lambda: state(till) == "ready", "the wedge is ready")
        till.present(STRIPE.name)
        eventually(lambda: shown(till) == (STRIPE.digits[-4:], "stripe"), "the card is on the page")
    assert_no_number_kept(till.root)

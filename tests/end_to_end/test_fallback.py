"""A card whose chip is dead: its stripe is taken once, sold to, and marked at headquarters as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.pboc.apdu import Instruction
from drivers.serial_port import SerialSettings
from drivers.virtual.card import DEMO_CARDS
from drivers.virtual.chip import VirtualChip
from drivers.virtual.pty import PtyPresenter
from drivers.virtual.vpcd import VpcdCard
from terminal.commands.settings_file import add_reader
from tests.fakes.installation import Installation, eventually
from tests.fakes.pcscd import PcscDaemon

MEMBER = DEMO_CARDS["member-2"]


class DeadChip(VirtualChip):
    """Names its applications, and then cannot read its memory."""

    def transmit(self, command: bytes) -> bytes:
        if command[1] == Instruction.READ_RECORD:
            return bytes.fromhex("6581")
        return super().transmit(command)


@pytest.fixture
def site(tmp_path: Path, pcscd: PcscDaemon, stripes: PtyPresenter) -> Iterator[Installation]:
    """A till with a chip reader and a stripe reader, and headquarters."""
    with Installation(tmp_path, reader="pcsc", environment=pcscd.environment) as installation:
        add_reader(installation.terminal.settings_file, SerialSettings(stripes.device))
        installation.start()
        eventually(
            lambda: [each["state"] for each in installation.health()["readers"]] == ["ready"] * 3, "all are ready"
        )
        yield installation


def test_after_a_dead_chip_one_swipe_is_sold_to_and_headquarters_sees_that_it_was_one(
    site: Installation, pcscd: PcscDaemon, stripes: PtyPresenter
) -> None:
    stripes.present(MEMBER)
    asked = site.next_presentation(None)
    assert asked["notice"]["code"] == "use-the-chip"

    slot = VpcdCard(pcscd.host, pcscd.port)
    slot.present_chip(DeadChip(MEMBER))
    failed = site.next_presentation(asked)
    assert failed["notice"]["code"] == "card-malformed"
    slot.remove()

    stripes.present(MEMBER)
    card = site.next_presentation(failed)
    assert (card["masked"], card["entry_mode"], card["notice"]) == (MEMBER.pan.masked, "fallback", None)
    sold = site.buy(card, 1)
    site.wait_acknowledged()
    (arrived,) = site.operator.get("/api/v1/redemptions").json()["redemptions"]
    assert (arrived["id"], arrived["entry_mode"]) == (sold["id"], "fallback")
    assert "降级刷磁条" in site.operator.get("/", headers={"Accept-Language": "zh-CN"}).text

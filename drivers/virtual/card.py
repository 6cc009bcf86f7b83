"""What a virtual card is, the demonstration's cards, and what every port that plays one offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from config.errors import Words
from drivers.card import Pan


class ChipKind(StrEnum):
    """What the card carries beside its stripe."""

    NONE = "none"  # an early card: stripe only
    CONTACT = "contact"  # T=0, PSE directory, processing options in format 80
    CONTACTLESS = "contactless"  # PPSE directory, processing options in format 77, data in records
    QPBOC = "qpboc"  # contactless, and all data in the processing options: no records named


class ChipProof(StrEnum):
    """What the chip can show for being genuine."""

    NONE = "none"
    STATIC = "static"  # the issuer's signature over its data
    DYNAMIC = "dynamic"  # a key of its own
    COPIED = "copied"  # a copy of a dynamic one: all its data, not its key


@dataclass(frozen=True, slots=True)
class VirtualCard:
    """One card. `digits` is a Luhn-good test number and never shows; `expiry_yymm` as on track 2 (`0000` = none).

    `service_code`: 220 = domestic debit with a chip, 520 = domestic debit without one (ISO/IEC 7813). `blocked`: the
    bank has blocked the chip's application, so the chip refuses to be read.
    """

    name: str
    title: Words
    digits: str = field(repr=False)
    expiry_yymm: str = "4912"
    service_code: str = "220"
    chip: ChipKind = ChipKind.CONTACTLESS
    blocked: bool = False
    proof: ChipProof = ChipProof.DYNAMIC

    @property
    def pan(self) -> Pan:
        """The number as the rest of the house handles it."""
        return Pan(self.digits)

    def track2_text(self) -> str:
        """Track 2 as characters with both sentinels and no LRC: `;PAN=YYMMsss000?` (ISO/IEC 7813)."""
        return f";{self.digits}={self.expiry_yymm}{self.service_code}{_DISCRETIONARY}?"


class CardPresenter(Protocol):
    """Plays virtual cards on one port; both calls may come from any thread."""

    def present(self, card: VirtualCard) -> None:
        """Lay the card on the reader, or swipe it; a card that lies there is taken off first."""

    def remove(self) -> None:
        """Take the card off; nothing when none lies there or the port is a stripe reader."""


_DISCRETIONARY = "00000"  # the issuer's own digits; a real card holds its check value here

DEMO_ISSUERS: tuple[str, ...] = ("621094", "623120")  # leading digits the demonstration accepts as member cards

_CARDS = (
    VirtualCard("member", Words("会员", "member"), "6210947000000000013", chip=ChipKind.CONTACTLESS),
    VirtualCard("member-2", Words("会员（二）", "second member"), "6231200100000000217", chip=ChipKind.CONTACT),
    VirtualCard("model-worker", Words("劳动模范", "model worker"), "6231207000000000030", chip=ChipKind.QPBOC),
    VirtualCard(
        "hardship",
        Words("困难职工", "member in hardship"),
        "6210947000000000047",
        chip=ChipKind.CONTACT,
        proof=ChipProof.STATIC,
    ),
    VirtualCard("suspended", Words("口头挂失", "reported lost by telephone"), "6210947000000000054"),
    VirtualCard("lost", Words("正式挂失", "lost for good"), "6231207000000000063", chip=ChipKind.QPBOC),
    VirtualCard("expired", Words("已过期", "expired"), "6210947000000000070", expiry_yymm="2006"),
    VirtualCard("inactive", Words("未激活", "not yet activated"), "6231207000000000089", chip=ChipKind.CONTACT),
    VirtualCard("withdrawn", Words("已退会", "no longer a member"), "6210947000000000096"),
    VirtualCard("stranger", Words("不在名册", "not on the roll"), "6210947000000000104", chip=ChipKind.QPBOC),
    VirtualCard("other-bank", Words("其他银行卡", "another bank's card"), "6250946000000016", proof=ChipProof.NONE),
    VirtualCard(
        "stripe-member",
        Words("磁条卡会员", "member with a stripe only"),
        "6210947000000021",
        service_code="520",
        chip=ChipKind.NONE,
    ),
    VirtualCard("chip-swiped", Words("芯片卡刷磁条", "chip card, swiped"), "6231207000000000121", chip=ChipKind.NONE),
    VirtualCard("copied", Words("复制卡", "copy of a chip"), "6231207000000000113", proof=ChipProof.COPIED),
)

DEMO_CARDS: Mapping[str, VirtualCard] = MappingProxyType({card.name: card for card in _CARDS})

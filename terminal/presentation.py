"""The card presented and what it may have here: judged by the membership desk, the merchant's own rule and the offers.

The order of the answers: a card that is no active member's is told so, whatever its chip says; a telephone's number,
which is on no roll, is answered with "use the plastic card"; then comes what the merchant accepts; then the offers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from config.errors import JingkaError, Retry, Words
from drivers.card import Authenticity, AuthenticityReason, CardRead, DeviceCard, EntryMode
from terminal.book_in_force import BookInForce
from terminal.membership.desk import MembershipDesk
from terminal.membership.standing import Member, Standing
from terminal.offers.limits import Usage
from terminal.offers.overview import OfferView, overview
from terminal.offers.sale import Place
from terminal.redemption_id import new_id

ACCEPTED_BY_DEFAULT: Final = frozenset(Authenticity) - {Authenticity.FAILED}
NOT_ON_A_ROLL: Final = frozenset({Standing.UNKNOWN, Standing.OTHER_ISSUER})

REASON_WORDS: Final[Mapping[AuthenticityReason, Words]] = MappingProxyType(
    {
        AuthenticityReason.NO_KEYS: Words("本机没有验证公钥", "this terminal holds no keys"),
        AuthenticityReason.NOT_OFFERED: Words("卡片不支持脱机验证", "the card offers no check that works offline"),
        AuthenticityReason.UNKNOWN_KEY: Words("本机没有这张卡的公钥", "this terminal lacks the card's key"),
        AuthenticityReason.KEY_EXPIRED: Words("公钥已过期", "the key has run out"),
        AuthenticityReason.UNSUPPORTED_ALGORITHM: Words("不支持卡片的算法", "the card's algorithm is not supported"),
        AuthenticityReason.NUMBER_NOT_SIGNED: Words("签名不含卡号", "the signature leaves out the card number"),
        AuthenticityReason.TYPED: Words("手工输入，没有读芯片", "typed: no chip was read"),
        AuthenticityReason.DATA_MISSING: Words("缺少验证数据", "data for the check are missing"),
        AuthenticityReason.STATIC_DATA: Words("签名数据不合规范", "the signed data break the standard"),
        AuthenticityReason.ISSUER_CERTIFICATE: Words("发卡行证书不符", "the issuer's certificate does not hold"),
        AuthenticityReason.CARD_CERTIFICATE: Words("卡片证书不符", "the card's certificate does not hold"),
        AuthenticityReason.SIGNED_DATA: Words("卡片数据签名不符", "the signature of the card's data does not hold"),
        AuthenticityReason.SIGNATURE: Words("芯片签名不符", "the chip's signature does not hold"),
    }
)


class CardNotAccepted(JingkaError):
    """A member's card, read in a way that this merchant does not sell to (`[authenticity] accept`).

    It says nothing against the holder: a worn or foreign chip fails its check too.
    """

    code = "card-not-accepted"
    retry = Retry.PARK
    what = Words("{finding_zh}", "{finding_en}")
    hint = Words("{next_zh}", "{next_en}")

    @classmethod
    def of(cls, read: CardRead) -> CardNotAccepted:
        """What was found, with its reason, and the next step."""
        finding, step = _NOT_ACCEPTED[read.authenticity]
        reason = REASON_WORDS.get(read.authenticity_reason) if read.authenticity_reason else None
        return cls(
            "accept card",
            read.reader,
            authenticity=read.authenticity.value,
            finding_zh=finding.zh + (f"（{reason.zh}）" if reason else ""),
            finding_en=finding.en + (f" ({reason.en})" if reason else ""),
            next_zh=step.zh,
            next_en=step.en,
        )


_LIST_PRICE = Words("请换用芯片（插卡或挥卡）；不行就按原价收款", "use the chip instead; else take the list price")
_ANY_OTHER = Words("请按原价收款；持卡人可拨打 12351", "take the list price; the holder can call 12351")
_NOT_ACCEPTED: Final[Mapping[Authenticity, tuple[Words, Words]]] = MappingProxyType(
    {
        Authenticity.STRIPE: (Words("本店不受理磁条读卡", "this shop does not take the stripe"), _LIST_PRICE),
        Authenticity.UNVERIFIED: (
            Words("芯片真伪没有验证，本店不受理", "the chip could not be checked, and this shop asks for it"),
            _ANY_OTHER,
        ),
        Authenticity.SDA: (
            Words("芯片只有静态验证，本店不受理", "only the card's data were checked, and this shop asks for more"),
            _ANY_OTHER,
        ),
        Authenticity.DDA: (Words("本店不受理芯片读卡", "this shop does not take chips"), _ANY_OTHER),
        Authenticity.FAILED: (
            Words("芯片未通过真伪验证", "the chip did not pass its check"),
            Words(
                "可能只是芯片损坏：请把卡还给持卡人，按原价收款，并请其联系发卡银行",
                "the chip may just be damaged: give the card back, take the list price, suggest calling the bank",
            ),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """The card on the reader and what it may have; or, in `notice`, why it could not be read or is not sold to.

    `book` is the hash of the book that its offers stand in. `approved_by` is the manager who let its number be typed.
    """

    id: str
    at: datetime
    reader: str
    member: Member | None
    masked: str
    entry_mode: EntryMode | None
    authenticity: Authenticity | None
    offers: tuple[OfferView, ...]
    notice: JingkaError | None = None
    authenticity_reason: AuthenticityReason | None = None
    approved_by: str | None = None
    book: str = ""

    @classmethod
    def unread(cls, reader: str, at: datetime, error: JingkaError) -> Presentation:
        """A card that could not be read."""
        return cls(new_id(), at, reader, None, "", None, None, (), error)

    @property
    def reason(self) -> Words | None:
        """Why its chip was not verified, or failed."""
        return REASON_WORDS.get(self.authenticity_reason) if self.authenticity_reason else None

    @property
    def failed(self) -> bool:
        """Whether there is no member to sell to because reading or judging failed."""
        return self.member is None


class Judge:
    """What a card that was read means at this place, by the book in force."""

    def __init__(
        self,
        place: Place,
        desk: MembershipDesk,
        book: BookInForce,
        usage: Usage,
        accept: Collection[Authenticity] = ACCEPTED_BY_DEFAULT,
    ) -> None:
        self._place = place
        self._desk = desk
        self._book = book
        self._usage = usage
        self._accept = frozenset(accept)

    def judge(self, read: CardRead, at: datetime, approved_by: str | None = None) -> Presentation:
        """The card as presented at `at` (Asia/Shanghai). Whatever stands against it is its `notice`."""
        blank = Presentation(
            id=new_id(),
            at=at,
            reader=read.reader,
            member=None,
            masked=read.pan.masked,
            entry_mode=read.entry_mode,
            authenticity=read.authenticity,
            offers=(),
            authenticity_reason=read.authenticity_reason,
            approved_by=approved_by,
        )
        try:
            member = self._desk.identify(read, at.date()).member
            if member.standing in NOT_ON_A_ROLL and read.device_hint:
                return replace(blank, notice=DeviceCard("identify card", read.reader))
            if member.standing is Standing.ACTIVE and not self._accepts(read):
                return replace(blank, notice=CardNotAccepted.of(read))
            book = self._book.book
            offers = overview(self._place, member, book, self._usage, at)
        except JingkaError as error:  # a damaged roll or ledger: the cashier is told, nothing is sold
            return replace(blank, notice=error)
        return replace(blank, member=member, offers=offers, book=book.hash)

    def _accepts(self, read: CardRead) -> bool:
        """A typed number is not judged here: a manager has answered for it."""
        return read.entry_mode is EntryMode.MANUAL or read.authenticity in self._accept


def presentation_summary(presentation: Presentation) -> dict[str, Any]:
    """What the `presentation` event says: enough to answer the cashier before the page asks for more."""
    return {
        "id": presentation.id,
        "masked": presentation.masked,
        "standing": presentation.member.standing.value if presentation.member else None,
        "reader": presentation.reader,
        "eligible": [view.offer for view in presentation.offers if view.eligible],
        "code": presentation.notice.code if presentation.notice else None,
    }

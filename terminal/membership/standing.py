"""Standing and class of a member, and the member as the rules see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from config.errors import Words


class Standing(StrEnum):
    """What the roll (or the card itself) says about a card; DOMAIN: "The card and its holder"."""

    INACTIVE = "inactive"  # issued, not yet activated (48 hours)
    ACTIVE = "active"
    SUSPENDED = "suspended"  # loss reported by telephone, frozen at once
    LOST = "lost"  # formally lost: never usable again
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # no longer a member
    UNKNOWN = "unknown"  # an accepted issuer's card that is not on the roll
    OTHER_ISSUER = "other-issuer"  # a bank card of an issuer that is not accepted


class MemberClass(StrEnum):
    """Classes that some offers treat better."""

    ORDINARY = "ordinary"
    MODEL_WORKER = "model-worker"
    HARDSHIP = "hardship"


STANDING_WORDS: dict[Standing, Words] = {
    Standing.INACTIVE: Words("卡片尚未激活（激活后48小时生效）", "not activated yet (takes 48 hours)"),
    Standing.ACTIVE: Words("会员，有效", "member, active"),
    Standing.SUSPENDED: Words("已口头挂失，暂停使用", "reported lost by telephone: suspended"),
    Standing.LOST: Words("已正式挂失，不可再用", "formally reported lost: never usable again"),
    Standing.EXPIRED: Words("卡片已过期", "the card has expired"),
    Standing.WITHDRAWN: Words("已不是工会会员", "no longer a union member"),
    Standing.UNKNOWN: Words("不是会员卡", "not a member card"),
    Standing.OTHER_ISSUER: Words("其他银行的卡，不是京卡", "another bank's card, not a 京卡"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """A card holder as the rules see them: tokens, never numbers.

    `token` is `v<key version>:<64 hex>`; `person` the same form over the person's id, or the card's own token when the
    roll names no person; `issued` is the card's issue day, None when the roll does not say.

    `genuine`: the chip has just proved itself with a key that only it holds (dynamic authentication). Static
    authentication is not enough: it signs data that anybody who has read the card can write to another chip.
    """

    token: str
    person: str
    standing: Standing
    member_class: MemberClass
    issued: date | None
    genuine: bool = False

"""A card number typed by hand, when neither chip nor stripe can be read: from the digits on the card to a `CardRead`.

What was typed goes straight into a `Pan`: no error, and no frame behind one, keeps a digit of it.
"""

from __future__ import annotations

import re
import time
import unicodedata
from typing import Final

from config.errors import JingkaError, Retry, Words
from drivers.card import (
    PAN_DIGITS_MAX,
    PAN_DIGITS_MIN,
    Authenticity,
    AuthenticityReason,
    CardError,
    CardRead,
    EntryMode,
    Expiry,
    Pan,
    luhn_valid,
)

KEYBOARD: Final = "keyboard"  # the reader of a typed number
_BETWEEN_DIGITS = re.compile(r"[\s-]")  # a number is embossed, and typed, in groups
_EXPIRY = re.compile(r"(?P<month>[0-9]{2})[/ -]?(?P<year>[0-9]{2})")


class NumberMistyped(JingkaError):
    """What was typed is no card number."""

    code = "card-number-mistyped"
    retry = Retry.PARK
    what = Words("卡号不对：{reason_zh}", "the card number is not right: {reason_en}")
    hint = Words("请对照卡面重新输入", "compare it with the card and type it again")


class ExpiryMistyped(JingkaError):
    """What was typed is no month and year."""

    code = "card-expiry-mistyped"
    retry = Retry.PARK
    what = Words("有效期应为月/年，例如 08/30", "the expiry is a month and a year, as in 08/30")
    hint = Words("请照卡面填写；卡面没有有效期就留空", "type it as on the card; leave it empty when the card has none")


def typed_read(number: str, expiry: str) -> CardRead:
    """The card with this number and expiry (month and year as on its face; empty: none).

    Full-width digits, blanks and hyphens are welcome. Raises `NumberMistyped` or `ExpiryMistyped`.
    """
    try:
        pan, good_through = _pan(_plain(number)), _expiry(unicodedata.normalize("NFKC", expiry).strip())
    except (NumberMistyped, ExpiryMistyped) as error:
        del number  # a traceback that prints local variables must not show it
        raise error.with_traceback(None) from None
    return CardRead(
        pan=pan,
        expiry=good_through,
        entry_mode=EntryMode.MANUAL,
        reader=KEYBOARD,
        authenticity=Authenticity.UNVERIFIED,
        authenticity_reason=AuthenticityReason.TYPED,
        service_code=None,
        finished_ns=time.monotonic_ns(),
        read_ms=0.0,
    )


def _plain(number: str) -> str:
    return _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", number))


def _pan(digits: str) -> Pan:
    if digits.strip("0123456789"):
        raise _mistyped("只能是数字", "only digits, please")
    if not PAN_DIGITS_MIN <= len(digits) <= PAN_DIGITS_MAX:
        raise _mistyped(
            f"有 {len(digits)} 位，应为 {PAN_DIGITS_MIN} 至 {PAN_DIGITS_MAX} 位",
            f"{len(digits)} digits, it should be {PAN_DIGITS_MIN} to {PAN_DIGITS_MAX}",
        )
    if not luhn_valid(digits):
        raise _mistyped("校验位不符，有数字输错", "its check digit does not fit, so a digit is wrong")
    return Pan(digits)


def _mistyped(reason_zh: str, reason_en: str) -> NumberMistyped:
    return NumberMistyped("type card number", "number", reason_zh=reason_zh, reason_en=reason_en)


def _expiry(typed: str) -> Expiry | None:
    if not typed:
        return None
    fields = _EXPIRY.fullmatch(typed)
    if fields is None:
        raise ExpiryMistyped("type card number", "expiry")
    try:
        return Expiry.from_yymm(fields["year"] + fields["month"])
    except CardError:
        raise ExpiryMistyped("type card number", "expiry") from None

"""What a reader says about a card, and the errors of cards and readers.

The card number lives only inside `Pan`: nothing here or elsewhere can print, log, pickle or send it. What the house
needs of it (a keyed hash, its issuer range, its last four digits) `Pan` answers itself.
"""

from __future__ import annotations

import calendar
import hmac
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import ClassVar, NoReturn

from config.errors import JingkaError, Retry, Words

PAN_DIGITS_MIN = 13  # ISO/IEC 7812-1: the shortest PAN in use
PAN_DIGITS_MAX = 19  # ISO/IEC 7812-1: the longest; 19 is normal for UnionPay debit
MASK = "****"


class CardError(JingkaError):
    """A card that cannot be read or is no member card; the reader itself is well."""

    code = "card-error"
    retry = Retry.RETRY
    what = Words("读卡失败", "the card could not be read")
    hint = Words("请重新刷卡或插卡", "present the card again")


class NotACard(CardError):
    """Bytes that are no payment card at all: a transit card, noise, a door badge."""

    code = "not-a-card"
    what = Words("这不是银行卡（{reason_zh}）", "this is not a bank card ({reason_en})")
    hint = Words("请使用京卡·互助服务卡", "use the 京卡·互助服务卡")


class MalformedCard(CardError):
    """A payment card whose data break the standard: cut off, over-long, contradictory, wrong check digit."""

    code = "card-malformed"
    what = Words("卡片数据有误（{reason_zh}）", "the card's data are faulty ({reason_en})")
    hint = Words("请重刷一次；仍失败请换用另一读卡方式", "try once more; then try the chip or the stripe instead")


class CardRemoved(CardError):
    """The card left the reader before it was read."""

    code = "card-removed"
    what = Words("卡片过早移开", "the card was removed too early")
    hint = Words("请再次放卡，听到提示音后再取", "present it again and wait for the answer")


class CardRefused(CardError):
    """The card itself refuses: blocked application or card."""

    code = "card-refused"
    what = Words("卡片拒绝读取（状态字 {status_word}）", "the card refuses to be read (status word {status_word})")
    hint = Words("卡片可能已被银行锁定，请持卡人联系发卡行", "the bank may have blocked it: the holder should call")


class DeviceCard(CardError):
    """A telephone or watch in place of the card: it shows a number of its own, which is on no roll."""

    code = "device-card"
    what = Words("这是手机或手表，不是实体卡", "this is a telephone or a watch, not the card itself")
    hint = Words("请使用京卡实体卡", "ask for the plastic card")


class ReaderError(JingkaError):
    """A reader that does not work at the moment; the daemon lives on and tries again."""

    code = "reader-error"
    retry = Retry.RETRY
    what = Words("读卡器故障（{reason}）", "the reader failed ({reason})")
    hint = Words("请拔下读卡器重新插上", "unplug the reader and plug it in again")


class ReaderMissing(ReaderError):
    """No such reader is plugged in."""

    code = "reader-missing"
    what = Words("未找到读卡器 {subject}", "reader {subject} is not there")
    hint = Words("请检查读卡器连线", "check the reader's cable")


class ReaderServiceDown(ReaderError):
    """The smart-card service (pcscd) does not answer."""

    code = "reader-service-down"
    what = Words("智能卡服务未运行", "the smart-card service is not running")
    hint = Words(
        "系统会自动重试；持续不恢复请执行 systemctl restart pcscd", "it is retried; if it stays, restart pcscd"
    )


class ReaderForbidden(ReaderError):
    """The system refuses this user the reader (polkit rule, device permissions)."""

    code = "reader-forbidden"
    what = Words("系统不允许使用读卡器 {subject}", "this user may not use reader {subject}")
    hint = Words("请技术人员检查 polkit 规则或串口权限", "ask support for the polkit rule or the port's group")


class ReaderBusy(ReaderError):
    """Another program holds the reader or the card."""

    code = "reader-busy"
    what = Words("读卡器被其他程序占用", "another program is using the reader")
    hint = Words("请关闭其他使用读卡器的程序（如 scdaemon）", "close the other program (for example scdaemon)")


class ReaderNoise(ReaderError):
    """Bytes that fit no frame: wrong baud rate, wrong frame setting, a bad cable."""

    code = "reader-noise"
    what = Words("读卡器数据无法识别（{reason}）", "the reader's bytes make no sense ({reason})")
    hint = Words("请重刷；若一直如此，请检查波特率和帧格式设置", "swipe again; then check baud rate and frame kind")


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1 annex B)."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        value = int(character)
        if position % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _malformed(subject: str, zh: str, en: str) -> MalformedCard:
    return MalformedCard("read card", subject, reason_zh=zh, reason_en=en)


class Pan:
    """A card number that never shows itself.

    Raises `MalformedCard` when the digits are no PAN. Nothing returns the digits: a wish to see them is a defect.
    """

    __slots__ = ("__digits",)

    def __init__(self, digits: str) -> None:
        if not (digits.isascii() and digits.isdigit() and PAN_DIGITS_MIN <= len(digits) <= PAN_DIGITS_MAX):
            length = len(digits)
            del digits  # a traceback that prints local variables must not show a refused number either
            raise _malformed("PAN", f"卡号 {length} 位", f"a number of {length} characters") from None
        if not luhn_valid(digits):
            del digits
            raise _malformed("PAN", "卡号校验位不符", "check digit") from None
        self.__digits = digits

    @property
    def masked(self) -> str:
        """All that may be shown: the last four digits."""
        return f"{MASK} {self.__digits[-4:]}"

    @property
    def length(self) -> int:
        """How many digits the number has."""
        return len(self.__digits)

    def keyed_hash(self, key: bytes) -> bytes:
        """HMAC-SHA256 of the ASCII digits: the only way from a PAN to a token. 32 bytes."""
        return hmac.digest(key, self.__digits.encode("ascii"), "sha256")

    def begins_between(self, low: str, high: str) -> bool:
        """Whether the leading digits lie in the issuer range `low`..`high`, both ends included and equally long."""
        return low <= self.__digits[: len(low)] <= high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and hmac.compare_digest(self.__digits, other.__digits)

    def __hash__(self) -> int:
        return hash((Pan, self.__digits))

    def __repr__(self) -> str:
        return f"Pan({self.masked})"

    def __str__(self) -> str:
        return self.masked

    def __format__(self, spec: str) -> str:
        return format(self.masked, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Pan is never pickled or copied out of memory")


@dataclass(frozen=True, slots=True, order=True)
class Expiry:
    """The month a card is good through, to its last day."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not 1 <= self.month <= 12:
            raise _malformed("expiry", f"有效期月份 {self.month:02d}", f"month {self.month:02d}")

    @classmethod
    def from_yymm(cls, digits: str) -> Expiry | None:
        """`0000` means the card carries no expiry: None. Two-digit years are 20yy: no card of this scheme is older."""
        if len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
            raise _malformed("expiry", "有效期不是四位数字", "an expiry that is not four digits")
        if digits == "0000":
            return None
        return cls(2000 + int(digits[:2]), int(digits[2:]))

    @property
    def last_day(self) -> date:
        """The last calendar day on which the card is good."""
        return date(self.year, self.month, calendar.monthrange(self.year, self.month)[1])


class EntryMode(StrEnum):
    """How the number came in."""

    CONTACT = "contact"
    CONTACTLESS = "contactless"
    STRIPE = "stripe"
    FALLBACK = "fallback"
    MANUAL = "manual"


class Authenticity(StrEnum):
    """What is known about the chip being genuine; says nothing about the bearer."""

    DDA = "dda"
    SDA = "sda"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    STRIPE = "stripe"


class AuthenticityReason(StrEnum):
    """Why a chip stayed `unverified`, or which check it `failed`."""

    NO_KEYS = "no-keys"  # this terminal holds no key file
    NOT_OFFERED = "not-offered"  # the card offers no offline authentication that a reading terminal can ask for
    UNKNOWN_KEY = "unknown-key"  # signed under a key index that the file does not hold
    KEY_EXPIRED = "key-expired"  # the scheme's key has run out
    UNSUPPORTED_ALGORITHM = "unsupported-algorithm"  # SM2, or anything else but RSA with SHA-1
    NUMBER_NOT_SIGNED = "number-not-signed"  # the issuer's signature is good but does not cover the card number
    TYPED = "typed"  # nobody saw a chip: the number was typed
    DATA_MISSING = "data-missing"  # failed: the card promises authentication and lacks the data for it
    STATIC_DATA = "static-data"  # failed: what the issuer is said to have signed breaks the standard
    ISSUER_CERTIFICATE = "issuer-certificate"  # failed
    CARD_CERTIFICATE = "card-certificate"  # failed
    SIGNED_DATA = "signed-data"  # failed: the static signature
    SIGNATURE = "signature"  # failed: the chip's own, over our number


@dataclass(frozen=True, slots=True)
class Step:
    """One command to a chip and how it was answered: never its octets. `status`: None when no answer came."""

    command: str
    status: int | None
    took_ms: float

    def __str__(self) -> str:
        answer = "no answer" if self.status is None else f"{self.status:04X}"
        return f"{self.command} → {answer} ({self.took_ms:.1f} ms)"


@dataclass(frozen=True, slots=True)
class CardRead:
    """One good read, the same from every reader.

    `finished_ns` is `time.monotonic_ns()` at the card's last byte; `read_ms` is the card exchange's own duration;
    `steps` are a chip's commands; `device_hint` says that a telephone or watch may stand in for the card, under a
    number of its own.
    """

    pan: Pan
    expiry: Expiry | None
    entry_mode: EntryMode
    reader: str
    authenticity: Authenticity
    service_code: str | None
    finished_ns: int
    read_ms: float
    authenticity_reason: AuthenticityReason | None = None
    steps: tuple[Step, ...] = ()
    device_hint: bool = False

    SERVICE_CODE_CHIP: ClassVar[str] = "26"  # ISO/IEC 7813: first digit 2 or 6 = the card has a chip

"""What one application says of its card, gathered from wherever it stands: number, expiry, service code.

Two statements that differ refuse the card. So does proof that this is no card but a telephone or a watch, which answers
with a number of its own (the bank's "token") that no roll holds. What counts as proof, and what does not:

- 9F19 token requestor: only an application made out to a token has one (EMV Payment Tokenisation Specification). It
  is numeric, 11 digits in 6 octets. UnionPay terminals send it on as "token data object"; that its form is the same
  there we could not find written down, so any other form is only a hint. Old cards may use the tag differently.
- 9F25 last four digits of the card's number: the same specification gives it to tokens, so that a receipt can name
  the plastic card. If they are not the last four of the number read, that number is not the plastic card's.
- 9F24 payment account reference: binds a token to its card, but a plastic card may carry it too. On a contactless
  reader it is a hint, no more. Whether UnionPay phones fill it is not known to us.
- 9F6E form factor: other schemes say there what kind of device answers, and UnionPay gives the tag no such meaning
  that we could find; it is not looked at.

Only what comes anyway is looked at: asking for these tags (GET DATA) would cost every card a command or three.
"""

from __future__ import annotations

from collections.abc import Iterable

from drivers.card import DeviceCard, Expiry, MalformedCard, Pan
from drivers.pboc import tlv
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import Tlv

MASTERCARD_RID = bytes.fromhex("A000000004")
PAN_OCTETS_MAX = 10  # tag 5A
TRACK_2_OCTETS_MAX = 19  # tag 57
EXPIRY_OCTETS = 3  # tag 5F24: YYMMDD
TOKEN_REQUESTOR_OCTETS = 6  # tag 9F19: n 11
LAST_FOUR_OCTETS = 2  # tag 9F25: n 4


class CardData:
    """`take` the data objects as they come, then ask. `aid`: the application that gives them, as schemes differ."""

    __slots__ = ("_expiry", "_expiry_told", "_last_four", "_mastercard", "_pan", "_reference", "_token", "service_code")

    def __init__(self, aid: bytes) -> None:
        self._mastercard = aid.startswith(MASTERCARD_RID)
        self._pan: Pan | None = None
        self._expiry: Expiry | None = None
        self._expiry_told = False
        self._last_four: str | None = None
        self._token: bytes | None = None
        self._reference = False
        self.service_code: str | None = None

    @property
    def complete(self) -> bool:
        """Whether number and expiry are told, be it that the card states no expiry (`0000`)."""
        return self._pan is not None and self._expiry_told

    @property
    def settled(self) -> bool:
        """Whether nothing more is worth reading for: a card may say `0000` in one place and a date in another."""
        return self._pan is not None and self._expiry is not None

    @property
    def pan(self) -> Pan:
        """The number. Raises `MalformedCard` when the card told none, `DeviceCard` when it is not a plastic card's."""
        if self._pan is None:
            raise _malformed("缺少卡号", "no card number")
        if self._token_proven or not self._pan.masked.endswith(self._last_four or ""):
            raise DeviceCard("read card", "card")
        return self._pan

    @property
    def expiry(self) -> Expiry | None:
        """The expiry, None when the card states none. Raises `MalformedCard` when the card did not speak of it."""
        if not self._expiry_told:
            raise _malformed("缺少有效期", "no expiry")
        return self._expiry

    def device_hinted(self, *, contactless: bool) -> bool:
        """Whether a telephone may be behind this number, without proof of it."""
        return contactless and (self._reference or self._token is not None)

    def take(self, nodes: Iterable[Tlv]) -> None:
        """Look at `nodes` and all below them. Raises `MalformedCard` for what cannot be, alone or beside the rest."""
        for node in tlv.walk(nodes):
            match node.tag:
                case Tag.TRACK_2_EQUIVALENT:
                    self._take_track2(node.value)
                case Tag.TRACK_2_DATA if self._mastercard:  # others keep a limit under this tag
                    self._take_track2(node.value)
                case Tag.PAN:
                    self._take_pan(_digits(node.value, PAN_OCTETS_MAX))
                case Tag.EXPIRY:
                    self._take_expiry(node.value.hex()[:4], octets=len(node.value))
                case Tag.TOKEN_REQUESTOR if any(node.value):
                    self._token = node.value
                case Tag.LAST_FOUR if len(node.value) == LAST_FOUR_OCTETS and node.value.hex().isdecimal():
                    self._last_four = node.value.hex()
                case Tag.ACCOUNT_REFERENCE if any(node.value):
                    self._reference = True

    @property
    def _token_proven(self) -> bool:
        token = self._token
        return token is not None and len(token) == TOKEN_REQUESTOR_OCTETS and token.hex().isdecimal()

    def _take_track2(self, value: bytes) -> None:
        """Tag 57: PAN, `D`, YYMM, service code, issuer's digits, `F` to fill the last octet (EMV Book 3 annex A)."""
        if len(value) > TRACK_2_OCTETS_MAX:
            raise _malformed("二磁道数据过长", "track 2 too long")
        pan, separator, rest = value.hex().upper().removesuffix("F").partition("D")
        if not separator or len(rest) < 7 or not rest[:7].isdecimal():
            raise _malformed("二磁道数据缺少有效期和服务代码", "track 2 has no expiry and service code")
        self._take_pan(pan)
        self._take_expiry(rest[:4], octets=EXPIRY_OCTETS)
        self.service_code = rest[4:7]

    def _take_pan(self, digits: str) -> None:
        pan = Pan(digits)
        if self._pan is not None and self._pan != pan:
            raise _malformed("两处卡号不一致", "two card numbers that differ")
        self._pan = pan

    def _take_expiry(self, yymm: str, *, octets: int) -> None:
        if octets != EXPIRY_OCTETS:
            raise _malformed("有效期长度不对", "expiry of wrong length")
        expiry = Expiry.from_yymm(yymm)
        self._expiry_told = True
        if expiry is None:  # says nothing, so it contradicts nothing
            return
        if self._expiry is not None and self._expiry != expiry:
            raise _malformed("两处有效期不一致", "two expiries that differ")
        self._expiry = expiry


def _digits(value: bytes, octets_max: int) -> str:
    """Digits as tag 5A packs them: two an octet, `F` fills the end."""
    if len(value) > octets_max:
        raise _malformed("卡号过长", "card number too long")
    return value.hex().upper().rstrip("F")


def _malformed(zh: str, en: str) -> MalformedCard:
    return MalformedCard("read card", "chip data", reason_zh=zh, reason_en=en)

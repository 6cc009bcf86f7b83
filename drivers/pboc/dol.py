"""Data object lists: what a card asks of the terminal, answered to the octet (EMV Book 3 section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from drivers.card import MalformedCard
from drivers.pboc.apdu import COMMAND_DATA_MAX
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import read_tag

DOL_VALUES_MAX = COMMAND_DATA_MAX - 3  # octets asked for in all: what `83 81 LL` leaves of one command
UNPREDICTABLE_OCTETS = 4  # EMV: the unpredictable number's length

# 26 = qPBOC, online PIN, signature; no cryptogram asked for: we read, we do not pay (UnionPay's terminal qualifiers).
_QUALIFIERS = bytes.fromhex("26000000")
# The same, and a signature is wanted though nothing is paid offline (octet 1 bit 1), of either version (octet 4 bit 8).
# Published reads of UnionPay cards send 27 too; that bit 1 means there what it means in Visa's rules is not confirmed.
_QUALIFIERS_AUTHENTICATING = bytes.fromhex("27000080")
_CHINA = bytes.fromhex("0156")  # ISO 3166-1 and ISO 4217 numeric: the country and the yuan share a number
_CAPABILITIES = bytes.fromhex("E0E1C8")  # a manned terminal's usual set; informs, decides nothing for a read
_MERCHANT_ONLINE_OFFLINE = bytes.fromhex("22")  # attended, offline with online capability
_NO_ELECTRONIC_CASH = b"\x00"

# EMV Book 3 annex A gives these the format `n`: they are cut and filled on the left, all others on the right.
_NUMERIC = frozenset(
    {
        Tag.AMOUNT,
        Tag.AMOUNT_OTHER,
        Tag.COUNTRY,
        Tag.CURRENCY,
        Tag.TRANSACTION_DATE,
        Tag.TRANSACTION_TIME,
        Tag.TRANSACTION_TYPE,
        Tag.TERMINAL_TYPE,
    }
)


@dataclass(frozen=True, slots=True)
class TerminalData:
    """What we tell a card about this "transaction". A read moves no money, so the amount is the least there is.

    `today` is the Asia/Shanghai day, `unpredictable` 4 random octets, `amount_fen` 0 to 999,999,999,999. Some cards
    decline an amount of nothing, hence 1. `authenticating`: the chip's signature is wanted.
    """

    today: date
    unpredictable: bytes
    amount_fen: int = 1
    authenticating: bool = False

    def __post_init__(self) -> None:
        assert len(self.unpredictable) == UNPREDICTABLE_OCTETS
        assert 0 <= self.amount_fen < 10**12

    @classmethod
    def at(cls, now: datetime, unpredictable: bytes) -> TerminalData:
        """For a read at `now` (any zone-aware time already turned to Asia/Shanghai)."""
        return cls(now.date(), unpredictable)

    def values(self) -> Mapping[int, bytes]:
        """The objects we can fill; anything else a card asks for is zeros."""
        return {
            Tag.TRANSACTION_QUALIFIERS: _QUALIFIERS_AUTHENTICATING if self.authenticating else _QUALIFIERS,
            Tag.AMOUNT: bytes.fromhex(f"{self.amount_fen:012d}"),
            Tag.COUNTRY: _CHINA,
            Tag.CURRENCY: _CHINA,
            Tag.TRANSACTION_DATE: bytes.fromhex(f"{self.today:%y%m%d}"),
            Tag.UNPREDICTABLE_NUMBER: self.unpredictable,
            Tag.ELECTRONIC_CASH_INDICATOR: _NO_ELECTRONIC_CASH,
            Tag.TERMINAL_CAPABILITIES: _CAPABILITIES,
            Tag.TERMINAL_TYPE: _MERCHANT_ONLINE_OFFLINE,
        }


@dataclass(frozen=True, slots=True)
class DolEntry:
    """One wish of the card: `length` octets of `tag`."""

    tag: int
    length: int


def parse_dol(data: bytes) -> tuple[DolEntry, ...]:
    """The entries in order. Raises `MalformedCard` when the list is cut off or asks for more than a command holds."""
    entries: list[DolEntry] = []
    index = 0
    while index < len(data):
        tag, index = read_tag(data, index)
        if index >= len(data):
            raise MalformedCard("read card", "PDOL", reason_zh="数据对象列表不完整", reason_en="DOL cut off")
        entries.append(DolEntry(tag, data[index]))
        index += 1
    asked = sum(entry.length for entry in entries)
    if asked > DOL_VALUES_MAX:
        raise MalformedCard(
            "read card", "PDOL", reason_zh=f"数据对象列表索取 {asked} 字节", reason_en=f"DOL asks for {asked} octets"
        )
    return tuple(entries)


def fill_dol(entries: tuple[DolEntry, ...], values: Mapping[int, bytes]) -> bytes:
    """The values one after the other, each exactly as long as asked; unknown tags are zeros, a repeated tag repeats."""
    return b"".join(_fit(entry, values.get(entry.tag, b"")) for entry in entries)


def _fit(entry: DolEntry, value: bytes) -> bytes:
    if entry.tag in _NUMERIC:
        return value.rjust(entry.length, b"\x00")[len(value) - entry.length if len(value) > entry.length else 0 :]
    return value[: entry.length].ljust(entry.length, b"\x00")

"""The list of vouchers that headquarters keeps: CSV lines in, vouchers for the register out.

Header `code,offer,card,person,last_day,merchants,revoked`. `card` is a card number or empty, `person` a member's id or
empty, never both: without either the voucher is good for whoever brings it. `last_day` is YYYY-MM-DD or empty,
`merchants` the ids of those it is good at, with `;` between them, or empty for all, `revoked` is `yes`, `no` or empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from config.errors import Words
from drivers.card import MalformedCard, Pan
from terminal.membership.card_list import PERSON_CHARS_MAX
from terminal.membership.csv_list import (
    LINE_FAULT_WORDS,
    ListForm,
    Reject,
    Rejected,
    read_list,
    read_upload,
    written_day,
)
from terminal.membership.token import ProgrammeKey, card_token, person_token
from terminal.offers.values import ID, ID_CHARS_MAX
from terminal.offers.voucher import CODE_CHARS_MAX, CODE_CHARS_MIN, VoucherRecord, spelt, well_formed
from terminal.vouchers.register import DAY_EPOCH, NO_LAST_DAY, VouchersError

COLUMNS = ("code", "offer", "card", "person", "last_day", "merchants", "revoked")

_REVOKED = {"": False, "no": False, "否": False, "yes": True, "是": True}
_BETWEEN_MERCHANTS = re.compile(r"[;；\s]+")
_CACHED = 4_096  # a campaign's offers, last days and merchants repeat from line to line


class VoucherListError(VouchersError):
    """The list of vouchers as a whole cannot be used; nothing was built."""

    code = "voucher-list-error"
    what = Words("券清单无法读取（{reason}）", "the list of vouchers cannot be read ({reason})")
    hint = Words("请检查文件后重试", "check the file and try again")


class VoucherListInvalid(VoucherListError):
    """The first line is not the header: another file, another encoding, or columns missing."""

    code = "voucher-list-invalid"
    what = Words("券清单的表头不正确", "the list of vouchers does not begin with its header")
    hint = Words(
        "首行应为 {columns}，并存为 UTF-8 编码的 CSV", "the first line must be {columns}, saved as CSV in UTF-8"
    )


_FORM = ListForm(COLUMNS, VoucherListError, VoucherListInvalid)


class VoucherFault(StrEnum):
    """Why one line of this list was not taken, beside `LineFault` (closed list)."""

    CODE = "code"
    OFFER = "offer"
    CARD_NUMBER = "card-number"
    PERSON = "person"
    HOLDER = "holder"
    LAST_DAY = "last-day"
    MERCHANTS = "merchants"
    REVOKED = "revoked"


VOUCHER_FAULT_WORDS: Mapping[StrEnum, Words] = {
    **LINE_FAULT_WORDS,
    VoucherFault.CODE: Words(
        f"券号有误（{CODE_CHARS_MIN}–{CODE_CHARS_MAX} 位字母或数字，含校验位）",
        f"the code is wrong ({CODE_CHARS_MIN} to {CODE_CHARS_MAX} letters and digits with a check character)",
    ),
    VoucherFault.OFFER: Words("优惠编号有误", "that is no offer's id"),
    VoucherFault.CARD_NUMBER: Words("卡号有误（位数或校验位）", "the card number is wrong (length or check digit)"),
    VoucherFault.PERSON: Words("人员编号过长", f"the person's id is longer than {PERSON_CHARS_MAX} characters"),
    VoucherFault.HOLDER: Words("卡号和人员编号只能填一个", "a card and a person are named: only one may be"),
    VoucherFault.LAST_DAY: Words("截止日期有误（应为 YYYY-MM-DD）", "the last day is wrong (YYYY-MM-DD is expected)"),
    VoucherFault.MERCHANTS: Words("商户编号有误", "that is no merchant's id"),
    VoucherFault.REVOKED: Words("作废一栏应为 yes、no 或空", "revoked must be yes, no or empty"),
}


@dataclass(frozen=True, slots=True)
class VoucherLine:
    """One voucher for the register: its code in the one spelling, and what the till may know of it."""

    code: str
    record: VoucherRecord


def read_voucher_list(
    path: Path, key: ProgrammeKey, progress: Callable[[int, int], None]
) -> Iterator[VoucherLine | Rejected]:
    """Each line of the list in its order; card numbers and persons' ids become tokens here.

    `progress(done_bytes, total_bytes)` is called at the start and now and then. Raises `VoucherListError` when the file
    cannot be read, `VoucherListInvalid` when it does not begin with the header.
    """
    return read_list(path, _FORM, lambda fields: _voucher_line(fields, key), progress)


def read_voucher_upload(file: BinaryIO, key: ProgrammeKey) -> Iterator[VoucherLine | Rejected]:
    """As `read_voucher_list`, of a list that lies in memory. Raises `VoucherListInvalid`."""
    return read_upload(file, _FORM, lambda fields: _voucher_line(fields, key))


def _voucher_line(fields: list[str], key: ProgrammeKey) -> VoucherLine:
    """Parse one line; raises `Reject`."""
    typed, offer, card, person, last_day, merchants, revoked = (field.strip() for field in fields)
    code = spelt(typed)
    if not well_formed(code):
        raise Reject(VoucherFault.CODE)
    record = VoucherRecord(
        offer=_known_id(offer, VoucherFault.OFFER),
        holder=_holder(card, person, key),
        last_day=_last_day(last_day),
        merchants=_merchants(merchants),
        revoked=_revoked(revoked.lower()),
    )
    return VoucherLine(code, record)


def _holder(card: str, person: str, key: ProgrammeKey) -> str | None:
    if card and person:
        raise Reject(VoucherFault.HOLDER)
    if len(person) > PERSON_CHARS_MAX:
        raise Reject(VoucherFault.PERSON)
    if person:
        return person_token(person, key)
    if not card:
        return None
    try:
        return card_token(Pan(card), key)
    except MalformedCard:
        raise Reject(VoucherFault.CARD_NUMBER) from None


@lru_cache(maxsize=_CACHED)
def _last_day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = written_day(text)
    except ValueError:
        raise Reject(VoucherFault.LAST_DAY) from None
    if not 0 <= (day - DAY_EPOCH).days < NO_LAST_DAY:
        raise Reject(VoucherFault.LAST_DAY)
    return day


@lru_cache(maxsize=_CACHED)
def _merchants(text: str) -> frozenset[str]:
    names = [name for name in _BETWEEN_MERCHANTS.split(text) if name]
    return frozenset(_known_id(name, VoucherFault.MERCHANTS) for name in names)


def _revoked(text: str) -> bool:
    if text not in _REVOKED:
        raise Reject(VoucherFault.REVOKED)
    return _REVOKED[text]


@lru_cache(maxsize=_CACHED)
def _known_id(text: str, fault: VoucherFault) -> str:
    if not is_id(text):
        raise Reject(fault)
    return text


def is_id(text: str) -> bool:
    """Whether this could be the id of an offer or a merchant in a book."""
    return len(text) <= ID_CHARS_MAX and re.fullmatch(ID, text) is not None

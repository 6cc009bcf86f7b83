"""The list of cards that headquarters hands over: CSV lines in, roster lines (tokens only) out.

Header `pan,standing,class,issued,person`; `issued` is YYYY-MM-DD or empty, `person` the member's id or empty. One line
is one card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from config.errors import Words
from drivers.card import MalformedCard, Pan
from terminal.membership.csv_list import LINE_FAULT_WORDS, ListForm, Reject, Rejected, read_list, written_day
from terminal.membership.roll import CLASS_CODES, ISSUE_DAY_UNKNOWN, ISSUE_EPOCH, STANDING_CODES
from terminal.membership.standing import MemberClass, Standing
from terminal.membership.token import MembershipError, ProgrammeKey, card_token, person_token

COLUMNS = ("pan", "standing", "class", "issued", "person")
PERSON_CHARS_MAX = 64  # an identity card number has 18

_ISSUE_DAYS_CACHED = 4_096  # eleven years of issue days: cards are issued in batches


class CardListError(MembershipError):
    """The list of cards as a whole cannot be used; nothing was built."""

    code = "card-list-error"
    what = Words("卡片清单无法读取（{reason}）", "the list of cards cannot be read ({reason})")
    hint = Words("请检查文件后重试", "check the file and try again")


class CardListInvalid(CardListError):
    """The first line is not the header: another file, another encoding, or columns missing."""

    code = "card-list-invalid"
    what = Words("卡片清单的表头不正确", "the list of cards does not begin with its header")
    hint = Words(
        "首行应为 {columns}，并存为 UTF-8 编码的 CSV", "the first line must be {columns}, saved as CSV in UTF-8"
    )


_FORM = ListForm(COLUMNS, CardListError, CardListInvalid)


class RejectReason(StrEnum):
    """Why one line of this list was not taken, beside `LineFault` (closed list)."""

    CARD_NUMBER = "card-number"
    STANDING = "standing"
    MEMBER_CLASS = "class"
    ISSUED = "issued"
    PERSON = "person"


REJECT_WORDS: Mapping[StrEnum, Words] = {
    **LINE_FAULT_WORDS,
    RejectReason.CARD_NUMBER: Words("卡号有误（位数或校验位）", "the card number is wrong (length or check digit)"),
    RejectReason.STANDING: Words("卡片状态不认识", "unknown standing"),
    RejectReason.MEMBER_CLASS: Words("会员类别不认识", "unknown class"),
    RejectReason.ISSUED: Words("发卡日期有误（应为 YYYY-MM-DD）", "the issue day is wrong (YYYY-MM-DD is expected)"),
    RejectReason.PERSON: Words("人员编号过长", f"the person's id is longer than {PERSON_CHARS_MAX} characters"),
}


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One card for the roll: tokens, never numbers. `person` is a person token, None when not known."""

    token: str
    standing: Standing
    member_class: MemberClass
    issued: date | None
    person: str | None

    @classmethod
    def of(
        cls,
        pan: Pan,
        key: ProgrammeKey,
        *,
        standing: Standing = Standing.ACTIVE,
        member_class: MemberClass = MemberClass.ORDINARY,
        issued: date | None = None,
        person: str | None = None,
    ) -> RosterLine:
        """From a card and its holder's id, which become tokens here."""
        holder = person_token(person, key) if person else None
        return cls(card_token(pan, key), standing, member_class, issued, holder)


def read_card_list(
    path: Path, key: ProgrammeKey, progress: Callable[[int, int], None]
) -> Iterator[RosterLine | Rejected]:
    """Each line of the list in its order; blank lines are passed over.

    `progress(done_bytes, total_bytes)` is called at the start and now and then. Raises `CardListError` when the file
    cannot be read, `CardListInvalid` when it does not begin with the header.
    """
    return read_list(path, _FORM, lambda fields: _roster_line(fields, key), progress)


def _roster_line(fields: list[str], key: ProgrammeKey) -> RosterLine:
    """Parse one line; raises `Reject`."""
    number, standing, member_class, issued, person = fields
    try:
        pan = Pan(number.strip())
    except MalformedCard:
        raise Reject(RejectReason.CARD_NUMBER) from None
    person = person.strip()
    if len(person) > PERSON_CHARS_MAX:
        raise Reject(RejectReason.PERSON)
    return RosterLine(
        token=card_token(pan, key),
        standing=standing_of(standing.strip().lower()),
        member_class=member_class_of(member_class.strip().lower()),
        issued=issue_day_of(issued.strip()),
        person=person_token(person, key) if person else None,
    )


@lru_cache(maxsize=len(Standing))
def standing_of(text: str) -> Standing:
    """A standing the roll can hold: `unknown` and `other-issuer` are found at the counter, not written on a roll."""
    for standing in STANDING_CODES:
        if standing.value == text:
            return standing
    raise Reject(RejectReason.STANDING)


@lru_cache(maxsize=len(MemberClass))
def member_class_of(text: str) -> MemberClass:
    """A class by its name; raises `Reject`."""
    for member_class in CLASS_CODES:
        if member_class.value == text:
            return member_class
    raise Reject(RejectReason.MEMBER_CLASS)


@lru_cache(maxsize=_ISSUE_DAYS_CACHED)
def issue_day_of(text: str) -> date | None:
    """A day that the roll can hold, None for an empty text; raises `Reject`."""
    if not text:
        return None
    try:
        day = written_day(text)
    except ValueError:
        raise Reject(RejectReason.ISSUED) from None
    if not 0 <= (day - ISSUE_EPOCH).days < ISSUE_DAY_UNKNOWN:
        raise Reject(RejectReason.ISSUED)
    return day

"""The membership desk: a card that was read becomes a member with a standing, or plainly none.

The order in which standing is decided:

1. a card of no accepted issuer is `other-issuer`, whatever the roll says;
2. the changes file, then the roll; a card on neither is `unknown`;
3. any standing there other than `active` holds (a lost card stays lost when it is past its date);
4. an `active` card past its own expiry date is `expired`.

Both files may be replaced at any time: each look-up notices and opens the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from config.errors import Words
from drivers.card import PAN_DIGITS_MIN, Authenticity, CardRead, Expiry, Pan
from terminal.membership.roll import Roll, RollHeader, RollMissing, RollRecord
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.membership.token import MembershipError, ProgrammeKey, card_token
from terminal.membership.whole_file import FileIdentity

ISSUER_DIGITS_MAX = PAN_DIGITS_MIN - 1  # a range must fit inside the shortest card number; 6 to 8 are usual


class IssuerRangeInvalid(MembershipError):
    """An accepted issuer's range in the settings makes no sense."""

    code = "issuer-range-invalid"
    what = Words("发卡行号段“{subject}”有误（{reason}）", "the issuer range “{subject}” is wrong ({reason})")
    hint = Words("请更正设置中的发卡行号段", "correct the issuer ranges in the settings")


@dataclass(frozen=True, slots=True)
class IssuerRange:
    """Card numbers that begin with `low` to `high` (as many digits each, both included) are this issuer's."""

    name: str
    low: str
    high: str

    def __post_init__(self) -> None:
        for digits in (self.low, self.high):
            if not (digits.isascii() and digits.isdigit() and len(digits) <= ISSUER_DIGITS_MAX):
                raise IssuerRangeInvalid("read settings", self.name, reason=f"not 1 to {ISSUER_DIGITS_MAX} digits")
        if len(self.low) != len(self.high):
            raise IssuerRangeInvalid("read settings", self.name, reason="low and high differ in length")
        if self.low > self.high:
            raise IssuerRangeInvalid("read settings", self.name, reason="low is above high")

    def holds(self, pan: Pan) -> bool:
        """Whether the card number is in this range."""
        return pan.begins_between(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Identification:
    """Who presented a card: the member as the rules see them, and what the page may show of the card.

    `expired` says that the card's own date has passed, whatever its standing; `issuer` is the accepted range's name,
    None for another bank's card.
    """

    member: Member
    masked: str
    issuer: str | None
    expiry: Expiry | None
    expired: bool


@dataclass(frozen=True, slots=True)
class DeskCondition:
    """Which files the desk answers from; `changes` is None while there is no changes file."""

    roll: RollHeader
    changes: RollHeader | None


class MembershipDesk:
    """Answers from the roll and its changes. Safe from several threads; opens nothing before the first call.

    Every method but `close` raises `RollMissing`, `RollDamaged`, `RollKeyMismatch` or `RollError` while the files
    cannot be trusted: then nothing may be sold at member price.
    """

    def __init__(
        self, issuers: Sequence[IssuerRange], key: ProgrammeKey, roll_path: Path, changes_path: Path | None
    ) -> None:
        self._issuers = tuple(issuers)
        self._key = key
        self._roll = _FollowedRoll(roll_path, key)
        self._changes = None if changes_path is None else _FollowedRoll(changes_path, key)
        self._lock = threading.Lock()  # a roll is never closed under another thread's look-up

    def identify(self, read: CardRead, today: date) -> Identification:
        """Who this is; `today` is the Asia/Shanghai calendar day."""
        issuer = next((issuer for issuer in self._issuers if issuer.holds(read.pan)), None)
        token = card_token(read.pan, self._key)
        expired = read.expiry is not None and today > read.expiry.last_day
        record = None if issuer is None else self._look_up(token)
        return Identification(
            member=Member(
                token=token,
                person=(record and record.person) or token,
                standing=_standing(issuer, record, expired),
                member_class=record.member_class if record else MemberClass.ORDINARY,
                issued=record.issued if record else None,
                genuine=read.authenticity is Authenticity.DDA,
            ),
            masked=read.pan.masked,
            issuer=None if issuer is None else issuer.name,
            expiry=read.expiry,
            expired=expired,
        )

    def check(self) -> DeskCondition:
        """Open what is there and say what it is; for the start, the status page and `jingka doctor`."""
        with self._lock:
            changes = self._current_changes()
            return DeskCondition(self._roll.current().header, changes.header if changes else None)

    def close(self) -> None:
        """Give the files back; a later call opens them again."""
        with self._lock:
            self._roll.close()
            if self._changes:
                self._changes.close()

    def _look_up(self, token: str) -> RollRecord | None:
        with self._lock:
            roll, changes = self._roll.current(), self._current_changes()
            return (changes.find(token) if changes else None) or roll.find(token)

    def _current_changes(self) -> Roll | None:
        """The changes, None while there are none: a new roll comes without. Damaged ones are an error: they may hold
        the very card that was reported lost."""
        if self._changes is None:
            return None
        try:
            return self._changes.current()
        except RollMissing:
            return None


class _FollowedRoll:
    """The roll at a path, opened anew whenever another file stands there."""

    def __init__(self, path: Path, key: ProgrammeKey) -> None:
        self._path = path
        self._key = key
        self._open: Roll | None = None

    def current(self) -> Roll:
        """The roll that stands at the path now."""
        try:
            found = FileIdentity.of(self._path.stat())
        except OSError:
            found = None  # opening says what is wrong with it
        if self._open is None or self._open.identity != found:
            self.close()
            fresh = Roll.open(self._path)
            try:
                fresh.check_key(self._key)
            except MembershipError:
                fresh.close()
                raise
            self._open = fresh
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _standing(issuer: IssuerRange | None, record: RollRecord | None, expired: bool) -> Standing:
    if issuer is None:
        return Standing.OTHER_ISSUER
    if record is None:
        return Standing.UNKNOWN
    if record.standing is Standing.ACTIVE and expired:
        return Standing.EXPIRED
    return record.standing

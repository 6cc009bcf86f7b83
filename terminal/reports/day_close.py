"""Closing a business day: what this counter says the day came to, bound to the entry that it counted up to.

A manager closes the day on its page; what nobody closed closes itself after midnight. A day that was sold on after it
was closed closes once more. Statements are kept in one file until headquarters has them, and a year longer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from config.errors import JingkaError, Retry, Words
from config.zone import SHANGHAI
from terminal.ledger.entry import instant
from terminal.ledger.project import Redemption, RedemptionState
from terminal.membership.whole_file import write_whole

FILE_MODE: Final = 0o600
KEPT_MAX: Final = 400  # statements: a year of days and some closed twice; each about 300 bytes
LOOK_BACK_DAYS: Final = 31  # a PC that was off for a month closes what it sold before
SETTLE_HOURS: Final = 6  # after midnight; by then whatever is unpaid was cancelled, or never will be
READS_MAX: Final = 20  # of a day that is being sold on while it is read; a read takes milliseconds


class DayNotClosed(JingkaError):
    """Sales went on faster than the day could be counted, or the statements cannot be read or written."""

    code = "day-not-closed"
    retry = Retry.RETRY
    what = Words("{subject}没有结账：{reason_zh}", "{subject} was not closed: {reason_en}")
    hint = Words("请稍后再试", "try again in a moment")


class DayAhead(JingkaError):
    """A day that has not begun."""

    code = "day-ahead"
    retry = Retry.PARK
    what = Words("{subject}还没有到", "{subject} has not come yet")
    hint = Words("请选择今天或之前的日期", "choose today or a day before it")


_BUSY = Words("正在售卖", "sales go on")
_FILE = Words("结账文件有误（{reason}）", "the file of closed days is not right ({reason})")


class DayLedger(Protocol):
    """What closing a day needs of the ledger."""

    def last_sequence(self) -> int:
        """The last entry's sequence."""

    def last_hash(self) -> str:
        """The last entry's hash, hex."""

    def redemptions(self, day: str, limit: int = ..., offset: int = ...) -> list[Redemption]:
        """The redemptions of a business day, in the order of sale, or a page of them."""

    def count(self, day: str) -> int:
        """How many redemptions a business day has."""

    def unsettled(self) -> list[Redemption]:
        """Authorised, neither completed nor cancelled."""


@dataclass(frozen=True, slots=True)
class ClosedOffer:
    """One offer's part: completed sales as they were sold, and what was voided of them; money in fen."""

    offer: str
    sales: int = 0
    units: int = 0
    list_fen: int = 0
    pay_fen: int = 0
    voided_units: int = 0
    voided_list_fen: int = 0
    voided_pay_fen: int = 0


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A statement. `closed_at` is RFC 3339 in UTC; `closed_by` empty: by itself; `sent`: headquarters has it."""

    day: str
    sequence: int
    hash: str
    closed_at: str
    closed_by: str
    unsettled: int
    offers: tuple[ClosedOffer, ...]
    sent: bool = False

    @property
    def sales(self) -> int:
        """Completed sales of all offers."""
        return sum(each.sales for each in self.offers)


def offers_of(redemptions: Iterable[Redemption]) -> tuple[ClosedOffer, ...]:
    """What a day's redemptions come to, by offer. Pure."""
    parts: dict[str, ClosedOffer] = {}
    for each in redemptions:
        if each.state not in (RedemptionState.COMPLETED, RedemptionState.VOIDED):
            continue
        part = parts.setdefault(each.offer, ClosedOffer(each.offer))
        parts[each.offer] = replace(
            part,
            sales=part.sales + 1,
            units=part.units + each.units,
            list_fen=part.list_fen + each.list_fen,
            pay_fen=part.pay_fen + each.pay_fen,
            voided_units=part.voided_units + each.voided_units,
            voided_list_fen=part.voided_list_fen + each.voided_list_fen,
            voided_pay_fen=part.voided_pay_fen + each.voided_pay_fen,
        )
    return tuple(parts[offer] for offer in sorted(parts))


class DayCloses:
    """The statements of one terminal; callable from any thread."""

    def __init__(self, path: Path, ledger: DayLedger, wall: Callable[[], datetime]) -> None:
        """`path` is the file they are kept in; `wall` the PC's clock, aware."""
        self._path = path
        self._ledger = ledger
        self._wall = wall
        self._lock = threading.RLock()
        self._days: list[ClosedDay] | None = None  # read at the first use, oldest closing first

    def close(self, day: date, by: str) -> ClosedDay:
        """Close `day` as it stands; closing it again with nothing new changes nothing.

        Raises `DayAhead`, `DayNotClosed` and the ledger's errors.
        """
        if day > self._today():
            raise DayAhead("close", day.isoformat())
        with self._lock:
            closed = self._count(day.isoformat(), by)
            known = self.latest(closed.day)
            if known is not None and replace(closed, closed_at="", closed_by="") == replace(
                known, closed_at="", closed_by="", sent=False
            ):
                return known
            self._keep([*self._read(), closed])
            return closed

    def close_overdue(self) -> list[ClosedDay]:
        """Close every day before today that was sold on and not closed since. Raises as `close` does."""
        today, closed = self._today(), []
        waiting = {each.business_day for each in self._ledger.unsettled()}
        late = self._wall().astimezone(SHANGHAI).hour >= SETTLE_HOURS
        for back in range(LOOK_BACK_DAYS, 0, -1):
            day = today - timedelta(days=back)
            name = day.isoformat()
            settled = name not in waiting or late or back > 1
            if settled and self._sold_since_closed(name):
                closed.append(self.close(day, ""))
        return closed

    def latest(self, day: str) -> ClosedDay | None:
        """The statement of `day` that holds; None: it is open. Raises `DayNotClosed` when the file is damaged."""
        with self._lock:
            return next((each for each in reversed(self._read()) if each.day == day), None)

    def all(self) -> list[ClosedDay]:
        """Every statement that is kept, oldest closing first."""
        with self._lock:
            return list(self._read())

    def mark_sent(self, sent: ClosedDay) -> None:
        """Headquarters has this one."""
        with self._lock:
            self._keep([replace(each, sent=True) if each == sent else each for each in self._read()])

    def _today(self) -> date:
        return self._wall().astimezone(SHANGHAI).date()

    def _sold_since_closed(self, day: str) -> bool:
        count = self._ledger.count(day)
        if count == 0:
            return False
        known = self.latest(day)
        return known is None or self._ledger.redemptions(day, 1, count - 1)[0].sequence > known.sequence

    def _count(self, day: str, by: str) -> ClosedDay:
        """The day and the end of the ledger at one moment: read until nothing was written in between."""
        for _ in range(READS_MAX):
            sequence, hashed = self._ledger.last_sequence(), self._ledger.last_hash()
            redemptions = self._ledger.redemptions(day)
            if (sequence, hashed) == (self._ledger.last_sequence(), self._ledger.last_hash()):
                unsettled = sum(each.state is RedemptionState.AUTHORISED for each in redemptions)
                now = instant(self._wall())
                return ClosedDay(day, sequence, hashed, now, by, unsettled, offers_of(redemptions))
        raise DayNotClosed("close", day, reason_zh=_BUSY.zh, reason_en=_BUSY.en)

    def _read(self) -> list[ClosedDay]:
        if self._days is None:
            self._days = _parsed(self._path)
        return self._days

    def _keep(self, days: list[ClosedDay]) -> None:
        kept = days[-KEPT_MAX:]
        text = json.dumps([asdict(each) for each in kept], ensure_ascii=False)
        try:
            write_whole(self._path, FILE_MODE, lambda file: file.write(text.encode()))
        except OSError as error:
            raise _damaged(self._path, error.strerror or "") from error
        self._days = kept


def _parsed(path: Path) -> list[ClosedDay]:
    try:
        told = json.loads(path.read_bytes())
        return [ClosedDay(**{**each, "offers": tuple(ClosedOffer(**one) for one in each["offers"])}) for each in told]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _damaged(path, error.strerror or "") from error
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, type(error).__name__) from error


def _damaged(path: Path, reason: str) -> DayNotClosed:
    return DayNotClosed(
        "close", str(path), reason_zh=_FILE.text("zh", reason=reason), reason_en=_FILE.text("en", reason=reason)
    )

"""The terminal's day statements on their way to headquarters, followed like a feed: only that this one goes up.

Headquarters names the latest statement it has. Whatever it lacks is sent once all entries are there, so it can count
the same entries at once; a headquarters that was restored is sent again what it lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from config.errors import JingkaError
from sync.errors import MessageMalformed
from sync.wire_days import (
    FEED,
    NONE_YET,
    DayAnswer,
    DayStatement,
    StatedOffer,
    days_path,
    version_of,
)

if TYPE_CHECKING:
    from sync.feeds import Source
    from terminal.reports.day_close import ClosedDay, DayCloses

logger = logging.getLogger(__name__)

OVERDUE_EVERY_S: Final = 600.0  # how often days are looked for that nobody closed: a few reads of the ledger
SENT_AT_ONCE_MAX: Final = 20  # statements of one call, of a few kilobytes each: well within `FETCH_S_MAX`


class DaysFeed:
    """`sync.feeds.Feed`. Called from the agent's thread only."""

    name: Final = FEED

    def __init__(self, closes: DayCloses, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._closes = closes
        self._monotonic_s = monotonic_s
        self._look_at_s = monotonic_s()
        self._settled_for = ""  # what headquarters last named when there was nothing more to send

    def version(self) -> str:
        """The latest statement here; empty while some are not sent; headquarters' own word when it has all of ours."""
        try:
            self._close_overdue()
            days = self._closes.all()
        except JingkaError as error:
            logger.warning("days are not closed: %s", error)
            return ""  # `fetch` meets the same fault, and says so
        if not all(each.sent for each in days):
            return ""
        if self._settled_for:
            return self._settled_for
        latest = max(((each.day, each.sequence) for each in days), default=None)
        return version_of(*latest) if latest else NONE_YET

    def fetch(self, source: Source, wanted: str) -> None:
        """Send what headquarters lacks. Raises what an exchange raises; the rest is sent the next time."""
        from sync.wire import encode_message, parse_message

        self._settled_for = ""
        day, _, sequence = wanted.partition("/")
        has = (day, int(sequence)) if sequence.isdigit() else ("", 0)
        lacking = [each for each in self._closes.all() if not each.sent or (each.day, each.sequence) > has]
        for each in lacking[:SENT_AT_ONCE_MAX]:
            plain = encode_message(_message(source.terminal, each))
            parse_message(DayAnswer, source.post(days_path(source.terminal), plain))
            if not each.sent:
                self._closes.mark_sent(each)
        if not lacking:
            self._settled_for = wanted  # it has more than we: a restored terminal. Not asked again until that changes

    def _close_overdue(self) -> None:
        if self._monotonic_s() >= self._look_at_s:
            self._look_at_s = self._monotonic_s() + OVERDUE_EVERY_S
            self._closes.close_overdue()


def _message(terminal: str, closed: ClosedDay) -> DayStatement:
    """The statement as it goes on the wire. `MessageMalformed`: a day that cannot be told stops no other feed."""
    try:
        return _statement(terminal, closed)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise MessageMalformed("state a day", closed.day, reason=f"{first['loc'][0]}: {first['msg']}") from error


def _statement(terminal: str, closed: ClosedDay) -> DayStatement:
    return DayStatement(
        terminal=terminal,
        day=closed.day,
        sequence=closed.sequence,
        hash=closed.hash,
        closed_at=closed.closed_at,
        closed_by=closed.closed_by,
        unsettled=closed.unsettled,
        offers=tuple(
            StatedOffer(
                offer=each.offer,
                sales=each.sales,
                units=each.units,
                list=each.list_fen,
                pay=each.pay_fen,
                voided_units=each.voided_units,
                voided_list=each.voided_list_fen,
                voided_pay=each.voided_pay_fen,
            )
            for each in closed.offers
        ),
    )
